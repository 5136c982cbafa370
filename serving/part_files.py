"""Outputs that grow part by part in a hidden folder, so that a killed run goes on where it stopped; scores nothing.

A line of the journal says of each part what it was made from, and of each file how far it reaches then and what its
bytes are. Only what the journal says and the bytes confirm is kept; the rest is made again.
"""

import base64
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from contract.errors import UsageError
from contract.files import atomic_group, storage_errors
from serving.parquet_joining import MAGIC, Piece, joined_footer, piece_of

_JOURNAL: Final = "journal"
_LOCK: Final = "lock"


class Form(Protocol):
    """How a table becomes bytes that may follow those of earlier parts."""

    head: bytes

    def piece(self, table: pa.Table) -> Piece:
        """The bytes of a part, and what the end of the file must know of them."""

    def tail(self, footers: Sequence[bytes], begins: Sequence[int]) -> bytes:
        """What ends the file."""


class ParquetForm:
    """A row group a part."""

    head = MAGIC

    def piece(self, table: pa.Table) -> Piece:
        """See `Form`."""
        sink = pa.BufferOutputStream()
        texts = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
        # The schema says text, whatever form the texts have in memory.
        options: dict[str, Any] = {"compression": "zstd", "compression_level": 1, "store_schema": False}
        with pq.ParquetWriter(sink, table.schema, use_dictionary=texts, **options) as writer:
            writer.write_table(table, row_group_size=max(1, len(table)))
        return piece_of(memoryview(sink.getvalue()))

    def tail(self, footers: Sequence[bytes], begins: Sequence[int]) -> bytes:
        """See `Form`."""
        return joined_footer(footers, begins)


class CsvForm:
    """Lines, after one of names."""

    def __init__(self, schema: pa.Schema) -> None:
        self.head = self._lines(schema.empty_table(), names=True)

    def piece(self, table: pa.Table) -> Piece:
        """See `Form`."""
        return Piece(self._lines(table, names=False), b"")

    def tail(self, footers: Sequence[bytes], begins: Sequence[int]) -> bytes:  # noqa: ARG002  lines need no end
        """See `Form`."""
        return b""

    def _lines(self, table: pa.Table, *, names: bool) -> bytes:
        sink = pa.BufferOutputStream()
        pa_csv.write_csv(table.cast(plain_schema(table.schema)), sink, pa_csv.WriteOptions(include_header=names))
        written: bytes = sink.getvalue().to_pybytes()
        return written


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The schema with texts in place of numbered texts."""
    types = [each.type.value_type if pa.types.is_dictionary(each.type) else each.type for each in schema]
    return pa.schema(list(zip(schema.names, types, strict=True)))


def form_of(path: Path, schema: pa.Schema) -> Form:
    """The form that a file's suffix asks for."""
    return CsvForm(schema) if path.suffix == ".csv" else ParquetForm()


@dataclass(frozen=True)
class Stretch:
    """A part's bytes in one file: [begin, end), their SHA-256, and what the file's end must know of them (base64)."""

    begin: int
    end: int
    digest: str
    footer: str


@dataclass(frozen=True)
class Part:
    """What a part was made from (a digest), and its stretch of each file."""

    source: str
    stretches: tuple[Stretch, ...]


