"""Who is measured, and how each is driven: ours, and the peers at their best."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Contender:
    """A worker module with options.

    `environment` names the file of requirements in `environments/`; None is the environment that
    this command runs in. `how` tells readers of the table what was configured.
    """

    name: str
    title: str
    worker: str
    how: str
    environment: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


CONTENDERS: dict[str, Contender] = {
    contender.name: contender
    for contender in (
        Contender(
            "ours",
            "tunesmith",
            "ours",
            "`tunesmith.train` with a recipe in bfloat16; all else is left at `auto`.",
        ),
        Contender(
            "ours-small",
            "tunesmith, 512 tokens at once",
            "ours",
            "The same with `engine.tokens_per_micro_batch: 512`, which changes no result.",
            options={"settings": {"engine.tokens_per_micro_batch": 512}},
        ),
        Contender(
            "ours-memory",
            "tunesmith, low memory",
            "ours",
            "The same with `engine.memory: low` and `engine.activation_checkpointing: true`.",
            options={"settings": {"engine.memory": "low", "engine.activation_checkpointing": True}},
        ),
        Contender(
            "trl",
            "TRL, defaults",
            "trl",
            "`SFTTrainer` and PEFT with every default of `SFTConfig`: float32 weights under "
            "bfloat16 autocast, gradient checkpointing, padded batches.",
            environment="trl",
            options={"variant": "defaults"},
        ),
        Contender(
            "trl-bf16",
            "TRL, bfloat16",
            "trl",
            "Weights in bfloat16, no gradient checkpointing, and micro-batches of one example, "
            "accumulated, so that nothing is padded.",
            environment="trl",
            options={"variant": "bfloat16"},
        ),
        Contender(
            "trl-dpo",
            "TRL, defaults",
            "trl_dpo",
            "`DPOTrainer` and PEFT with every default of `DPOConfig`: float32 weights under "
            "bfloat16 autocast, gradient checkpointing, padded batches, the reference in every "
            "step.",
            environment="trl",
            options={"variant": "defaults"},
        ),
        Contender(
            "trl-dpo-tuned",
            "TRL, tuned",
            "trl_dpo",
            "Weights in the dtype of the table, no gradient checkpointing, micro-batches of one "
            "pair, accumulated, and `precompute_ref_log_probs`.",
            environment="trl",
            options={"variant": "tuned"},
        ),
        Contender(
            "trl-grpo",
            "TRL, defaults",
            "trl_grpo",
            '`GRPOTrainer` and PEFT with the defaults of `GRPOConfig` and `loss_type="grpo"`: '
            "float32 weights under bfloat16 autocast, gradient checkpointing; sampling by "
            "`generate` of transformers.",
            environment="trl",
            options={"variant": "defaults"},
        ),
        Contender(
            "trl-grpo-tuned",
            "TRL, tuned",
            "trl_grpo",
            "Weights in the dtype of the table, no gradient checkpointing, and micro-batches of "
            "four answers, accumulated.",
            environment="trl",
            options={"variant": "tuned"},
        ),
        Contender(
            "litgpt",
            "LitGPT",
            "litgpt",
            "Its models, chunked head and loss in `bf16-true`; micro-batches of one example, which "
            "is its default and pads nothing.",
            environment="litgpt",
        ),
        Contender(
            "torchtune",
            "torchtune",
            "torchtune",
            "Its builders, chunked loss and fused AdamW in bfloat16; the batch of a step is packed "
            "by its `PackedDataset` to about 1024 tokens.",
            environment="torchtune",
        ),
    )
}
