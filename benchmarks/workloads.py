"""What is measured: one small table. A workload is a model, rows of certain lengths, a method."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Method = Literal["lora", "full", "last_layers", "head"]
Objective = Literal["sft", "dpo", "grpo"]

UNITS: dict[Objective, str] = {"sft": "tokens", "dpo": "pairs", "grpo": "steps"}
"""What speed is counted in."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A Llama with tied embeddings and random weights."""

    hidden: int = 576
    layers: int = 30
    heads: int = 9
    kv_heads: int = 3
    mlp: int = 1536
    vocabulary: int = 49152

    @property
    def layer(self) -> int:
        """Matrix parameters of one decoder layer."""
        kv = self.hidden // self.heads * self.kv_heads
        return self.hidden * (2 * self.hidden + 2 * kv + 3 * self.mlp)

    @property
    def head(self) -> int:
        """Parameters of the vocabulary head."""
        return self.hidden * self.vocabulary

    def __str__(self) -> str:
        total = self.layers * self.layer + self.head
        return (
            f"a Llama of {total / 1e6:.0f} M parameters (hidden {self.hidden}, {self.layers} "
            f"layers, {self.heads} heads, {self.kv_heads} key-value heads, MLP {self.mlp}, "
            f"vocabulary {self.vocabulary}, tied embeddings, random weights)"
        )


@dataclass(frozen=True, slots=True)
class Workload:
    """One comparison. Lengths are in tokens, the prefix comes on top of them.

    `lengths` are drawn evenly between the two; about half of each row is its answer. `steps` are
    optimiser steps, of which the first is warm-up. With `later_epochs` ours runs three epochs and
    is measured from the second on, when what is frozen has been computed; others have nothing
    that changes after the first step.

    A row of `dpo` is a pair: `lengths` are of its prompt, `answers` of both of its answers. A row
    of `grpo` is a prompt of such a length, to which `group` answers are sampled, of at most
    `answers` tokens; with a `kl_weight` they are held near the base.
    """

    name: str
    title: str
    contenders: tuple[str, ...]
    method: Method = "lora"
    shape: Shape = Shape()
    rows: int = 64
    lengths: tuple[int, int] = (80, 200)
    prefix: int = 0
    batch_size: int = 8
    steps: int = 6
    learning_rate: float = 2e-4
    rank: int = 16
    alpha: int = 32
    layers: int = 2
    later_epochs: bool = False
    seed: int = 0
    objective: Objective = "sft"
    dtype: str = "bfloat16"
    answers: tuple[int, int] = (0, 0)
    group: int = 8
    kl_weight: float = 0.0

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one pass over the rows."""
        return -(-self.rows // self.batch_size)

    @property
    def unit(self) -> str:
        """What speed is counted in."""
        return UNITS[self.objective]

    def quick(self) -> Workload:
        """The same in two steps: proves that it runs and that the losses agree, no more."""
        return replace(self, rows=min(self.rows, 2 * self.batch_size), steps=2)


FINE_TUNERS = ("trl", "trl-bf16", "litgpt", "torchtune")
PEERS = (
    *FINE_TUNERS,
    *("trl-dpo", "trl-dpo-tuned", "trl-grpo", "trl-grpo-tuned"),
)

STANDARD = Workload(
    name="standard",
    title="LoRA of rank 16 on all linear layers, rows of 80 to 200 tokens",
    contenders=("ours", "ours-small", *FINE_TUNERS),
)

DPO = replace(
    STANDARD,
    name="dpo",
    title="DPO with LoRA of rank 16: prompts of 400 to 700 tokens, answers of 50 to 70, bfloat16",
    contenders=("ours", "trl-dpo", "trl-dpo-tuned"),
    objective="dpo",
    lengths=(400, 700),
    answers=(50, 70),
    rows=12,
    batch_size=4,
    steps=3,
)

GRPO = replace(
    STANDARD,
    name="grpo",
    title="GRPO with LoRA of rank 16: prompts of 100 to 200 tokens, 8 answers of 64, bfloat16",
    contenders=("ours", "trl-grpo", "trl-grpo-tuned"),
    objective="grpo",
    lengths=(100, 200),
    answers=(64, 64),
    rows=6,
    batch_size=2,
    steps=3,
)

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        STANDARD,
        replace(
            STANDARD,
            name="prefix",
            title="The same with a system prompt of 400 tokens that all rows share",
            contenders=("ours", *FINE_TUNERS),
            prefix=400,
            steps=4,
        ),
        replace(
            STANDARD,
            name="full",
            title="Full tuning, rows of 80 to 200 tokens",
            contenders=("ours", "ours-memory", *FINE_TUNERS),
            method="full",
            learning_rate=2e-5,
            steps=5,
        ),
        replace(
            STANDARD,
            name="top2",
            title="The top two layers, from the second epoch on",
            contenders=("ours", *FINE_TUNERS),
            method="last_layers",
            learning_rate=1e-4,
            steps=5,
            later_epochs=True,
        ),
        replace(
            STANDARD,
            name="head",
            title="The head alone, from the second epoch on",
            contenders=("ours", *FINE_TUNERS),
            method="head",
            learning_rate=1e-4,
            steps=5,
            later_epochs=True,
        ),
        DPO,
        replace(
            DPO,
            name="dpo-float32",
            title="The same in float32",
            contenders=("ours", "trl-dpo-tuned"),
            dtype="float32",
        ),
        GRPO,
        replace(
            GRPO,
            name="grpo-kl",
            title="The same with a KL to the base (weight 0.04)",
            contenders=("ours", "trl-grpo-tuned"),
            kl_weight=0.04,
        ),
        replace(
            GRPO,
            name="grpo-float32",
            title="The same in float32, without the KL",
            contenders=("ours", "trl-grpo-tuned"),
            dtype="float32",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Sweep:
    """How cost grows along one axis: workloads that differ in one number.

    `peer_values` are those at which the peer is measured too, which takes it long. With
    `whole_run` the cost is that of the whole run, set-up included; else of an optimiser step.
    """

    axis: str
    unit: str
    values: tuple[int, ...]
    peer_values: tuple[int, ...]
    whole_run: bool = False

    def workload(self, value: int) -> Workload:
        """The standard workload with `value` on this axis."""
        name = f"{self.axis}-{value}"
        if self.axis == "rows":
            steps = value // STANDARD.batch_size
            return replace(STANDARD, name=name, rows=value, lengths=(140, 140), steps=steps)
        if self.axis == "length":
            return replace(STANDARD, name=name, lengths=(value, value), rows=16, steps=2)
        return replace(STANDARD, name=name, lengths=(140, 140), prefix=value, rows=16, steps=2)


SWEEPS = (
    Sweep("rows", "rows", (16, 32, 64, 128, 256), (16, 32, 64), whole_run=True),
    Sweep("length", "tokens a row", (64, 128, 256, 512, 1024), (64, 128, 256)),
    Sweep("prefix", "tokens of shared prefix", (0, 100, 200, 400, 800), (0, 200, 400)),
)
SWEEP_PEER = "trl-bf16"
SCALING = "scaling"
