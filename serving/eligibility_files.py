"""Writes beside the scores from when each channel is open and what every rule refused, and reads it for a plan."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from contract.errors import DataError
from contract.files import atomic_group
from contract.progress import Progress
from serving.contact_state import NEVER, Bits, first_rule
from serving.eligibility import Eligibility
from serving.judging import Judgement
from serving.threads import ordered

FORMAT: Final = 1
MOMENT: Final = pa.timestamp("us", tz="UTC")
_WORDS: Final = pa.dictionary(pa.int32(), pa.string())


@dataclass(frozen=True)
class RuleCount:
    """How many pairs of customer and channel a rule refused: as the first of the rules, and in all."""

    rule: str
    reason: str
    first: int
    all: int


@dataclass(frozen=True)
class Refusals:
    """What the rules refused in one scoring, of pairs of customer and channel.

    waiting: open pairs that quiet times put off. foreign_zones: customers whose zone is none and who got the default.
    """

    format: int
    campaign_id: str | None
    as_of: str | None
    customers: int
    open: int
    waiting: int
    foreign_zones: int
    rules: tuple[RuleCount, ...]


@dataclass(frozen=True)
class Beside:
    """Where the eligibility of a scores file lies: `NAME.eligibility.SUFFIX` and `NAME.eligibility.json`."""

    rows: Path
    refusals: Path

    @classmethod
    def of(cls, scores: Path) -> "Beside":
        """The two files of a scores file."""
        rows = scores.with_name(f"{scores.stem}.eligibility{scores.suffix}")
        return cls(rows, rows.with_suffix(".json"))


class Written(Protocol):
    """A file of rows under way."""

    def write_table(self, table: pa.Table) -> None:
        """Adds rows."""


class _Tally:
    """Counts what the rules refused, block by block."""

    def __init__(self, rules: int) -> None:
        self.first = np.zeros(rules, dtype=np.int64)
        self.all = np.zeros(rules, dtype=np.int64)
        self.open = self.waiting = 0

    def add(self, judged: Judgement, as_of_us: int) -> None:
        first = first_rule(judged.refused)
        self.first += np.bincount(first[first >= 0], minlength=len(self.first))
        for bit in range(len(self.all)):
            self.all[bit] += int(np.count_nonzero(judged.refused & np.uint64(1 << bit)))
        free = first < 0
        self.open += int(free.sum())
        self.waiting += int((free & (judged.earliest_us > as_of_us)).sum())


@contextmanager
def eligibility_beside(
    scores: Path,
    eligibility: Eligibility,
    block_customers: int,
    progress: Progress,
    all_reasons: bool = False,
    threads: int = 1,
) -> Iterator[Refusals]:
    """Writes both files beside `scores`; they replace those that are there once the block is left without an error.

    Args:
        scores: the scores file that is written within the block.
        eligibility: asked for every customer of its audience.
        block_customers: how many are judged at a time.
        progress: told after each block.
        all_reasons: whether each row names every rule that refused, not only the moment.
        threads: that many judge blocks at a time; the files do not depend on it.
    """

    def judged(block: pa.Array) -> tuple[Judgement, pa.Table]:
        found = eligibility.judged(block)
        return found, _rows(block, eligibility, found, all_reasons)

    beside = Beside.of(scores)
    ids = eligibility.audience
    tally = _Tally(len(eligibility.book.rules))
    with atomic_group([beside.refusals, beside.rows]) as (refusals, rows):
        progress("eligibility", 0, len(ids))
        with _writer(rows, all_reasons) as writer:
            blocks = (ids.slice(start, block_customers) for start in range(0, len(ids), block_customers))
            for done, (judgement, table) in enumerate(ordered(judged, blocks, threads), start=1):
                tally.add(judgement, eligibility.as_of_us)
                writer.write_table(table)
                progress("eligibility", min(done * block_customers, len(ids)), len(ids))
        found = _refusals(tally, eligibility, len(ids))
        refusals.write_text(json.dumps(asdict(found), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        yield found


def _refusals(tally: _Tally, eligibility: Eligibility, customers: int) -> Refusals:
    counts = zip(eligibility.book.rules, tally.first.tolist(), tally.all.tolist(), strict=True)
    return Refusals(
        format=FORMAT,
        campaign_id=eligibility.campaign_id,
        as_of=_iso(eligibility.as_of_us),
        customers=customers,
        open=tally.open,
        waiting=tally.waiting,
        foreign_zones=eligibility.foreign_zones,
        rules=tuple(RuleCount(rule.name, rule.reason, first, every) for rule, first, every in counts),
    )


def _iso(moment_us: int) -> str:
    seconds, microseconds = divmod(moment_us, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds).isoformat()


def _schema(all_reasons: bool) -> pa.Schema:
    fields = [("customer_id", _WORDS), ("channel", _WORDS), ("earliest_at", MOMENT)]
    return pa.schema([*fields, ("refused_by", _WORDS)] if all_reasons else fields)


@contextmanager
def _writer(path: Path, all_reasons: bool) -> Iterator[Written]:
    schema = _schema(all_reasons)
    if path.suffix == ".csv":
        plain = pa.schema([(field.name, MOMENT if field.type == MOMENT else pa.string()) for field in schema])
        with pa_csv.CSVWriter(path, plain) as writer:
            yield _Plain(writer, plain)
    else:
        # Words stay a dictionary until they are written, and are plain text to every reader.
        with pq.ParquetWriter(path, schema, compression="zstd", store_schema=False) as writer:
            yield writer


@dataclass(frozen=True)
class _Plain:
    writer: pa_csv.CSVWriter
    schema: pa.Schema

    def write_table(self, table: pa.Table) -> None:
        self.writer.write_table(table.cast(self.schema))


def _rows(ids: pa.Array, eligibility: Eligibility, judged: Judgement, all_reasons: bool) -> pa.Table:
    n, k = judged.refused.shape
    earliest = judged.earliest_us.ravel()
    columns = [
        _coded(np.repeat(np.arange(n), k), ids.cast(pa.string())),
        _coded(np.tile(np.arange(k), n), pa.array(eligibility.channels, pa.string())),
        pa.array(earliest, mask=earliest == NEVER).cast(MOMENT),
    ]
    if all_reasons:
        columns.append(_named(judged.refused.ravel(), eligibility))
    return pa.Table.from_arrays(columns, schema=_schema(all_reasons))


def _coded(codes: npt.NDArray[np.int64], words: pa.Array) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), words)


def _named(refused: Bits, eligibility: Eligibility) -> pa.DictionaryArray:
    """Names of all rules that refuse, in their order; null where none does."""
    patterns, codes = np.unique(refused, return_inverse=True)
    names = [rule.name for rule in eligibility.book.rules]
    texts = ["; ".join(name for bit, name in enumerate(names) if int(each) >> bit & 1) or None for each in patterns]
    return pa.DictionaryArray.from_arrays(
        pa.array(codes, pa.int32(), mask=refused == 0), pa.array([text or "" for text in texts], pa.string())
    )


def read_refusals(scores: Path) -> Refusals | None:
    """What the scoring of `scores` wrote beside it, None where nothing is there.

    Raises:
        DataError: it is damaged or of another version.
    """
    path = Beside.of(scores).refusals
    if not path.exists():
        return None
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        rules = tuple(RuleCount(**each) for each in tree.pop("rules"))
        found = Refusals(**tree, rules=rules)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path}: is damaged ({error!r}); run `channelwise score` again") from error
    if found.format != FORMAT:
        raise DataError(f"{path}: is of format {found.format}, expected {FORMAT}; run `channelwise score` again")
    return found
