"""Elementary functions of one number that the sweep compiles into its loop: faster than libm's, and alike everywhere.

Each is a fixed sequence of additions, multiplications and divisions, so it gives the same bits on every processor; libm
chooses among several implementations by the processor.
"""

import math
from typing import Final

import numba
import numpy as np
import numpy.typing as npt

from features.compiled import fingerprint_of

U: Final = np.uint64
STEPS: Final = 64
"""Steps into which a power of two is divided by the table of `decay`."""
POWERS: Final = 1_080
"""Powers of two below the last of which nothing is left of a float64."""
PER_STEP: Final = math.log(2) / STEPS
MOST: Final = (POWERS - 1) * math.log(2)
LOG_SCALE: Final = float(1 << 20)
"""Logarithms of amounts are kept in this fixed point."""
DIAGONAL: Final = math.tan(math.pi / 8)


def decay_table() -> npt.NDArray[np.float64]:
    """(STEPS + POWERS,) exp(-i * PER_STEP), then 2^-i, of which the last is 0: what `decay` looks up."""
    return np.concatenate([np.exp2(-np.arange(STEPS) / STEPS), np.exp2(-np.arange(POWERS, dtype=np.float64))])


@numba.njit(inline="always")
def reduced(age: float) -> tuple[int, float]:
    """The part of `decay` that looks nothing up, so that it can be done for several at a time: steps, and the rest."""
    age = age if age < MOST else MOST
    steps = np.int32(age * (1.0 / PER_STEP) + 0.5)
    rest = np.float64(steps) * PER_STEP - age
    square = rest * rest
    return steps, (1.0 + rest) + square * ((0.5 + rest * (1.0 / 6.0)) + square * (1.0 / 24.0))  # type: ignore[return-value]  # numba: one int32


@numba.njit(inline="always")
def looked_up(steps: int, series: float, table: npt.NDArray[np.float64]) -> float:
    """The other part of `decay`, of what `reduced` gives."""
    step = U(steps)
    value: float = table[step % U(STEPS)] * series * table[U(STEPS) + step // U(STEPS)]
    return value


@numba.njit(inline="always")
def decay(age: float, table: npt.NDArray[np.float64]) -> float:
    """exp(-age) for an age of 0 or more, 0 for NaN, relative error below 1e-12 up to 700; `table` from `decay_table`.

    A whole number of steps is looked up, and the rest, at most 0.0055 either way, is a Taylor polynomial (Tang,
    "Table-driven implementation of the exponential function", ACM TOMS 15, 1989).
    """
    steps, series = reduced(age)
    return looked_up(steps, series, table)


@numba.njit(inline="always")
def log_amount(cents: int) -> int:
    """log(1 + EUR) in units of 1 / LOG_SCALE, 0 of nothing and below, so that it can be subtracted exactly.

    What one processor's logarithm differs by from another's, the last bit, is lost in the rounding.
    """
    return np.int64(math.log1p(max(cents, 0) * 0.01) * LOG_SCALE + 0.5)  # type: ignore[return-value]  # numba: one int64


@numba.njit(inline="always")
def later_bits(bits: np.uint64, places: np.uint64) -> np.uint64:
    """Bits moved up by any number of places, those beyond 64 lost: in two steps, as one of 64 is undefined."""
    places = min(places, np.uint64(64))
    half = places >> np.uint64(1)
    return (bits << half) << (places - half)


@numba.njit(inline="always")
def ones(bits: np.uint64) -> np.uint64:
    """Number of ones among 64 bits (Knuth, TAOCP 4A, 7.1.3)."""
    bits = bits - ((bits >> np.uint64(1)) & np.uint64(0x5555555555555555))
    bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (bits * np.uint64(0x0101010101010101)) >> np.uint64(56)


@numba.njit(inline="always", error_model="numpy")
def direction(north: float, east: float) -> float:
    """Angle of a vector in (-pi, pi], as `math.atan2` gives it, absolute error below 1e-13; NaN for a vector of 0.

    The arc tangent of up to tan(pi / 8) is a polynomial, the interpolant in Chebyshev's nodes; a steeper one is turned
    by pi / 4. One division, no branch.
    """
    wide, tall = abs(east), abs(north)
    short, long = min(wide, tall), max(wide, tall)
    steep = short > DIAGONAL * long
    tangent = (short - long if steep else short) / (short + long if steep else long)
    z = tangent * tangent
    fourth = z * z
    low = (0.9999999999999721 - 0.3333333333075024 * z) + fourth * (0.19999999599416252 - 0.14285690186815533 * z)
    high = (0.11110379819032737 - 0.09078328334132689 * z) + fourth * (0.07563268493729851 - 0.05872949247034628 * z)
    eighth = fourth * fourth
    angle = tangent * (low + eighth * (high + eighth * 0.030639723821762915)) + (math.pi / 4 if steep else 0.0)
    angle = math.pi / 2 - angle if tall > wide else angle
    angle = math.pi - angle if east < 0.0 else angle
    return -angle if north < 0.0 else angle


@numba.njit(inline="always")
def month(day: int) -> int:
    """Month, 1 to 12, of a day since 1970-01-01, from year 0 on (Hinnant, "chrono-compatible date algorithms").

    Unsigned, since a signed division that rounds down takes several instructions more.
    """
    day_of_era = U(day + 719_468) % U(146_097)
    leaps = day_of_era // U(1_460) + day_of_era // U(146_096) - day_of_era // U(36_524)
    year_of_era = (day_of_era - leaps) // U(365)
    day_of_year = day_of_era + year_of_era // U(100) - U(365) * year_of_era - year_of_era // U(4)
    since_march = (U(5) * day_of_year + U(2)) // U(153)
    return np.int64(since_march) + (3 if since_march < U(10) else -9)  # type: ignore[return-value]  # numba: one int64


FINGERPRINT: Final = fingerprint_of(reduced, looked_up, decay, log_amount, later_bits, ones, direction, month)
