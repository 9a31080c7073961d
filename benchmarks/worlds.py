"""Worlds whose change between base and tuned is known, to draw rows from.

Shape legend: R rows, C classes, O orders of n-grams.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from tunesmith.evaluate.bootstrap import (
    Floats,
    Interval,
    PairedRows,
    corpus_change,
    difference_of_changes,
    paired_change,
    paired_rate_change,
)
from tunesmith.evaluate.metrics.labels import MACRO_F1
from tunesmith.evaluate.metrics.overlap import CHRF, CHRF_ORDER

CHANGE = -0.7
_MANY = 100_000


@dataclass(frozen=True, slots=True)
class Sample:
    """One data set: its interval by a seed, and its rows where percentiles can be compared."""

    interval: Callable[[int], Interval]
    rows: PairedRows | None = None


@dataclass(frozen=True, slots=True)
class World:
    """`draw` makes a data set of so many rows, `truth` is the change in all rows there could be.

    `may_cover_more` says that more than 97 % is right, too: of rates there are few intervals.
    """

    name: str
    truth: float
    draw: Callable[[Generator, int], Sample]
    may_cover_more: bool = False


def _loss(name: str, truth: float, rows: Callable[[Generator, int], PairedRows]) -> World:
    def draw(generator: Generator, count: int) -> Sample:
        drawn = rows(generator, count)
        return Sample(lambda seed: paired_change(drawn, seed), drawn)

    return World(name, truth, draw, may_cover_more=truth == 0)


def _changed(size_R: Floats, change_R: Floats, hard_R: Floats) -> PairedRows:
    """Rows whose difficulty is shared by both sides; sums are size times value."""
    return PairedRows(size_R * (1.9 + hard_R), size_R * (1.9 + hard_R + change_R), size_R)


def _normal(spread: float) -> Callable[[Generator, int], PairedRows]:
    """Normal changes; sizes lognormal with this spread of their logarithms."""

    def rows(generator: Generator, count: int) -> PairedRows:
        size_R = generator.lognormal(4, spread, count)
        change_R = CHANGE + 0.3 * generator.normal(size=count)
        return _changed(size_R, change_R, 0.5 * generator.normal(size=count))

    return rows


def _longer_gain_less(generator: Generator, count: int) -> PairedRows:
    long_R = generator.normal(size=count)
    change_R = CHANGE + 0.2 * long_R + 0.2 * generator.normal(size=count)
    return _changed(np.exp(4 + 0.6 * long_R), change_R, 0.5 * generator.normal(size=count))


def _skewed(spread: float) -> Callable[[Generator, int], PairedRows]:
    def rows(generator: Generator, count: int) -> PairedRows:
        size_R = generator.lognormal(4, 0.6, count)
        change_R = CHANGE * generator.lognormal(0, spread, count)
        return _changed(size_R, change_R, 0.5 * generator.normal(size=count))

    return rows


def _heavy_tails(change: float) -> Callable[[Generator, int], PairedRows]:
    """Student's t with 3 degrees of freedom: now and then a row is far off."""

    def rows(generator: Generator, count: int) -> PairedRows:
        size_R = generator.lognormal(4, 0.6, count)
        change_R = change + 0.3 * generator.standard_t(3, count)
        return _changed(size_R, change_R, 0.5 * generator.normal(size=count))

    return rows


def _fields(generator: Generator, count: int) -> PairedRows:
    """A mean of shares, as field F1: 30 % are whole before and 80 % after, others 0, 1/2 or 2/3."""
    part = np.array([0.0, 0.5, 2 / 3])
    sides = [
        np.where(generator.random(count) < whole, 1.0, generator.choice(part, count))
        for whole in (0.3, 0.8)
    ]
    return PairedRows(sides[0], sides[1], np.ones(count))


def _two_sets(generator: Generator, count: int) -> Sample:
    rows = _normal(0.6)
    first, second = rows(generator, count), rows(generator, count)
    return Sample(lambda seed: difference_of_changes(first, second, seed))


