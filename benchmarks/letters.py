"""The reward of the benchmark of GRPO: how much of an answer is the letter e.

A file of its own without imports of ours, as users write them: tunesmith is given its path.
"""

from __future__ import annotations

from typing import Any


def share(text: str) -> float:
    """Of 0 to 1; 0 for no text."""
    return text.count("e") / len(text) if text else 0.0


def grade(sample: dict[str, Any], item: dict[str, Any]) -> float:
    """As tunesmith calls a reward function."""
    return share(sample["output_text"])
