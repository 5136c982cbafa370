"""To whom the responses after a contact are owed, as the additive learner has it, beside what names its message.

Attribution by name counts a response for the message whose name it bears. That gives a message what would have come
anyway by its link, and withholds what it brought without. Of contacts with rates b without contact and b + e with it,
Σ (exp(−b) − exp(−b − e)) responses would not have come without it (Poisson streams, as in `training.additive`).
Estimated on the decisions that taught; no interval is given, and the curves of uplift are measured apart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.marks import Marks
from training.additive import Rates, Seen


@dataclass(frozen=True)
class Credit:
    """Responses to the contacts on a channel.

    contacts: how many; responses: after how many of them the customer responded; named: how many of those bear its
    name; brought: how many are there because of it, as estimated. named_of_brought, named_of_alone: shares of those it
    brought, and of those that would have come anyway, that bear its name; None where that is not told apart.
    """

    channel: str
    contacts: int
    responses: int
    named: int
    brought: float
    named_of_brought: float | None
    named_of_alone: float | None


def credits_of(outbound: Sequence[str], seen: Seen, rates: Rates, marks: Marks) -> Iterator[Credit]:
    """Each channel's, where any contact on it was responded to.

    Args:
        outbound: the channels, in the order of the actions from 1 on.
        seen: what was done and what followed.
        rates: of these decisions, by the fitted learner.
        marks: how responses come.
    """
    for c, channel in enumerate(outbound):
        own = seen.action == 1 + c
        came = own & seen.response.astype(np.bool_)
        if not came.any():
            continue
        base, excess = rates.base[own], rates.excess[own]
        named = marks.named(c)
        yield Credit(
            channel=channel,
            contacts=int(own.sum()),
            responses=int(came.sum()),
            named=int((came & seen.came.tied).sum()),
            brought=float((np.exp(-base) * -np.expm1(-excess)).sum()),
            named_of_brought=None if named is None else named.brought,
            named_of_alone=None if named is None else named.alone,
        )
