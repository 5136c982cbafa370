"""How often each option would be drawn if exploration followed the intervals; draws for nobody.

Thompson (1933) sampling takes the option that is best in one draw from what is believed of each. Here the belief is
normal, with the mean and the interval of the net worth, and the draws are a fixed set of equally likely joint ones, the
same for all customers:

    π_i(o) = share of the draws z_s in which μ_io + σ_io·z_so is the largest of customer i's open options and of 0,
             which stands for no contact.

So the probability of each action is counted, not estimated, and is a multiple of one over the number of draws: nothing
is tried with a probability too small to learn from.
"""

from collections.abc import Callable

import numba
import numpy as np
import numpy.typing as npt

from serving.sets import Floats

DRAWS = 128


def _count_wins(mean: Floats, error: Floats, draws: Floats, wins: npt.NDArray[np.float32]) -> None:
    n, k = mean.shape
    for row in range(n):
        for draw in range(len(draws)):
            best = 0.0
            choice = k
            for option in range(k):
                if mean[row, option] > -np.inf:
                    value = mean[row, option] + error[row, option] * draws[draw, option]
                    if value > best:
                        best = value
                        choice = option
            wins[row, choice] += np.float32(1.0)


_wins: Callable[..., None] = numba.njit(nogil=True, cache=True, error_model="numpy")(_count_wins)


def thompson_weights(mean: Floats, error: Floats) -> npt.NDArray[np.float32]:
    """(n, k + 1) how many of the draws each option, and last no contact, is the best in.

    Args:
        mean: (n, k) EUR net of cost, -inf where the customer may not be contacted.
        error: (n, k) EUR, standard error of that worth, at least 0.
    """
    wins = np.zeros((len(mean), mean.shape[1] + 1), dtype=np.float32)
    _wins(np.ascontiguousarray(mean), np.ascontiguousarray(error), draws_of(mean.shape[1]), wins)
    return wins


def draws_of(options: int) -> Floats:
    """(draws, options) standard normal numbers, the same everywhere; each with its opposite."""
    half = np.random.default_rng(0).standard_normal((DRAWS // 2, options))
    return np.concatenate([half, -half])


def uniform_weights(gain: Floats) -> npt.NDArray[np.float32]:
    """(n, k + 1) 1 for each open option, and 0 for no contact."""
    closed = np.zeros((len(gain), 1), dtype=np.bool_)
    return np.hstack([gain > -np.inf, closed]).astype(np.float32)
