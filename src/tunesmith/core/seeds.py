"""One seed in the recipe; every other seed is derived from it by name, so that none is shared.

A derived seed depends only on its path, never on what ran before: step 70 of a resumed run draws
the same dropout as step 70 of an unbroken one, with no generator state to save.
"""

from __future__ import annotations

import hashlib


def derive(seed: int, *path: str | int) -> int:
    """A 63-bit seed for the purpose named by `path`, e.g. ``derive(0, "dropout", step, micro)``."""
    text = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
