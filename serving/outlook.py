"""What a forecast needs beside the scores of single customers: `NAME.outlook.json`; computes nothing.

A scoring writes it beside its scores: how far sums of the model's predictions may be off, and how often a contact was
followed by an opt-out. It holds nothing of any one customer. Scores that came without it can be planned all the same.
"""

from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from contract.errors import DataError
from models.artefact import Artefact
from models.forecast_error import ForecastError
from serving.opt_outs import OptOutRate

FORMAT = 1


class Outlook(Artefact):
    """Of one scoring, which campaign_id, as_of and model_version name as its scores do.

    objective: of the model. horizon_days: in which responses are counted. opt_outs: by channel; one that is not there
    records none, or had no sends.
    """

    format: int = FORMAT
    campaign_id: str
    as_of: datetime
    model_version: str
    objective: str
    horizon_days: float
    forecast_error: ForecastError
    opt_outs: dict[str, OptOutRate]

    def as_json(self) -> str:
        """The file's text."""
        return self.model_dump_json(indent=1) + "\n"


def outlook_file(scores: Path) -> Path:
    """`NAME.outlook.json` beside `NAME.SUFFIX`."""
    return scores.with_suffix(".outlook.json")


def read_outlook(
    scores: Path, campaign_id: str | None, as_of: datetime | None, model_version: str | None
) -> Outlook | None:
    """The outlook beside a scores file whose rows bear this stamp; None where there is no such file.

    Raises:
        DataError: it is no outlook, or that of another scoring.
    """
    path = outlook_file(scores)
    if not path.exists():
        return None
    try:
        found = Outlook.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DataError(
            f"{path}: is no outlook of this version ({error.errors()[0]['msg']}); score again, or remove the file"
        ) from error
    stamps = {
        "campaign_id": (found.campaign_id, campaign_id),
        "as_of": (found.as_of, as_of),
        "model_version": (found.model_version, model_version),
    }
    other = [f"{name} {theirs} (the scores: {ours})" for name, (theirs, ours) in stamps.items() if theirs != ours]
    if other and model_version is not None:
        raise DataError(f"{path}: belongs to other scores: {', '.join(other)}; score again, or remove the file")
    return found
