"""Outputs that are shown four at a time leave every column as if each had been shown alone."""

from hypothesis import given
from hypothesis import strategies as st

from features.packing import in_fours

COLUMNS = 24


@given(st.dictionaries(st.integers(0, COLUMNS - 1), st.integers(0, 30)), st.sets(st.integers(0, COLUMNS - 1)))
def test_outputs_in_fours_reach_their_columns_and_no_taken_one(cells: dict[int, int], others: set[int]) -> None:
    taken = others - set(cells)
    outputs = [word for column, cell in sorted(cells.items()) for word in (column, cell)]
    row: dict[int, object] = dict.fromkeys(taken, "taken")
    fours, rest = in_fours(outputs, set(range(COLUMNS)) - taken)
    for column, cell in zip(fours[::2], fours[1::2], strict=True):
        row |= {column + at: cell + at for at in range(4)}
    row |= dict(zip(rest[::2], rest[1::2], strict=True))
    assert max(row, default=0) < COLUMNS
    assert {column: row[column] for column in cells} == cells
    assert all(row[column] == "taken" for column in taken)
