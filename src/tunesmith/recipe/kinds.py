"""The objectives, and which of them train a model that labels."""

from __future__ import annotations

from typing import Literal

ObjectiveKind = Literal["sft", "text", "classify", "tag", "embed"]

LABELS = {"classify": "label", "tag": "label", "embed": "embed"}
"""The objectives of models that label texts or words, or make vectors of them, and write nothing;
and the command that asks such a model."""
