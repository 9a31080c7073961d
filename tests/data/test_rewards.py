"""Judged answers as a reward model reads them: as they were said, up to their end token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.rewarding import asked, pairs, rendered, reward_model, reward_renderer
from tunesmith.core.records import Example, Finding, Origin, Preference, Tokens
from tunesmith.data.classes import Targets
from tunesmith.data.lay import Layer
from tunesmith.data.render import Renderer
from tunesmith.data.rewards import RewardRenderer
from tunesmith.engine.loop import on_device
from tunesmith.models.open import describe
from tunesmith.objectives.rewards import BradleyTerry

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def renderer(tiny_base: Path) -> RewardRenderer:
    return reward_renderer(describe(str(tiny_base)))


def _text(renderer: RewardRenderer, tokens: Tokens) -> str:
    text: str = renderer.encoder.tokenizer.decode(tokens.ids_N.tolist())
    return text


def test_an_answer_is_read_as_the_policy_writes_it(renderer: RewardRenderer) -> None:
    (row,) = pairs(1)
    chosen, rejected = rendered(renderer, [{**row, "margin": 2}])
    assert _text(renderer, chosen) == (
        f"<|turn|>user\n{asked(0)[0]['content']}<|end|>\n"
        f"<|turn|>assistant\n{row['chosen'][0]['content']}<|end|>"
    )
    assert (chosen.part, rejected.part) == (0, 1)
    assert (chosen.labels, rejected.labels) == (("2.0",), ("0.0",))
    learned = renderer.answers.render(
        [Example(Origin("a", 1), Preference("Where?", "Here.", "No."))], "dpo", 128
    )
    (policy,), (ours,) = learned, [rendered(renderer, [_plain()])]
    assert isinstance(policy, list)
    for theirs, mine in zip(policy, ours, strict=True):
        assert theirs.ids_N[: len(mine)].tolist() == mine.ids_N.tolist()


def _plain() -> dict[str, Any]:
    return {"prompt": "Where?", "chosen": "Here.", "rejected": "No."}


def test_where_the_end_token_pads_it_is_left_out(tiny_base: Path) -> None:
    """transformers' own classifier would take it for padding and read the token before."""
    tokenizer = describe(str(tiny_base)).tokenizer
    made = RewardRenderer(Renderer(tokenizer, tokenizer.chat_template), tokenizer.eos_token_id)
    for tokens in rendered(made, pairs(2)):
        assert tokens.ids_N[-1] != tokenizer.eos_token_id
        assert tokens.weights_N[-1] == 1


def test_answers_of_the_same_tokens_are_no_pair(tiny_base: Path) -> None:
    trimmed = describe(str(tiny_base)).tokenizer
    template = trimmed.chat_template.replace("m['content']", "m['content'] | trim")
    renderer = RewardRenderer(Renderer(trimmed, template), trimmed.pad_token_id)
    content = Preference("Where?", "Here.", "Here. ")
    (found,) = renderer.render([Example(Origin("a", 1), content)], "reward", 128)
    assert isinstance(found, Finding)
    assert found.reason in ("equal_answers", "not_written", "answer_changed"), found


def test_each_step_is_read_at_its_own_end(renderer: RewardRenderer) -> None:
    steps = ["Box 1 is here.", "Box 2 is red.\n"]
    row = {"prompt": "Where?", "completions": steps, "labels": [True, False]}
    (tokens,) = rendered(renderer, [row])
    assert tokens.labels == ("right", "wrong")
    ends = np.flatnonzero(tokens.weights_N)
    decode = renderer.encoder.tokenizer.decode
    assert decode(tokens.ids_N[: ends[0] + 1].tolist()).endswith("Box 1 is here.\n")
    assert decode(tokens.ids_N[ends[0] + 1 : ends[1] + 1].tolist()) == "Box 2 is red.\n"


def test_a_shared_prompt_changes_no_reward_and_no_gradient(
    tiny_base: Path, renderer: RewardRenderer
) -> None:
    _, model = reward_model(tiny_base, share=True)
    rows, layer = rendered(renderer, pairs(6)), Layer("last", Targets("preference", ()))
    objective, found = BradleyTerry(centre=0.01), []
    for share in (False, True):
        batch = on_device(layer(rows, share), CPU)
        loss = objective.loss(model, batch)
        loss.sum.backward()
        grown = [weight.grad.clone() for weight in model.parameters()]
        found.append((batch.tokens, loss, grown))
        model.zero_grad()
    (whole, apart, wanted), (fewer, together, got) = found
    assert fewer < 0.7 * whole
    assert float(together.sum.detach()) == pytest.approx(float(apart.sum.detach()), rel=1e-6)
    for left, right in zip(got, wanted, strict=True):
        torch.testing.assert_close(left, right, atol=1e-6, rtol=1e-4)


def test_half_a_pair_is_no_batch(renderer: RewardRenderer) -> None:
    parts_B = torch.tensor([0, 1, 0])
    with pytest.raises(ValueError, match="chosen answer before each rejected"):
        BradleyTerry().of_rewards(torch.zeros(3), torch.zeros(3), parts_B)


def test_a_margin_is_learned_until_rewards_are_that_far_apart() -> None:
    rewards_B, margins_B = torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0])
    parts_B = torch.tensor([0, 1])
    plain = BradleyTerry(margin=0.0).of_rewards(rewards_B, margins_B, parts_B)
    asked_for = BradleyTerry(margin=1.0).of_rewards(rewards_B, margins_B, parts_B)
    assert float(plain.sum) == pytest.approx(np.log1p(np.exp(-1)))
    assert float(asked_for.sum) == pytest.approx(np.log(2))
    centred = BradleyTerry(0.0, centre=0.5).of_rewards(rewards_B, margins_B, parts_B)
    assert float(centred.sum - plain.sum) == pytest.approx(0.5)
    assert plain.extras == {"accuracy": 1.0}
