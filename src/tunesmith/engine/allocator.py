"""What becomes of freed memory: kept for the next step, given back between stages.

glibc gives blocks of more than a few MB back to the system when they are freed. A training step
allocates the same activations every time, and each page of them would again be cleared and mapped
on first touch: a tenth of a step on two cores, measured. Peak memory hardly changes, since the next
step needs it anyway. Another stage does not, nor does a step that ran out of memory: there it is
given back.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable

import torch

# Names and values of glibc's <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3

_LARGEST_KEPT = 256 << 20
"""Bytes. Activations and chunks of logits are smaller; the weights of large models are not, and go
back to the system when they are freed."""


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed blocks up to 256 MB. False where there is no glibc."""
    mallopt = _of_glibc("mallopt")
    if mallopt is None:
        return False
    return all(
        mallopt(name, value) == 1
        for name, value in ((_M_MMAP_THRESHOLD, _LARGEST_KEPT), (_M_TRIM_THRESHOLD, 2**31 - 1))
    )


def give_back() -> None:
    """Free what nothing refers to, and return it: what comes next finds all the room there is."""
    gc.collect()
    trim()


def trim() -> None:
    """Return freed blocks to the device and to the system, those kept as well."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    malloc_trim = _of_glibc("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def _of_glibc(name: str) -> Callable[..., int] | None:
    """A function that only glibc has; None where the C library is another one."""
    try:
        return getattr(ctypes.CDLL(None), name, None)
    except (OSError, TypeError):
        return None
