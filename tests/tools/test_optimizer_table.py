"""The page of optimisers is current, and its figures are of all optimisers."""

from __future__ import annotations

import pytest

from tools.optimizer_table import FIGURES, PAGE, page
from tunesmith.core.files import read_json
from tunesmith.recipe.optimizers import RULES, state_bytes


def test_the_page_is_what_the_table_says() -> None:
    again = "Make it again: python -m tools.optimizer_table"
    assert page() == PAGE.read_text(encoding="utf-8"), again


def test_each_optimizer_was_measured_and_learned() -> None:
    found = {each["optimizer"]: each for each in read_json(FIGURES)["found"]}
    assert found.keys() == RULES.keys()
    assert max(each["loss"] for each in found.values()) < 2 * found["adamw"]["loss"]


def test_measured_bytes_are_those_of_the_table() -> None:
    """Anvil's weights are nearly all in matrices of 256 and more."""
    found = {each["optimizer"]: each for each in read_json(FIGURES)["found"]}
    for key, rule in RULES.items():
        if rule.rest is None:
            size = state_bytes(rule, (256, 1024), True) / (256 * 1024)
            each = found[key]["state_bytes"] / found[key]["weights"]
            assert each == pytest.approx(size, rel=0.02, abs=0.02), key
