"""Which texts may be alike, without comparing each with each: MinHash and sorted prefix trees.

A signature holds, for each of `HASHES` random orders of all shingles, which shingle of the text
comes first; two texts of Jaccard similarity s agree at each with probability s (Broder, "On the
resemblance and containment of documents", 1997). One byte of each is kept: a chance agreement at
1/256 changes the estimate less than its own spread, sqrt(s (1 - s) / HASHES).

Texts that agree in a run of the signature are candidates (Leskovec, Rajaraman and Ullman, "Mining
of Massive Datasets", ch. 3.4, where a run is a band). Here a run is a key of `DEPTH` bytes; texts
are sorted by it, and each is compared with the `WINDOW` behind it as long as the first `PREFIX`
bytes agree. Neighbours in that order are those that agree furthest, as in an LSH forest (Bawa,
Condie and Ganesan, 2005), so crowds of alike texts, where fixed bands would pair all with all, cost
no more than T · TREES · WINDOW comparisons.

Where fewer than WINDOW others share a prefix, a pair of similarity s is met with probability
1 - (1 - s^PREFIX)^TREES:  s = 0.4: 0.93,  0.5: 0.995,  0.6: 0.99996.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tunesmith.data.quality.shingles import shingles

HASHES = 120
PREFIX = 3
DEPTH = 8
WINDOW = 8
TREES = HASHES // PREFIX
_SEED = 20250101

_draw = np.random.default_rng(_SEED)
_FACTORS_H = _draw.integers(0, 1 << 31, HASHES, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
_SHIFTS_H = _draw.integers(0, 1 << 32, HASHES, dtype=np.uint32)
_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: Fibonacci hashing (Knuth 6.4)


def signatures(texts: Sequence[bytes]) -> np.ndarray:
    """The signature of each text (uint8, T by HASHES)."""
    codes_S, starts_T = shingles(texts)
    mixed_S = codes_S * _MIX
    mixed_S ^= mixed_S >> np.uint64(32)
    hashed_S = (mixed_S * _MIX >> np.uint64(32)).astype(np.uint32)
    made_TH = np.empty((len(texts), HASHES), dtype=np.uint8)
    ordered_S = np.empty_like(hashed_S)
    for number, (factor, shift) in enumerate(zip(_FACTORS_H, _SHIFTS_H, strict=True)):
        np.multiply(hashed_S, factor, out=ordered_S)
        np.add(ordered_S, shift, out=ordered_S)
        made_TH[:, number] = np.minimum.reduceat(ordered_S, starts_T)  # its lowest byte
    return made_TH


def agreement(signatures_TH: np.ndarray, left_P: np.ndarray, right_P: np.ndarray) -> np.ndarray:
    """The estimated similarity of each pair (float64, P)."""
    return (signatures_TH[left_P] == signatures_TH[right_P]).mean(axis=1)


def candidates(signatures_TH: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of texts that may be alike (int64, P each), tree by tree; a pair may come again."""
    wrapped = np.concatenate([signatures_TH, signatures_TH[:, :DEPTH]], axis=1)
    for tree in range(TREES):
        first = tree * PREFIX
        keys_T = np.ascontiguousarray(wrapped[:, first : first + DEPTH]).view(">u8")[:, 0]
        keys_T = keys_T.astype(np.uint64)
        order_T = np.argsort(keys_T, kind="stable")
        yield _neighbours(keys_T[order_T] >> np.uint64(8 * (DEPTH - PREFIX)), order_T)


def _neighbours(prefixes_T: np.ndarray, order_T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    left, right = [], []
    for step in range(1, min(WINDOW, len(order_T) - 1) + 1):
        together = np.flatnonzero(prefixes_T[step:] == prefixes_T[:-step])
        left.append(order_T[together])
        right.append(order_T[together + step])
        if not len(together):
            break
    nothing = np.zeros(0, dtype=np.int64)
    return np.concatenate([nothing, *left]), np.concatenate([nothing, *right])
