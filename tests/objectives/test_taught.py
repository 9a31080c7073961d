"""A teacher beside the grades, on the student's own answers: the value and every gradient."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import kl_div

from tests.bases import save_llama
from tests.conftest import make_tokenizer
from tests.support import assert_near, gradients_of, opened
from tunesmith.core.records import Grade, Origin, Prompt, Rollout, Tokens
from tunesmith.data.pack import pack
from tunesmith.engine.loop import on_device
from tunesmith.models.open import Base, describe, open_base
from tunesmith.models.rollouts import InProcessRollouts
from tunesmith.objectives import Distillation
from tunesmith.objectives.cross_entropy import CrossEntropy
from tunesmith.objectives.reinforcement import PolicyLoss, TaughtPolicy
from tunesmith.recipe import RolloutsSection
from tunesmith.runs.reinforce.experience import Experience, Tried
from tunesmith.runs.reinforce.lay import Layer

HEAT = 1.5
ASKED = RolloutsSection(answers=2, max_new_tokens=8)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """Wider than the tiny base, and sure of itself."""
    folder = tmp_path_factory.mktemp("teacher")
    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
    save_llama(folder, make_tokenizer(), seed=11, num_attention_heads=4, **sizes)
    base = open_base(describe(str(folder)), "float32", "cpu")
    base.model.requires_grad_(False)
    with torch.no_grad():
        base.model.get_output_embeddings().weight.mul_(20)
    return base


def _tried() -> list[Tried]:
    """Two answers to each of two prompts; the second pair was graded alike."""
    draw, made = np.random.default_rng(0), []
    for number, advantages in enumerate(((1.0, -1.0), (0.0, 0.0))):
        prompt = Prompt(Origin("p", number + 1), (), draw.integers(3, 300, 9).astype(np.int32), "")
        for advantage in advantages:
            said_N = draw.integers(3, 300, int(draw.integers(3, 9))).astype(np.int32)
            rollout = Rollout(said_N, np.zeros(len(said_N), dtype=np.float32), True, "")
            made.append(Tried(prompt, rollout, Grade(0.5), advantage))
    return made


@pytest.mark.parametrize("share", [1.0, 0.3])
@pytest.mark.parametrize("name", ["grpo", "dapo"])
def test_loss_and_every_gradient_are_those_of_full_logits(
    tiny_base: Path, teacher: Base, name: str, share: float
) -> None:
    tuned, tried = opened(tiny_base, "full"), _tried()
    total, count = torch.zeros(()), 0.0
    for each in tried:
        ids, size = torch.from_numpy(each.whole()).long()[None], len(each.rollout.ids_N)
        said = ids[0, -size:]
        logits = tuned.base.model(input_ids=ids).logits[0, -size - 1 : -1]
        wanted = teacher.model(input_ids=ids).logits[0, -size - 1 : -1]
        log_q, log_p = ((each / HEAT).log_softmax(-1) for each in (logits, wanted))
        kl = kl_div(log_p, log_q, reduction="none", log_target=True).sum(-1)
        chosen = logits.log_softmax(-1).gather(1, said[:, None])[:, 0]
        policy = -float(each.advantage or 0) * (chosen - chosen.detach()).exp()
        weight = 1 / size if name == "grpo" else 1.0
        total = total + weight * ((1 - share) * policy + share * HEAT**2 * kl).sum()
        count += weight * size
    (total / count).backward()
    expected = gradients_of(tuned.module)
    tuned.module.zero_grad()
    distillation = Distillation(teacher.forward, 1.0, HEAT, "reverse")
    objective = TaughtPolicy(PolicyLoss("token"), distillation, share)
    lay = Layer(ASKED, name, share=True, taught=True)
    found, counted = 0.0, 0.0
    for batch in lay(Experience(tuple(tried), 2, 0, 0, {}), 40):
        loss = objective.loss(tuned.base.forward, on_device(batch, torch.device("cpu")))
        (loss.sum / count).backward()
        found, counted = found + float(loss.sum.detach()), counted + loss.count
    assert counted == pytest.approx(count)
    assert found == pytest.approx(float(total.detach()), rel=1e-4)
    assert_near(gradients_of(tuned.module), expected, tolerance=1e-4)


def _answered(base: Base, prompts: Sequence[Prompt], seed: int) -> list[Tokens]:
    """Eight tokens behind each prompt, as `base` draws them."""
    found = []
    for prompt, (each,) in zip(
        prompts, InProcessRollouts(base, []).sample(prompts, 1, 8, seed=seed), strict=True
    ):
        ids_N = np.concatenate([prompt.ids_N, each.ids_N]).astype(np.int32)
        weights_N = np.zeros(len(ids_N), dtype=np.float32)
        weights_N[-8:] = 1
        found.append(Tokens(prompt.origin, ids_N, weights_N, 0))
    return found


def test_it_leads_nearer_to_the_teacher_than_its_texts_do_at_equal_tokens(
    tiny_base: Path, teacher: Base
) -> None:
    """Nearer where the student's own answers lead it: KL(student ‖ teacher) there, in nats."""
    draw, cpu = np.random.default_rng(1), torch.device("cpu")
    prompts = [
        Prompt(Origin("p", n), (), draw.integers(3, 300, 6).astype(np.int32), "") for n in range(12)
    ]
    reverse = Distillation(teacher.forward, 1.0, 1.0, "reverse")
    apart = {}
    for way in ("own answers", "texts"):
        tuned = opened(tiny_base, "full")
        optimizer = torch.optim.AdamW(tuned.module.parameters(), lr=1e-2)
        for step in range(20):
            own = way == "own answers"
            rows = _answered(tuned.base if own else teacher, prompts, step)
            objective = reverse if own else CrossEntropy()
            loss = objective.loss(tuned.base.forward, on_device(pack(rows), cpu))
            optimizer.zero_grad()
            (loss.sum / loss.count).backward()
            optimizer.step()
        last = on_device(pack(_answered(tuned.base, prompts, 1000)), cpu)
        found = reverse.loss(tuned.base.forward, last)
        apart[way] = found.extras["kl_to_teacher"] / found.count
    assert apart["own answers"] < 0.9 * apart["texts"], apart
