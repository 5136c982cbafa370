"""Joins Parquet files of one schema end to end without decoding a page: only the footer is made anew.

A file is a magic word, column chunks, and a footer that says where each chunk begins; so the chunks of a further file
may follow, if its footer's offsets are moved by as much (Apache Parquet format 2.10, parquet.thrift; the footer is in
Thrift's compact protocol).
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

MAGIC: Final = b"PAR1"
_TAIL: Final = 8
"""Bytes after the footer: its length and the magic word."""

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_INTEGERS: Final = (_I16, _I32, _I64)

# Fields of FileMetaData, RowGroup, ColumnChunk and ColumnMetaData.
_ROWS, _GROUPS = 3, 4
_COLUMNS, _GROUP_OFFSET, _ORDINAL = 1, 5, 7
_CHUNK_OFFSET, _CHUNK_META, _OFFSET_INDEX, _COLUMN_INDEX = 2, 3, 4, 6
_DATA_PAGE, _INDEX_PAGE, _DICTIONARY_PAGE, _BLOOM_FILTER = 9, 10, 11, 14

Struct = dict[int, tuple[int, Any]]
"""Fields by number, each with its type; a list is (type of its items, items)."""


class Piece(NamedTuple):
    """A Parquet file without its magic words: the column chunks, and the footer."""

    body: bytes
    footer: bytes


def piece_of(file: bytes | memoryview) -> Piece:
    """The piece that a whole file is."""
    length = int.from_bytes(file[-_TAIL : -len(MAGIC)], "little")
    end = len(file) - _TAIL - length
    return Piece(bytes(file[len(MAGIC) : end]), bytes(file[end:-_TAIL]))


def joined_footer(footers: Sequence[bytes], begins: Sequence[int]) -> bytes:
    """What follows the chunks of pieces that lie one after another in a file, to its end.

    Args:
        footers: one or more, of files of one schema.
        begins: where in the file the chunks of each begin; the first after the magic word.
    """
    trees = [_Reader(footer).struct() for footer in footers]
    groups = [group for tree, begin in zip(trees, begins, strict=True) for group in _moved(tree, begin - len(MAGIC))]
    for at, group in enumerate(groups):
        if _ORDINAL in group:
            group[_ORDINAL] = (_I16, at)
    whole = trees[0]
    whole[_ROWS] = (_I64, sum(tree[_ROWS][1] for tree in trees))
    whole[_GROUPS] = (_LIST, (_STRUCT, groups))
    footer = bytearray()
    _write(footer, _STRUCT, whole)
    return bytes(footer) + len(footer).to_bytes(4, "little") + MAGIC


def _moved(tree: Struct, by: int) -> Iterator[Struct]:
    for group in tree[_GROUPS][1][1]:
        _move(group, (_GROUP_OFFSET,), by)
        for chunk in group[_COLUMNS][1][1]:
            _move(chunk, (_OFFSET_INDEX, _COLUMN_INDEX), by)
            _move(chunk[_CHUNK_META][1], (_DATA_PAGE, _INDEX_PAGE, _DICTIONARY_PAGE, _BLOOM_FILTER), by)
            if chunk[_CHUNK_OFFSET][1]:
                _move(chunk, (_CHUNK_OFFSET,), by)
        yield group


def _move(struct: Struct, fields: Sequence[int], by: int) -> None:
    for each in fields:
        if each in struct:
            struct[each] = (_I64, struct[each][1] + by)


class _Reader:
    """Reads one struct of the compact protocol."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def struct(self) -> Struct:
        fields: Struct = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            fields[number] = (head & 15, self._value(head & 15))
        return fields

    def _value(self, kind: int) -> Any:
        if kind in (_TRUE, _FALSE):
            return None  # a field's type is its value
        if kind in _INTEGERS:
            return self._zigzag()
        if kind == _BYTE:
            return self._taken(1)
        if kind == _DOUBLE:
            return self._taken(8)
        if kind == _BINARY:
            return self._taken(self._varint())
        if kind == _STRUCT:
            return self.struct()
        if kind in (_LIST, _SET):
            head = self._byte()
            count, items = head >> 4, head & 15
            count = self._varint() if count == 15 else count
            return items, [self._byte() if items in (_TRUE, _FALSE) else self._value(items) for _ in range(count)]
        raise ValueError(f"Parquet footer: a field has type {kind}, which the format does not use")

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _taken(self, count: int) -> bytes:
        self._at += count
        return self._data[self._at - count : self._at]

    def _varint(self) -> int:
        data, at = self._data, self._at
        byte = data[at]
        value, shift = byte & 127, 7
        while byte > 127:
            at += 1
            byte = data[at]
            value |= (byte & 127) << shift
            shift += 7
        self._at = at + 1
        return value

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)


def _write(to: bytearray, kind: int, value: Any) -> None:
    if kind in _INTEGERS:
        _write_varint(to, (value << 1) ^ (value >> 63))
    elif kind in (_BYTE, _DOUBLE):
        to += value
    elif kind == _BINARY:
        _write_varint(to, len(value))
        to += value
    elif kind == _STRUCT:
        _write_fields(to, value)
    elif kind in (_LIST, _SET):
        items, values = value
        if len(values) < 15:
            to.append(len(values) << 4 | items)
        else:
            to.append(15 << 4 | items)
            _write_varint(to, len(values))
        for each in values:
            if items in (_TRUE, _FALSE):
                to.append(each)
            else:
                _write(to, items, each)


def _write_fields(to: bytearray, struct: Struct) -> None:
    before = 0
    for number in sorted(struct):
        kind, value = struct[number]
        step = number - before
        if 0 < step < 16:
            to.append(step << 4 | kind)
        else:
            to.append(kind)
            _write_varint(to, number << 1)
        _write(to, kind, value)
        before = number
    to.append(0)


def _write_varint(to: bytearray, value: int) -> None:
    while value > 127:
        to.append(value & 127 | 128)
        value >>= 7
    to.append(value)
