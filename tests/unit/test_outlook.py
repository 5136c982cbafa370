"""An outlook belongs to its scores, and to no others."""

from datetime import UTC, datetime

import pytest

from contract.errors import DataError
from models.forecast_error import ForecastError
from serving.opt_outs import OptOutRate
from serving.outlook import Outlook, outlook_file, read_outlook

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)
OUTLOOK = Outlook(
    campaign_id="spring",
    as_of=AS_OF,
    model_version="7",
    objective="sell",
    horizon_days=7.0,
    forecast_error=ForecastError(common=0.05, action=0.04, worth=0.03, spread=1.0),
    opt_outs={"email": OptOutRate(sends=10, opt_outs=1, rate=0.05, dispersion=1.5)},
)


def test_what_was_written_is_read(tmp_path):
    scores = tmp_path / "scores.v2.parquet"
    assert read_outlook(scores, "spring", AS_OF, "7") is None
    outlook_file(scores).write_text(OUTLOOK.as_json())
    assert outlook_file(scores).name == "scores.v2.outlook.json"
    assert read_outlook(scores, "spring", AS_OF, "7") == OUTLOOK
    assert read_outlook(scores, None, None, None) == OUTLOOK, "an empty audience bears no stamp"


def test_an_outlook_of_other_scores_or_a_damaged_one_is_refused(tmp_path):
    scores = tmp_path / "scores.csv"
    outlook_file(scores).write_text(OUTLOOK.as_json())
    with pytest.raises(DataError, match=r"belongs to other scores: campaign_id spring \(the scores: autumn\)"):
        read_outlook(scores, "autumn", AS_OF, "7")
    outlook_file(scores).write_text(OUTLOOK.as_json()[:-20])
    with pytest.raises(DataError, match="is no outlook of this version"):
        read_outlook(scores, "spring", AS_OF, "7")
