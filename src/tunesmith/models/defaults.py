"""Torch's defaults, which belong to a whole process.

transformers sets the default type, and how parameters are made, for all threads until it has loaded
a model: of two at once one comes out broken, and what another thread computes meanwhile may come
out in another type.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

_door, _inside = RLock(), RLock()


@contextmanager
def changing_defaults() -> Iterator[None]:
    """Weights are loaded in it: nobody else does, or is in `keeping_defaults`."""
    with _door, _inside:
        yield


@contextmanager
def keeping_defaults() -> Iterator[None]:
    """What may run beside a thread that loads is computed in it, a step at a time: who waits to
    load goes before the next."""
    with _door:
        pass
    with _inside:
        yield