def _rate(base: float, tuned: float, same: float) -> World:
    """`same` is the share of rows on which one draw decides for both sides."""

    def draw(generator: Generator, count: int) -> Sample:
        one_R, two_R = generator.random((2, count))
        both_R = np.where(generator.random(count) < same, one_R, two_R)
        before_R, after_R = (one_R < base).astype(float), (both_R < tuned).astype(float)
        rows = PairedRows(before_R, after_R, np.ones(count))
        return Sample(lambda _: paired_rate_change(rows), rows)

    linked = f", {same:.0%} of the rows alike" if same else ""
    name = f"rate: {base:.0%} to {tuned:.0%}{linked}"
    return World(name, tuned - base, draw, may_cover_more=True)


def _label_sums(generator: Generator, wanted_R: Floats, right: float) -> Floats:
    """The sums of macro-F1 for three classes; a wrong answer names another or none."""
    wrong_R = (wanted_R + generator.integers(1, 4, len(wanted_R))) % 4
    given_R = np.where(generator.random(len(wanted_R)) < right, wanted_R, wrong_R)
    wanted_RC = wanted_R[:, None] == np.arange(3)
    given_RC = given_R[:, None] == np.arange(3)
    return np.concatenate([wanted_RC & given_RC, wanted_RC, given_RC], axis=1).astype(float)


def _labels(generator: Generator, count: int) -> tuple[Floats, Floats]:
    wanted_R = generator.choice(3, count, p=[0.5, 0.3, 0.2])
    return _label_sums(generator, wanted_R, 0.5), _label_sums(generator, wanted_R, 0.85)


def _ngram_sums(generator: Generator, wanted_R: Floats, share: float) -> Floats:
    """The sums of chrF: fewer n-grams of a higher order are in common, and some rows have more."""
    given_R = np.maximum(12, wanted_R * generator.lognormal(0, 0.3, len(wanted_R))).astype(int)
    like_R = np.clip(generator.normal(share, 0.15, len(wanted_R)), 0.02, 0.98)
    columns = []
    for order in range(CHRF_ORDER):
        given, wanted = given_R - order, wanted_R - order
        common = generator.binomial(np.minimum(given, wanted), like_R ** (1 + order / 2))
        columns += [given, wanted, common]
    return np.stack(columns, axis=1).astype(float)


def _ngrams(generator: Generator, count: int) -> tuple[Floats, Floats]:
    wanted_R = np.maximum(12, generator.lognormal(4.5, 0.6, count)).astype(int)
    return _ngram_sums(generator, wanted_R, 0.3), _ngram_sums(generator, wanted_R, 0.6)


def _corpus(
    name: str,
    sides: Callable[[Generator, int], tuple[Floats, Floats]],
    value: Callable[[Floats], Floats],
) -> World:
    """The truth of a corpus is that of a very large one."""
    base_RK, tuned_RK = sides(np.random.default_rng(0), _MANY)
    truth = float(value(tuned_RK.sum(axis=0)) - value(base_RK.sum(axis=0)))

    def draw(generator: Generator, count: int) -> Sample:
        base_RK, tuned_RK = sides(generator, count)
        return Sample(lambda seed: corpus_change(base_RK, tuned_RK, value, seed))

    return World(name, truth, draw)


_FIELDS_TRUTH = (0.8 - 0.3) * (1 - (0.5 + 2 / 3) / 3)
WORLDS: tuple[World, ...] = (
    _loss("loss: rows of one size", CHANGE, _normal(0.0)),
    _loss("loss: rows of unequal size", CHANGE, _normal(0.6)),
    _loss("loss: rows of very unequal size", CHANGE, _normal(1.0)),
    _loss("loss: longer rows gain less", CHANGE + 0.2 * 0.6, _longer_gain_less),
    _loss("loss: skewed", CHANGE * math.exp(0.5**2 / 2), _skewed(0.5)),
    _loss("loss: very skewed", CHANGE * math.exp(0.8**2 / 2), _skewed(0.8)),
    _loss("loss: heavy tails", CHANGE, _heavy_tails(CHANGE)),
    _loss("no change: heavy tails", 0.0, _heavy_tails(0.0)),
    World("loss: difference of two sets", 0.0, _two_sets),
    _loss("mean: shares such as field F1", _FIELDS_TRUTH, _fields),
    _rate(0.3, 0.5, 0.6),
    _rate(0.5, 0.9, 0.0),
    _rate(0.05, 0.95, 0.0),
    _rate(0.9, 0.95, 0.8),
    _corpus("corpus: macro-F1 of three classes", _labels, MACRO_F1.value),
    _corpus("corpus: chrF", _ngrams, CHRF.value),
)
"""In the order of the page."""
