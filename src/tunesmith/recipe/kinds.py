"""The objectives, and which of them train a model that labels."""

from __future__ import annotations

from typing import Literal

ObjectiveKind = Literal[
    "sft",
    "text",
    "classify",
    "tag",
    "embed",
    "image",
    "reward",
    "dpo",
    "simpo",
    "orpo",
    "cpo",
    "kto",
    "bco",
    "grpo",
    "rloo",
    "reinforce",
    "ppo",
]

PREFERENCES: tuple[ObjectiveKind, ...] = ("dpo", "simpo", "orpo", "cpo", "kto", "bco")
"""The objectives that learn from answers which people compared or rated."""

REFERRED: tuple[ObjectiveKind, ...] = ("dpo", "kto", "bco")
"""Those that look back at what the base held of the same answers."""

LABELS = {
    "classify": "label",
    "tag": "label",
    "embed": "embed",
    "image": "label",
    "reward": "score",
}
"""The objectives of models that label texts, words or images, make vectors of texts, or reward
answers, and write nothing; and the command that asks such a model."""

STEADY = ("classify", "tag", "image")
"""The objectives whose labels are told ever better to the end of training. What people prefer is
noisier: rewards learn pairs by heart (Ouyang et al. 2022, C.2, train for one epoch)."""

HEADED = ("classify", "tag", "image", "reward")
"""The objectives of models that end in a new head."""

REINFORCED = ("grpo", "rloo", "reinforce", "ppo")
"""The objectives that sample answers and learn from what they are graded."""
