"""Opening what a run made: the folder as an object, the tuned model, and a chat with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from tunesmith.core.errors import DataError, ModelError
from tunesmith.core.files import read_json
from tunesmith.core.records import Message, Origin, Prompt, images_in
from tunesmith.data import Renderer
from tunesmith.models.methods import ADAPTER, reopen
from tunesmith.models.open import Base, open_base
from tunesmith.models.sampling import ModelSampler, SourceSampler
from tunesmith.recipe import Recipe, load
from tunesmith.runs.eyes import described_base
from tunesmith.runs.finished import artefact_of, run_folder, verdict_of
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.rendering import renderer_of
from tunesmith.runs.writing import require_writing

MAX_NEW_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Opened:
    """A tuned model ready to answer, and the renderer that asks as training did."""

    base: Base
    renderer: Renderer

    @property
    def sampler(self) -> ModelSampler:
        """The Sampler port over this model."""
        base = self.base
        if base.described.writes_apart:
            return SourceSampler(
                base.model,
                base.described.tokenizer,
                self.renderer.stop_ids(),
                base.described.longest,
            )
        return ModelSampler(
            base.prompted or base.model,
            base.described.tokenizer,
            self.renderer.stop_ids(),
            base.context,
            eyes=base.described.eyes,
        )

    def chat(
        self, messages: Sequence[Message], *, max_new_tokens: int, temperature: float, seed: int
    ) -> str:
        """The answer to a conversation that ends with the user; see `Run.chat`."""
        ids_N = self.renderer.ask(messages)
        if len(ids_N) >= self.base.context:
            raise DataError(
                f"The conversation has {len(ids_N)} tokens, and {self.base.described.name} reads "
                f"at most {self.base.context}: there is no room for an answer. Begin a new one, or "
                "shorten it."
            )
        prompt = Prompt(Origin("chat", 1), tuple(messages), ids_N, "", images=images_in(messages))
        return self.sampler.answer([prompt], max_new_tokens, temperature, seed)[0]


def open_artefact(folder: Path, recipe: Recipe) -> Opened:
    """Open an adapter or a model folder from disk, with the tokenizer and template saved in it.

    Raises ModelError if an adapter's base is no longer where the recipe says.
    """
    adapter = folder.name == ADAPTER
    with its_base_needed(folder):
        described = described_base(recipe.model.base if adapter else str(folder), folder)
    base = open_base(
        described, recipe.model.dtype, device_here(recipe), quantize=recipe.model.quantize
    )
    if adapter:
        base = reopen(base, folder)
    template = described.tokenizer.chat_template
    return Opened(base, renderer_of(described, template, recipe.data.completion_as))


@contextmanager
def its_base_needed(folder: Path) -> Iterator[None]:
    """Within it a saved model is described: where an adapter's base cannot be, the ModelError says
    where the recipe names it."""
    try:
        yield
    except ModelError as error:
        if folder.name != ADAPTER:
            raise
        raise ModelError(
            f"{error} The model in {folder} needs its base: put it back, or name its new place "
            f"under model.base in {folder.parent / 'recipe.yaml'}."
        ) from error


def device_here(recipe: Recipe) -> str:
    """The run's device, or the processor: a model trained on CUDA may be used without."""
    return "cuda" if recipe.model.device == "cuda" and torch.cuda.is_available() else "cpu"


class Run:
    """A finished run.

    `verdict` is the content of verdict.json, `report` the path of the page, `chat` asks the tuned
    model; the weights are opened at the first question.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.path = folder.path
        self.recipe = load(folder.recipe)

    @property
    def verdict(self) -> dict[str, Any]:
        """The judgement: decision, sentence, and the five questions.

        Raises RunFolderError if the run is not finished.
        """
        return verdict_of(self.folder)

    @property
    def cost_of_verdict(self) -> str:
        """What the verdict took, and how to spend less or more; "" where nothing was measured."""
        return str(read_json(self.folder.plan).get("verdict", {}).get("sentence", ""))

    @property
    def report(self) -> Path:
        """The self-contained page."""
        return self.folder.report

    @property
    def artefact(self) -> Path:
        """The folder of the adapter or of the whole tuned model.

        Raises RunFolderError if the run has saved none yet.
        """
        return artefact_of(self.folder)

    @cached_property
    def model(self) -> Opened:
        """The tuned model, opened from disk. Raises Unsupported for one that labels."""
        require_writing(self.recipe, "chat")
        return open_artefact(self.artefact, self.recipe)

    def chat(
        self,
        said: str | Sequence[Message],
        *,
        max_new_tokens: int = MAX_NEW_TOKENS,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> str:
        """The tuned model's answer to a text, or to a conversation that ends with the user.

        Temperature 0 takes the likeliest token each time. Raises DataError if the conversation
        cannot be rendered, or leaves no room for an answer.
        """
        messages = (Message("user", said),) if isinstance(said, str) else tuple(said)
        return self.model.chat(
            messages, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed
        )


def open_run(path: Path | str) -> Run:
    """Open a run folder. Raises RunFolderError if `path` is not one."""
    return Run(run_folder(path))
