"""The page of every recipe key follows the code."""

from __future__ import annotations

from pathlib import Path

from tunesmith.recipe import describe
from tunesmith.recipe.document import markdown

PAGE = Path(__file__).parents[2] / "docs" / "recipe.md"


def test_the_page_is_what_the_sections_say() -> None:
    message = "Make it again: python -m tunesmith.recipe.document > docs/recipe.md"
    assert PAGE.read_text(encoding="utf-8") == markdown(), message


def test_every_key_has_a_line() -> None:
    page = markdown()
    assert all(page.count(f"\n| `{knob.key}` |") == 1 for knob in describe())
