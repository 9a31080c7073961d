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
    "dpo",
    "simpo",
    "orpo",
    "cpo",
    "kto",
    "bco",
]

PREFERENCES: tuple[ObjectiveKind, ...] = ("dpo", "simpo", "orpo", "cpo", "kto", "bco")
"""The objectives that learn from answers which people compared or rated."""

REFERRED: tuple[ObjectiveKind, ...] = ("dpo", "kto", "bco")
"""Those that look back at what the base held of the same answers."""

LABELS = {"classify": "label", "tag": "label", "embed": "embed", "image": "label"}
"""The objectives of models that label texts, words or images, or make vectors of texts, and write
nothing; and the command that asks such a model."""

HEADED = ("classify", "tag", "image")
"""The objectives of models that end in a new head."""
