"""A simulated retailer that goes on round by round: whom it contacts in each comes from outside, the rest is life.

The history before the first round is the retailer's own. In a round its sender is silent, but for confirmations of
purchases: the contacts are those of a plan, at the round's first moment. A round is as long as a mood lasts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from contract.files import atomic_file
from simulation.compiled import compiled
from simulation.contact import NO_PROPENSITY, SENT, contact
from simulation.draws import seed_stream
from simulation.history import DAY_S, HISTORY, days_of, history_of
from simulation.outlook import look_ahead, new_outlook
from simulation.people import People
from simulation.retailer import Retailer
from simulation.state import SEND, Event, Log, State, copy_state, new_log, new_state, note
from simulation.tables import (
    campaigns_table,
    consents_table,
    customer_ids,
    customers_table,
    interactions_table,
    log_rows,
)
from simulation.tastes import MOOD_DAYS, Traits, draw_customers, later_moods
from simulation.truth import Truth
from simulation.world import BULK, CATEGORIES, OUTBOUND, STEP, Campaigns, World, season

_ROOM: Final = 200
"""Events of a customer for which the first try has room."""

UNCHANGED: Final = (1.0,) * len(OUTBOUND)

Actions = npt.NDArray[np.int64]


@compiled
def _row(states: State, i: int) -> State:
    """Views of one customer's state."""
    return State(
        states.stream[i],
        states.closed_from_s[i],
        states.reopened_s[i],
        states.engaged[i],
        states.pressure[i],
        states.calm[i],
        states.next_calm[i],
        states.pending_s[i],
        states.pending_channel[i],
        states.recent_s[i],
        states.recent_extra[i],
        states.recent_channel[i],
        states.counters[i],
        states.shares[i],
        states.claim[i],
    )


@compiled
def _live_all(world: World, traits: Traits, seed: int, states: State, log: Log) -> None:
    for i in range(len(traits.number)):
        state = _row(states, i)
        seed_stream(state.stream, seed, traits.number[i], HISTORY)
        history_of(world, traits, state, log, i)


@compiled
def _look_all(world: World, traits: Traits, states: State, scratch: State, outlook: Any) -> None:
    for i in range(len(traits.number)):
        copy_state(_row(states, i), scratch)
        look_ahead(world, traits, scratch, i, outlook)


@compiled
def _play_all(world: World, traits: Traits, actions: Actions, first_day: int, states: State, log: Log) -> None:
    """`actions`: (n,) 0 none, i the i-th outbound channel. `world` is the one at the round's end."""
    time_s = world.start_s + first_day * DAY_S
    for i in range(len(traits.number)):
        state = _row(states, i)
        if actions[i] > 0:
            send = Event(actions[i] - 1, world.scored_campaign, state.counters[SEND])
            state.counters[SEND] += 1
            note(log, i, time_s, SENT, send, 0, NO_PROPENSITY)
            contact(world, traits, state, log, i, first_day, time_s, actions[i] - 1, world.scored_campaign)
        days_of(world, traits, state, log, i, first_day, world.days)


