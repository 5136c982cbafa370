"""How often a contact on each channel was followed by an opt-out, counted from the history; predicts no one customer.

An opt-out (`unsubscribed`, `complained` or a declared kind of that role) belongs to the customer's send that bears its
`send_id`, or else to the customer's latest send on its channel, if it came within seven days. Transactional sends count
on neither side. With x opt-outs after n sends, each channel is lent one opt-out at the rate R of all channels, so that
none is taken for certain: the rate is Gamma with shape (x + 1) / D and mean (x + 1) / (n + 1 / R), Poisson counts with
their conjugate prior. D, at least 1, is the Pearson dispersion of counts of thirty days: rates move with time.
"""

from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np

from contract.kinds import SENT, Role
from contract.params import Params
from models.artefact import Artefact, Floats

WINDOW_DAYS = 365
"""Sends older than this tell of a policy and of customers who are gone."""

FOLLOWS_DAYS = 7
PERIOD_DAYS = 30

_QUERY = """
    WITH marketing AS (
        SELECT customer_id, channel, send_id, occurred_at
        FROM interactions LEFT JOIN (
            SELECT campaign_id, bool_or(type = 'transactional') AS transactional FROM campaigns GROUP BY campaign_id
        ) USING (campaign_id)
        WHERE kind = $sent AND list_contains($channels, channel) AND NOT coalesce(transactional, false)
            AND occurred_at >= $since AND occurred_at < $until),
    refusals AS (
        SELECT customer_id, channel, send_id, occurred_at FROM interactions
        WHERE list_contains($opt_outs, kind) AND list_contains($channels, channel)
            AND occurred_at >= $since AND occurred_at < $as_of),
    asked AS (SELECT * FROM marketing SEMI JOIN refusals USING (customer_id)),
    tied AS (
        SELECT asked.customer_id, asked.channel, asked.occurred_at
        FROM refusals JOIN asked USING (customer_id, channel, send_id)
        WHERE refusals.occurred_at >= asked.occurred_at
            AND refusals.occurred_at < asked.occurred_at + to_days($follows)
        UNION
        SELECT named.customer_id, named.channel, named.sent_at
        FROM (SELECT * FROM refusals WHERE send_id IS NULL) AS nameless
        ASOF JOIN (SELECT customer_id, channel, occurred_at AS sent_at FROM asked) AS named
            ON nameless.customer_id = named.customer_id AND nameless.channel = named.channel
            AND nameless.occurred_at >= named.sent_at
        WHERE nameless.occurred_at < named.sent_at + to_days($follows))
    SELECT channel, period, coalesce(sends, 0) AS sends, coalesce(opt_outs, 0) AS opt_outs
    FROM (SELECT channel, datediff('day', occurred_at, $until) // $period AS period, count(*) AS sends
          FROM marketing GROUP BY ALL)
    LEFT JOIN (SELECT channel, datediff('day', occurred_at, $until) // $period AS period, count(*) AS opt_outs
               FROM tied GROUP BY ALL) USING (channel, period)
    ORDER BY ALL
"""


class OptOutRate(Artefact):
    """Of one channel: sends and opt-outs counted, opt-outs a send, and the dispersion D of the counts, at least 1."""

    sends: int
    opt_outs: int
    rate: float
    dispersion: float

    @property
    def relative_variance(self) -> float:
        """Of what is not known of the rate."""
        return self.dispersion / (self.opt_outs + 1)


def opt_out_rates(connection: duckdb.DuckDBPyConnection, params: Params, as_of: datetime) -> dict[str, OptOutRate]:
    """The rate of each outbound channel that records opt-outs and had sends; a channel that is not named is unknown.

    Args:
        connection: holds the views `interactions` and `campaigns` of an intake.
        params: outbound channels with what they record, and the kinds of the role opt_out.
        as_of: UTC; only sends whose seven days are over by then count, of the 365 days before.
    """
    opt_outs = params.kinds_of(Role.OPT_OUT)
    channels = [name for name in params.outbound if set(opt_outs) & set(params.channels[name].records)]
    moment = as_of.astimezone(UTC).replace(tzinfo=None) if as_of.tzinfo else as_of
    until = moment - timedelta(days=FOLLOWS_DAYS)
    values = {
        "sent": SENT,
        "opt_outs": list(opt_outs),
        "channels": channels,
        "as_of": moment,
        "until": until,
        "since": until - timedelta(days=WINDOW_DAYS),
        "follows": FOLLOWS_DAYS,
        "period": PERIOD_DAYS,
    }
    counted: dict[str, list[tuple[int, int]]] = {}
    for channel, _, sends, gone in connection.execute(_QUERY, values).fetchall():
        counted.setdefault(channel, []).append((sends, gone))
    return _rates({name: np.array(counted[name], dtype=np.float64) for name in channels if name in counted})


def _rates(counted: dict[str, Floats]) -> dict[str, OptOutRate]:
    """From (periods, 2) sends and opt-outs of each channel."""
    sends, opt_outs = (sum(float(each[:, column].sum()) for each in counted.values()) for column in (0, 1))
    overall = (opt_outs + 0.5) / (sends + 1.0)
    result = {}
    for name, each in counted.items():
        n, x = each.sum(axis=0)
        rate = (x + 1.0) / (n + 1.0 / overall)
        expected = each[:, 0] * rate
        freedom = max(1, len(each) - 1)
        dispersion = max(1.0, float((((each[:, 1] - expected) ** 2) / expected).sum()) / freedom)
        result[name] = OptOutRate(sends=int(n), opt_outs=int(x), rate=float(rate), dispersion=dispersion)
    return result
