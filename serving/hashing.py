"""Stable hashes of customer ids, for ties and for random draws; the same on every machine, run and row order.

A customer's hash is 64-bit FNV-1a over the UTF-8 bytes of the id (Fowler, Noll, Vo; RFC 9923), finished by the mixer
of SplitMix64 (Steele, Lea, Flood 2014). Draws mix it once more with a salt that names the purpose, so that draws for
different purposes, campaigns and seeds behave as independent. It is no cryptographic hash.
"""

import hashlib
from collections.abc import Callable, Sequence

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint64]

_FNV_BASIS = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)


def customer_hashes(ids: Sequence[str] | npt.NDArray[np.object_] | pa.Array | pa.ChunkedArray) -> Hashes:
    """(n,) uint64 hash of each id; none may be null.

    >>> [hex(each) for each in customer_hashes(["a", ""])]
    ['0x2c0bdbf481420f8', '0xf52a15e9a9b5e89b']
    """
    texts = (ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(ids, pa.string())).cast(pa.large_string())
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    letters = np.frombuffer(data, dtype=np.uint8) if data is not None and data.size else np.zeros(1, dtype=np.uint8)
    return mixed(_fnv(bounds, letters, _FNV_BASIS, _FNV_PRIME))


def mixed(values: Hashes) -> Hashes:
    """The finaliser of SplitMix64: a bijection of 64 bits whose outputs look independent of each other."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def salt_of(*words: object) -> np.uint64:
    """The salt of one purpose: `words` name it, e.g. ("role", campaign, seed)."""
    text = "\x1f".join(str(word) for word in words)
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"))


def salted(hashes: Hashes, *words: object) -> Hashes:
    """(n,) uint64 hashes for the purpose that `words` name."""
    salt = salt_of(*words)
    return mixed(mixed(hashes ^ salt) + salt)


def uniforms(hashes: Hashes) -> npt.NDArray[np.float64]:
    """(n,) numbers in [0, 1) from the upper 53 bits."""
    return (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _hash_texts(
    bounds: npt.NDArray[np.int64], letters: npt.NDArray[np.uint8], basis: np.uint64, prime: np.uint64
) -> Hashes:
    result = np.empty(len(bounds) - 1, dtype=np.uint64)
    for row in range(len(result)):
        value = basis
        for position in range(bounds[row], bounds[row + 1]):
            value = (value ^ np.uint64(letters[position])) * prime
        result[row] = value
    return result


_fnv: Callable[..., Hashes] = numba.njit(nogil=True, cache=True)(_hash_texts)


def hash_text(letters: npt.NDArray[np.uint8]) -> np.uint64:
    """The hash of one id, given as its UTF-8 bytes: that of `customer_hashes`."""
    bounds = np.array([0, len(letters)], dtype=np.int64)
    hashed: np.uint64 = mixed(_fnv(bounds, letters, _FNV_BASIS, _FNV_PRIME))[0]
    return hashed
