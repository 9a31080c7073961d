"""TRL's GRPOTrainer with PEFT: its own sampling through transformers, and its own steps.

`defaults` leaves everything that a user need not set at GRPOConfig's own value: in TRL 1.16 that is
float32 weights under bfloat16 autocast and gradient checkpointing. `tuned` loads the weights in the
dtype of the job, keeps all activations, and learns MICRO answers at once. Both compute no second
forward for what the policy was when it sampled, and the base only where the job has a weight of the
KL.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from benchmarks.letters import share
from benchmarks.workers.protocol import Job, Report, read_job

MICRO = 4


class Clock(TrainerCallback):  # type: ignore[misc]  # transformers has no types for it
    """Notes the mean grade of each step when the step is logged, which is when it has ended."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Once a step; the summary at the end of training has no `reward`."""
        if "reward" in logs:
            self._report.step(float(logs["reward"]))


def letters(completions: list[list[dict[str, str]]], **rest: Any) -> list[float]:
    """The reward, as TRL calls it."""
    return [share(turns[-1]["content"]) for turns in completions]


def config(job: Job) -> GRPOConfig:
    """The job's groups, rate and order; else TRL's defaults, or what is fastest."""
    tuned, answers = job.options["variant"] == "tuned", job.batch_size * job.group
    at_once = MICRO if tuned else answers
    return GRPOConfig(
        output_dir=str(Path(job.scratch) / "trl"),
        use_cpu=True,
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=answers // at_once,
        num_generations=job.group,
        max_completion_length=job.new_tokens,
        beta=job.kl_weight,
        loss_type="grpo",
        max_steps=job.steps,
        learning_rate=job.learning_rate,
        lr_scheduler_type="constant",
        shuffle_dataset=False,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **({"bf16": False, "gradient_checkpointing": False} if tuned else {}),
    )


def work(job: Job) -> Report:
    """Learn from the grades of the answers to the job's prompts."""
    report = Report()
    dtype = job.dtype if job.options["variant"] == "tuned" else "float32"
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(job.base, dtype=dtype),
        reward_funcs=letters,
        args=config(job),
        train_dataset=load_dataset("json", data_files=job.rows, split="train"),
        processing_class=AutoTokenizer.from_pretrained(job.base),
        peft_config=LoraConfig(
            r=job.rank, lora_alpha=job.alpha, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
        callbacks=[Clock(report)],
    )
    trainer.train()
    return report


if __name__ == "__main__":
    work(read_job()).print("trl", "peft", "transformers", "torch")
