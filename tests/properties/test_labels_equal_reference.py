"""Labels and the decision spine against a reference that walks every pair of rows, over histories full of ties."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.kinds import Role
from contract.loading import load_params
from contract.params import Params
from features.spine import Decisions, decision_spine
from features.timeline import build_timeline
from tests.properties.raw_histories import CAMPAIGNS, DAY_US, Shown, raw_history

SHORT = "features.lookback_days=58"
OBJECTIVES = {
    "sell": load_params(assignments=[SHORT]),
    "inform": load_params(assignments=[SHORT, "objective=inform"]),
}
KEYS = ["customer", "time_us", "action", "category", "campaign_id", "send_id", "propensity"]


def known_rows(shown: Shown) -> pd.DataFrame:
    """Interactions of known customers before as_of, with times as integers and the campaign's facts."""
    frame = shown.interactions.copy()
    frame["time_us"] = frame.occurred_at.astype("int64")
    frame["customer"] = frame.customer_id.map({each: i for i, each in enumerate(sorted(shown.customers.customer_id))})
    facts = CAMPAIGNS.set_index("campaign_id")
    frame["category"] = [facts.category.get(each) for each in frame.campaign_id]
    frame["type"] = [facts.type.get(each) for each in frame.campaign_id]
    frame["cents"] = [0 if pd.isna(each) else round(each * 100) for each in frame.value]
    return frame[frame.customer.notna()]


def reference_decisions(shown: Shown, params: Params) -> tuple[pd.DataFrame, dict[str, int]]:
    until = pd.Timestamp(shown.as_of).value // 1000
    horizon = params.target.horizon_days * DAY_US
    reasons = {"transactional campaign": 0, "channel is not outbound": 0, "no consent to profiling": 0}
    reasons |= {"older than the lookback": 0, "horizon not over": 0}
    kept = []
    for row in known_rows(shown).to_dict("records"):
        if row["kind"] not in ("sent", "held_out"):
            continue
        if row["type"] == "transactional":
            reasons["transactional campaign"] += 1
        elif row["kind"] == "sent" and row["channel"] not in params.outbound:
            reasons["channel is not outbound"] += 1
        elif row["time_us"] < until - params.features.lookback_days * DAY_US:
            reasons["older than the lookback"] += 1
        elif row["time_us"] + horizon > until:
            reasons["horizon not over"] += 1
        else:
            row["action"] = 0 if row["kind"] == "held_out" else 1 + params.outbound.index(row["channel"])
            row["category"] = -1 if pd.isna(row["category"]) else ["garden", "sport"].index(row["category"])
            kept.append(row)
    frame = pd.DataFrame(kept, columns=[*known_rows(shown).columns, "action"])
    return frame.sort_values(KEYS, kind="stable", na_position="last").reset_index(drop=True), reasons


def tied_send(step: dict[Any, Any], sends: pd.DataFrame) -> pd.Series | None:
    """The send a step belongs to: same customer, not after it, the latest of its send_id, else of its campaign."""
    mine = sends[(sends.customer == step["customer"]) & (sends.time_us <= step["time_us"])]
    alike = mine[mine.send_id == step["send_id"]] if isinstance(step["send_id"], str) else mine.iloc[:0]
    if alike.empty:
        alike = mine[(mine.campaign_id == step["campaign_id"]) & (mine.channel == step["channel"])]
    if alike.empty:
        return None
    latest = alike[alike.time_us == alike.time_us.max()]
    kept = latest[latest.row.notna()]
    return None if kept.empty else kept.sort_values("row").iloc[0]


def opened_at_once(rows: pd.DataFrame, params: Params) -> list[bool]:
    """Whether each row is an open within its channel's seconds of a message sent or delivered."""
    started = rows[rows.kind.isin(["sent", "delivered"])]
    found = []
    for row in rows.to_dict("records"):
        seconds = params.channels[row["channel"]].machine_open_seconds if row["kind"] == "opened" else None
        before = started[(started.customer == row["customer"]) & (started.channel == row["channel"])]
        waited = row["time_us"] - before.time_us
        found.append(seconds is not None and bool(((waited >= 0) & (waited <= seconds * 1_000_000)).any()))
    return found


