"""Four neighbouring numbers at a time, for the sweep: LLVM's vectors, for which Numba has no type; keeps no state.

A set of events has four counters and four sums, one a window, which stand next to each other. Each function here is a
handful of machine instructions where four of everything would be needed. None checks a bound: a program's tables name
only cells with four within the array.
"""

from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from features.compiled import fingerprint_of

FOUR: Final = 4
INT: Final = ir.VectorType(ir.IntType(32), FOUR)
LONG: Final = ir.VectorType(ir.IntType(64), FOUR)
REAL: Final = ir.VectorType(ir.FloatType(), FOUR)


class Call:
    """One call of an intrinsic function: its arguments, by number, and the builder that writes its instructions."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        self.builder = builder
        self._context, self._types, self._arguments = context, signature.args, arguments

    def place(self, array: int, cell: int | None, vector: Any) -> Any:
        """Address of four elements of an array, from its first one or from a cell on."""
        made = self._context.make_array(self._types[array])(self._context, self.builder, self._arguments[array])
        at = made.data if cell is None else self.builder.gep(made.data, [self._arguments[cell]])
        return self.builder.bitcast(at, vector.as_pointer())

    def load(self, place: Any, align: int = 4) -> Any:
        """Four elements."""
        return self.builder.load(place, align=align)

    def add(self, place: Any, value: Any, align: int = 4) -> None:
        """Add four numbers to the elements at an address."""
        self.builder.store(self.builder.add(self.load(place, align), value), place, align=align)

    def repeated(self, argument: int, vector: Any) -> Any:
        """Four times a number."""
        nothing = ir.Constant(vector, ir.Undefined)
        one = self.builder.insert_element(nothing, self._arguments[argument], ir.Constant(ir.IntType(32), 0))
        return self.builder.shuffle_vector(one, nothing, ir.Constant(INT, [0] * FOUR))

    def nothing(self) -> Any:
        """What a function without a result gives."""
        return self._context.get_dummy_value()


def _notes_entered(*parts: Any) -> Any:
    call = Call(*parts)
    inside = call.builder.icmp_signed(">=", call.repeated(0, LONG), call.load(call.place(1, None, LONG), 8))
    ones = call.builder.zext(inside, INT)
    call.builder.store(ones, call.place(2, None, INT), align=4)
    call.add(call.place(3, None, INT), ones)
    return call.nothing()


def _adds_to_four_sets(*parts: Any) -> Any:
    call = Call(*parts)
    ones = call.load(call.place(5, None, INT))
    for cell in (1, 2, 3, 4):
        call.add(call.place(0, cell, INT), ones)
    return call.nothing()


def _adds_to_set(*parts: Any) -> Any:
    call = Call(*parts)
    call.add(call.place(0, 1, INT), call.load(call.place(2, None, INT)))
    return call.nothing()


def _adds_amount(*parts: Any) -> Any:
    call = Call(*parts)
    ones = call.load(call.place(3, None, INT))
    inside = call.builder.icmp_signed("!=", ones, ir.Constant(INT, [0] * FOUR))
    amounts = call.builder.select(inside, call.repeated(2, LONG), ir.Constant(LONG, [0] * FOUR))
    call.add(call.place(0, 1, LONG), amounts, 8)
    return call.nothing()


def _copies_four(*parts: Any) -> Any:
    call = Call(*parts)
    call.builder.store(call.load(call.place(2, 3, INT)), call.place(0, 1, INT), align=4)
    return call.nothing()


def _shows_set(*parts: Any) -> Any:
    call = Call(*parts)
    shown = call.builder.sitofp(call.load(call.place(0, 1, INT)), REAL)
    call.builder.store(shown, call.place(2, 3, REAL), align=4)
    return call.nothing()


def _note_entered(typing: Any, time: Any, lows: Any, inside: Any, total: Any) -> Any:  # noqa: ARG001
    """inside[w] = 1 if time >= lows[w] else 0, for the four windows, and total[w] += inside[w]."""
    return types.void(time, lows, inside, total), _notes_entered


def _add_to_four_sets(typing: Any, counts: Any, a: Any, b: Any, c: Any, d: Any, inside: Any) -> Any:  # noqa: ARG001
    """counts[cell + w] += inside[w] for the four windows of four sets, whose cells are a, b, c and d."""
    return types.void(counts, a, b, c, d, inside), _adds_to_four_sets


def _add_to_set(typing: Any, counts: Any, cell: Any, inside: Any) -> Any:  # noqa: ARG001
    """counts[cell + w] += inside[w] for the four windows of a set."""
    return types.void(counts, cell, inside), _adds_to_set


def _add_amount(typing: Any, wide: Any, cell: Any, amount: Any, inside: Any) -> Any:  # noqa: ARG001
    """wide[cell + w] += amount where inside[w], for the four windows of a set."""
    return types.void(wide, cell, amount, inside), _adds_amount


def _copy_four(typing: Any, out: Any, to: Any, array: Any, cell: Any) -> Any:  # noqa: ARG001
    """out[to + i] = array[cell + i] for four neighbours of 32 bits each."""
    return types.void(out, to, array, cell), _copies_four


def _show_four(typing: Any, counts: Any, cell: Any, out: Any, to: Any) -> Any:  # noqa: ARG001
    """out[to + i] = float32(counts[cell + i]) for four neighbours."""
    return types.void(counts, cell, out, to), _shows_set


note_entered: Any = intrinsic(_note_entered)
add_to_four_sets: Any = intrinsic(_add_to_four_sets)
add_to_set: Any = intrinsic(_add_to_set)
add_amount: Any = intrinsic(_add_amount)
copy_four: Any = intrinsic(_copy_four)
show_four: Any = intrinsic(_show_four)


FINGERPRINT: Final = fingerprint_of(
    *(_notes_entered, _adds_to_four_sets, _adds_to_set, _adds_amount, _copies_four, _shows_set),
    *(Call.place, Call.load, Call.add, Call.repeated),
)
