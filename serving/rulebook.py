"""The rules of eligibility in order, each with the name it is counted under and the reason it gives; judges nobody."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from contract.contact_rules import ContactWindow, Eligibility

NO_CONSENT, WITHDRAWN, UNSUBSCRIBED, COMPLAINED = "no_consent", "consent_withdrawn", "unsubscribed", "complained"
NO_ADDRESS, UNDELIVERABLE = "no_address", "undeliverable"
SENDING, RELATION, ONE_PERSON = "sending_hours", "min_relation_days", "one_person"


@dataclass(frozen=True)
class Rule:
    """A rule: what it is counted under, and what it says to whom it refuses."""

    name: str
    reason: str


CONSENT_RULES: Final = (
    Rule(NO_CONSENT, "no consent on record"),
    Rule(WITHDRAWN, "consent withdrawn"),
    Rule(UNSUBSCRIBED, "unsubscribed since the last consent"),
    Rule(COMPLAINED, "complained since the last consent"),
)
"""These hold always. A tie in time goes against contact."""


@dataclass(frozen=True)
class RuleBook:
    """The rules in force, in the order in which they are tried; the place of a rule is its bit."""

    rules: tuple[Rule, ...]

    def bit(self, name: str) -> int:
        """Place of the rule of that name."""
        return next(place for place, rule in enumerate(self.rules) if rule.name == name)


def rulebook(declared: Eligibility) -> RuleBook:
    """The rules that always hold and those declared."""
    return RuleBook((*CONSENT_RULES, *_declared(declared)))


def _declared(declared: Eligibility) -> Iterator[Rule]:
    yield from (Rule(f"suppression.{name}", f"on the suppression list {name}") for name in declared.suppression)
    if any(each.address is not None for each in declared.reachable.values()):
        yield Rule(NO_ADDRESS, "no address")
    if any(each.bounces is not None for each in declared.reachable.values()):
        yield Rule(UNDELIVERABLE, "bounced since the last delivery")
    yield from (Rule(f"windows.{name}", f"{name}: {_limit(each)}") for name, each in declared.windows.items())
    if declared.sending_hours is not None and declared.quiet:
        yield Rule(SENDING, f"quiet for more than {declared.sending_hours:g} hours")
    for name, cooling in declared.cooling_off.items():
        yield Rule(f"cooling_off.{name}", f"{name}: {' or '.join(cooling.kinds)} in the last {_days(cooling.days)}")
    for name, exclusion in declared.exclusions.items():
        after = " or ".join(exclusion.after)
        yield Rule(f"exclusions.{name}", f"{name}: got or will get {after}, {_days(exclusion.days)} apart")
    if declared.min_relation_days:
        yield Rule(RELATION, f"known for less than {_days(declared.min_relation_days)}")
    if declared.person_column is not None:
        yield Rule(ONE_PERSON, "another id of the same person stands for it")


def _limit(window: ContactWindow) -> str:
    length = _days(window.days) if window.days is not None else f"{window.hours:g} hours"
    return f"at most {window.contacts}{_by(window.channels)} in {length}"


def _by(channels: Sequence[str]) -> str:
    return f" by {' and '.join(channels)}" if channels else ""


def _days(days: float) -> str:
    return f"{days:g} day" + ("s" if days != 1 else "")
