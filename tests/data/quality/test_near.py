"""Near duplicates: what MinHash promises, and what is found in crowds and at the edges."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from tests.data.quality.planted import OTHER, QUESTION
from tunesmith.data.quality.groups import Groups
from tunesmith.data.quality.minhash import across, agreement, candidates, signatures
from tunesmith.data.quality.near import Known, Near, near
from tunesmith.data.quality.shingles import WIDTH, jaccard, shingles
from tunesmith.data.quality.texts import Texts
from tunesmith.data.quality.view import PART

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


def _likeness(left: Sequence[bytes], right: Sequence[bytes]) -> np.ndarray:
    pairs = np.arange(2 * len(left)).reshape(2, -1)
    return jaccard([*left, *right], *pairs)


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
    assert _likeness(left, right) == pytest.approx(expected, abs=1e-12)
    again = jaccard([*left, *right], np.array([50, 3, 3]), np.array([10, 3, 43]))
    assert again == pytest.approx([expected[10], 1, expected[3]], abs=1e-12)


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
    error = estimated - _likeness(left, right)
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
    alike = np.flatnonzero(_likeness(left, right) >= 0.5)
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


def test_a_sentence_of_many_rows_is_left_out_but_not_as_an_answer() -> None:
    draw = random.Random(9)
    shared = "answer with yes or no and say nothing else of any kind to the one who asks"
    rows = [
        f"{_sentence(draw, 3)}\n{shared}\n{PART} {draw.choice(['yes', 'no'])}" for _ in range(60)
    ]
    assert _near(rows).group_R.tolist() == list(range(60))
    asked, answer = rows[0].rsplit(" ", 1)
    other = "no" if answer == "yes" else "yes"
    assert _near([*rows, f"{asked} {other}"], [*[0] * 60, 1]).twins_FR[0][60] == -1
    assert _near([*rows, f"so {asked} {answer}"], [*[0] * 60, 1]).twins_FR[0][60] == 0


def test_texts_of_two_labels_are_no_twins() -> None:
    texts = ["How do I change my pin?", "How do I change my name?", "How do I change my pin?"]
    assert _near(texts, [0, 1, 1], [1, 1, 1]).twins_FR[1][0] >= 0
    assert _near(texts, [0, 1, 1], [1, 2, 2]).twins_FR[1][0] == -1


def test_pairs_across_are_met_as_often_as_the_formula_says() -> None:
    draw = random.Random(6)
    left = [_sentence(draw, 6).encode() for _ in range(400)]
    right = [text[: len(text) // 2] + _sentence(draw, 3).encode() for text in left]
    met = {
        pair
        for found in across(signatures(left), signatures(right[::-1]))
        for pair in zip(found[0].tolist(), found[1].tolist(), strict=True)
    }
    alike = np.flatnonzero(_likeness(left, right) >= 0.3)
    assert len(alike) > 100
    assert sum((int(at), 399 - int(at)) in met for at in alike) >= 0.98 * len(alike)


def test_every_row_of_a_crowd_finds_its_one_twin_across() -> None:
    draw = random.Random(7)
    crowd = [f"{QUESTION} {word}" for word in draw.sample(WORDS, 200)]
    found = _near([*crowd, f"{QUESTION} {WORDS[0]} indeed"], [*[0] * 200, 1])
    assert (found.twins_FR[1][:200] == 200).all()
    assert found.twins_FR[0][200] >= 0


def test_twins_are_judged_by_words_not_by_letters() -> None:
    """Names of the same length and letters make another row of a long one; one word does not."""
    draw = random.Random(8)
    row = _sentence(draw, 30)
    words = row.split()
    one_changed = " ".join([*words[:9], "else", *words[10:]])
    many_changed = " ".join([*words[:20], *draw.choices(WORDS, k=10)])
    assert _near([row, one_changed], [0, 1]).twins_FR[1][0] == 1
    assert _near([row, many_changed], [0, 1]).twins_FR[1][0] == -1
