"""What few rows can teach and show: the numbers behind the sentences, and when they are said."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.support import Recorder, recipe
from tunesmith.runs.foresee import foresee
from tunesmith.runs.small_data import FEW_TO_JUDGE, FEW_TO_TRAIN, few_to_judge, few_to_train


def test_the_rule_of_three() -> None:
    """What is one case in n/3 stands in none of n rows with a chance of about 5 %."""
    (said,) = few_to_train(36)
    assert "There are 36 rows to train on" in said
    assert "fewer than one case in 12" in said
    assert 0.04 < (1 - 1 / 12) ** 36 < 0.06
    assert "There is 1 passage to train on" in few_to_train(1, "passage")[0]
    assert few_to_train(FEW_TO_TRAIN) == []


def _chance(changes: int) -> float:
    """That as many changed answers all went one way, either way, by chance: counted out."""
    ways = list(product((True, False), repeat=changes))
    return sum(all(way) or not any(way) for way in ways) / len(ways)


def test_six_answers_must_change() -> None:
    assert _chance(5) > 0.05 > _chance(6)
    assert "no change of the answers can be told" in few_to_judge(5)[0]
    (said,) = few_to_judge(24)
    assert "fewer than 6 answers (25%)" in said
    assert "0.57 standard deviations" in said
    assert few_to_judge(FEW_TO_JUDGE) == []
    assert "There is 1 held-out row" in few_to_judge(1)[0]


@pytest.mark.parametrize(
    ("fields", "train", "judge"),
    [
        ({}, True, True),
        ({"evaluate__level": "none"}, True, False),
        ({"objective__kind": "text"}, True, True),
    ],
)
def test_a_run_of_few_rows_says_so(
    tiny_base: Path, colours: Path, fields: dict[str, Any], train: bool, judge: bool
) -> None:
    watcher = Recorder()
    foresee(recipe(tiny_base, colours, **fields), watcher)
    said = "\n".join(watcher.notes)
    assert ("to train on: that is enough to learn a format" in said) == train
    assert ("held-out rows to judge by" in said) == judge
