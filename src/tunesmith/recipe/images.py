"""What `auto` stands for where a model sees images: pure functions, as in `defaults`."""

from __future__ import annotations

import math

from tunesmith.recipe.defaults import Choice, Facts
from tunesmith.recipe.methods import METHODS, MethodName
from tunesmith.recipe.misfits import UNUSED

_NO_IMAGES = "there are no images"


def size(facts: Facts) -> Choice[int]:
    """What the base was trained on. Source: its preprocessor_config.json."""
    if facts.objective != "image":
        return int(UNUSED["data.image_size"]), _NO_IMAGES
    return facts.image_size, "what the base was trained on"


def augment(facts: Facts, method: MethodName) -> Choice[str]:
    """Strong under 100 images a class, then light. Source: ours, after Steiner et al. 2022, How to
    train your ViT?: the fewer images, the more their variations are worth."""
    if facts.objective != "image":
        return str(UNUSED["data.augment"]), _NO_IMAGES
    if method == "head":
        return "none", "the features of each image are computed once"
    each = facts.examples / max(1, facts.classes)
    if facts.from_scratch or each < 100:
        return "strong", f"about {each:.0f} images a class bear much variation"
    return "light", f"about {each:.0f} images a class vary much themselves"


def per_micro_batch(facts: Facts) -> Choice[int]:
    """16 on cpu and 64 on cuda. Source: ours; more at once is hardly faster and takes memory."""
    if facts.objective != "image":
        return int(UNUSED["engine.images_per_micro_batch"]), _NO_IMAGES
    return (64 if facts.device == "cuda" else 16), f"enough for the full rate on {facts.device}"


def batch_size(facts: Facts) -> Choice[int]:
    """16 under 2000 images, then 32. Source: ours; an epoch of few images still has many steps."""
    size = 16 if facts.sequences < 2000 else 32
    return size, f"{math.ceil(facts.sequences / size)} steps an epoch from {facts.sequences} images"


def validate_every(steps_per_epoch: int, steps: int) -> Choice[int]:
    """Once an epoch. Source: ours; to look at an image costs a third of learning from it."""
    return min(steps_per_epoch, steps), f"once an epoch of {steps_per_epoch} steps"


def learning_rate(facts: Facts, method: MethodName) -> Choice[float]:
    """3e-4 for full tuning, as many times more for other methods as `methods` says, at most 3e-3.

    Source: ours (benchmarks/images.py). From random weights 1e-3, AdamW's usual.
    """
    if facts.from_scratch:
        return 1e-3, "from scratch (AdamW's usual)"
    asked = METHODS[method]
    rate = asked.rate if asked.own_rate else min(3e-4 * asked.rate, 3e-3)
    return rate, f"{method} on images (benchmarks/images.py)"