def reference_labels(shown: Shown, decisions: pd.DataFrame, params: Params) -> pd.DataFrame:
    until = pd.Timestamp(shown.as_of).value // 1000
    rows = known_rows(shown)
    rows = rows[(rows.time_us < until) & (rows.time_us >= until - params.features.lookback_days * DAY_US)]
    rows = rows[~np.array(opened_at_once(rows, params), bool)]
    horizon, target = params.target.horizon_days * DAY_US, params.target
    answers = params.kinds_of(Role.ANSWER, Role.OWN_STEP)
    sends = known_rows(shown)
    sends = sends[sends.kind == "sent"].assign(row=np.nan)
    for at, row in decisions[decisions.kind == "sent"].iterrows():
        same = (sends[["customer", "time_us", "channel"]] == row[["customer", "time_us", "channel"]]).all(axis=1)
        for key in ("campaign_id", "send_id", "propensity"):
            same &= sends[key].isna() if pd.isna(row[key]) else sends[key] == row[key]
        free = same & sends.row.isna()
        sends["row"] = sends.row.mask(free & (free.cumsum() == 1), at)
    out = pd.DataFrame(0.0, index=decisions.index, columns=["response", "cents", "answered"]).assign(
        own=-1, delay=np.nan, tied=False
    )
    first_tied: dict[Any, int] = {}
    for step in rows[rows.kind.isin([*answers, *target.kinds])].to_dict("records"):
        send = tied_send(step, sends)
        if send is None or step["time_us"] >= send.time_us + horizon:
            continue
        out.loc[send.row, "answered"] += step["kind"] in answers
        if step["kind"] in target.kinds:
            first_tied[send.row] = min(first_tied.get(send.row, step["time_us"]), step["time_us"])
        if target.counts == "send" and step["kind"] in target.kinds:
            out.loc[send.row, ["response", "cents"]] += [1, step["cents"]]
    for at, row in decisions.iterrows():
        after = rows[(rows.customer == row.customer) & (rows.time_us >= row.time_us)]
        after = after[after.time_us < row.time_us + horizon]
        if target.counts == "customer":
            met = after[after.kind.isin(target.kinds)]
            out.loc[at, ["response", "cents"]] = [len(met), met.cents.sum()]
            out.loc[at, "delay"] = (met.time_us.min() - row.time_us) / horizon
            out.loc[at, "tied"] = len(met) > 0 and met.time_us.min() == first_tied.get(at)
        own = after[after.kind.isin(params.kinds_of(Role.OWN_STEP))].sort_values(
            ["time_us", "kind", "channel", "category", "type", "cents"], na_position="first", kind="stable"
        )
        if len(own):
            out.loc[at, "own"] = list(params.channels).index(own.channel.iloc[0])
    return out


def decisions_of(shown: Shown, params: Params, folder: Path) -> Decisions:
    opened = shown.opened()
    return decision_spine(opened, build_timeline(opened, params, folder), params)


@pytest.mark.parametrize("objective", OBJECTIVES)
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(0, 150), tick_us=st.sampled_from([1_000_000, 1]))
def test_decisions_and_labels(objective, seed, rows, tick_us, tmp_path_factory):
    params = OBJECTIVES[objective]
    shown = raw_history(params, seed, rows, tick_us=tick_us)
    ours = decisions_of(shown, params, tmp_path_factory.mktemp("timeline") / "t")
    frame, reasons = reference_decisions(shown, params)
    labels = reference_labels(shown, frame, params)

    assert ours.left_out == reasons
    assert ours.spine.customer.tolist() == frame.customer.tolist()
    assert ours.spine.as_of_us.tolist() == frame.time_us.tolist()
    assert ours.spine.action.tolist() == frame.action.tolist()
    assert ours.spine.category.tolist() == frame.category.tolist()
    np.testing.assert_array_equal(ours.propensity, frame.propensity.astype(float))
    names = [None if at < 0 else ours.campaign_ids[at] for at in ours.campaign]
    assert names == [None if pd.isna(each) else each for each in frame.campaign_id]

    assert ours.response.tolist() == (labels.response > 0).astype(int).tolist()
    np.testing.assert_array_equal(ours.delay, labels.delay.astype(np.float32))
    assert ours.tied.tolist() == labels.tied.tolist()
    rate, worth = params.target.margin_rate, params.target.worth_eur
    margin = (labels.response > 0) * (worth or 0) if rate is None else labels.cents / 100 * rate
    np.testing.assert_allclose(ours.margin_eur, margin, rtol=0, atol=1e-9)
    assert ours.answer_channel.tolist() == np.where(labels.answered > 0, frame.action - 1, -1).tolist()
    assert ours.own_step_channel.tolist() == labels.own.tolist()


def test_horizon_is_half_open(tmp_path):
    """A purchase at the send counts, one a microsecond before its horizon ends counts, one at the end does not."""
    params = OBJECTIVES["sell"]
    shown = raw_history(params, 0, 0)
    start = int(pd.Timestamp("2024-03-05").value // 1000)
    horizon = round(params.target.horizon_days * DAY_US)
    for gap, expected in ((0, 1), (horizon - 1, 1), (horizon, 0), (-1, 0)):
        frame = pd.DataFrame(
            {
                "customer_id": ["c0", "c0"],
                "occurred_at": pd.to_datetime([start, start + gap], unit="us").astype("datetime64[us]"),
                "channel": ["email", "store"],
                "kind": ["sent", "purchased"],
                "value": [np.nan, 12.5],
                "propensity": np.nan,
            }
        ).assign(campaign_id=pd.Series([None, None], dtype="str"), send_id=pd.Series([None, None], dtype="str"))
        ours = decisions_of(shown.with_rows(frame), params, tmp_path / "t")
        assert (ours.response.tolist(), ours.margin_eur.tolist()) == ([expected], [expected * 12.5 * 0.3])


def test_withheld_contacts_are_never_answered(tmp_path):
    params = OBJECTIVES["inform"]
    ours = decisions_of(raw_history(params, 5, 400), params, tmp_path / "t")
    withheld = ours.spine.action == 0
    assert withheld.any()
    assert not ours.response[withheld].any()
    assert (ours.answer_channel[withheld] == -1).all()
    assert ours.response[~withheld].any()
