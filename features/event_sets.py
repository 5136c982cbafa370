"""Sets of events: what a feature looks at; chooses by kind, channel, category and transactional only, never by value.

A set either names its channels and categories, or is relative: `.on(CANDIDATE)` means the channel of the row's own
action, `.about(OWN_CATEGORY)` the category of the row's own campaign.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from contract.errors import UsageError
from features.events import Codebook, EventCode

CANDIDATE: Final = "candidate"
"""In place of a channel: the one of the row's action."""

OWN_CATEGORY: Final = "own_category"
"""In place of a category: the one of the row's campaign."""


@dataclass(frozen=True)
class EventSet:
    """Events of some kinds, on some channels, of some categories; an empty tuple stands for all.

    name: the first part of every feature's name; words: the same for a reader, as in "messages sent".
    """

    name: str
    words: str
    kinds: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    transactional: bool | None = None

    def on(self, *channels: str, called: str | None = None) -> "EventSet":
        """The same on these channels, or on `CANDIDATE`."""
        label = called or "_".join(channels)
        words = "on the candidate channel" if channels == (CANDIDATE,) else f"on {label}"
        return replace(self, name=f"{self.name}_{label}", words=f"{self.words} {words}", channels=channels)

    def about(self, *categories: str, called: str | None = None) -> "EventSet":
        """The same in these categories of campaigns, or in `OWN_CATEGORY`."""
        label = called or "_".join(categories)
        words = "about the campaign's own category" if categories == (OWN_CATEGORY,) else f"about {label}"
        return replace(self, name=f"{self.name}_{label}", words=f"{self.words} {words}", categories=categories)

    @property
    def per_action(self) -> bool:
        """Whether the set depends on the row's action."""
        return CANDIDATE in self.channels

    @property
    def per_category(self) -> bool:
        """Whether the set depends on the category of the row's campaign."""
        return OWN_CATEGORY in self.categories

    @property
    def relative(self) -> bool:
        """Whether the set depends on the row at all."""
        return self.per_action or self.per_category

    def matches(self, entry: EventCode) -> bool:
        """Whether events with this code belong to the (not relative) set."""
        return (
            (not self.kinds or entry.kind in self.kinds)
            and (not self.channels or entry.channel in self.channels)
            and (not self.categories or entry.category in self.categories)
            and (self.transactional is None or entry.transactional == self.transactional)
        )

    def levels(self, codebook: Codebook) -> Sequence["EventSet"]:
        """The sets that a relative set stands for, in the order of the outbound channels or of the categories.

        Raises:
            UsageError: The set mixes a placeholder with names, or is relative to both action and category.
        """
        if (self.per_action and (len(self.channels) > 1 or self.per_category)) or (
            self.per_category and len(self.categories) > 1
        ):
            raise UsageError(
                f"features.{self.name}: a set is relative to the action or to the campaign's category, not to more; "
                "declare two features instead"
            )
        base = replace(self, channels=(), name=self.name.removesuffix(f"_{CANDIDATE}"))
        if self.per_action:
            return [base.on(channel) for channel in codebook.outbound]
        base = replace(self, categories=(), name=self.name.removesuffix(f"_{OWN_CATEGORY}"))
        return [base.about(category) for category in codebook.categories]
