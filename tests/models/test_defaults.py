"""Models are loaded beside threads that compute, and neither spoils the other."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import torch

from tunesmith.models.defaults import keeping_defaults
from tunesmith.models.open import load_weights


def test_models_are_loaded_whole_whoever_loads_or_computes_beside(tiny_base: Path) -> None:
    """And a thread that computes without a pause keeps nobody from loading."""
    ended = Event()

    def compute() -> set[torch.dtype]:
        seen = set()
        while not ended.is_set():
            with keeping_defaults():
                seen.add(torch.zeros(2).dtype)
                time.sleep(0.002)
        return seen

    with ThreadPoolExecutor(4) as pool:
        beside = pool.submit(compute)
        loads = [pool.submit(load_weights, str(tiny_base), "bfloat16") for _ in range(6)]
        try:
            whole = [load.result(timeout=30).num_parameters() for load in loads]
        finally:
            ended.set()
        assert beside.result() == {torch.float32}
    assert len(set(whole)) == 1
