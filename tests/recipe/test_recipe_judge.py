"""What a recipe may say of a judge model."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.core.errors import RecipeError
from tunesmith.recipe import JudgeSection, load

JUDGE = {"judge.url": "http://localhost:8000/v1/", "judge.model": "m"}


def test_nobody_judges_unless_a_recipe_says_who() -> None:
    assert load().judge == JudgeSection()
    assert load().judge.url is None
    assert load(settings=JUDGE).judge.url == "http://localhost:8000/v1"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"judge.url": "localhost:8000"}, "must be an http:// or https:// address"),
        ({"judge.url": "http://user:secret@host/v1"}, "without user, password"),
        ({"judge.url": "http://host/v1?key=secret"}, "without user, password"),
        ({"judge.model": None}, "judge.model is not given"),
        ({"judge.url": None}, "judge.url is not given"),
        ({"judge.decides": True}, "Name a file of labelled pairs"),
        ({"evaluate.level": "none"}, "evaluate.level=none generates no answers"),
        ({"objective.kind": "text"}, "documents ask nothing"),
        ({"judge.timeout": 0.0}, "judge.timeout must be a number above 0"),
    ],
)
def test_what_cannot_hold_is_a_sentence(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as error:
        load(settings={**JUDGE, **settings})
    assert said in str(error.value)


def test_a_key_in_place_of_its_variable_is_refused_and_not_repeated() -> None:
    with pytest.raises(RecipeError) as error:
        load(settings={**JUDGE, "judge.key_variable": "sk-very-secret"})
    assert "the name of an environment variable" in str(error.value)
    assert "sk-very-secret" not in str(error.value)
