"""Promise 4: our preference losses, gradients and trajectories are those of TRL's trainers.

TRL tokenises, masks and batches rows itself; ours are the same tokens, in float32, with the prompt
of a pair laid down once or with each answer, in micro-batches of at most a few answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.conftest import COLOURS
from tests.support import SETTINGS, Recorder, assert_near, gradients_of, opened, weights_of
from tunesmith.core.batch import Batch
from tunesmith.core.records import Origin, StepReport, Tokens
from tunesmith.data.loader import PackedBatches
from tunesmith.data.mixing import Mix
from tunesmith.data.pack import pack
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.engine.loop import Loop, on_device
from tunesmith.engine.stopping import StopRequest
from tunesmith.models.forward import PackedForward
from tunesmith.objectives.cross_entropy import nll_of_batch
from tunesmith.objectives.preferences import PREFERENCES

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")
pytestmark = pytest.mark.filterwarnings("ignore")

STEPS, BATCH, RATE, SMOOTHING = 20, 4, 1e-3, 0.2
CPU = torch.device("cpu")
SETTINGS_OF: dict[str, dict[str, Any]] = {
    "dpo": {"beta": 0.3},
    "orpo": {"beta": 0.2},
    "simpo": {"beta": 2.0, "margin": 0.5},
    "cpo": {"beta": 0.2, "smoothing": 0.1},
    "kto": {"beta": 0.3, "disliked": 1.5},
}


def _pairs(count: int) -> list[dict[str, Any]]:
    """Questions that are longer than what is worth sharing; answers of uneven length."""
    rows = []
    for n in range(count):
        colour, other = COLOURS[n * 5 % len(COLOURS)], COLOURS[(n * 5 + 3) % len(COLOURS)]
        prompt = f"Box {n} is {colour}, thank you. Which colour is box {n}?"
        rows.append(
            {"prompt": prompt, "chosen": " " + colour + "." * (n % 3), "rejected": f" {other} box."}
        )
    return rows


def _rated(count: int) -> list[dict[str, Any]]:
    """One answer a question; of each four in a row, liked ones and others."""
    return [
        {
            "prompt": row["prompt"],
            "completion": row["chosen" if n % 3 else "rejected"],
            "label": bool(n % 3),
        }
        for n, row in enumerate(_pairs(count))
    ]


def _trainer(kind: str, base: Path, folder: Path) -> Any:
    """TRL's trainer of this kind, with plain AdamW in the order of the rows."""
    from trl.experimental.cpo import CPOConfig, CPOTrainer
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    ours = SETTINGS_OF[kind]
    trainer, config, more = {
        "dpo": (trl.DPOTrainer, trl.DPOConfig, {"label_smoothing": SMOOTHING}),
        "kto": (trl.KTOTrainer, trl.KTOConfig, {"undesirable_weight": ours.get("disliked")}),
        "orpo": (_answers_alone(ORPOTrainer), ORPOConfig, {}),
        "cpo": (CPOTrainer, CPOConfig, {"label_smoothing": ours.get("smoothing")}),
        "simpo": (
            CPOTrainer,
            CPOConfig,
            {"loss_type": "simpo", "simpo_gamma": ours.get("margin"), "cpo_alpha": 0.0},
        ),
    }[kind]

    class Recording(trainer):  # type: ignore[misc, valid-type]  # whichever it is
        def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().compute_loss(*args, **kwargs)
            self.losses = [*getattr(self, "losses", []), float(loss.detach())]
            return loss

    arguments = config(
        output_dir=str(folder), max_steps=STEPS, per_device_train_batch_size=BATCH,
        learning_rate=RATE, lr_scheduler_type="constant", warmup_steps=0, weight_decay=0.0,
        adam_beta1=0.9, adam_beta2=0.95, adam_epsilon=1e-8, max_grad_norm=1e9,
        bf16=False, fp16=False, use_cpu=True, gradient_checkpointing=False,
        report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True,
        seed=0, beta=ours["beta"], max_length=128, **more,
    )  # fmt: skip
    rows = (_rated if kind == "kto" else _pairs)(STEPS * BATCH)
    return Recording(
        model=AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager"),
        args=arguments,
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(base),
    )


def _answers_alone(trainer: Any) -> Any:
    """TRL's ORPO learns the prompt, too, by cross entropy; here it learns the answer alone."""

    class AnswersAlone(trainer):  # type: ignore[misc]
        def concatenated_forward(self, model: Any, batch: Any) -> Any:
            *found, _ = super().concatenated_forward(model, batch)
            labels, logits = batch["chosen_labels"][:, 1:], found[2]
            nll = torch.nn.functional.cross_entropy(
                logits[:, : labels.shape[1]].flatten(0, 1), labels.flatten()
            )
            return *found, nll

    return AnswersAlone


def _tokens(row: int, prompt: list[int], answer: list[int], part: int) -> Tokens:
    ids = np.array([*prompt, *answer], dtype=np.int32)
    weights = np.repeat(np.float32([0, 1]), [len(prompt), len(answer)])
    return Tokens(Origin("rows.jsonl", row + 1), ids, weights, len(answer), part)


def _laid_out(dataset: Any) -> list[list[Tokens]]:
    """The sequences of each row, from the token ids that TRL made of it."""
    found = []
    for n, row in enumerate(dataset):
        if "label" in row:
            sides = [(row["completion_ids"], int(not row["label"])), (row["KL_completion_ids"], 2)]
            found.append([_tokens(n, row["prompt_ids"], *side) for side in sides])
        elif "prompt_ids" in row:
            sides = [(row["chosen_ids"], 0), (row["rejected_ids"], 1)]
            found.append([_tokens(n, row["prompt_ids"], *side) for side in sides])
        else:
            prompt = row["prompt_input_ids"]
            sides = [(row["chosen_input_ids"], 0), (row["rejected_input_ids"], 1)]
            found.append([_tokens(n, prompt, ids[len(prompt) :], part) for ids, part in sides])
    return found


