"""The decisions that a server made, each with the probability of every action it could have taken; knows no database.

What was answered under a request's id is kept as it was sent, so that the same question gets the same answer, also
after the server was killed. The propensities are an input table of the next training.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from contract.errors import DataError


class Decided(NamedTuple):
    """One decision. channel: None is no contact; propensities: of every action that could have been taken, all above 0;
    not_before_us: when the contact may go out at the earliest, None at once.
    """

    customer_id: str
    campaign_id: str
    made_at_us: int
    channel: str | None
    role: str
    model_version: str
    propensities: Mapping[str | None, float]
    not_before_us: int | None = None

    @property
    def propensity(self) -> float:
        """Of the action taken."""
        return self.propensities[self.channel]

    @property
    def earliest_us(self) -> int:
        """When the contact may go out at the earliest."""
        return self.made_at_us if self.not_before_us is None else self.not_before_us


class DecisionLog(Protocol):
    """What was decided, to be added to and asked."""

    def answered(self, request_id: str, question: bytes) -> bytes | None:
        """What was answered under this id, None where nothing was.

        Raises:
            DataError: the id was given to another question.
        """

    def keep(
        self,
        request_id: str,
        question: bytes,
        answer: bytes,
        decided: Sequence[Decided],
        versions: Mapping[str, int],
    ) -> bytes | None:
        """Keep the decisions of one request; when this returns, they survive the end of this process by any means.

        Returns the answer that counts: an earlier one, where another server was asked the same at the same time. None,
        and nothing is kept, where another server decided about one of these customers since their `versions` were read.

        Raises:
            DataError: the id was given to another question, or a customer was to be forgotten.
            StorageError: it cannot be kept.
        """

    def propensity(self, customer_id: str, campaign_id: str, channel: str | None) -> float | None:
        """The probability with which the latest decision could have taken this action; None where none was made."""

    def of_customer(self, customer_id: str) -> list[tuple[str, int, str | None, str]]:
        """(campaign, when in µs since 1970 UTC, channel, role) of each decision about a customer, the latest first."""

    def contacts(self, since_us: int) -> Iterator[tuple[str, str, str, int, int]]:
        """(customer, campaign, channel, earliest moment, when decided) of each contact decided from `since_us` on."""

    def erased_among(self, customer_ids: Sequence[str]) -> list[str]:
        """Those who were to be forgotten."""

    def forget(self, customer_id: str) -> bool:
        """Remove all decisions about a customer, and answers that named them; whether anything was held.

        From here on every reading of the store leaves the customer out.
        """

    def is_erased(self, customer_id: str) -> bool:
        """Whether the customer was to be forgotten."""

    def erased(self) -> Iterator[str]:
        """SHA-256 of every id that was to be forgotten."""

    def close(self) -> None:
        """Let go of what is open."""


def digest_of(question: bytes) -> bytes:
    """By which a question is known again."""
    return hashlib.sha256(question).digest()


def another_question(request_id: str) -> DataError:
    """The error for an id that was given to two questions."""
    return DataError(
        f"request_id '{request_id}': was given to another question before; an id names one question; ask this one "
        "under an id of its own"
    )
