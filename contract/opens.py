"""Finds messages opened by a mail program and not by a person, in SQL over any rows like `interactions`; changes none.

Three rules, each on one customer and channel:

at once   the open comes within `channels.NAME.machine_open_seconds` of a message sent or delivered; what happened later
          plays no part, so that this rule alone may reach a feature
regular   of at least `answers.machine_open_sends` other opens, the middle four fifths come after nearly the same delay
unread    of at least so many messages nearly all were opened, and nothing else ever came back: no click, no reply, not
          even an opt-out
"""

# ruff: noqa: S608  names of the data pass literal(); the rest is ours

from dataclasses import dataclass

import duckdb

from contract.kinds import DELIVERED, OPENED, SENT, Role
from contract.params import Params
from contract.sources import literal

AT_ONCE, REGULAR, UNREAD = "at once", "regular", "unread"


@dataclass(frozen=True)
class OpensFound:
    """Opens on one channel, and how many of them each rule takes for a machine's; customers: who have any of those."""

    channel: str
    opens: int
    at_once: int
    regular: int
    unread: int
    customers: int

    @property
    def by_machine(self) -> int:
        """All that some rule names."""
        return self.at_once + self.regular + self.unread

    @property
    def share(self) -> float:
        """Of the opens, in [0, 1]."""
        return self.by_machine / self.opens if self.opens else 0.0

    def text(self, params: Params) -> str:
        """What was found, and by which rule, in words."""
        rules = params.answers
        seconds = params.channels[self.channel].machine_open_seconds
        told = {
            f"within {seconds:g} seconds of the message" if seconds is not None else AT_ONCE: self.at_once,
            f"after nearly the same delay at least {rules.machine_open_sends} times": self.regular,
            f"of nearly every one of {rules.machine_open_sends} or more messages, with no other sign": self.unread,
        }
        parts = "; ".join(f"{count:,} {words}" for words, count in told.items() if count)
        return (
            f"{self.channel}: {self.by_machine:,} of {self.opens:,} opens ({self.share:.0%}), of {self.customers:,} "
            f"customers, are by a machine: {parts}"
        )


def machine_opens_sql(params: Params, rows: str, where: str = "true") -> str:
    """A query for (customer_id, channel, occurred_at, rule) of the moments at which a machine opened.

    Args:
        params: The channels' seconds, and the section `answers`.
        rows: A relation with the columns of `interactions`.
        where: Which of its rows are looked at.
    """
    rules = params.answers
    signs = ", ".join(literal(kind) for kind in params.kinds_of(Role.ANSWER, Role.OPT_OUT) if kind != OPENED)
    return f"""
        WITH seen AS MATERIALIZED (
            SELECT customer_id, channel, kind, occurred_at FROM {rows}
            WHERE {where} AND kind IN ('{SENT}', '{DELIVERED}', '{OPENED}', {signs})
              AND channel IN (SELECT DISTINCT channel FROM {rows} WHERE kind = '{OPENED}')),
        started AS (SELECT customer_id, channel, occurred_at AS started_at FROM seen
                    WHERE kind IN ('{SENT}', '{DELIVERED}')),
        sends AS (SELECT DISTINCT customer_id, channel, occurred_at AS sent_at FROM seen WHERE kind = '{SENT}'),
        opens AS (SELECT DISTINCT customer_id, channel, occurred_at FROM seen WHERE kind = '{OPENED}'),
        timed AS (
            SELECT opens.*, sent_at, {_seconds(params)} AS seconds,
                   epoch_us(occurred_at) - epoch_us(started_at) AS waited_us,
                   epoch_us(occurred_at) - epoch_us(sent_at) AS delay_us
            FROM opens
            ASOF LEFT JOIN started ON opens.customer_id = started.customer_id AND opens.channel = started.channel
                 AND opens.occurred_at >= started.started_at
            ASOF LEFT JOIN sends ON opens.customer_id = sends.customer_id AND opens.channel = sends.channel
                 AND opens.occurred_at >= sends.sent_at),
        judged AS (SELECT *, coalesce(waited_us <= seconds * 1000000, false) AS at_once FROM timed),
        asked AS (SELECT customer_id, channel, count_if(kind = '{SENT}') AS sent, count_if(kind IN ({signs})) AS signs
                  FROM seen GROUP BY ALL),
        habits AS (
            SELECT customer_id, channel, any_value(sent) AS sent, any_value(signs) AS signs, count(delay_us) AS opens,
                   count(DISTINCT sent_at) AS answered, quantile_cont(delay_us, [0.1, 0.5, 0.9]) AS delays
            FROM judged JOIN asked USING (customer_id, channel) WHERE NOT at_once GROUP BY ALL),
        named AS (
            SELECT customer_id, channel, CASE
                WHEN opens >= {rules.machine_open_sends}
                 AND delays[3] - delays[1] <= {rules.machine_open_spread} * delays[2] THEN '{REGULAR}'
                WHEN sent >= {rules.machine_open_sends} AND signs = 0
                 AND answered >= {rules.machine_open_share} * sent THEN '{UNREAD}' END AS rule
            FROM habits)
        SELECT customer_id, channel, occurred_at, CASE WHEN at_once THEN '{AT_ONCE}' ELSE rule END AS rule
        FROM judged LEFT JOIN named USING (customer_id, channel) WHERE at_once OR rule IS NOT NULL"""


def count_opens(connection: duckdb.DuckDBPyConnection, params: Params, rows: str, found: str) -> tuple[OpensFound, ...]:
    """What was found on each channel with opens, in declared order.

    Args:
        connection: Has both relations.
        params: The channels.
        rows: A relation with the columns of `interactions`.
        found: What `machine_opens_sql` gave for it: a table's name, or the query in brackets.
    """
    counts = connection.execute(f"""
        WITH opens AS (SELECT channel, count(*) AS opens FROM (
                SELECT DISTINCT customer_id, channel, occurred_at FROM {rows} WHERE kind = '{OPENED}') GROUP BY ALL),
        machines AS (SELECT channel, count_if(rule = '{AT_ONCE}') AS at_once, count_if(rule = '{REGULAR}') AS regular,
                            count_if(rule = '{UNREAD}') AS unread, count(DISTINCT customer_id) AS customers
                     FROM {found} GROUP BY ALL)
        SELECT channel, opens, coalesce(at_once, 0), coalesce(regular, 0), coalesce(unread, 0), coalesce(customers, 0)
        FROM opens LEFT JOIN machines USING (channel)""").fetchall()
    by_channel = {row[0]: OpensFound(*row) for row in counts}
    return tuple(by_channel[name] for name in params.channels if name in by_channel)


def _seconds(params: Params) -> str:
    """SQL: the channel's seconds, null where it has none."""
    told = {name: each.machine_open_seconds for name, each in params.channels.items()}
    cases = [f"WHEN {literal(name)} THEN {seconds:g}" for name, seconds in told.items() if seconds is not None]
    return f"CASE opens.channel {' '.join(cases)} END" if cases else "CAST(NULL AS DOUBLE)"
