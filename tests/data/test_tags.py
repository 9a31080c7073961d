"""What is odd about tags is said before training, with its place."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin, Tokens
from tunesmith.data.classes import Targets
from tunesmith.data.tags import check_tags


def _rows(*tags: str) -> list[Tokens]:
    return [
        Tokens(
            Origin("rows.jsonl", line),
            np.arange(len(each.split()), dtype=np.int32),
            np.ones(len(each.split()), np.float32),
            9,
            labels=tuple(each.split()),
        )
        for line, each in enumerate(tags, 1)
    ]


def test_bio_needs_no_word() -> None:
    assert check_tags(_rows("O B-a I-a", "B-b O O B-b B-b")) == []


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ("O S-a B-b I-b E-b", "The tags are BIOES, not BIO"),
        ("U-a O B-b L-b", "The tags are BILOU, not BIO"),
        ("O I-a I-a O I-b", "The tags are IO, not BIO: there is no B-, so two neighbours"),
        ("I-a I-a B-a O I-b", "The tags are IOB1, not BIO"),
    ],
)
def test_another_scheme_is_named(tags: str, said: str) -> None:
    (sentence,) = check_tags(_rows("O O", tags))
    assert said in sentence


def test_what_continues_nothing_is_counted_and_placed() -> None:
    (sentence,) = check_tags(_rows("B-a I-a", "B-a I-b O I-a", "B-b"))
    assert "2 words in 1 rows are" in sentence
    assert "at rows.jsonl:2 word 2 is 'I-b' behind 'B-a'" in sentence


def test_types_that_differ_in_case_alone_are_named() -> None:
    (sentence,) = check_tags(_rows("B-City I-City O", "B-city O B-date"))
    assert "'City' (2 words) and 'city' (1 words) differ in upper and lower case" in sentence


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ("O b-city", "rows.jsonl:2: the tag 'b-city' of word 2 is neither O nor .* 'B-city'"),
        ("o B-city", "the tag 'o' of word 1 .* Write it 'O'"),
        ("O I_city", "Write it 'I-city'"),
        ("O city-B", "Its letter stands behind the type. Write it 'B-city'"),
        ("NOUN VERB", "class of the word by itself.* write 'B-NOUN'"),
    ],
)
def test_what_is_no_tag_is_refused_with_what_to_write(tags: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        check_tags(_rows("O O", tags))


def test_no_span_at_all_is_nothing_to_learn() -> None:
    with pytest.raises(DataError, match="All 3 words of the training rows are tagged O"):
        check_tags(_rows("O O", "O"))


def test_targets_are_those_of_words() -> None:
    rows = _rows("B-b O", "I-b O O")
    targets = Targets.tags(rows)
    assert targets.names == ("O", "B-b", "I-b")
    assert targets.task == "tags"
    assert targets.of_rows(rows).tolist() == [1, 0, 2, 0, 0]
