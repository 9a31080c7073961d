"""Promise 4: our reward models' losses, gradients and trajectory are those of TRL's RewardTrainer.

Same rows, order, model and optimiser settings, in float32; TRL renders and batches itself. With
and without computing the prompt of a pair once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback

from tests.conftest import TEMPLATE
from tests.rewarding import pairs, rendered, reward_model, reward_renderer
from tests.support import SETTINGS
from tunesmith.core.ports import Silent
from tunesmith.core.records import StepReport
from tunesmith.data.classes import Targets
from tunesmith.data.lay import Layer
from tunesmith.data.loader import PackedBatches
from tunesmith.data.mixing import Mix
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.engine.loop import Loop, on_device
from tunesmith.engine.stopping import StopRequest
from tunesmith.models.label_artefact import Naming, save_labelled
from tunesmith.objectives.rewards import BradleyTerry

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")

STEPS, BATCH, RATE, CENTRE = 20, 4, 3e-4, 0.01
# TRL also reads what a template writes behind the end token, which no server ever generates.
WITHOUT_TAIL = TEMPLATE.replace("'<|end|>\n'", "'<|end|>'")


@dataclass
class Trajectory:
    """Loss of each step, gradients of the first, weights after the last."""

    losses: list[float] = field(default_factory=list)
    gradients: dict[str, torch.Tensor] = field(default_factory=dict)
    weights: dict[str, torch.Tensor] = field(default_factory=dict)


def _rows() -> list[dict[str, Any]]:
    """Pairs of uneven length with a margin, in the order both train them."""
    return [{**row, "margin": n % 3 / 2} for n, row in enumerate(pairs(STEPS * BATCH))]


def _ours(base: Path, folder: Path, share: bool) -> tuple[Trajectory, int]:
    """The trajectory, and how many tokens were computed."""
    described, model = reward_model(base, share=share)
    assert model.shares == share
    rows = rendered(reward_renderer(described, WITHOUT_TAIL), _rows())
    batches = PackedBatches(
        rows,
        batch_size=BATCH,
        tokens_per_micro_batch=200,  # two micro-batches a step
        seed=0,
        shuffle=False,
        share=share,
        whole=True,
        mix=Mix(np.zeros(len(rows), np.int64), (1.0,), row_N=np.arange(len(rows)) // 2),
        lay=Layer("last", Targets("preference", ())),
    )
    kept, objective = Trajectory(), BradleyTerry(centre=CENTRE)
    micro = [on_device(batch, torch.device("cpu")) for batch in batches.step(0, 0)]
    losses = [objective.loss(model, batch) for batch in micro]
    (sum(each.sum for each in losses) / sum(each.count for each in losses)).backward()
    kept.gradients = _grown(model, lambda weight: weight.grad)
    model.zero_grad()

    class Losses(Silent):
        tokens = 0

        def step(self, report: StepReport) -> None:
            kept.losses.append(report.loss)
            self.tokens += report.tokens

    settings = replace(
        SETTINGS, total_steps=STEPS, learning_rate=RATE, schedule="constant", warmup=0.0,
        weight_decay=0.0, clip=1e9,
    )  # fmt: skip
    told = Losses()
    Loop(
        model, model, objective, batches, settings,
        validate=None, checkpoints=Checkpoints(folder, 1), watcher=told,
    ).run(StopRequest())  # fmt: skip
    kept.weights = _grown(model, lambda weight: weight.detach())
    return kept, told.tokens


def _grown(model: torch.nn.Module, of: Any) -> dict[str, torch.Tensor]:
    """By the names that transformers' own classifier has for the weights."""
    names = {"body.": "model.", "classifier.": "score."}
    return {
        names[f"{first}."] + rest: of(weight).clone()
        for name, weight in model.named_parameters()
        for first, _, rest in [name.partition(".")]
    }


def _theirs(module: Any, base: Path, folder: Path) -> Trajectory:
    kept = Trajectory()

    class Recording(trl.RewardTrainer):
        def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            result = super().compute_loss(*args, **kwargs)
            kept.losses.append(float((result[0] if isinstance(result, tuple) else result).detach()))
            return result

    class FirstGradients(TrainerCallback):
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kw: Any) -> None:
            if state.global_step == 0:
                named = kw["model"].named_parameters()
                kept.gradients = {name: weight.grad.clone() for name, weight in named}

    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.chat_template = WITHOUT_TAIL
    arguments = trl.RewardConfig(
        output_dir=str(folder), max_steps=STEPS, per_device_train_batch_size=BATCH,
        learning_rate=RATE, lr_scheduler_type="constant", warmup_steps=0, weight_decay=0.0,
        adam_beta1=0.9, adam_beta2=0.95, adam_epsilon=1e-8, max_grad_norm=1e9,
        bf16=False, fp16=False, use_cpu=True, gradient_checkpointing=False,
        report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True,
        max_length=None, seed=0, center_rewards_coefficient=CENTRE,
    )  # fmt: skip
    Recording(
        model=module, args=arguments, train_dataset=datasets.Dataset.from_list(_rows()),
        processing_class=tokenizer, callbacks=[FirstGradients()],
    ).train()  # fmt: skip
    kept.weights = {name: weight.detach().clone() for name, weight in module.named_parameters()}
    return kept


@pytest.mark.filterwarnings("ignore")
def test_reward_models_are_trl_with_and_without_sharing(tiny_base: Path, tmp_path: Path) -> None:
    """To 1e-5 relative: each loss, each first gradient; the weights after 20 steps to 1e-4."""
    described, model = reward_model(tiny_base, share=False)
    saved = tmp_path / "begun"
    save_labelled(model, None, described, Naming("preference", (), "last"), saved)
    module = AutoModelForSequenceClassification.from_pretrained(
        saved, attn_implementation="eager", dtype=torch.float32
    )
    theirs = _theirs(module, tiny_base, tmp_path / "trl")
    computed = {}
    for share in (False, True):
        ours, computed[share] = _ours(tiny_base, tmp_path / str(share), share)
        assert ours.losses == pytest.approx(theirs.losses, rel=1e-5)
        assert ours.losses[-1] < ours.losses[0]
        for kind, limit in (("gradients", 1e-5), ("weights", 1e-4)):
            left, right = getattr(ours, kind), getattr(theirs, kind)
            assert left.keys() == right.keys()
            for name, value in left.items():
                error = (value - right[name]).norm() / right[name].norm().clamp(min=1e-6)
                assert error < limit, f"{kind} of {name} differ by {error:.1e}"
    assert computed[True] < 0.8 * computed[False], "the prompt of a pair is computed once"
