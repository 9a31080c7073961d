"""TRL's DPOTrainer with PEFT, on pairs of token ids made beforehand, in the order of the job.

`defaults` leaves everything that a user need not set at DPOConfig's own value: in TRL 1.16 that is
float32 weights under bfloat16 autocast, gradient checkpointing, padded batches, and the reference
computed beside each step. `tuned` loads the weights in the dtype of the job, keeps all activations,
accumulates over single pairs, so that next to nothing is padded, and computes the reference once,
before the steps (`precompute_ref_log_probs`). `padding_free` falls back to padding in this version.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import (
    LoraConfig,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer

from benchmarks.workers.protocol import Job, Report, read_job


class Clock(TrainerCallback):  # type: ignore[misc]  # transformers has no types for it
    """Notes the loss of each step when the step is logged, which is when it has ended."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Once a step; the summary at the end of training has no `loss`."""
        if "loss" not in logs:
            return
        if self._report.log_p is None:
            self._report.log_p = float(logs["logps/chosen"])
        self._report.step(float(logs["loss"]))


class Trainer(DPOTrainer):  # type: ignore[misc]
    """Takes pairs as they are, and keeps the time of the reference pass in `reference`."""

    reference = 0.0

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        """The token ids that all contenders have."""
        return dataset

    def _precompute_ref_logps(self, *args: Any, **kwargs: Any) -> Dataset:
        began = time.time()
        found = super()._precompute_ref_logps(*args, **kwargs)
        self.reference = time.time() - began
        return found


def config(job: Job) -> DPOConfig:
    """The job's effective batch, rate and order; else TRL's defaults, or what is fastest."""
    tuned = job.options["variant"] == "tuned"
    fastest = {
        "bf16": False,  # the weights are in the job's dtype
        "gradient_checkpointing": False,
        "precompute_ref_log_probs": True,
        "precompute_ref_batch_size": 1,
    }
    return DPOConfig(
        output_dir=str(Path(job.scratch) / "trl"),
        use_cpu=True,
        per_device_train_batch_size=1 if tuned else job.batch_size,
        gradient_accumulation_steps=job.batch_size if tuned else 1,
        max_steps=job.steps,
        learning_rate=job.learning_rate,
        lr_scheduler_type="constant",
        train_sampling_strategy="sequential",
        max_length=None,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **(fastest if tuned else {}),
    )


def pairs(job: Job) -> Dataset:
    """The columns that DPOTrainer makes of texts."""
    examples = json.loads(Path(job.tokens).read_text())
    return Dataset.from_list(
        [{f"{name}_ids": ids for name, ids in example.items()} for example in examples]
    )


def open_base(job: Job) -> Any:
    """The base in the dtype of the job, or in float32 for the defaults."""
    dtype = job.dtype if job.options["variant"] == "tuned" else "float32"
    return AutoModelForCausalLM.from_pretrained(job.base, dtype=dtype)


def drawn(job: Job, lora: LoraConfig) -> dict[str, torch.Tensor]:
    """The adapter as PEFT draws it from the job's seed: trainers set a seed of their own."""
    torch.manual_seed(job.adapter_seed)
    return get_peft_model_state_dict(get_peft_model(open_base(job), lora))


def work(job: Job) -> Report:
    """Train on the prepared pairs."""
    report = Report()
    lora = LoraConfig(
        r=job.rank, lora_alpha=job.alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    adapter = drawn(job, lora)
    trainer = Trainer(
        model=open_base(job),
        args=config(job),
        train_dataset=pairs(job),
        processing_class=AutoTokenizer.from_pretrained(job.base),
        peft_config=lora,
        callbacks=[Clock(report)],
    )
    set_peft_model_state_dict(trainer.model, adapter)
    report.reference = trainer.reference
    trainer.train()
    return report


if __name__ == "__main__":
    work(read_job()).print("trl", "peft", "transformers", "torch")