@dataclass
class Rounds:
    """A retailer between two rounds. traits: its customers', `rounds` more moods included; played: rounds so far."""

    retailer: Retailer
    people: People
    traits: Traits
    campaigns: Campaigns
    states: State
    log: Log
    played: int = 0
    ids: npt.NDArray[np.object_] = field(init=False)

    def __post_init__(self) -> None:
        self.ids = customer_ids(self.people.number).to_numpy(zero_copy_only=False).astype(object)

    @property
    def as_of(self) -> datetime:
        """When the round begins, UTC: nothing of it or later is known yet."""
        return self.retailer.config.end.astimezone(UTC) + timedelta(days=MOOD_DAYS * self.played)

    @property
    def campaign_id(self) -> str:
        """The round's campaign."""
        return self.campaigns.ids[len(self.retailer.campaigns.ids) + self.played]

    def truth(self) -> Truth:
        """What is true as the round begins."""
        outlook = new_outlook(len(self.ids))
        _look_all(self._world(self.played), self._traits(self.played), self.states, new_state(), outlook)
        params = self.retailer.params
        margin = self.retailer.config.margin_rate * self.traits.basket_eur
        return Truth(
            customer_ids=self.ids,
            channels=OUTBOUND,
            steps=STEP,
            probability=outlook.probability,
            margin_eur=outlook.purchases * margin[:, None],
            cost_eur=np.array([0.0] + [params.channels[name].unit_cost for name in OUTBOUND]),
            answer=outlook.answer,
            engagement=outlook.share,
            opt_out=outlook.opt_out,
        )

    def write(self, folder: Path) -> None:
        """Writes the input tables as they are known when the round begins, in place of those that are there."""
        rows, consents, _ = log_rows(self.log)
        ids, params = tuple(self.campaigns.ids), self.retailer.params
        tables = {
            "customers": customers_table(self.people),
            "campaigns": campaigns_table(self.campaigns),
            "audience": pa.table({"customer_id": self.ids}),
            "interactions": self._known(interactions_table(self.log, rows, self.people, ids, params)),
            "consents": self._known(consents_table(self.log, consents, self.people, self.traits, params)),
        }
        for name, table in tables.items():
            with atomic_file(folder / f"{name}.parquet") as part:
                pq.write_table(table, part, compression="zstd", store_schema=False)

    def send(self, plan: pa.Table) -> None:
        """Plays the round: the plan's contacts go out as it begins, by the columns `customer_id` and `channel`."""
        rows, chosen = self.truth().actions(plan)
        actions = np.zeros(len(self.ids), np.int64)
        actions[rows] = chosen
        first_day = self.retailer.config.days + MOOD_DAYS * self.played
        world = self._world(self.played + 1)._replace(
            weight=np.zeros(len(OUTBOUND)), scored_campaign=self._world(self.played).scored_campaign
        )
        states, log = _copied(self.states), _open_log(_ROOM * len(self.ids))
        _play_all(world, self._traits(self.played + 1), actions, first_day, states, log)
        if log.length[0] > len(log.time_s):
            states, log = _copied(self.states), _open_log(int(log.length[0]))
            _play_all(world, self._traits(self.played + 1), actions, first_day, states, log)
        self.states, self.log, self.played = states, _joined(self.log, log), self.played + 1

    def _world(self, played: int) -> World:
        """The world after so many rounds, as if its history ended there."""
        world, config = self.retailer.world, self.retailer.config
        later = MOOD_DAYS * played
        quiet = np.full(later, -1, np.int64)
        return world._replace(
            end_s=world.end_s + later * DAY_S,
            days=world.days + later,
            season=season(replace(config, years=config.years + 1, end=config.end + timedelta(days=365))),
            campaign_of_day=np.concatenate([world.campaign_of_day, quiet]),
            campaign_hour=(self.campaigns.starts_s // 3_600) % 24,
            campaign_category=self.campaigns.category,
            campaign_strength=self.campaigns.strength,
            scored_campaign=len(self.retailer.campaigns.ids) + played,
        )

    def _traits(self, played: int) -> Traits:
        """The customers with the moods up to the horizon after so many rounds."""
        stretches = self.traits.mood.shape[1] - (len(self.campaigns.ids) - len(self.retailer.campaigns.ids)) + played
        return self.traits._replace(mood=np.ascontiguousarray(self.traits.mood[:, :stretches]))

    def _known(self, table: pa.Table) -> pa.Table:
        return table.filter(pc.less(table["occurred_at"], pa.scalar(self.as_of, table["occurred_at"].type)))


def begin_rounds(
    retailer: Retailer, rounds: int, *, before: Sequence[float] = UNCHANGED, since: Sequence[float] = UNCHANGED
) -> Rounds:
    """The retailer at the end of its history, ready to play up to `rounds` rounds.

    Args:
        retailer: as `build_retailer` makes it.
        rounds: 12 at most.
        before: factor by outbound channel of what a contact of the history brought beyond the customer's own purchases.
        since: the same of a contact in the rounds.
    """
    config = retailer.config
    people, traits = draw_customers(config, retailer.mechanism, 0, config.customers)
    rng = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(4,)))
    columns: list[Any] = [np.zeros((config.customers, *each.shape), each.dtype) for each in new_state()]
    states = State(*columns)
    past = traits._replace(effect=traits.effect * np.array(before))
    log = _open_log(_ROOM * config.customers)
    _live_all(retailer.world, past, config.seed, states, log)
    if log.length[0] > len(log.time_s):
        log = _open_log(int(log.length[0]))
        _live_all(retailer.world, past, config.seed, states, log)
    traits = traits._replace(effect=traits.effect * np.array(since), mood=later_moods(traits.mood, rounds + 1, rng))
    return Rounds(retailer, people, traits, _with_rounds(retailer, rounds + 1, rng), states, _joined(log))


def _with_rounds(retailer: Retailer, rounds: int, rng: np.random.Generator) -> Campaigns:
    """The retailer's campaigns, and one for each round."""
    known, config = retailer.campaigns, retailer.config
    starts = config.end_s + MOOD_DAYS * DAY_S * np.arange(rounds)
    return Campaigns(
        ids=[*known.ids, *(f"round{number + 1}" for number in range(rounds))],
        names=[*known.names, *(f"Round {number + 1}" for number in range(rounds))],
        starts_s=np.concatenate([known.starts_s, starts]),
        campaign_type=np.concatenate([known.campaign_type, np.full(rounds, BULK)]),
        category=np.concatenate([known.category, rng.integers(0, len(CATEGORIES), rounds)]),
        strength=np.concatenate([known.strength, np.ones(rounds)]),
    )


def _open_log(room: int) -> Log:
    """A log that also keeps what lies ahead of the moment, such as a purchase that a contact will have brought."""
    log = new_log(room)
    log.span[1] = np.iinfo(np.int64).max
    return log


def _copied(states: State) -> State:
    columns: list[Any] = [each.copy() for each in states]
    return State(*columns)


def _joined(*logs: Log) -> Log:
    """The events of all, without spare room."""
    parts = [[column[: each.length[0]] for column in each[:-2]] for each in logs]
    columns: list[Any] = [np.concatenate(column) for column in zip(*parts, strict=True)]
    columns += [np.array([len(columns[0])]), logs[0].span]
    return Log(*columns)
