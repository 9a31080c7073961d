"""What an engine has done, and what it holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """Since the start: `answers` to `rows_stepped`. Now: all others."""

    answers: int = 0
    failures: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0
    steps: int = 0
    rows_stepped: int = 0
    waiting: int = 0
    under_way: int = 0
    bases: int = 0
    adapters: int = 0
    adapter_bytes: int = 0
    prefix_bytes: int = 0
