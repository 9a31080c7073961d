"""Running out of memory: how it is recognised, and what is said where no smaller batch helps."""

from __future__ import annotations

import torch

from tunesmith.core.batch import Batch

# PyTorch's CPU allocator raises a plain RuntimeError.
_CPU_ALLOCATOR = "DefaultCPUAllocator"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the system or an accelerator refused memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and _CPU_ALLOCATOR in str(error)


def single_example(batch: Batch, step: int) -> str:
    """One example alone did not fit."""
    return (
        f"Memory ran out at step {step + 1} with a single example of {batch.tokens} tokens: "
        f"{batch.origins[0]}. The weights are still those of step {step}. Start again with "
        "engine.activation_checkpointing=true, with model.method=lora or engine.memory=low where "
        f"all weights are trained, or with data.context below {batch.tokens} and "
        "data.bad_rows=drop, which leaves longer rows out."
    )


def half_made(step: int, saved: int, tokens: int) -> str:
    """The update was being made inside the backward pass, so it can be neither ended nor undone."""
    last = (
        f"The checkpoint of step {saved} is whole: free some memory and resume the run"
        if saved
        else "No checkpoint was saved yet"
    )
    return (
        f"Memory ran out at step {step + 1} while engine.memory=low was updating weights, so those "
        f"in memory are thrown away. {last}, or start again with "
        f"engine.tokens_per_micro_batch={max(1, tokens // 2)}."
    )


def no_room_for_update(step: int) -> str:
    """The gradients fitted, the optimiser's state did not."""
    return (
        f"Memory ran out in the update of step {step + 1}: there is no room for what the optimiser "
        "remembers of each weight, which no smaller micro-batch changes. Start again with "
        "model.method=lora, or with engine.memory=low where all weights are trained."
    )
