"""Nested subsets of the training rows, for learning about more rows from fewer."""

from __future__ import annotations

import math

import numpy as np


def nested_subset(digest_R32: np.ndarray, source_R: np.ndarray, share: float) -> np.ndarray:
    """Which rows are in the subset of this share (bool, R).

    Of each source the rows with the lowest numbers in the second eight bytes of their digests, so a
    smaller share is part of every larger one, a row keeps its place when the file grows or is put
    in another order, and sources keep their proportions. (The first eight bytes decide which rows
    are held out.) How many is the share of the source's rows, rounded to the nearest whole number,
    and at least one.

    Args:
        digest_R32: the digest of each row's content (uint8, R by 32).
        source_R: the number of each row's source.
        share: above 0 and up to 1.
    """
    place_R = np.ascontiguousarray(digest_R32[:, 8:16]).view(">u8")[:, 0]
    chosen_R = np.zeros(len(place_R), dtype=bool)
    for source in np.unique(source_R):
        members = np.flatnonzero(source_R == source)
        count = max(1, math.floor(share * len(members) + 0.5))
        chosen_R[members[np.argsort(place_R[members], kind="stable")[:count]]] = True
    return chosen_R
