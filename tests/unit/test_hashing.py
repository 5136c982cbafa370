import numpy as np
import pyarrow as pa

from serving.hashing import customer_hashes, mixed, salted, uniforms


def plain_fnv(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) % 2**64
    return value


def test_the_hash_is_fnv_1a_over_utf8_then_mixed():
    texts = ["", "a", "foobar", "Zoë", "客户", "x" * 300]
    assert plain_fnv("foobar") == 0x85944171F73967E8  # the published test vector
    plain = mixed(np.array([plain_fnv(text) for text in texts], dtype=np.uint64))
    assert customer_hashes(texts).tolist() == plain.tolist()


def test_slices_and_chunks_hash_as_their_texts():
    whole = pa.array([f"c{row}" for row in range(10)])
    alone = customer_hashes(whole)
    assert customer_hashes(whole.slice(3, 4)).tolist() == alone[3:7].tolist()
    assert customer_hashes(pa.chunked_array([whole[:2], whole[2:]])).tolist() == alone.tolist()
    assert customer_hashes([]).tolist() == []


def test_draws_are_uniform_and_independent_between_purposes_and_seeds():
    hashes = customer_hashes([str(row) for row in range(40_000)])
    one, other = (uniforms(salted(hashes, "role", "spring", seed)) for seed in (0, 1))
    assert one.min() >= 0
    assert one.max() < 1
    counts = np.histogram(one, 20, (0, 1))[0]
    assert ((counts - 2_000) ** 2 / 2_000).sum() < 43.8  # chi-square, 19 degrees, 0.1 %
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.02
    assert abs(np.corrcoef(one < 0.05, uniforms(salted(hashes, "draw", "spring", 0)))[0, 1]) < 0.02
