"""Promise 4: our SFT losses, gradients and trajectory are those of TRL's SFTTrainer.

Same rows, order, model and optimiser settings, in float32; TRL renders, masks and batches itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

from tests.conftest import TEMPLATE, colour_rows
from tests.support import SETTINGS, model_section
from tunesmith.core.ports import Silent
from tunesmith.core.records import StepReport
from tunesmith.data import PackedBatches, Renderer
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.engine.loop import Loop, on_device
from tunesmith.engine.stopping import StopRequest
from tunesmith.models.methods import Tuned, attach
from tunesmith.models.open import describe, open_base
from tunesmith.objectives import OBJECTIVES
from tunesmith.runs.setup import read_examples, render_all

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")

STEPS, BATCH, RATE = 6, 4, 3e-3
# TRL also trains what a template writes behind the end token, which no server ever generates. This
# one writes nothing there, so that both train the same tokens.
WITHOUT_TAIL = TEMPLATE.replace("'<|end|>\n'", "'<|end|>'")


@dataclass
class Trajectory:
    """Loss of each step, gradients of the first, weights after the last."""

    losses: list[float] = field(default_factory=list)
    gradients: dict[str, torch.Tensor] = field(default_factory=dict)
    weights: dict[str, torch.Tensor] = field(default_factory=dict)


def _trained(module: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    return {name: w for name, w in module.named_parameters() if w.requires_grad}


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    """Rows of uneven length, in the order both train them."""
    return colour_rows(STEPS * BATCH)


def _ours(base: Path, rows: list[dict[str, Any]], method: str, folder: Path) -> tuple[Tuned, Any]:
    """The model prepared by us, and its batches, ready to train."""
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    opened = open_base(describe(str(base)), "float32", "cpu")
    tuned = attach(opened, model_section(method=method), 0)
    renderer = Renderer(opened.described.tokenizer, WITHOUT_TAIL)
    tokens = render_all(renderer, read_examples([str(file)]), "sft", 128)
    batches = PackedBatches(
        tokens, batch_size=BATCH, tokens_per_micro_batch=10_000, seed=0, shuffle=False
    )
    return tuned, batches


def _run_ours(tuned: Tuned, batches: PackedBatches, folder: Path) -> Trajectory:
    kept = Trajectory()
    objective = OBJECTIVES["sft"]()
    (batch,) = batches.step(0, 0)
    loss = objective.loss(tuned.base.forward, on_device(batch, torch.device("cpu")))
    (loss.sum / loss.count).backward()
    kept.gradients = {n: w.grad.clone() for n, w in _trained(tuned.module).items()}
    tuned.module.zero_grad()

    class Losses(Silent):
        def step(self, report: StepReport) -> None:
            kept.losses.append(report.loss)

    settings = replace(
        SETTINGS, total_steps=STEPS, learning_rate=RATE, schedule="constant", warmup=0.0,
        weight_decay=0.0, clip=1e9,
    )  # fmt: skip
    Loop(
        tuned.module, tuned.base.forward, objective, batches, settings,
        validate=None, checkpoints=Checkpoints(folder, 1), watcher=Losses(),
    ).run(StopRequest())  # fmt: skip
    kept.weights = {n: w.detach().clone() for n, w in _trained(tuned.module).items()}
    return kept


def _run_trl(module: Any, base: Path, rows: list[dict[str, Any]], folder: Path) -> Trajectory:
    kept = Trajectory()

    class Recording(trl.SFTTrainer):
        def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            result = super().compute_loss(*args, **kwargs)
            kept.losses.append(float((result[0] if isinstance(result, tuple) else result).detach()))
            return result

    class FirstGradients(TrainerCallback):
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kw: Any) -> None:
            if state.global_step == 0:
                named = _trained(kw["model"])
                kept.gradients = {name: weight.grad.clone() for name, weight in named.items()}

    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.chat_template = WITHOUT_TAIL
    split = [{"prompt": r["messages"][:1], "completion": r["messages"][1:]} for r in rows]
    arguments = trl.SFTConfig(
        output_dir=str(folder), max_steps=STEPS, per_device_train_batch_size=BATCH,
        learning_rate=RATE, lr_scheduler_type="constant", warmup_steps=0, weight_decay=0.0,
        adam_beta1=0.9, adam_beta2=0.95, adam_epsilon=1e-8, max_grad_norm=1e9,
        bf16=False, fp16=False, use_cpu=True, gradient_checkpointing=False,
        report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True,
        completion_only_loss=True, packing=False, max_length=None, seed=0,
    )  # fmt: skip
    Recording(
        model=module, args=arguments, train_dataset=datasets.Dataset.from_list(split),
        processing_class=tokenizer, callbacks=[FirstGradients()],
    ).train()  # fmt: skip
    kept.weights = {n: w.detach().clone() for n, w in _trained(module).items()}
    return kept


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", ["full", "lora"])
def test_sft_is_trl(
    tiny_base: Path, rows: list[dict[str, Any]], tmp_path: Path, method: str
) -> None:
    """To 1e-5 relative: each loss, each first gradient; the weights after six steps to 1e-4."""
    tuned, batches = _ours(tiny_base, rows, method, tmp_path)
    theirs_module = AutoModelForCausalLM.from_pretrained(tiny_base, attn_implementation="eager")
    if method == "lora":
        from peft import get_peft_model

        theirs_module = get_peft_model(theirs_module, tuned.module.peft_config["default"])
        theirs_module.load_state_dict(tuned.module.state_dict())
    ours = _run_ours(tuned, batches, tmp_path / "ours")
    theirs = _run_trl(theirs_module, tiny_base, rows, tmp_path / "trl")
    assert ours.losses == pytest.approx(theirs.losses, rel=1e-5)
    assert ours.losses[-1] < ours.losses[0]
    for kind, limit in (("gradients", 1e-5), ("weights", 1e-4)):
        left, right = getattr(ours, kind), getattr(theirs, kind)
        assert left.keys() == right.keys()
        for name, value in left.items():
            error = (value - right[name]).norm() / right[name].norm().clamp(min=1e-6)
            assert error < limit, f"{kind} of {name} differ by {error:.1e}"
