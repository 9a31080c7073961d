"""Losses and gradients of learning from grades are those of TRL, on the same batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from tests.support import assert_near, gradients_of, opened
from tunesmith.core.records import Grade, Origin, Prompt, Rollout
from tunesmith.engine.loop import on_device
from tunesmith.models.critic import ActorCritic
from tunesmith.models.methods import Tuned
from tunesmith.objectives.reinforcement import VARIANTS, ActorCriticLoss, PolicyLoss
from tunesmith.objectives.reinforcement.advantages import of_answers, of_tokens, without_signal
from tunesmith.recipe import RolloutsSection
from tunesmith.runs.reinforce.experience import Experience, Tried
from tunesmith.runs.reinforce.lay import Layer

ANSWERS, LONGEST = 3, 12
LOW, HIGH, KL = 0.2, 0.28, 0.05


@pytest.fixture(scope="module")
def tuned(tiny_base: Path) -> Tuned:
    return opened(tiny_base, "full")


def _tried(numbers: int = 2, seed: int = 0) -> list[Tried]:
    """Answers of 3 to 12 tokens to prompts of 20, with all that a loss may look back at."""
    draw, made = np.random.default_rng(seed), []
    for number in range(numbers):
        ids_N = draw.integers(3, 300, 20).astype(np.int32)
        prompt = Prompt(Origin("made.jsonl", number + 1), (), ids_N, "")
        for _ in range(ANSWERS):
            size = int(draw.integers(3, LONGEST + 1))
            said_N = draw.integers(3, 300, size).astype(np.int32)
            log_probs_N = (-5.8 + draw.normal(0, 0.4, size)).astype(np.float32)
            reference_N = (log_probs_N + draw.normal(0, 0.3, size)).astype(np.float32)
            made.append(
                Tried(
                    prompt,
                    Rollout(said_N, log_probs_N, True, ""),
                    Grade(float(draw.normal())),
                    advantage=float(draw.normal()),
                    reference_N=reference_N,
                    values_N=draw.normal(0, 0.1, size).astype(np.float32),
                )
            )
    return made


@dataclass
class Found:
    """A loss, divided, and its gradients."""

    loss: float
    gradients: dict[str, torch.Tensor]


def _ours(tuned: Tuned, tried: Sequence[Tried], name: str, budget: int = 10_000) -> Found:
    """As the loop does it: sums over micro-batches, one division."""
    asked = RolloutsSection(
        answers=ANSWERS, max_new_tokens=LONGEST, updates=2, kl_weight=KL, kl_in="loss"
    )
    batches = Layer(asked, name, share=True)(Experience(tuple(tried), ANSWERS, 0, 0, {}), budget)
    ratio = VARIANTS[name].ratio
    kl = 0.0 if ratio == "sequence" else KL  # TRL's RLOO has the KL in the reward
    objective = PolicyLoss(ratio, LOW, HIGH, kl, temperature=0.9)
    tuned.module.zero_grad()
    total, count = 0.0, 0.0
    for batch in batches:
        found = objective.loss(tuned.base.forward, on_device(batch, torch.device("cpu")))
        found.sum.backward()
        total, count = total + float(found.sum.detach()), count + found.count
    gradients = {name: grad / count for name, grad in gradients_of(tuned.module).items()}
    return Found(total / count, gradients)


def _inputs(tried: Sequence[Tried]) -> dict[str, torch.Tensor]:
    """The same answers as TRL's trainers are given them: in padded rows."""

    def padded(arrays: Sequence[np.ndarray], side: str = "right") -> torch.Tensor:
        rows = [torch.from_numpy(array) for array in arrays]
        return pad_sequence(rows, batch_first=True, padding_side=side)

    said = [each.rollout.ids_N.astype(np.int64) for each in tried]
    asked = [each.prompt.ids_N.astype(np.int64) for each in tried]
    mask = padded([np.ones(len(ids_N), dtype=np.int64) for ids_N in said])
    return {
        "prompt_ids": padded(asked, "left"),
        "prompt_mask": padded([np.ones(len(ids_N), dtype=np.int64) for ids_N in asked], "left"),
        "completion_ids": padded(said),
        "completion_mask": mask,
        "advantages": torch.tensor([each.advantage for each in tried]),
        "old_per_token_logps": padded([each.rollout.log_probs_N for each in tried]),
        "ref_per_token_logps": padded([each.reference_N for each in tried if True]),  # type: ignore[misc]
        "old_logps": torch.tensor([float(each.rollout.log_probs_N.sum()) for each in tried]),
        "num_items_in_batch": mask.sum(),
    }


