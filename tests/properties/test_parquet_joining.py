"""Files joined end to end read as their rows one after another, by every reader, whatever they hold."""

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.parquet_joining import MAGIC, joined_footer, piece_of


def table(rows, seed):
    random = np.random.default_rng(seed)
    words = [None if random.random() < 0.2 else f"customer {random.integers(5)}" for _ in range(rows)]
    columns = {f"value_{i}": random.normal(size=rows) for i in range(13)}
    made = pa.table({"word": pa.array(words, pa.string()), **columns, "yes": random.random(rows) < 0.5})
    return made.append_column("time", pa.array(random.integers(0, 2**50, rows), pa.timestamp("us", tz="UTC")))


@settings(max_examples=15, deadline=None)
@given(
    rows=st.lists(st.integers(0, 40), min_size=1, max_size=5),
    group_rows=st.sampled_from([3, 16, 50]),
    compression=st.sampled_from(["zstd", "none"]),
    index=st.booleans(),
)
def test_joined_files_are_their_rows_in_order(rows, group_rows, compression, index, tmp_path_factory):
    tables = [table(count, seed) for seed, count in enumerate(rows)]
    pieces = []
    for each in tables:
        sink = pa.BufferOutputStream()
        pq.write_table(each, sink, group_rows, compression=compression, write_page_index=index)
        pieces.append(piece_of(sink.getvalue().to_pybytes()))
    begins = np.cumsum([len(MAGIC), *(len(piece.body) for piece in pieces)]).tolist()
    path = tmp_path_factory.mktemp("joined") / "all.parquet"
    footer = joined_footer([piece.footer for piece in pieces], begins[:-1])
    path.write_bytes(MAGIC + b"".join(piece.body for piece in pieces) + footer)
    expected = pa.concat_tables(tables)
    assert pq.read_table(path).equals(expected)
    assert pq.read_metadata(path).num_rows == sum(rows)
    found = duckdb.execute(f"SELECT count(*), count(word), sum(value_3) FROM '{path}'").fetchall()
    assert found[0][:2] == (len(expected), len(expected) - expected["word"].null_count)


def test_one_file_is_itself_again():
    sink = pa.BufferOutputStream()
    pq.write_table(table(30, 0), sink)
    file = sink.getvalue().to_pybytes()
    piece = piece_of(file)
    assert MAGIC + piece.body + joined_footer([piece.footer], [len(MAGIC)]) == file
