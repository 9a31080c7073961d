"""The objectives, and which of them train a model that labels."""

from __future__ import annotations

from typing import Literal

ObjectiveKind = Literal["sft", "text", "classify", "tag"]

LABELS = ("classify", "tag")
"""The objectives of models that label, where all others write."""
