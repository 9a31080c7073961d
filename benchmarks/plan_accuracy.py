"""How near the plan comes to the run: `python -m benchmarks.plan_accuracy [--seconds 60]`.

Six jobs, each a process of its own: full tuning and LoRA, long rows and short ones, tiny models and
one of 135M weights. Of each the training time and peak memory that the plan predicts stand beside
what the run then took. Models are random and rows are made here. Run it on a quiet machine: a plan
cannot know what else will run beside the training it foresees.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import manual_seed
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TIME, MEMORY = 0.20, 0.10
"""How far a prediction may be off, as a share of what was measured."""

WORDS = (
    "box",
    "red",
    "blue",
    "green",
    "seven",
    "river",
    "stone",
    "paper",
    "where",
    "which",
    "door",
)
TEMPLATE = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}" + (
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SHAPES = {
    "tiny": {
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 2048,
    },
    "135M": {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "vocab_size": 49152,
    },
}


@dataclass(frozen=True)
class Job:
    """`words` a row on average; `pace` is roughly how many steps a second a core makes."""

    base: str
    method: str
    words: int
    batch: int
    pace: float
    also: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As it stands in the table."""
        extra = "".join(f", {value}" for value in self.also.values())
        return f"{self.base} {self.method}, rows of {self.words} words{extra}"


JOBS = (
    Job("tiny", "lora", 12, 16, 8.0),
    Job("tiny", "full", 300, 4, 3.0),
    Job("tiny", "full", 30, 16, 4.0, {"model.dtype": "float32"}),
    Job("135M", "lora", 60, 8, 0.25),
    Job("135M", "lora", 600, 2, 0.2),
    Job("135M", "full", 20, 8, 0.25),
)


def main() -> None:
    """Run all jobs and print the table; exits with 1 if a prediction is too far off."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="about how long each trains")
    parser.add_argument("--only", type=int, help="the number of one job, from 1")
    asked = parser.parse_args()
    jobs = JOBS if asked.only is None else JOBS[asked.only - 1 : asked.only]
    with tempfile.TemporaryDirectory(prefix="plan-accuracy-") as name:
        folder = Path(name)
        for base in {job.base for job in jobs}:
            make_base(folder / base, base)
        titles = ("planned", "took", "off", "planned", "peak", "off")
        print(f"{'job':<42} {'{:>9} {:>9} {:>6}  {:>9} {:>9} {:>6}'.format(*titles)}")
        missed = [job.name for job in jobs if not measure(job, folder, asked.seconds)]
    sys.exit(f"Too far off: {'; '.join(missed)}." if missed else 0)


def measure(job: Job, folder: Path, seconds: float) -> bool:
    """Run one job in its own process, print its line; whether both predictions are near."""
    plan = run(job, folder, steps=max(8, int(seconds * job.pace)))
    predicted, measured = plan["predicted"], plan["measured"]
    times = predicted["training_seconds"], measured["training_seconds"]
    peaks = predicted["peak_memory_bytes"], measured["peak_memory_bytes"]
    off_time, off_memory = (before / after - 1 for before, after in (times, peaks))
    print(
        f"{job.name:<42} {times[0]:>7.1f} s {times[1]:>7.1f} s {off_time:>+6.0%}  "
        f"{peaks[0] / 1e9:>6.2f} GB {peaks[1] / 1e9:>6.2f} GB {off_memory:>+6.0%}",
        flush=True,
    )
    return abs(off_time) <= TIME and abs(off_memory) <= MEMORY


def run(job: Job, folder: Path, steps: int) -> dict[str, Any]:
    """Train, and return what stands in plan.json."""
    number = len(list(folder.glob("*.jsonl")))
    rows, out = folder / f"rows-{number}.jsonl", folder / f"run-{number}"
    make_rows(rows, 60 + job.batch * min(steps, 40), job.words)
    settings = {
        "model.method": job.method,
        "engine.batch_size": job.batch,
        "engine.max_steps": steps,
        "engine.patience": 0,
        "evaluate.level": "none",
        **job.also,
    }
    command = [sys.executable, "-m", "tunesmith", "train", "--json", "--out", str(out)]
    command += ["--base", str(folder / job.base), "--data", str(rows)]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{job.name} failed:\n{done.stderr}")
    plan: dict[str, Any] = json.loads((out / "plan.json").read_text(encoding="utf-8"))
    return plan


def make_rows(path: Path, count: int, words: int) -> None:
    """Conversations of random words, from half to one and a half times the mean length."""
    draw = random.Random(words)
    with path.open("w", encoding="utf-8") as handle:
        for number in range(count):
            half = draw.randint(words // 4, 3 * words // 4)
            question, answer = (" ".join(draw.choices(WORDS, k=half)) for _ in range(2))
            turns = [
                {"role": "user", "content": f"{number} {question}"},
                {"role": "assistant", "content": answer},
            ]
            handle.write(json.dumps({"messages": turns}) + "\n")


def make_base(folder: Path, shape: str) -> None:
    """A random Llama of this shape, and a small tokenizer with a chat template."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|end|>", "<|user|>", "<|assistant|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([" ".join(WORDS)], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|end|>")
    tokenizer.chat_template = TEMPLATE
    tokenizer.model_max_length = 2048
    tokenizer.save_pretrained(folder)
    manual_seed(0)
    config = LlamaConfig(
        **SHAPES[shape],
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


if __name__ == "__main__":
    main()
