"""Questions with the answers to other questions."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.core.records import Origin, Tokens
from tunesmith.data.mismatched import MISMATCHED, WithMismatched, partners


@given(st.lists(st.sampled_from([b"a", b"b", b"c", b"d"]), max_size=12))
def test_answers_go_to_other_questions_and_none_goes_twice(questions: list[bytes]) -> None:
    found = partners(questions)
    lent = found[found >= 0].tolist()
    assert len(lent) == len(set(lent))
    assert all(questions[i] != questions[j] for i, j in enumerate(found) if j >= 0)
    most = max(Counter(questions).values(), default=0)
    assert len(lent) == min(len(questions), 2 * (len(questions) - most))


def _rated(row: int, question: list[int], answer: list[int]) -> Tokens:
    weights = np.repeat(np.array([0, 1], np.float32), [len(question), len(answer)])
    ids = np.array([*question, *answer], np.int32)
    return Tokens(Origin("rated.jsonl", row), ids, weights, len(answer), row % 2)


def test_each_answer_is_followed_by_its_question_with_another_answer() -> None:
    rated = [_rated(1, [1, 2], [11, 12]), _rated(2, [3], [21]), _rated(3, [4, 5, 6], [31])]
    found = WithMismatched(rated, longest=3)
    assert found.row_N.tolist() == [0, 0, 1, 1, 2]  # the third question leaves no room
    assert [each.part for each in found] == [1, MISMATCHED + 1, 0, MISMATCHED, 1]
    assert found[::4] == [rated[0], rated[2]]
    for place, question in ((1, [1, 2]), (3, [3])):
        other = found[place]
        assert other.origin == found[place - 1].origin
        assert other.ids_N[: len(question)].tolist() == question
        assert (other.weights_N > 0).tolist() == [n >= len(question) for n in range(len(other))]
        assert len(other) <= 3
        own = rated[place // 2].ids_N[len(question) :]
        assert not set(other.ids_N.tolist()) & set(own.tolist())
    with pytest.raises(IndexError):
        found[5]
