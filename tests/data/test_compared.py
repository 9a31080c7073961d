"""Answers that were compared or rated, and questions without an answer, as sequences."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.data.conftest import CHATML, build
from tunesmith.core.records import (
    Completion,
    Content,
    Example,
    Finding,
    Message,
    Origin,
    Preference,
    Prompted,
    Rating,
    Tokens,
)
from tunesmith.data.examine import look
from tunesmith.data.pack import within_budget
from tunesmith.data.render import Renderer

ASKED = (
    Message("user", "Where is it?"),
    Message("assistant", "Which order?"),
    Message("user", "4711"),
)
CHOSEN, REJECTED = (Message("assistant", each) for each in ("On its way.", "Where is your order?"))
PAIR = Preference(ASKED, (CHOSEN,), (REJECTED,))


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(build(), CHATML)


def _rendered(renderer: Renderer, content: Content, kind: Any) -> list[Tokens]:
    ((parts, finding),) = look([Example(Origin("a.jsonl", 1), content)], kind, renderer, 512)
    assert finding is None, finding
    return parts


def _learned(renderer: Renderer, tokens: Tokens) -> str:
    return str(renderer.encoder.tokenizer.decode(tokens.ids_N[tokens.weights_N > 0]))


def test_each_answer_is_learned_alone_behind_the_ids_that_ask_for_it(renderer: Renderer) -> None:
    chosen, rejected = _rendered(renderer, PAIR, "dpo")
    assert (chosen.part, rejected.part) == (0, 1)
    assert _learned(renderer, chosen) == "On its way.<|im_end|>"
    assert _learned(renderer, rejected) == "Where is your order?<|im_end|>"
    asked_N = renderer.ask(ASKED)
    for tokens in (chosen, rejected):
        assert tokens.ids_N[: len(asked_N)].tolist() == asked_N.tolist()
        assert not tokens.weights_N[: len(asked_N)].any()


def test_an_answer_of_several_turns_learns_what_the_assistant_says(renderer: Renderer) -> None:
    more = (CHOSEN, Message("user", "When?"), Message("assistant", "Tuesday."))
    chosen, _ = _rendered(renderer, Preference(ASKED, more, (REJECTED,)), "dpo")
    assert _learned(renderer, chosen) == "On its way.<|im_end|>Tuesday.<|im_end|>"


@pytest.mark.parametrize(("liked", "part"), [(True, 0), (False, 1)])
def test_a_rating_is_the_better_part_or_the_worse(
    renderer: Renderer, liked: bool, part: int
) -> None:
    (tokens,) = _rendered(renderer, Rating(ASKED, (CHOSEN,), liked), "kto")
    assert tokens.part == part
    assert _learned(renderer, tokens) == "On its way.<|im_end|>"


def test_plain_texts_are_laid_end_to_end_where_there_is_no_template() -> None:
    plain = Renderer(build(start=True), CHATML, "plain")
    chosen, rejected = _rendered(plain, Preference("Where is it?", " Here.", " There."), "dpo")
    decode = plain.encoder.tokenizer.decode
    assert decode(chosen.ids_N) == "<s>Where is it? Here.</s>"
    assert decode(rejected.ids_N) == "<s>Where is it? There.</s>"


def test_a_question_is_its_ids_and_nothing_is_learned(renderer: Renderer) -> None:
    content = Prompted(ASKED, '{"answer": "4711"}')
    (tokens,) = _rendered(renderer, content, "grpo")
    assert tokens.ids_N.tolist() == renderer.ask(ASKED).tolist()
    assert not tokens.sites
    prompt = renderer.prompt(Example(Origin("a.jsonl", 1), content))
    assert prompt is not None
    assert prompt.ids_N.tolist() == tokens.ids_N.tolist()
    assert [each.content for each in prompt.messages] == [each.content for each in ASKED]
    assert prompt.answer == ""
    assert prompt.reference == '{"answer": "4711"}'


@pytest.mark.parametrize(
    "content",
    [PAIR, Rating(ASKED, (CHOSEN,), True), Completion("Where is it?", "On its way.")],
)
def test_a_known_answer_is_what_a_grader_is_told(renderer: Renderer, content: Content) -> None:
    prompt = renderer.prompt(Example(Origin("a.jsonl", 1), content))
    assert prompt is not None
    assert prompt.answer == "On its way."
    assert json.loads(prompt.reference) == {"answer": "On its way."}
    assert _rendered(renderer, content, "grpo")[0].ids_N.tolist() == prompt.ids_N.tolist()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (Preference("Hi", "No <|im_end|> here", "yes"), "special_token_in_text"),
        (Preference("Hi", "No", "<|im_start|>"), "special_token_in_text"),
        (Prompted("<|im_start|>"), "special_token_in_text"),
        (Completion("Hi", "No"), "wrong_kind"),
    ],
)
def test_what_cannot_be_trained_is_named(renderer: Renderer, content: Content, reason: str) -> None:
    kind: Any = "grpo" if isinstance(content, Prompted) else "dpo"
    (found,) = renderer.render([Example(Origin("a.jsonl", 1), content)], kind, 512)
    assert isinstance(found, Finding)
    assert found.reason == reason


@pytest.mark.parametrize("share", [True, False])
def test_the_answers_of_a_row_stay_in_one_micro_batch(share: bool) -> None:
    random = np.random.default_rng(0)
    examples = []
    for line in range(40):
        prompt_N = random.integers(0, 50, 20)
        for part in range(2):
            ids_N = np.append(prompt_N, random.integers(0, 50, random.integers(1, 30)))
            weights_N = np.ones(len(ids_N), dtype=np.float32)
            examples.append(Tokens(Origin("a", line), ids_N.astype(np.int32), weights_N, 1, part))
    runs = within_budget(examples, 150, share, whole=True)
    assert len(runs) > 5
    assert sorted(i for run in runs for i in run) == list(range(len(examples)))
    for run in runs:
        assert [i % 2 for i in run] == [0, 1] * (len(run) // 2)
        assert [i // 2 for i in run[::2]] == [i // 2 for i in run[1::2]]
    apart = within_budget(examples, 150, share)
    assert any(len(run) % 2 for run in apart)
