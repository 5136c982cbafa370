"""The kinds of interaction and what each one is; knows no table and no channel."""

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What an interaction of a kind is, seen from the brand."""

    DECISION = "decision"
    DELIVERY = "delivery"
    ANSWER = "answer"
    OPT_OUT = "opt_out"
    OWN_STEP = "own_step"


SENT: Final = "sent"
HELD_OUT: Final = "held_out"
PURCHASED: Final = "purchased"
OPENED: Final = "opened"
DELIVERED: Final = "delivered"

SHIPPED_KINDS: Final[dict[str, Role]] = {
    SENT: Role.DECISION,
    HELD_OUT: Role.DECISION,
    DELIVERED: Role.DELIVERY,
    "bounced": Role.DELIVERY,
    OPENED: Role.ANSWER,
    "clicked": Role.ANSWER,
    "replied": Role.ANSWER,
    "unsubscribed": Role.OPT_OUT,
    "complained": Role.OPT_OUT,
    "visited": Role.OWN_STEP,
    "called": Role.OWN_STEP,
    "chatted": Role.OWN_STEP,
    "shared": Role.OWN_STEP,
    "reviewed": Role.OWN_STEP,
    PURCHASED: Role.OWN_STEP,
    "returned": Role.OWN_STEP,
}
"""Every kind of the contract. `unsubscribed` and `complained` answer a send, but in refusal: `opt_out`."""
