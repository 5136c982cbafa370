"""Parts of an output survive a kill, and only those that are whole and made from the same are kept."""

import json

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from contract.errors import UsageError
from serving.part_files import PartFiles, workshop

SCHEMA = pa.schema([("name", pa.string()), ("value", pa.float64())])


def table(at, rows=5):
    names = pa.DictionaryArray.from_arrays(
        pa.array([i % 2 for i in range(rows)], pa.int32()), pa.array([f"n{at}", "x"])
    )
    return pa.table({"name": names, "value": [at + i / 7 for i in range(rows)]})


class Place:
    def __init__(self, folder):
        self.hidden = folder / "hidden"
        self.hidden.mkdir()
        self.targets = {folder / "side.csv": SCHEMA, folder / "main.parquet": SCHEMA}

    def files(self, key="k"):
        return PartFiles(self.hidden, self.targets, key)

    def run(self, files, parts, key_of=str):
        """What a scoring does: parts that are there stay, the others are made; how many were made."""
        made, resumed = 0, True
        for at in range(parts):
            resumed = resumed and files.sources[at : at + 1] == (key_of(at),)
            if not resumed:
                files.keep(at)
                files.append(key_of(at), files.pieces([table(at), table(at)]))
                made += 1
        files.keep(parts)
        return made

    def finished(self, parts):
        """The bytes of both files when nobody disturbs the run."""
        files = self.files("undisturbed")
        self.run(files, parts)
        files.finish({})
        return [target.read_bytes() for target in self.targets]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_both_files_hold_all_parts_in_order(place):
    place.finished(4)
    side, main = place.targets
    expected = pa.concat_tables([table(at).cast(SCHEMA) for at in range(4)])
    assert pq.read_table(main).equals(expected)
    assert pa_csv.read_csv(side).equals(expected)
    assert pq.read_metadata(main).num_row_groups == 4


def test_a_run_goes_on_where_another_was_killed_and_gives_the_same_bytes(place):
    expected = place.finished(5)
    assert place.run(place.files(), 3) == 3
    again = place.files()
    assert place.run(again, 5) == 2
    again.finish({})
    assert [target.read_bytes() for target in place.targets] == expected


@pytest.mark.parametrize("damage", ["cut body", "changed body", "cut journal", "no journal", "no body"])
def test_only_what_is_whole_is_kept(place, damage):
    expected = place.finished(4)
    place.run(place.files(), 3)
    body, journal = place.hidden / "1.parquet", place.hidden / "journal"
    whole = body.read_bytes()
    if damage == "cut body":
        body.write_bytes(whole[:-1])
    if damage == "changed body":
        body.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    if damage == "cut journal":
        journal.write_bytes(journal.read_bytes()[:-20])
    if damage == "no journal":
        journal.unlink()
    if damage == "no body":
        body.unlink()
    again = place.files()
    assert len(again.sources) == {"no journal": 0, "no body": 0}.get(damage, 2)
    place.run(again, 4)
    again.finish({})
    assert [target.read_bytes() for target in place.targets] == expected


def test_texts_appear_with_the_files(place, tmp_path):
    files = place.files()
    place.run(files, 1)
    files.finish({tmp_path / "note.json": "{}"})
    assert (tmp_path / "note.json").read_text(encoding="utf-8") == "{}"
    assert all(target.exists() for target in place.targets)


def test_another_key_or_source_starts_anew(place):
    place.run(place.files(), 3)
    assert place.files("other").sources == ()
    place.run(place.files(), 3)
    assert place.run(place.files(), 3, key_of=lambda at: str(at) if at < 1 else f"new {at}") == 2


def test_fewer_parts_than_before_leave_no_rest(place):
    expected = place.finished(2)
    place.run(place.files(), 4)
    again = place.files()
    assert place.run(again, 2) == 0
    again.finish({})
    assert [target.read_bytes() for target in place.targets] == expected


def test_a_workshop_is_held_by_one_and_goes_at_the_end(tmp_path):
    target = tmp_path / "out.parquet"
    with workshop(target) as folder:
        (folder / "x").touch()
        with pytest.raises(UsageError, match="another process is writing it"), workshop(target):
            pass
        assert folder.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_journal_line_says_what_a_part_was_made_from(place):
    place.run(place.files(), 1)
    lines = (place.hidden / "journal").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0]) == {"key": "k"}
    assert json.loads(lines[1])["source"] == "0"
