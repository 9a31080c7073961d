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
1 - (1 - s^PREFIX)^TREES:  s = 0.4: 0.93,  0.5: 0.995,  0.6: 0.99996. Between two sets of texts
(`across`) prefixes are shorter, for short texts of which one word was changed are less alike: with
PREFIX_ACROSS and TREES_ACROSS it is  s = 0.2: 0.91,  0.3: 0.996,  0.4: 0.99997.
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
PREFIX_ACROSS = 2
WINDOW_ACROSS = 3
GLANCE, GLIMPSED = 24, 2
TREES_ACROSS = HASHES // PREFIX_ACROSS
_SEED = 20250101

_draw = np.random.default_rng(_SEED)
_FACTORS_H = _draw.integers(0, 1 << 31, HASHES, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
_SHIFTS_H = _draw.integers(0, 1 << 32, HASHES, dtype=np.uint32)
_LOW, _HIGH = np.uint64(0x7F7F7F7F7F7F7F7F), np.uint64(0x8080808080808080)
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
    words_TW = signatures_TH.view(np.uint64)
    return _equal_bytes(words_TW[left_P], words_TW[right_P]) / HASHES


def candidates(signatures_TH: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of texts that may be alike (int64, P each), tree by tree; a pair may come again."""
    for tree in range(TREES):
        order_T, keys_T = _sorted(signatures_TH, tree * PREFIX)
        yield _neighbours(_prefix(keys_T, PREFIX), order_T)


def across(left_TH: np.ndarray, right_TH: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of one of `left_TH` and one of `right_TH` that may be alike, tree by tree.

    Each text is met with those of the other set that stand next to where it would stand, so that
    it finds one however many of its own set crowd round it. A pair is left out at once that agrees
    at fewer than `GLIMPSED` of the `GLANCE` bytes behind its prefix.
    """
    for tree in range(TREES_ACROSS):
        first = tree * PREFIX_ACROSS
        places = np.arange(first + PREFIX_ACROSS, first + PREFIX_ACROSS + GLANCE) % HASHES
        seen = [
            np.ascontiguousarray(each[:, places]).view(np.uint64) for each in (left_TH, right_TH)
        ]
        left, right = (_sorted(each, first) for each in (left_TH, right_TH))
        for one, other in (_beside(left, right), _beside(right, left)[::-1]):
            likely = _equal_bytes(seen[0][one], seen[1][other]) >= GLIMPSED
            yield one[likely], other[likely]


def _equal_bytes(left_PW: np.ndarray, right_PW: np.ndarray) -> np.ndarray:
    """In how many bytes the words of each pair are equal (uint64 each; int64, P)."""
    differing_PW = left_PW ^ right_PW
    # The high bit of each byte is set where any of its bits is: adding carries no further.
    differing_PW |= (differing_PW & _LOW) + _LOW
    unequal_PW = np.bitwise_count(differing_PW & _HIGH)
    return 8 * left_PW.shape[1] - unequal_PW.sum(axis=1, dtype=np.int64)


def _sorted(signatures_TH: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
    """The order of the texts by the key that begins at byte `first`, and their keys so ordered."""
    places = np.arange(first, first + DEPTH) % HASHES
    keys_T = np.ascontiguousarray(signatures_TH[:, places]).view(">u8")[:, 0].astype(np.uint64)
    order_T = np.argsort(keys_T, kind="stable")
    return order_T, keys_T[order_T]


def _prefix(keys_T: np.ndarray, length: int) -> np.ndarray:
    return keys_T >> np.uint64(8 * (DEPTH - length))


def _beside(
    these: tuple[np.ndarray, np.ndarray], those: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of each of these texts and the WINDOW_ACROSS of those next to it on either side."""
    (order, keys), (others, known) = these, those
    at = np.searchsorted(known, keys)
    sought, there = _prefix(keys, PREFIX_ACROSS), _prefix(known, PREFIX_ACROSS)
    left, right = [], []
    for step in range(-WINDOW_ACROSS, WINDOW_ACROSS):
        place = at + step
        met = np.flatnonzero((place >= 0) & (place < len(known)))
        met = met[there[place[met]] == sought[met]]
        left.append(order[met])
        right.append(others[place[met]])
    return np.concatenate(left), np.concatenate(right)


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
