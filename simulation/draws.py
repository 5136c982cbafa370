"""Random numbers of one customer, independent of every other's; holds no global state.

The generator is SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014): a counter
and a mixing function, so that a customer's stream is found from its number alone and blocks of any size give the same.
"""

from math import cos, exp, log, pi, sqrt

import numpy as np
import numpy.typing as npt

from simulation.compiled import compiled

Stream = npt.NDArray[np.uint64]
"""The generator's state, shape (1,)."""


@compiled
def mixed(x: np.uint64) -> np.uint64:
    """SplitMix64's mixing of 64 bits."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@compiled
def seed_stream(stream: Stream, seed: int, customer: int, replay: int) -> None:
    """Sets the stream of a customer; `replay` 0 is its history, others its possible futures."""
    x = mixed(np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15))
    x = mixed(x ^ mixed(np.uint64(customer) + np.uint64(0xD1B54A32D192ED03)))
    stream[0] = mixed(x ^ mixed(np.uint64(replay) + np.uint64(0x8CB92BA72F3D8DD7)))


@compiled
def uniform(stream: Stream) -> float:
    """A number in [0, 1) of 53 bits."""
    stream[0] += np.uint64(0x9E3779B97F4A7C15)
    return float(mixed(stream[0]) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@compiled
def normal(stream: Stream) -> float:
    """A standard normal number (Box and Muller, 1958)."""
    radius = sqrt(-2.0 * log(1.0 - uniform(stream)))
    return radius * cos(2.0 * pi * uniform(stream))


@compiled
def poisson(stream: Stream, mean: float) -> int:
    """A Poisson number by inversion; for means up to about 20."""
    u = uniform(stream)
    probability = exp(-mean)
    count = 0
    while u >= probability and count < 200:
        u -= probability
        count += 1
        probability *= mean / count
    return count


@compiled
def pick(stream: Stream, shares: npt.NDArray[np.float64]) -> int:
    """An index drawn with the probabilities `shares`, which sum to one."""
    u = uniform(stream)
    last = len(shares) - 1
    for i in range(last):
        u -= shares[i]
        if u < 0.0:
            return i
    return last
