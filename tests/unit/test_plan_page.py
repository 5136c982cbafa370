"""The page of a plan says what its report says, escapes what data bring, and loads nothing."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pytest

from channelwise.reports.plan_page import plan_page
from contract.loading import load_params
from models.forecast_error import ForecastError
from serving.limits import NO_CAPACITY, Limits
from serving.market import market_of
from serving.moves import LastPlan
from serving.opt_outs import OptOutRate
from serving.outlook import Outlook
from serving.plan import Context, Request, campaign_report, planned_market
from serving.plan_report import PlanReport
from tests.adapters.boards import board_of

CHANNELS = ("email", "phone")
EVIL = "<script>alert('x')</script> & $x$"


@pytest.fixture(scope="module")
def report() -> PlanReport:
    rng = np.random.default_rng(0)
    gain = [[None if rng.random() < 0.3 else float(each) for each in row] for row in rng.gamma(1, 2, (300, 2)) - 1]
    gain[:4] = [[None, None]] * 4
    board = board_of([f"{i:04d}" for i in range(300)], CHANNELS, gain, cost=0.5)
    board = replace(board, campaign_id=EVIL, words=(None, EVIL, "associational"))
    limits = Limits(CHANNELS, 60.0, np.array([NO_CAPACITY, 40]), np.array([20, 0]))
    params = load_params(assignments=["planning.holdout_share=0.1", "planning.explore_share=0.1"])
    planned = planned_market(market_of([board]), Request(()), params, limits)
    outlook = Outlook(
        campaign_id=EVIL,
        as_of=datetime(2026, 6, 1, tzinfo=UTC),
        model_version="1",
        objective="sell",
        horizon_days=7.0,
        forecast_error=ForecastError(common=0.05, action=0.05, worth=0.05, spread=1.0),
        opt_outs={"email": OptOutRate(sends=1_000, opt_outs=10, rate=0.01, dispersion=1.0)},
    )
    known = np.arange(300) < 250
    last = LastPlan(np.where(known, np.arange(300) % 2, -1).astype(np.int16), np.zeros(300, bool), ~known, known, 3)
    return campaign_report(planned, 0, Context(outlook, last), params, limits)


class Text(HTMLParser):
    """Gathers what a reader sees and checks that elements nest."""

    VOID = {"meta", "br", "path", "use", "rect", "line", "img", "hr"}

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.ids += [value or "" for name, value in attributes if name == "id"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.ids += [value or "" for name, value in attributes if name == "id"]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)


def read(page: str) -> Text:
    parser = Text()
    parser.feed(page)
    parser.close()
    assert not parser.open
    return parser


def test_the_page_is_whole_loads_nothing_and_escapes_what_data_bring(report: PlanReport) -> None:
    page = plan_page([report])
    found = read(page)
    assert len(found.ids) == len(set(found.ids))
    assert "<script" not in page
    assert not re.search(r"""(?:src|href)\s*=\s*(?:["'][^#]|[^"'#])|@import|url\([^#]""", page)
    assert EVIL in re.sub(r"\s+", " ", " ".join(found.words))
    for target in re.findall(r'href="#([^"]*)"', page):
        assert target in found.ids


def test_the_page_says_what_the_report_says(report: PlanReport) -> None:
    words = re.sub(r"\s+", " ", " ".join(read(plan_page([report])).words))
    assert f"{report.contacts:,} of {report.customers:,} customers" in words
    assert f"{report.forecast.net_eur.mean:,.0f} EUR" in words
    for each in report.limits:
        assert each.text() in words
    for line in (*report.assumptions, *report.warnings):
        assert line in words
    assert report.moves is not None
    for name in (*report.baselines, *report.mix, *report.moves.reasons):
        assert name in words
    assert "rests on associational scores" in words
    assert len(re.findall(r'<svg[^>]* role="img"', plan_page([report]))) == 2 * 9, "every plot in two widths"


def test_a_plan_without_limits_past_or_contacts_says_so(report: PlanReport) -> None:
    board = board_of(["a", "b"], CHANNELS, [[None, None], [None, None]])
    params = load_params()
    limits = Limits(CHANNELS, np.inf, np.full(2, NO_CAPACITY), np.zeros(2, dtype=np.int64))
    planned = planned_market(market_of([board]), Request(()), params, limits)
    words = " ".join(read(plan_page([campaign_report(planned, 0, Context(), params, limits)])).words)
    assert "Nobody of 2 customers is contacted." in re.sub(r"\s+", " ", words)
    assert "No limit was set" in words
    assert "There is no curve: there is nobody to contact." in words
    assert "No last plan was given." in words


def test_the_same_report_gives_the_same_page(report: PlanReport) -> None:
    assert plan_page([report]) == plan_page([report])
