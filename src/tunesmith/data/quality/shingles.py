"""Texts as sets of shingles, and how alike two such sets are.

A shingle is `WIDTH` bytes in a row, so it fits into a number, and two shingles are equal exactly
when their numbers are: nothing here is approximate.

Letters:  T texts,  S shingles of all of them,  P pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WIDTH = 4
"""Bytes of a shingle. Short enough that one changed word of ten leaves most shingles as they were,
long enough that two texts of one language share few by chance."""

_BITS = np.uint64(8 * WIDTH)
_CODE = (np.uint64(1) << _BITS) - np.uint64(1)


def shingles(texts: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """The shingles of each text in order (uint64, S), and where each text's begin (int64, T).

    A text has a space at each end, so that its first and last words count like any other. One that
    is shorter than a shingle is filled up to one.
    """
    spaced = [b" %b " % text for text in texts]
    joined = b"".join(text.ljust(WIDTH, b"\0") for text in spaced)
    lengths_T = np.array([max(len(text), WIDTH) for text in spaced], dtype=np.int64)
    ends_T = np.cumsum(lengths_T)
    bytes_N = np.frombuffer(joined, dtype=np.uint8)
    codes = np.zeros(len(bytes_N) - WIDTH + 1, dtype=np.uint64)
    for place in range(WIDTH):
        codes = codes << np.uint64(8) | bytes_N[place : place + len(codes)]
    within = np.ones(len(bytes_N), dtype=bool)
    within[np.subtract.outer(ends_T, np.arange(1, WIDTH)).ravel()] = False
    counts_T = lengths_T - WIDTH + 1
    return codes[within[: len(codes)]], np.cumsum(counts_T) - counts_T


def jaccard(texts: Sequence[bytes], left_P: np.ndarray, right_P: np.ndarray) -> np.ndarray:
    """The shingles that two texts share, over those that either has, for pairs of indices
    (float64, P).

    At most 2^32 texts and pairs at once.
    """
    tagged_S = _tagged(texts)
    counts_T = np.bincount((tagged_S >> _BITS).astype(np.int64), minlength=len(texts))
    starts_T = np.cumsum(counts_T) - counts_T
    codes_S = tagged_S & _CODE
    one, other = (_gathered(codes_S, starts_T[at], counts_T[at]) for at in (left_P, right_P))
    both = np.concatenate([one, other])
    both.sort(kind="stable")  # merges what is two sorted runs
    common = both[1:][both[1:] == both[:-1]]
    of_both = np.bincount((common >> _BITS).astype(np.int64), minlength=len(left_P))
    return of_both / (counts_T[left_P] + counts_T[right_P] - of_both)


def _gathered(codes_S: np.ndarray, starts_P: np.ndarray, counts_P: np.ndarray) -> np.ndarray:
    """The codes of these stretches behind one another, each with its number above."""
    number = np.repeat(np.arange(len(counts_P)), counts_P)
    before_P = np.cumsum(counts_P) - counts_P
    within = np.arange(len(number)) - before_P[number]
    return number.astype(np.uint64) << _BITS | codes_S[starts_P[number] + within]


def _tagged(texts: Sequence[bytes]) -> np.ndarray:
    """The distinct shingles of each text in order, with the number of the text above them."""
    codes_S, starts_T = shingles(texts)
    counts_T = np.diff(starts_T, append=len(codes_S))
    number_S = np.repeat(np.arange(len(texts), dtype=np.uint64), counts_T)
    tagged_S = np.sort(number_S << _BITS | codes_S)  # np.unique would hash them, which is slower
    return tagged_S[np.diff(tagged_S, prepend=~tagged_S[:1]) != 0]
