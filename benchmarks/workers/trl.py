"""TRL's SFTTrainer with PEFT, on tokens made beforehand, in the order of the job.

`defaults` leaves everything that a user need not set at SFTConfig's own value: in TRL 1.16 that is
float32 weights under bfloat16 autocast, gradient checkpointing, padded batches. `bfloat16` loads
the weights in bfloat16, keeps all activations and accumulates over single examples: its fastest
setting on a CPU, faster than padded batches and than `padding_free` with a dense mask.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

from benchmarks.workers.protocol import Job, Report, read_job


class Clock(TrainerCallback):  # type: ignore[misc]  # transformers has no types for it
    """Notes the loss of each step when the step is logged, which is when it has ended."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Once a step; the summary at the end of training has no `loss`."""
        if "loss" in logs:
            self._report.step(float(logs["loss"]))


def config(job: Job) -> SFTConfig:
    """The job's effective batch, rate and order; else TRL's defaults, or what is fastest."""
    tuned = job.options["variant"] == "bfloat16"
    return SFTConfig(
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
        **({"gradient_checkpointing": False} if tuned else {}),
    )


def train_top(model: Any, job: Job) -> None:
    """Freeze all but the top layers and the final norm, or all but an untied head."""
    model.requires_grad_(False)
    if job.method == "head":
        model.config.tie_word_embeddings = False
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
        return
    for module in (*model.model.layers[-job.layers :], model.model.norm):
        module.requires_grad_(True)


def work(job: Job) -> Report:
    """Train on the prepared labels."""
    report = Report()
    dtype = "bfloat16" if job.options["variant"] == "bfloat16" else "float32"
    model = AutoModelForCausalLM.from_pretrained(job.base, dtype=dtype)
    if job.method in ("last_layers", "head"):
        train_top(model, job)
    lora = LoraConfig(
        r=job.rank, lora_alpha=job.alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    trainer = SFTTrainer(
        model=model,
        args=config(job),
        train_dataset=Dataset.from_list(json.loads(Path(job.tokens).read_text())),
        processing_class=AutoTokenizer.from_pretrained(job.base),
        peft_config=lora if job.method == "lora" else None,
        callbacks=[Clock(report)],
    )
    trainer.train()
    return report


if __name__ == "__main__":
    work(read_job()).print("trl", "peft", "transformers", "torch")
