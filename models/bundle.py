"""A trained model as a folder of plain data: LightGBM text and JSON. Holds no code, no pickle, and no customer.

bundle.json   what was learned beside the trees, and the SHA-256 of every file
response.txt  trees of the response to customer × action, or of what comes without contact beside contact effects
contact.txt, engagement.txt  answers to customer × channel, where trees learned them; own steps
judged.txt    the response's trees before their last fit on everything: they never saw the rows that judged them
profile.json  what the periods before training looked like, for monitoring; older bundles have none
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError

from contract.errors import ArtefactError
from contract.files import atomic_folder
from contract.params import Objective
from models.artefact import Artefact, Floats, Matrix
from models.calibration import BinaryMap, MulticlassMap
from models.effects import ContactEffects
from models.evidence import Evidence
from models.forecast_error import ForecastError
from models.intervals import History, Intervals
from models.joint import Joint, Parts
from models.margin import Margin
from models.response import ACTION, Learned, Response
from models.trees import read_columns

FORMAT: Final = 5
MANIFEST: Final = "bundle.json"
RESPONSE, CONTACT, ENGAGEMENT, JUDGED = "response.txt", "contact.txt", "engagement.txt", "judged.txt"
PROFILE: Final = "profile.json"


class Preference(Artefact):
    """A preference head: the columns it reads, the channel of each share, and the calibration of the shares.

    `fixed` holds the shares of `channels` where the log could not teach a model; then there are no trees. `effects`, of
    the contact preference, are of contacts on answers, by outbound channel; they too stand in place of trees.
    """

    channels: tuple[str, ...]
    columns: tuple[int, ...]
    calibration: MulticlassMap
    fixed: tuple[float, ...] | None = None
    effects: ContactEffects | None = None


class Window(Artefact):
    """What the model was learned from, times in µs since 1970 UTC.

    The judged model saw no row of [judged_from_us, end_us) and no row of a customer held out.
    """

    start_us: int
    end_us: int
    judged_from_us: int
    decisions: int
    customers: int
    seed: int


class Manifest(Artefact):
    """All of a bundle but its trees."""

    format: int = FORMAT
    model_version: str = ""
    objective_name: str
    objective: Objective
    channels: tuple[str, ...]
    outbound: tuple[str, ...]
    names: tuple[str, ...]
    categorical: tuple[str, ...]
    candidate: tuple[str, ...]
    features: str
    history: History
    response_calibration: BinaryMap
    effects: ContactEffects | None = None
    judged_effects: ContactEffects | None = None
    intervals: Intervals
    forecast_error: ForecastError
    contact: Preference
    engagement: Preference
    margin: Margin
    evidence: tuple[Evidence, ...] = Field(min_length=1)
    base_rates: tuple[float, ...]
    window: Window
    fingerprints: dict[str, str] = {}
    files: dict[str, str] = {}


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle: from rows of features to probabilities. Rows are float32 (n, p) in the order of `names`."""

    manifest: Manifest
    texts: Mapping[str, str]
    threads: int = 1

    @classmethod
    def assembled(cls, manifest: Manifest, texts: Mapping[str, str], threads: int = 1) -> "Bundle":
        """A bundle of a manifest and model texts by file name; its version is derived from the content."""
        files = {name: _digest(text.encode()) for name, text in sorted(texts.items())}
        unversioned = manifest.model_copy(update={"files": files, "model_version": ""})
        version = f"{manifest.objective_name}-{_digest(_canonical(unversioned))[:12]}"
        return cls(unversioned.model_copy(update={"model_version": version}), dict(texts), threads)

    @property
    def model_version(self) -> str:
        """The objective and a digest of the content: equal content, equal version."""
        return self.manifest.model_version

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the matrix that every method takes, in order."""
        return self.manifest.names

    @property
    def engagement_channels(self) -> tuple[str, ...]:
        """The channel of each column of `engagement_preference`."""
        return self.manifest.engagement.channels

    def with_profile(self, text: str) -> "Bundle":
        """The same with this profile beside the models; its version is another."""
        return Bundle.assembled(self.manifest, {**self.texts, PROFILE: text}, self.threads)

    @cached_property
    def read(self) -> frozenset[str]:
        """Names of the columns on which predictions depend; the others were offered to training, which took none."""
        manifest, texts = self.manifest, self.texts
        columns = {*manifest.history.columns, *read_columns(texts[RESPONSE])}
        for name, head in ((CONTACT, manifest.contact), (ENGAGEMENT, manifest.engagement)):
            columns |= {head.columns[at] for at in read_columns(texts.get(name, ""))}
        effects = [each.columns for each in (manifest.effects, manifest.contact.effects) if each is not None]
        named = {ACTION, *(self.names[at] for at in columns)}
        return frozenset(named.union(manifest.margin.columns, *effects))

    def joint(self, shared: Sequence[str], own: Sequence[str], *, threads: int | None = None) -> Joint:
        """The models over customers × actions.

        Args:
            shared: names of the columns that all actions of a customer share; with `own` they are those of `read` at
                least.
            own: names of those that depend on the action.
            threads: of the models, the bundle's by default.
        """
        return self._joint(RESPONSE, shared, own, self.threads if threads is None else threads)

    @cached_property
    def response(self) -> Response:
        """The response over whole rows, in the order of `names`."""
        return Response.of_rows(self._learned(RESPONSE), self.names)

    def predict_response(self, matrix: Matrix) -> Floats:
        """Calibrated probability of a response to the action that each row bears, shape (n,)."""
        return self._plain.response(self._whole(matrix))[:, 0]

    def judged_response(self, matrix: Matrix) -> Floats:
        """`predict_response` of the model before its last fit, for a fair comparison on rows that it never saw."""
        return self._judged.response(self._whole(matrix))[:, 0]

    def contact_preference(self, matrix: Matrix) -> Floats:
        """(n, outbound channels): shares of the next answer under equal contact; they sum to one.

        `matrix` has a row of each of n customers without contact and by every outbound channel, side by side. A
        channel on which no answer was ever seen has share 0.
        """
        return self._plain.contact(self._whole(matrix))

    def engagement_preference(self, matrix: Matrix) -> Floats:
        """(n, `engagement_channels`): shares of the customer's next own step; rows sum to one."""
        return self._plain.engagement(matrix)

    def expected_margin(self, matrix: Matrix) -> Floats:
        """EUR that a response of the row's customer is worth, (n,)."""
        return self._plain.worth(self._whole(matrix))

    def save(self, folder: Path) -> None:
        """Writes the bundle to `folder`, whole or not at all, replacing a bundle that is there."""
        with atomic_folder(folder) as part:
            for name, text in self.texts.items():
                (part / name).write_bytes(text.encode())
            tree = json.loads(_canonical(self.manifest))
            tree["checksum"] = _digest(_canonical(self.manifest))
            (part / MANIFEST).write_text(json.dumps(tree, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    @cached_property
    def _plain(self) -> Joint:
        return self._joint(RESPONSE, self.names, (), self.threads)

    @cached_property
    def _judged(self) -> Joint:
        return self._joint(JUDGED if JUDGED in self.texts else RESPONSE, self.names, (), self.threads)

    def _joint(self, response: str, shared: Sequence[str], own: Sequence[str], threads: int) -> Joint:
        parts = Parts(self._learned(response), self.texts.get(CONTACT), self.texts.get(ENGAGEMENT))
        return Joint(self.manifest, parts, tuple(shared), tuple(own), threads)

    def _learned(self, response: str) -> Learned:
        effects = self.manifest.judged_effects if response == JUDGED else self.manifest.effects
        return Learned(self.texts[response], effects, self.manifest.response_calibration)

    def _whole(self, matrix: Matrix) -> Matrix:
        if matrix.ndim != 2 or matrix.shape[1] != len(self.names):
            raise ArtefactError(
                f"model {self.model_version}: reads {len(self.names)} columns, found a matrix of shape {matrix.shape}; "
                "compute it with the bundle's own feature set"
            )
        return matrix


def load_bundle(folder: Path, threads: int = 1) -> Bundle:
    """The bundle in `folder`; needs neither MLflow nor anything of training.

    Raises:
        ArtefactError: a file is missing, damaged or not of this format.
    """
    manifest = _read_manifest(folder / MANIFEST)
    texts = {name: _read_text(folder, name, digest) for name, digest in manifest.files.items()}
    needed = [RESPONSE]
    needed += [CONTACT] if manifest.contact.fixed is None and manifest.contact.effects is None else []
    needed += [ENGAGEMENT] if manifest.engagement.fixed is None else []
    if missing := [name for name in needed if name not in texts]:
        raise ArtefactError(f"{folder}: bundle.json lists no {', '.join(missing)}; train again")
    return Bundle(manifest, texts, threads)


def _read_manifest(path: Path) -> Manifest:
    try:
        tree = json.loads(path.read_bytes())
    except OSError as error:
        raise ArtefactError(
            f"{path}: cannot be read ({error.strerror}); give the folder of a trained bundle"
        ) from error
    except ValueError as error:
        raise ArtefactError(f"{path}: is no valid JSON ({error}); copy the bundle again or train again") from error
    found = tree.get("format") if isinstance(tree, dict) else None
    if found != FORMAT:
        raise ArtefactError(f"{path}: format {found!r}; this version reads format {FORMAT}; train again")
    checksum = tree.pop("checksum", None)
    try:
        manifest = Manifest.model_validate(tree)
    except ValidationError as error:
        raise ArtefactError(f"{path}: does not hold what a bundle must: {error}; train again") from error
    if checksum != _digest(_canonical(manifest)):
        raise ArtefactError(f"{path}: checksum differs from its content; copy the bundle again or train again")
    return manifest


def _read_text(folder: Path, name: str, digest: str) -> str:
    if Path(name).name != name:
        raise ArtefactError(f"{folder / MANIFEST}: names the file '{name}' outside the bundle; train again")
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise ArtefactError(f"{folder / name}: cannot be read ({error.strerror}); copy the bundle again") from error
    if _digest(content) != digest:
        raise ArtefactError(f"{folder / name}: checksum differs from bundle.json; copy the bundle again or train again")
    return content.decode()


def _canonical(manifest: Manifest) -> bytes:
    return json.dumps(manifest.model_dump(mode="json"), sort_keys=True, allow_nan=False).encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
