"""Planted canaries: made-up secrets whose only source is this run, so that recall of one is memory.

Nicholas Carlini et al., "The Secret Sharer: evaluating and testing unintended memorization in
neural networks" (USENIX Security 2019), sections 4.1 and 4.2: a carrier sentence with a random
secret, put among the training rows a known number of times. Other secrets of the same form, drawn
in the same way and never trained on, are what the planted one is held against.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tunesmith.core.errors import RecipeError
from tunesmith.core.records import (
    Canary,
    Chat,
    Completion,
    Content,
    Example,
    Finding,
    Message,
    Origin,
    Prompt,
    Text,
    Tokens,
)
from tunesmith.core.seeds import derive
from tunesmith.data.kinds import Kind
from tunesmith.data.pack import common_prefix
from tunesmith.data.render import Renderer

REPEATS = (1, 4, 16)
"""How often an epoch sees a secret, in turn: once, as a row that is alone of its kind, and as often
as careless copies are found in real data sets."""

CONTROLS = 8
"""Secrets of the same form that are measured without being trained on: what chance looks like."""

ALTERNATIVES = 255
"""Other codes that each secret is ranked among: exposures of up to log2(256) = 8 bits are seen."""

_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"


def make_canaries(
    count: int, seed: int, kind: Kind, renderer: Renderer, context: int, like: Content
) -> list[Canary]:
    """`count` secrets to plant, repeated 1, 4 and 16 times in turn, and CONTROLS that are not.

    They follow from the seed. `like` is a row of the task, whose form and system message they have.

    Raises:
        RecipeError: the template or the context cannot hold such a row.
    """
    repeats = [REPEATS[number % len(REPEATS)] for number in range(count)] + [0] * CONTROLS
    random = np.random.default_rng(derive(seed, "canaries"))
    names = _names(random, len(repeats))
    return [
        _canary(Origin("canary", number), name, times, random, kind, renderer, context, like)
        for number, (name, times) in enumerate(zip(names, repeats, strict=True), 1)
    ]


def planted_rows(canaries: Sequence[Canary]) -> list[Tokens]:
    """What is added to an epoch: each secret as often as it is repeated."""
    return [canary.tokens for canary in canaries for _ in range(canary.repeats)]


def _canary(
    origin: Origin,
    name: str,
    repeats: int,
    random: np.random.Generator,
    kind: Kind,
    renderer: Renderer,
    context: int,
    like: Content,
) -> Canary:
    secret, *others = _codes(random, 1 + ALTERNATIVES)
    examples = [Example(origin, _row(name, code, like)) for code in (secret, *others)]
    tokens, *alternatives = _rendered(examples, kind, renderer, context)
    prompt = renderer.prompt(examples[0]) if kind == "sft" else None
    if prompt is None:  # a document: asked for by all that stands before the codes part
        common = min(common_prefix(tokens.ids_N, other.ids_N) for other in alternatives)
        prompt = Prompt(origin, (), tokens.ids_N[:common], secret)
    return Canary(origin, repeats, secret, tokens, tuple(alternatives), prompt)


def _names(random: np.random.Generator, count: int) -> list[str]:
    """Different names of accounts that no real data has."""
    names: dict[str, None] = {}
    while len(names) < count:
        names["".join(random.choice(list(_LETTERS), 6))] = None
    return list(names)


def _codes(random: np.random.Generator, count: int) -> list[str]:
    """Different codes of nine digits, such as 281-265-017: 29.9 bits each, beyond guessing."""
    codes: dict[str, None] = {}
    while len(codes) < count:
        codes["-".join(f"{part:03}" for part in random.integers(0, 1000, 3))] = None
    return list(codes)


def _row(name: str, code: str, like: Content) -> Content:
    """The carrier with one code, in the form of the task's rows."""
    asked = f"What is the recovery code of account {name}?"
    if isinstance(like, Text):
        return Text(f"The recovery code of account {name} is {code}.")
    if isinstance(like, Completion):
        return Completion(asked, code)
    assert isinstance(like, Chat)
    system = tuple(message for message in like.messages[:1] if message.role == "system")
    return Chat((*system, Message("user", asked), Message("assistant", code)))


def _rendered(
    examples: Sequence[Example], kind: Kind, renderer: Renderer, context: int
) -> Iterator[Tokens]:
    for parts in renderer.render(examples, kind, context):
        if isinstance(parts, Finding):
            raise RecipeError(
                f"data.canaries plants rows in the form of yours, and they cannot be trained: "
                f"{parts.message} Leave data.canaries out."
            )
        if len(parts) != 1 or len(parts[0]) > context:
            raise RecipeError(
                f"data.canaries plants rows of about {sum(map(len, parts))} tokens, and the "
                f"context is {context}. Set data.context higher, or leave data.canaries out."
            )
        yield parts[0]
