"""Pairs of answers with a preference that can be learned, and reward models over a tiny base."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tunesmith.core.records import Example, Origin, Row, Tokens
from tunesmith.data.formats import understand
from tunesmith.data.render import Renderer
from tunesmith.data.rewards import RewardRenderer
from tunesmith.models.labelled import LabelModel, open_body
from tunesmith.models.open import Described, describe

KIND = ("thank you", "with pleasure", "of course")
RUDE = ("go away", "not again", "so what")
QUICK = (
    "objective.kind=reward",
    "model.dtype=float32",
    "model.device=cpu",
    "model.method=full",
    "engine.batch_size=8",
    "engine.learning_rate=0.002",
    "engine.patience=0",
    "evaluate.level=quick",
)


def pairs(count: int, seed: int = 0, longer: float = 0.5) -> list[dict[str, Any]]:
    """A kind answer is better than a rude one; in a share `longer` of the rows it is the longer."""
    chosen, found = random.Random(seed), []
    for n in range(count):
        dots = [1 + n % 3, 5 + n % 3]
        if chosen.random() < longer:
            dots.reverse()
        said = [f"Box {n}: {chosen.choice(words)}" for words in (KIND, RUDE)]
        answers = [text + "." * many for text, many in zip(said, dots, strict=True)]
        found.append({"prompt": asked(n), "chosen": turn(answers[0]), "rejected": turn(answers[1])})
    return found


def asked(n: int) -> list[dict[str, str]]:
    """A question, long enough that its tokens are worth sharing."""
    return [{"role": "user", "content": f"Where would I find box number {n}, please?"}]


def turn(text: str) -> list[dict[str, str]]:
    """An answer."""
    return [{"role": "assistant", "content": text}]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    """Rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def reward_renderer(described: Described, template: str | None = None) -> RewardRenderer:
    """That of a base which pads with a token of its own."""
    tokenizer = described.tokenizer
    answers = Renderer(tokenizer, template or tokenizer.chat_template)
    return RewardRenderer(answers, tokenizer.pad_token_id)


def rendered(renderer: RewardRenderer, rows: list[dict[str, Any]]) -> list[Tokens]:
    """The sequences of rows that can all be used."""
    read = [understand(Row(Origin("rows.jsonl", n), row)) for n, row in enumerate(rows, 1)]
    examples = [each for each in read if isinstance(each, Example)]
    assert len(examples) == len(rows), read
    made = [parts for parts in renderer.render(examples, "reward", 128) if isinstance(parts, list)]
    assert len(made) == len(rows)
    return [part for parts in made for part in parts]


def reward_model(base: Path, *, share: bool) -> tuple[Described, LabelModel]:
    """A body with a head of one number, in float32; the same weights each time."""
    described = describe(str(base))
    body, path = open_body(described, "float32", "cpu")
    model = LabelModel(body, path, outputs=1, pooling="last", seed=1, share=share)
    return described, model
