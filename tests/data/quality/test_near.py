"""Near duplicates: what MinHash promises, and what is found in crowds and at the edges."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from tests.data.quality.planted import OTHER, QUESTION
from tunesmith.data.quality.groups import Groups
from tunesmith.data.quality.minhash import agreement, candidates, signatures
from tunesmith.data.quality.near import GROUPED, Known, Near, near, twin_threshold
from tunesmith.data.quality.shingles import WIDTH, jaccard, shingles
from tunesmith.data.quality.texts import Texts

WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("nt", "rd", "lk", "mp")]


def _sentence(draw: random.Random, words: int = 12) -> str:
    return " ".join(draw.choices(WORDS, k=words))


def _near(
    texts: Sequence[str], sides: Sequence[int] | None = None, labels: Sequence[int] | None = None
) -> Near:
    kept = Texts()
    for text in texts:
        kept.append(text.encode())
    label = np.array(labels or [0] * len(texts), np.int64)
    equal = np.array([hash(pair) for pair in zip(texts, label, strict=True)], np.int64)
    side = np.array(sides or [0] * len(texts), np.int64)
    return near(kept.read(), Known(equal, label, side, 2))


def _slowly(left: bytes, right: bytes) -> float:
    def cut(text: bytes) -> set[bytes]:
        text = b" %b " % text
        return {text[at : at + WIDTH] for at in range(len(text) - WIDTH + 1)}

    return len(cut(left) & cut(right)) / len(cut(left) | cut(right))


def test_jaccard_is_that_of_the_sets() -> None:
    draw = random.Random(1)
    left = [_sentence(draw).encode() for _ in range(40)]
    right = [text[: draw.randint(3, 60)] + _sentence(draw, 4).encode() for text in left]
    expected = [_slowly(*pair) for pair in zip(left, right, strict=True)]
    assert jaccard(left, right) == pytest.approx(expected, abs=1e-12)


def test_no_shingle_crosses_from_one_text_to_the_next() -> None:
    alone = np.concatenate([shingles([text])[0] for text in (b"abcdef", b"x", b"ghij")])
    together, starts = shingles([b"abcdef", b"x", b"ghij"])
    assert together.tolist() == alone.tolist()
    assert starts.tolist() == [0, 5, 6]


def test_signatures_estimate_the_similarity() -> None:
    draw = random.Random(2)
    left = [_sentence(draw, 20).encode() for _ in range(300)]
    right = [text[: draw.randint(10, 90)] + _sentence(draw, 8).encode() for text in left]
    both = signatures([*left, *right])
    estimated = agreement(both, np.arange(300), np.arange(300, 600))
    error = estimated - jaccard(left, right)
    assert abs(error.mean()) < 0.01
    assert error.std() < 0.05


def test_pairs_are_met_as_often_as_the_formula_says() -> None:
    draw = random.Random(3)
    left = [_sentence(draw, 14).encode() for _ in range(400)]
    right = [text[: len(text) * 3 // 4] + _sentence(draw, 4).encode() for text in left]
    met = {
        (min(pair), max(pair))
        for found in candidates(signatures([*left, *right]))
        for pair in zip(found[0].tolist(), found[1].tolist(), strict=True)
    }
    alike = np.flatnonzero(jaccard(left, right) >= 0.5)
    assert len(alike) > 100
    assert sum((int(at), int(at) + 400) in met for at in alike) >= 0.98 * len(alike)


def test_groups_hold_what_is_joined_however_it_is_joined() -> None:
    groups = Groups(9)
    groups.join(np.array([8, 5, 3, 7]), np.array([5, 3, 8, 1]))
    groups.join(np.array([0]), np.array([3]))
    assert groups.first.tolist() == [0, 1, 2, 0, 4, 0, 6, 1, 0]
    assert groups.apart(np.array([0, 0]), np.array([8, 7])).tolist() == [False, True]


def test_a_group_is_named_by_its_first_row() -> None:
    found = _near([OTHER, QUESTION, f"{QUESTION} Thanks", OTHER, f"Hi {QUESTION}"])
    assert found.group_R.tolist() == [0, 1, 1, 0, 1]


def test_twins_are_found_between_the_sides_only() -> None:
    texts = [QUESTION, f"{QUESTION} Thanks", OTHER, f"Hi {QUESTION}", OTHER]
    found = _near(texts, [0, 0, 0, 1, 1])
    assert found.twins_FR[1][:3].tolist() == [3, 3, 4]
    assert found.twins_FR[0][3:].tolist() in ([0, 2], [1, 2])
    assert (_near(texts).twins_FR == -1).all()


def test_a_validation_row_is_found_within_a_crowd_of_its_training_twins() -> None:
    draw = random.Random(4)
    crowd = [f"{QUESTION} {_sentence(draw, 1)}" for _ in range(200)]
    found = _near([*crowd, f"Well, {QUESTION}"], [*[0] * 200, 1])
    assert found.twins_FR[0][200] >= 0
    assert (found.group_R == 0).all()


def test_unlike_rows_stay_alone() -> None:
    draw = random.Random(5)
    texts = [_sentence(draw) for _ in range(500)]
    assert _near(texts).group_R.tolist() == list(range(500))


def test_short_and_empty_texts_are_no_trouble() -> None:
    assert _near(["a", "", "b", "a"]).group_R.tolist() == [0, 1, 2, 0]
    assert _near([]).group_R.tolist() == []


def test_texts_of_two_labels_are_no_twins() -> None:
    texts = ["How do I change my pin?", "How do I change my name?", "How do I change my pin?"]
    assert _near(texts, [0, 1, 1], [1, 1, 1]).twins_FR[1][0] >= 0
    assert _near(texts, [0, 1, 1], [1, 2, 2]).twins_FR[1][0] == -1


def test_the_threshold_of_twins_rises_with_their_length() -> None:
    assert twin_threshold(np.array([0, 100, 200, 400, 9999])) == pytest.approx(
        [0.5, 0.5, 0.6, GROUPED, GROUPED]
    )
