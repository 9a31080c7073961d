"""A model that answers single questions, and says of each answer what it came from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from tunesmith.core.seeds import derive
from tunesmith.data.digests import digest
from tunesmith.data.feedback import Answer
from tunesmith.data.questions import Question
from tunesmith.models.open import open_base
from tunesmith.recipe import AUTO, load
from tunesmith.runs.eyes import described_base, reads_alone
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.open import Opened, open_run
from tunesmith.runs.rendering import renderer_of, template_of
from tunesmith.runs.setup import early_choices, facts_of


@dataclass(frozen=True, slots=True)
class Sampling:
    """How answers are drawn: with one seed the same on one machine."""

    temperature: float
    max_new_tokens: int
    seed: int


@dataclass(frozen=True, slots=True)
class Answerer:
    """A model that is open; `model` is how it was named, `version` follows from its weights."""

    model: str
    version: str
    opened: Opened
    sampling: Sampling

    def answer(self, question: Question, number: int) -> Answer:
        """One of its answers; another `number` draws another. Raises DataError as `Run.chat`."""
        asked = json.dumps([[each.role, each.content] for each in question])
        seed = derive(self.sampling.seed, "answer", number, asked)
        drawn = {**asdict(self.sampling), "seed": seed}
        return Answer(
            self.opened.chat(question, **drawn), self.model, self.version, json.dumps(drawn)
        )


def open_answerer(name: str, folder: Path, sampling: Sampling) -> Answerer:
    """Open the tuned model of the run in `folder`, or, where that is no run, the base `name`.

    Raises:
        ModelError: there is neither.
        RunFolderError: the run has saved no model yet.
        Unsupported: the run's model does not write.
    """
    if RunFolder(folder).recipe.is_file():
        run = open_run(folder)
        return Answerer(name, _version(run.artefact), run.model, sampling)
    opened = _open_base(name)
    return Answerer(name, _version(Path(opened.base.described.location)), opened, sampling)


def _open_base(name: str) -> Opened:
    described = described_base(name)
    if reads_alone(described):
        described = described_base(name, sees=False)
    early = early_choices(load(None, (), {"model.base": name}), facts_of(described), 1).recipe
    template, _ = template_of(described, AUTO)
    renderer = renderer_of(described, template, early.data.completion_as)
    return Opened(open_base(described, early.model.dtype, early.model.device), renderer)


def _version(folder: Path) -> str:
    """What tells these weights from others, short enough to be read (of a SHA-256, 16 digits)."""
    weights = sorted(folder.glob("*.safetensors"))
    named = [[path.name, digest(path)] for path in weights]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()[:16]
