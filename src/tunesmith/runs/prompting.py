"""Prompts as a model was trained to read them, made without its weights.

What a client sends is read as a row of training data is, by the same functions, and rendered by the
same renderer: an answer is asked for with the ids that stood before it in training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.errors import DataError
from tunesmith.data import Renderer
from tunesmith.data.formats.fields import Unusable
from tunesmith.data.formats.messages import listed
from tunesmith.data.formats.tools import schemas
from tunesmith.models.open import Described
from tunesmith.recipe import AUTO, load
from tunesmith.runs.calling import CallFormat, call_format
from tunesmith.runs.eyes import described_base, reads_alone
from tunesmith.runs.finished import artefact_of, run_folder
from tunesmith.runs.rendering import renderer_of, require_going_on, template_of
from tunesmith.runs.setup import early_choices, facts_of
from tunesmith.runs.writing import require_writing

_READS = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


class Prompting:
    """Makes the prompts of one model. Shared by threads: nothing in it changes."""

    def __init__(self, described: Described, renderer: Renderer) -> None:
        self.described = described
        self._renderer = renderer

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """Ids that end an answer."""
        return self._renderer.stop_ids()

    @property
    def vocabulary(self) -> int:
        """How many ids the tokenizer knows."""
        return len(self._renderer.encoder.tokenizer)

    @cached_property
    def calls(self) -> CallFormat:
        """How the model writes calls of tools. Raises DataError where it knows of none."""
        return call_format(self._renderer)

    def chat(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()
    ) -> tuple[int, ...]:
        """The ids that ask for the answer to a conversation, spelled as OpenAI's API has it.

        Raises DataError for a message that cannot be read or rendered. Whether the template tells
        the model of tools is asked of `calls`.
        """
        try:
            said = listed(list(messages), "messages")
            functions = schemas({"tools": list(tools)})
        except Unusable as error:
            raise DataError(str(error)) from None
        return _plain(self._renderer.ask(said, functions))

    def text(self, prompt: str) -> tuple[int, ...]:
        """The ids of a text that is to be gone on with as it stands."""
        return _plain(self._renderer.beginning(prompt))

    def after(self, text: str) -> tuple[int, ...]:
        """The ids of a text behind a prompt, as if the model had begun its answer with it."""
        return _plain(self._renderer.encoder.continuation(text))

    def spelled(self, ids: Sequence[int]) -> str:
        """The text of ids, without the names of special tokens."""
        tokenizer = self._renderer.encoder.tokenizer
        return str(tokenizer.decode(list(ids), skip_special_tokens=True))


def open_prompting(base: str, folder: Path | None) -> Prompting:
    """For the tuned model of the run in `folder`, or, where that is None, for `base` itself.

    Raises InputError: there is no such base or run, or its model does not write.
    """
    return _of_base(base) if folder is None else _of_run(base, folder)


def prompting_key(base: str, folder: Path | None) -> str:
    """Equal for models whose prompts are made by the same tokenizer, template and settings."""
    if folder is None:
        return f"base {base}"
    run = run_folder(folder)
    found = sha256(load(run.recipe).data.completion_as.encode())
    for place in (artefact_of(run) / name for name in _READS):
        found.update(sha256(place.read_bytes()).digest() if place.is_file() else b"-")
    return f"{base} {found.hexdigest()}"


def _of_base(name: str) -> Prompting:
    described = described_base(name)
    if reads_alone(described):
        described = described_base(name, sees=False)
    recipe = early_choices(load(None, (), {"model.base": name}), facts_of(described), 1).recipe
    template, _ = template_of(described, AUTO)
    return _writes(described, template, recipe.data.completion_as)


def _of_run(base: str, folder: Path) -> Prompting:
    run = run_folder(folder)
    recipe, artefact = load(run.recipe), artefact_of(run)
    require_writing(recipe, "chat")
    described = described_base(base if artefact.name == "adapter" else str(artefact), artefact)
    template = described.tokenizer.chat_template
    return _writes(described, template, recipe.data.completion_as)


def _writes(described: Described, template: str, completion_as: Any) -> Prompting:
    require_going_on(described, "chat over HTTP")
    return Prompting(described, renderer_of(described, template, completion_as))


def _plain(ids_N: np.ndarray) -> tuple[int, ...]:
    return tuple(map(int, ids_N))