class PartFiles:
    """Files under way in a folder that this process alone holds."""

    def __init__(self, folder: Path, targets: Mapping[Path, pa.Schema], key: str) -> None:
        """Takes up what a run with the same key left in the folder; anything else there goes.

        Args:
            folder: hidden, beside the targets; must be locked.
            targets: the files to be made and their columns, in the order in which they are to appear.
            key: digest of what all parts depend on.
        """
        self._folder, self._targets = folder, tuple(targets)
        self._forms = tuple(form_of(*each) for each in targets.items())
        self._bodies = tuple(folder / f"{at}{target.suffix}" for at, target in enumerate(targets))
        self._key = key
        self._parts = self._kept()
        if not self._parts:
            for body, form in zip(self._bodies, self._forms, strict=True):
                body.write_bytes(form.head)
        self._write_journal()

    @property
    def suffix(self) -> str:
        """Of the files, which are all of one form."""
        return self._targets[0].suffix

    @property
    def sources(self) -> tuple[str, ...]:
        """What each part that is there was made from."""
        return tuple(part.source for part in self._parts)

    def keep(self, parts: int) -> None:
        """Only the first parts stay."""
        if parts < len(self._parts):
            del self._parts[parts:]
            self._write_journal()

    def pieces(self, tables: Sequence[pa.Table]) -> list[Piece]:
        """The tables of a part, one for each file, as bytes; several threads may do so."""
        return [form.piece(table) for form, table in zip(self._forms, tables, strict=True)]

    def append(self, source: str, pieces: Sequence[Piece]) -> None:
        """Keep the next part."""
        ends = self._ends
        stretches = []
        for body, piece, begin in zip(self._bodies, pieces, ends, strict=True):
            with body.open("r+b") as file:
                file.seek(begin)
                file.truncate()
                file.write(piece.body)
            digest = hashlib.sha256(piece.body).hexdigest()
            footer = base64.b64encode(piece.footer).decode()
            stretches.append(Stretch(begin, begin + len(piece.body), digest, footer))
        self._parts.append(Part(source, tuple(stretches)))
        with (self._folder / _JOURNAL).open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(asdict(self._parts[-1])) + "\n")

    def finish(self, texts: Mapping[Path, str]) -> None:
        """All files appear in place of their targets, once all parts are there; with them, and first, these texts."""
        for at, (body, form, end) in enumerate(zip(self._bodies, self._forms, self._ends, strict=True)):
            stretches = [part.stretches[at] for part in self._parts]
            footers = [base64.b64decode(each.footer) for each in stretches]
            with body.open("r+b") as file:
                file.seek(end)
                file.truncate()
                file.write(form.tail(footers, [each.begin for each in stretches]))
        with atomic_group([*texts, *self._targets]) as temporaries:
            for text, temporary in zip(texts.values(), temporaries, strict=False):
                temporary.write_text(text, encoding="utf-8")
            for body, temporary in zip(self._bodies, temporaries[len(texts) :], strict=True):
                body.replace(temporary)

    @property
    def _ends(self) -> list[int]:
        if not self._parts:
            return [len(form.head) for form in self._forms]
        return [stretch.end for stretch in self._parts[-1].stretches]

    def _write_journal(self) -> None:
        lines = [json.dumps({"key": self._key}), *(json.dumps(asdict(part)) for part in self._parts)]
        (self._folder / _JOURNAL).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def _kept(self) -> list[Part]:
        """The parts that the journal names and the files hold, up to the first that is not whole."""
        kept: list[Part] = []
        try:
            lines = (self._folder / _JOURNAL).read_text(encoding="utf-8").splitlines()
            if json.loads(lines[0]) != {"key": self._key}:
                return []
            for line in lines[1:]:
                tree = json.loads(line)
                part = Part(tree["source"], tuple(Stretch(**each) for each in tree["stretches"]))
                if not self._whole(part):
                    break
                kept.append(part)
        except (OSError, ValueError, LookupError, TypeError):
            pass  # a line that a kill cut off; what stands before it is whole
        return kept

    def _whole(self, part: Part) -> bool:
        for body, each in zip(self._bodies, part.stretches, strict=True):
            with body.open("rb") as file:
                file.seek(each.begin)
                if hashlib.sha256(file.read(each.end - each.begin)).hexdigest() != each.digest:
                    return False
        return True


@contextmanager
def workshop(target: Path) -> Iterator[Path]:
    """The hidden folder beside an output in which it is made; it goes when the work ends, but not when it is killed.

    Raises:
        UsageError: another process is making the same output.
        StorageError: it cannot be written.
    """
    folder = target.with_name(f".{target.name}.parts.partial")
    with storage_errors(target):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UsageError(f"{target}: {error.filename} is a file, not a folder; name another place") from error
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"{target}: another process is writing it; wait for it, or name another file"
                ) from None
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)
