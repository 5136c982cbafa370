"""Each comparison of monitoring on periods made by hand: what must alarm does, trifles and habits do not."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from channelwise.reports.monitor_page import monitor_page
from contract.errors import DataError
from contract.loading import load_params
from models.forecast_error import ForecastError
from models.profile import Binning, Profile, Seen, Spread
from serving.watching.calibration import compare_calibration
from serving.watching.comparing import Past, compare_columns, compare_figures, compare_hours, figure_groups
from serving.watching.findings import FORMAT, Finding, Monitoring, read_monitoring
from serving.watching.gauges import gauges
from serving.watching.plans import compare_plans, read_plans
from serving.watching.tracking import compare_tracking

PARAMS = load_params()
DAY_US = 86_400_000_000
ERROR = ForecastError(common=0.1, action=0.1, worth=0.1, spread=1.0)
COLUMNS = tuple(f"column_{i:02d}" for i in range(30))
Change = Callable[[dict[str, object]], None]


def seen(rng: np.random.Generator, rows: int = 5_000) -> dict[str, object]:
    """A period as keyword arguments; its level wanders a little, as levels do."""
    shares = np.array([0.1, 0.2, 0.3, 0.4, 0.0])
    columns = {}
    for name in COLUMNS:
        wandered = shares * np.exp(rng.normal(0, 0.02, 5))
        counts = rng.multinomial(rows, wandered / wandered.sum())
        columns[name] = Spread(counts=tuple(counts.tolist()), mean=float(counts @ np.arange(5)) / rows)
    hours = rng.multinomial(2_000, np.bincount(np.arange(24) % 12, minlength=24) / 132.0)
    daily = {"clicked on email": rng.poisson(30, 28), "sent on email": rng.poisson(100, 28)}
    daily["complained on sms"] = np.where(np.arange(28) % 9 == 8, rng.poisson(20, 28), 0)
    sent, clicked = int(daily["sent on email"].sum()), int(daily["clicked on email"].sum())
    predicted = rng.normal(300, 10)
    return {
        "columns": columns,
        "hours": {"web": tuple(hours.tolist())},
        "daily": {name: tuple(each.tolist()) for name, each in daily.items()},
        "figures": {
            "sent on email": (float(sent), 28.0),
            "clicked per send on email": (float(clicked), float(sent)),
            "consented to email": (float(rng.normal(6_000, 20)), 10_000.0),
            "decided for email": (float(sent), 1.3 * sent),
            "repeated within an hour on email": (float(rng.poisson(2)), float(clicked)),
            "mean score for email": (predicted, 2_800.0),
            "responses per predicted one for email": (float(rng.poisson(predicted)), predicted),
        },
    }


def past(change: Change | None = None, seed: int = 0, lag: int = 1, rows: int = 5_000) -> Past:
    rng = np.random.default_rng(seed)
    every = [seen(rng, rows) for _ in range(14)]
    if change is not None:
        change(every[-1])
    periods = [Seen(start_us=i * DAY_US, end_us=(i + 1) * DAY_US, **each) for i, each in enumerate(every)]  # type: ignore[arg-type]
    binnings = tuple(Binning(name=name, words=f"words of {name}", cuts=(1.0, 2.0, 3.0)) for name in COLUMNS)
    profile = Profile(
        period_days=28, binnings=binnings, score_cuts=(), periods=tuple(periods[:-1]), strata=(), set_aside={}
    )
    return Past(profile, periods[-1], lag, PARAMS.monitor)


def alarms(known: Past) -> dict[str, Finding]:
    found = [*compare_columns(known), *compare_hours(known), *compare_figures(known, figure_groups(known))]
    found += [*compare_tracking(known, PARAMS), *compare_calibration(known, ERROR)]
    return {each.name: each for each in found if each.verdict == "alarm"}


def test_unchanged_periods_are_quiet() -> None:
    said = [name for seed in range(25) for lag in (1, 4) for name in alarms(past(seed=seed, lag=lag))]
    assert said == []


def test_a_column_that_goes_missing_is_named_with_by_how_much() -> None:
    def missing(newest: dict[str, object]) -> None:
        columns = newest["columns"]
        assert isinstance(columns, dict)
        columns["column_07"] = Spread(counts=(0, 0, 0, 0, 5_000), mean=None)

    found = alarms(past(missing))
    assert list(found) == ["column_07"]
    assert "missing 0% → 100%" in found["column_07"].words
    assert "words of column_07" in found["column_07"].words


def test_a_sure_trifle_in_a_million_rows_is_quiet() -> None:
    """A shift of two per cent of rows is beyond doubt and of no matter."""

    def trifle(newest: dict[str, object]) -> None:
        columns = newest["columns"]
        assert isinstance(columns, dict)
        columns["column_03"] = Spread(counts=(120_000, 200_000, 300_000, 380_000, 0), mean=1.94)

    rng = np.random.default_rng(9)
    known = past(trifle, rows=1_000_000)
    exact = [rng.multinomial(1_000_000, [0.1, 0.2, 0.3, 0.4, 0.0]) for _ in range(13)]
    for period, counts in zip(known.profile.periods, exact, strict=True):
        period.columns["column_03"] = Spread(counts=tuple(counts.tolist()), mean=2.0)
    (column,) = (each for each in compare_columns(known) if each.name == "column_03")
    assert column.adjusted < 0.01, "sure"
    assert column.verdict == "quiet", "and too small to matter"


def test_a_clock_that_moves_is_told_by_the_mean_hour() -> None:
    def later(newest: dict[str, object]) -> None:
        hours = newest["hours"]
        assert isinstance(hours, dict)
        hours["web"] = tuple(np.roll(hours["web"], 5).tolist())

    assert list(alarms(past(later))) == ["hour of own events on web"]


@pytest.mark.parametrize("days", [7, 28])
def test_answers_that_stop_are_named_as_broken_tracking(days: int) -> None:
    def stopped(newest: dict[str, object]) -> None:
        daily = newest["daily"]
        assert isinstance(daily, dict)
        daily["clicked on email"] = (30,) * (28 - days) + (0,) * days

    found = alarms(past(stopped))
    assert found["clicked on email"].group == "tracking"
    assert f"none in the last {days} of 28 days" in found["clicked on email"].words


def test_answers_that_stop_because_nothing_is_sent_are_no_broken_tracking_of_theirs() -> None:
    def unsent(newest: dict[str, object]) -> None:
        daily = newest["daily"]
        assert isinstance(daily, dict)
        for name in ("clicked on email", "sent on email"):
            daily[name] = (30,) * 14 + (0,) * 14

    assert list(alarms(past(unsent))) == ["sent on email"]


def test_what_comes_on_some_days_only_is_not_missed_between_them() -> None:
    def pause(newest: dict[str, object]) -> None:
        daily = newest["daily"]
        assert isinstance(daily, dict)
        daily["complained on sms"] = (0,) * 8 + (20,) + (0,) * 8 + (20,) + (0,) * 10

    assert alarms(past(pause)) == {}


@pytest.mark.parametrize(
    ("name", "figure", "group"),
    [
        ("clicked per send on email", (420.0, 2_800.0), "activity"),
        ("consented to email", (3_500.0, 10_000.0), "consent"),
        ("decided for email", (900.0, 3_600.0), "decisions"),
        ("mean score for email", (600.0, 2_800.0), "scores"),
        ("repeated within an hour on email", (120.0, 900.0), "tracking"),
        ("responses per predicted one for email", (150.0, 300.0), "calibration"),
    ],
)
def test_a_figure_that_moves_alarms_in_its_group(name: str, figure: tuple[float, float], group: str) -> None:
    def moved(newest: dict[str, object]) -> None:
        figures = newest["figures"]
        assert isinstance(figures, dict)
        figures[name] = figure

    found = alarms(past(moved))
    assert list(found) == [name]
    assert found[name].group == group


def plan_file(folder: Path, number: int, price: float) -> Path:
    tree = {
        "campaign_id": f"c{number}",
        "as_of": f"2026-0{number}-01T00:00:00+00:00",
        "contacts": 100,
        "net_eur": 50.0,
        "joint": {"limits": [{"name": "capacity sms", "price_eur": price}]},
        "mix": {"sms": 40 + number, "email": 60 - number},
    }
    file = folder / f"plan{number}.json"
    file.write_text(json.dumps(tree), encoding="utf-8")
    return file


def test_a_price_that_leaps_alarms_and_four_plans_are_too_few(tmp_path: Path) -> None:
    prices = [0.30, 0.32, 0.29, 0.31, 0.30, 0.33, 3.0]
    plans = read_plans([plan_file(tmp_path, i, price) for i, price in reversed(list(enumerate(prices, 1)))])
    assert [each.campaign_id for each in plans] == [f"c{i}" for i in range(1, 8)]
    found = {each.name: each.verdict for each in compare_plans(past(), plans)}
    assert found == {
        "price of capacity sms": "alarm",
        "share of contacts by email": "quiet",
        "share of contacts by sms": "quiet",
    }
    assert compare_plans(past(), plans[:4]) == []


def test_a_plan_of_several_campaigns_is_one(tmp_path: Path) -> None:
    single = json.loads(plan_file(tmp_path, 1, 0.5).read_bytes())
    joint = {"joint": single.pop("joint"), "campaigns": [single, {**single, "campaign_id": "other"}]}
    (tmp_path / "both.json").write_text(json.dumps(joint), encoding="utf-8")
    (found,) = read_plans([tmp_path / "both.json"])
    assert (found.campaign_id, found.contacts, found.net_eur) == ("c1, other", 200, 100.0)
    assert found.mix == {"sms": 82, "email": 118}
    assert found.prices == {"capacity sms": 0.5}


def test_a_file_that_is_no_plan_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"other\.json: is no plan's report"):
        read_plans([file])


def monitoring(findings: tuple[Finding, ...]) -> Monitoring:
    return Monitoring(
        format=FORMAT,
        model_version="sell-0",
        trained_until="2026-01-01T00:00:00+00:00",
        period_from="2026-01-01T00:00:00+00:00",
        as_of="2026-01-29T00:00:00+00:00",
        period_days=28,
        periods_since=1,
        reference_periods=13,
        level=0.01,
        decisions=0,
        findings=findings,
        calibration=(),
        performance=None,
        plans=(),
        rare=("chatted on social",),
        notes=("<b>note</b>",),
    )


def test_the_page_escapes_what_data_bring_and_loads_nothing() -> None:
    evil = Finding("tracking", "<script>clicked</script> on email", "alarm", 1.0, 0.0, -1.0, 0.0, 0.0, "<i>none</i>")
    watched = replace(evil, group="inputs", name="a", verdict="watch", effect=0.3)
    page = monitor_page(monitoring((evil, watched)))
    assert "<script>" not in page
    assert "<i>none" not in page
    assert "&lt;b&gt;note" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "Tracking broke" in page


def test_gauges_count_verdicts_by_group() -> None:
    evil = Finding("tracking", "clicked on email", "alarm", 1.0, 0.0, -1.0, 0.0, 0.0, "none")
    found = {(each.name, *each.labels.values()): each.value for each in gauges(monitoring((evil,)))}
    assert found[("channelwise_drift_findings", "tracking", "alarm")] == 1.0
    assert found[("channelwise_drift_findings", "inputs", "alarm")] == 0.0
    assert found[("channelwise_drift_effect", "tracking", "clicked on email")] == -1.0
    assert found[("channelwise_periods_since_training",)] == 1.0


@pytest.mark.parametrize("text", ["[]", "{}", '{"verdict": "quiet", "format": 0}', "no JSON"])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="monitor again"):
        read_monitoring(text)
