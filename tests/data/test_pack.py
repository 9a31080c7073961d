"""Shared prefixes: laid down once, and nothing of an example changes by it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.batch import ROOT, Batch
from tunesmith.core.records import Origin, Tokens
from tunesmith.data.pack import MIN_SHARED, pack, within_budget

# Few different tokens, so that runs meet; chunks longer and shorter than what is worth sharing.
CHUNKS = [[token] * length for token, length in ((1, 5), (2, 16), (3, 17), (1, 40), (4, 1), (2, 3))]
PIECES = st.lists(st.sampled_from(CHUNKS), min_size=1, max_size=5)
EXAMPLES = st.lists(
    PIECES.map(lambda pieces: list(chain.from_iterable(pieces))), min_size=1, max_size=12
)


def _tokens(ids: Sequence[int], line: int = 1) -> Tokens:
    weights = np.random.default_rng([line, len(ids)]).choice([0.0, 0.5, 1.0], len(ids))
    ids_N = np.array(ids, dtype=np.int32)
    return Tokens(Origin("made.jsonl", line), ids_N, weights.astype(np.float32), len(ids))


def _all(rows: Sequence[Sequence[int]]) -> list[Tokens]:
    return [_tokens(ids, line + 1) for line, ids in enumerate(rows)]


def _path(batch: Batch, place: int) -> list[int]:
    """Indices into T of a segment's tokens and all above them."""
    segment = batch.segments[place]
    above = [] if segment.parent == ROOT else _path(batch, segment.parent)
    return above + list(range(segment.start, segment.end))


@settings(max_examples=60, deadline=None)
@given(EXAMPLES)
def test_paths_spell_the_examples_and_sites_stand_where_they_should(rows: list[list[int]]) -> None:
    examples = _all(rows)
    shared, repeated = pack(examples), pack(examples, share=False)
    for name in ("targets_S", "weights_S", "owner_S"):
        assert np.array_equal(getattr(shared, name), getattr(repeated, name))
    assert shared.origins == repeated.origins == tuple(e.origin for e in examples)
    assert len(repeated.segments) == len(examples)
    paths = [_path(shared, place) for place in range(len(shared.segments))]
    for path in paths:
        assert shared.positions_T[path].tolist() == list(range(len(path)))
    spelled = [shared.tokens_T[path].tolist() for path in paths]
    for owner, example in enumerate(examples):
        assert example.ids_N.tolist() in spelled
        path = paths[spelled.index(example.ids_N.tolist())]
        learned = np.flatnonzero(example.weights_N[1:] > 0)
        assert shared.sites_S[shared.owner_S == owner].tolist() == [path[i] for i in learned]


@settings(max_examples=60, deadline=None)
@given(EXAMPLES, st.integers(1, 120))
def test_runs_hold_every_example_once_and_keep_the_budget(
    rows: list[list[int]], budget: int
) -> None:
    examples = _all(rows)
    for share in (True, False):
        runs = within_budget(examples, budget, share)
        assert sorted(i for run in runs for i in run) == list(range(len(examples)))
        for run in runs:
            tokens = pack([examples[i] for i in run], share).tokens
            assert tokens <= budget or len(run) == 1
    assert [i for run in runs for i in run] == list(range(len(examples)))


def test_prefixes_in_prefixes_are_laid_down_once() -> None:
    draw = np.random.default_rng(0)
    system, first, second = (draw.integers(0, 90, n).tolist() for n in (40, 30, 20))
    ends = [draw.integers(0, 90, 4).tolist() for _ in range(5)]
    rows = [system + first + ends[0], system + second + ends[1], system + first + ends[2]]
    rows += [system + second + ends[3], ends[4]]
    batch = pack(_all(rows))
    assert batch.tokens == 40 + 30 + 20 + 5 * 4
    assert [segment.parent for segment in batch.segments] == [ROOT, 0, 1, 1, 0, 4, 4, ROOT]


def test_a_short_common_beginning_is_repeated() -> None:
    ends = ([1, 2], [2, 1])
    for length, tokens in ((MIN_SHARED - 1, 2 * MIN_SHARED + 2), (MIN_SHARED, MIN_SHARED + 4)):
        assert pack(_all([[9] * length + end for end in ends])).tokens == tokens


def test_the_last_token_of_a_prefix_has_a_site_for_each_branch() -> None:
    rows = [_tokens([7] * 20 + [end]) for end in (1, 2, 3)]
    for row in rows:
        row.weights_N[:] = [0] * 20 + [1]
    batch = pack(rows)
    assert batch.sites_S.tolist() == [19, 19, 19]
    assert batch.targets_S.tolist() == [1, 2, 3]


def test_the_budget_counts_a_shared_token_once() -> None:
    rows = _all([[7] * 100 + [line] * 10 for line in range(8)])
    assert len(within_budget(rows, 180)) == 1
    assert len(within_budget(rows, 180, share=False)) == 8


def test_unshared_examples_keep_their_order() -> None:
    rows = _all([[5, 1], [3, 2, 2], [4]])
    batch = pack(rows)
    assert batch.tokens_T.tolist() == [5, 1, 3, 2, 2, 4]
    assert [segment.parent for segment in batch.segments] == [ROOT] * 3
