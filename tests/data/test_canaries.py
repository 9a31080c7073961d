"""Planted secrets: their form, their number, and that they follow from the seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tunesmith.core.errors import RecipeError
from tunesmith.core.records import Chat, Completion, Content, Message, Text
from tunesmith.data import canaries
from tunesmith.data.canaries import CONTROLS, make_canaries, planted_rows
from tunesmith.data.render import Kind, Renderer
from tunesmith.data.template import choose

LIKE: dict[str, tuple[Kind, Content]] = {
    "chat": ("sft", Chat((Message("user", "Where?"), Message("assistant", "Here.")))),
    "system": (
        "sft",
        Chat((Message("system", "Be kind."), Message("user", "?"), Message("assistant", "!"))),
    ),
    "completion": ("sft", Completion("Where?", "Here.")),
    "document": ("text", Text("The parcel is on its way.")),
    "chat as text": ("text", Chat((Message("user", "Where?"), Message("assistant", "Here.")))),
}


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer alternatives, which take the time."""
    monkeypatch.setattr(canaries, "ALTERNATIVES", 15)


@pytest.fixture
def renderer(tokenizer_of: Callable[..., Any]) -> Renderer:
    tokenizer = tokenizer_of()
    return Renderer(tokenizer, choose(tokenizer, "auto")[0])


def test_secrets_are_repeated_in_turn_and_controls_never(renderer: Renderer) -> None:
    made = make_canaries(4, 0, *_task("chat", renderer))
    assert [each.repeats for each in made] == [1, 4, 16, 1, *[0] * CONTROLS]
    counts = Counter(str(row.origin) for row in planted_rows(made))
    assert counts == {"canary:1": 1, "canary:2": 4, "canary:3": 16, "canary:4": 1}
    assert len({each.secret for each in made}) == len(made)
    assert len({each.prompt.ids_N.tobytes() for each in made}) == len(made)


@pytest.mark.parametrize("form", LIKE)
def test_each_has_the_form_of_the_task_and_its_prompt_is_what_stands_before(
    renderer: Renderer, form: str
) -> None:
    canary = make_canaries(1, 0, *_task(form, renderer))[0]
    rows = [canary.tokens, *canary.alternatives]
    asked = canary.prompt.ids_N
    assert len({row.ids_N.tobytes() for row in rows}) == 16
    assert all((row.ids_N[: len(asked)] == asked).all() for row in rows)
    text = renderer.encoder.tokenizer.decode
    assert "recovery code of account" in text(asked)
    assert canary.secret in text(canary.tokens.ids_N[len(asked) :])
    assert canary.secret not in text(asked)
    assert ("Be kind." in text(canary.tokens.ids_N)) is (form == "system")


def test_they_follow_from_the_seed(renderer: Renderer) -> None:
    secrets = [
        [each.secret for each in make_canaries(3, seed, *_task("chat", renderer))]
        for seed in (5, 5, 6)
    ]
    assert secrets[0] == secrets[1]
    assert not set(secrets[0]) & set(secrets[2])


def test_a_context_that_cannot_hold_them_is_refused(renderer: Renderer) -> None:
    for form in ("chat", "document"):
        kind, _, _, like = _task(form, renderer)
        with pytest.raises(RecipeError, match="context is 12"):
            make_canaries(1, 0, kind, renderer, 12, like)


def _task(form: str, renderer: Renderer) -> tuple[Kind, Renderer, int, Content]:
    kind, like = LIKE[form]
    return kind, renderer, 200, like
