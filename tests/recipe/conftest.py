"""Facts of the embedded base on a laptop, and small changes to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tunesmith.recipe import Facts

ANVIL = Facts(
    hidden_size=256,
    layers=8,
    max_context=1024,
    examples=800,
    mean_tokens=140.0,
    sequences=720,
    mean_sequence=140.0,
    device="cpu",
    fast_bfloat16=True,
    has_chat_template=True,
)


@pytest.fixture
def facts() -> Callable[..., Facts]:
    """`facts(examples=50)`: Anvil on a laptop, with changes."""

    def changed(**changes: Any) -> Facts:
        return replace(ANVIL, **changes)

    return changed