def _layer(reference: PackedForward) -> Callable[[Sequence[Tokens], bool], Batch]:
    """Sequences as a batch, with their parts and the reference's log-probabilities."""

    def lay(examples: Sequence[Tokens], share: bool) -> Batch:
        batch = pack(examples, share)
        log_p_S = -nll_of_batch(reference, on_device(batch, CPU))
        parts_B = np.array([example.part for example in examples])
        return replace(batch, parts_B=parts_B, reference_S=log_p_S.numpy())

    return lay


class _Ours:
    """Our loop on the tokens of a trainer of TRL, from the weights that it starts with."""

    def __init__(self, kind: str, trainer: Any, base: Path, folder: Path, share: bool) -> None:
        self.objective = PREFERENCES[kind](**SETTINGS_OF[kind])
        self.tuned = opened(base)
        rows = _laid_out(trainer.train_dataset)
        self.batches = PackedBatches(
            [tokens for row in rows for tokens in row],
            batch_size=BATCH,
            tokens_per_micro_batch=120,
            seed=0,
            shuffle=False,
            share=share,
            whole=True,
            mix=Mix(np.zeros(2 * len(rows)), (1.0,), row_N=np.repeat(np.arange(len(rows)), 2)),
            lay=_layer(opened(base).base.forward),
        )
        self._folder = folder

    def first(self, objective: Any) -> tuple[float, dict[str, torch.Tensor]]:
        """Loss and gradients of the first step."""
        batches = [on_device(batch, CPU) for batch in self.batches.step(0, 0)]
        assert len(batches) > 1
        each = objective.of_step(self.tuned.base.forward, iter(batches))
        losses = [
            one.loss(self.tuned.base.forward, batch)
            for one, batch in zip(each, batches, strict=True)
        ]
        total, count = sum(loss.sum for loss in losses), sum(loss.count for loss in losses)
        assert count == BATCH
        (total / count).backward()
        gradients = gradients_of(self.tuned.module)
        self.tuned.module.zero_grad()
        return float(total.detach()) / count, gradients

    def train(self) -> list[StepReport]:
        """All steps."""
        watcher = Recorder()
        settings = replace(
            SETTINGS, total_steps=STEPS, learning_rate=RATE, schedule="constant", warmup=0.0,
            weight_decay=0.0, clip=1e9,
        )  # fmt: skip
        self._folder.mkdir()
        Loop(
            self.tuned.module, self.tuned.base.forward, self.objective, self.batches, settings,
            validate=None, checkpoints=Checkpoints(self._folder, 1), watcher=watcher,
        ).run(StopRequest())  # fmt: skip
        return watcher.reports


def _first_of(trainer: Any) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of the first step, by TRL."""
    (batch, *_) = trainer.get_train_dataloader()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    gradients = gradients_of(trainer.model)
    trainer.model.zero_grad()
    return float(loss.detach()), gradients


def _moved(module: torch.nn.Module) -> None:
    """Away from the reference, so that every term of a loss has something to say."""
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.02)


@pytest.mark.parametrize("kind", SETTINGS_OF)
def test_losses_gradients_and_trajectories_are_trls(
    kind: str, tiny_base: Path, tmp_path: Path
) -> None:
    """To 1e-5 relative: each of 20 losses, each first gradient; the last weights to 1e-4."""
    trainer = _trainer(kind, tiny_base, tmp_path / "trl")
    ours = {
        share: _Ours(kind, trainer, tiny_base, tmp_path / str(share), share)
        for share in (True, False)
    }
    for module in (trainer.model, *(each.tuned.module for each in ours.values())):
        _moved(module)
    value, gradients = _first_of(trainer)
    trainer.losses = []
    trainer.train()
    tokens = {}
    for share, each in ours.items():
        found = each.first(each.objective)
        assert found[0] == pytest.approx(value, rel=1e-5)
        assert_near(found[1], gradients)
        reports = each.train()
        losses, tokens[share] = [r.loss for r in reports], sum(r.tokens for r in reports)
        assert losses == pytest.approx(trainer.losses, rel=1e-5)
        assert losses[0] != pytest.approx(losses[-1], rel=0.05)
        assert_near(weights_of(each.tuned.module), weights_of(trainer.model), 1e-4)
    assert tokens[True] < 0.7 * tokens[False]  # two answers behind one question


def test_variants_of_dpo_are_trls(tiny_base: Path, tmp_path: Path) -> None:
    """Loss and gradients of a step; TRL smooths the robust variant alone."""
    trainer = _trainer("dpo", tiny_base, tmp_path / "trl")
    ours = _Ours("dpo", trainer, tiny_base, tmp_path / "ours", share=True)
    _moved(trainer.model)
    _moved(ours.tuned.module)
    for variant, theirs in {"normalized": "sigmoid_norm"}.items() | {
        (name, name) for name in ("hinge", "ipo", "robust")
    }:
        trainer.loss_types = [theirs]
        value, gradients = _first_of(trainer)
        smoothing = SMOOTHING if variant == "robust" else 0.0
        objective = PREFERENCES["dpo"](beta=0.3, variant=variant, smoothing=smoothing)
        found = ours.first(objective)
        assert found[0] == pytest.approx(value, rel=1e-5), variant
        assert_near(found[1], gradients)