@pytest.fixture(scope="module")
def trainers(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """TRL's own, on the same weights."""
    trl = pytest.importorskip("trl")
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_list([{"prompt": "Box 1 is red."}] * 6)
    common: dict[str, Any] = dict(  # noqa: C408
        output_dir=str(tmp_path_factory.mktemp("trl")),
        per_device_train_batch_size=6,
        num_generations=ANSWERS,
        max_completion_length=LONGEST,
        temperature=0.9,
        report_to="none",
        use_cpu=True,
        bf16=False,
        activation_checkpointing=False,
    )
    made = {}
    for name, kind in (("grpo", "GRPO"), ("rloo", "RLOO")):
        config = getattr(trl, f"{kind}Config")
        made[name] = getattr(trl, f"{kind}Trainer")(
            model=str(tiny_base),
            reward_funcs=lambda completions, **_: [0.0] * len(completions),
            args=config(**common),
            train_dataset=rows,
        )
    return made


def _theirs(trainer: Any, tried: Sequence[Tried], **settings: Any) -> Found:
    trainer.epsilon_low, trainer.epsilon_high = LOW, HIGH
    trainer.current_gradient_accumulation_steps = 1
    for name, value in settings.items():
        setattr(trainer, name, value)
    model = trainer.model.float().train()
    model.zero_grad()
    loss = trainer.compute_loss(model, _inputs(tried))
    loss.backward()
    return Found(float(loss.detach()), gradients_of(model))


@pytest.mark.parametrize("budget", [10_000, 40])
@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "dapo", "rloo"])
def test_losses_and_gradients_are_those_of_trl(
    tuned: Tuned, trainers: dict[str, Any], name: str, budget: int
) -> None:
    """With the clip and the KL at work, in one micro-batch and in several."""
    tried = _tried()
    ours = _ours(tuned, tried, name, budget)
    theirs = _theirs(trainers["rloo" if name == "rloo" else "grpo"], tried, loss_type=name, beta=KL)
    # TRL's RLOO subtracts sums of some 60 nats, which float32 holds to 4e-6.
    assert ours.loss == pytest.approx(theirs.loss, rel=3e-5 if name == "rloo" else 1e-5, abs=1e-6)
    assert_near(ours.gradients, theirs.gradients, 3e-5 if name == "rloo" else 1e-5)


def test_without_a_second_update_the_ratio_is_one(tuned: Tuned) -> None:
    """Its gradient is that of the log-probability, weighted by the advantage."""
    tried = _tried()
    asked = RolloutsSection(answers=ANSWERS, max_new_tokens=LONGEST)
    (batch,) = Layer(asked, "reinforce", share=True)(
        Experience(tuple(tried), ANSWERS, 0, 0, {}), 10_000
    )
    batch = on_device(batch, torch.device("cpu"))
    assert batch.sampled_S is None
    found = []
    for ratio in ("token", "unclipped"):
        tuned.module.zero_grad()
        PolicyLoss(ratio).loss(tuned.base.forward, batch).sum.backward()  # type: ignore[arg-type]
        found.append(gradients_of(tuned.module))
    tuned.module.zero_grad()
    logits_SV = tuned.base.forward.head(tuned.base.forward.hidden_at_sites(batch))
    log_probs_S = logits_SV.log_softmax(1).gather(1, batch.targets_S[:, None])[:, 0]
    (-log_probs_S @ (batch.weights_S * batch.advantages_S)).backward()
    for gradients in found:
        assert_near(gradients, gradients_of(tuned.module))


