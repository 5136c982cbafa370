"""Predictions as messages; predicts nothing."""

from collections.abc import Sequence

from models.bundle import Bundle
from serving.http.messages import ChannelScore, CustomerScores
from serving.scores import Access, Floats, Predictions, over_open_channels, ranks

Numbers = list[list[float | None]]


def scores_of(
    bundle: Bundle,
    ids: Sequence[str],
    known: Sequence[bool],
    predictions: Predictions,
    access: Access,
    costs: Sequence[float],
) -> list[CustomerScores]:
    """The scores of n customers, the same figures that a batch writes.

    Args:
        bundle: what predicted.
        ids: (n,) of the customers.
        known: (n,) whether anything is known of them.
        predictions: of the customers.
        access: (n, k) which channels are open to them.
        costs: (k,) EUR a contact.
    """
    preference = over_open_channels(predictions.contact, access.eligible)
    rank, eligible, reason = ranks(preference).tolist(), access.eligible.tolist(), access.reason.tolist()
    response, lower, upper = map(
        _numbers, (predictions.response, predictions.response_lower, predictions.response_upper)
    )
    uplift, low, high = map(_numbers, (predictions.uplift, predictions.uplift_lower, predictions.uplift_upper))
    worth = _numbers(predictions.uplift * predictions.worth[:, None])
    shares, alone, engagement = preference.tolist(), predictions.no_contact.tolist(), predictions.engagement.tolist()
    channels = list(enumerate(zip(bundle.manifest.outbound, bundle.manifest.evidence[1:], costs, strict=True)))
    return [
        CustomerScores(
            customer_id=customer_id,
            known=known[at],
            response_no_contact=alone[at],
            channels=[
                ChannelScore(
                    channel=name,
                    preference=shares[at][k],
                    preference_rank=rank[at][k],
                    response=response[at][k],
                    response_lower=lower[at][k],
                    response_upper=upper[at][k],
                    uplift=uplift[at][k],
                    uplift_lower=low[at][k],
                    uplift_upper=high[at][k],
                    expected_value=worth[at][k],
                    cost=cost,
                    eligible=eligible[at][k],
                    reason=reason[at][k],
                    evidence=evidence.verdict,
                )
                for k, (name, evidence, cost) in channels
            ],
            engagement=dict(zip(bundle.engagement_channels, engagement[at], strict=True)),
        )
        for at, customer_id in enumerate(ids)
    ]


def _numbers(values: Floats) -> Numbers:
    """Plain numbers, what is missing as None."""
    # What is missing is not equal to itself; asking plain numbers costs less than asking arrays this small.
    return [[each if each == each else None for each in row] for row in values.tolist()]