def test_what_teaches_nothing_is_counted_and_not_computed(tuned: Tuned) -> None:
    tried = _tried()
    still = [
        Tried(
            each.prompt, each.rollout, each.grade, advantage=0.0 if number % 2 else each.advantage
        )
        for number, each in enumerate(tried)
    ]
    asked = RolloutsSection(answers=ANSWERS, max_new_tokens=LONGEST)
    for name, whole in (("grpo", 6.0), ("dapo", float(sum(len(t.rollout.ids_N) for t in tried)))):
        (batch,) = Layer(asked, name, share=True)(Experience(tuple(still), 3, 0, 0, {}), 10_000)
        assert len(batch.origins) == 3
        assert batch.count == whole


def test_the_critic_learns_what_came(tuned: Tuned) -> None:
    """Both terms, with the clip of the values, against the formulas of the paper by hand."""
    model = ActorCritic(tuned.module, tuned.base.forward, 32)
    with torch.no_grad():
        model.critic.weight.normal_(generator=torch.Generator().manual_seed(1))
    tried = _tried()
    asked = RolloutsSection(answers=ANSWERS, max_new_tokens=LONGEST, updates=2)
    (batch,) = Layer(asked, "ppo", share=True)(Experience(tuple(tried), ANSWERS, 0, 0, {}), 10_000)
    batch = on_device(batch, torch.device("cpu"))
    policy = PolicyLoss("token", LOW, HIGH)
    found = ActorCriticLoss(policy, 0.5, 0.2).loss(model, batch)
    values_S = model.critic(model.hidden_at_sites(batch))[:, 0]
    near_S = batch.values_S + (values_S - batch.values_S).clamp(-0.2, 0.2)
    errors_S = torch.stack([(values_S - batch.returns_S) ** 2, (near_S - batch.returns_S) ** 2])
    wanted = policy.loss(tuned.base.forward, batch).sum + 0.25 * errors_S.amax(0).sum()
    torch.testing.assert_close(found.sum, wanted)
    assert found.count == len(batch.sites_S)


def test_advantages_leave_out_what_has_no_grade() -> None:
    grades_Pn = np.array([[1.0, 0.0, np.nan, 0.5], [1.0, np.nan, np.nan, np.nan], [2, 2, 2, 2]])
    first = grades_Pn[0, [0, 1, 3]]
    scaled = of_answers(grades_Pn, "scaled_group")
    np.testing.assert_allclose(
        scaled[0, [0, 1, 3]], (first - first.mean()) / (first.std(ddof=1) + 1e-4)
    )
    assert np.isnan(scaled[0, 2])
    assert np.isnan(scaled[1]).all()  # alone, an answer is held against nothing
    assert not scaled[2].any()
    np.testing.assert_allclose(of_answers(grades_Pn, "others")[0, 0], 1.0 - 0.25)
    np.testing.assert_allclose(of_answers(grades_Pn, "step")[1, 0], 1.0 - 10.5 / 8)
    assert without_signal(grades_Pn).tolist() == [False, True, True]


def test_advantages_of_tokens_are_those_of_the_paper() -> None:
    """With λ = 1 what came, less what was expected; with λ = 0 one step ahead."""
    rewards_N, values_N = np.array([0.0, -0.5, 2.0]), np.array([0.3, 0.1, 0.7])
    whole, returns = of_tokens(rewards_N, values_N, 0.9, 1.0)
    came_N = np.array([0.9 * (-0.5 + 0.9 * 2.0), -0.5 + 0.9 * 2.0, 2.0])
    np.testing.assert_allclose(whole, came_N - values_N)
    np.testing.assert_allclose(returns, came_N)
    ahead, _ = of_tokens(rewards_N, values_N, 0.9, 0.0)
    np.testing.assert_allclose(ahead, rewards_N + 0.9 * np.array([0.1, 0.7, 0.0]) - values_N)
