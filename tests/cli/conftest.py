"""Runs that were never trained, and a base small enough to be trained in a second."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from tests.bases import byte_level, save_llama
from tunesmith.core.records import Message, StepReport, Validation
from tunesmith.recipe import Recipe

VERDICT: dict[str, Any] = {
    "decision": "hold",
    "sentence": "Hold: too few rows to judge.",
    **{
        key: {"pass": passed, "detail": {"summary": f"{key} was measured"}}
        for key, passed in (
            ("learned", True),
            ("kept", False),
            ("memorised", True),
            ("worth", None),
            ("parity", True),
        )
    },
}


class FakeRun:
    """What the command line needs of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe = Recipe()
        self.verdict = VERDICT
        self.cost_of_verdict = "The verdict took 9 s, 20 % of the training time."
        self.report = path / "report.html"
        self.artefact = path / "adapter"
        self.asked: list[tuple[str, ...]] = []
        self.options: dict[str, Any] = {}

    def chat(self, said: str | Sequence[Message], **options: Any) -> str:
        """Counts the messages."""
        messages = (Message("user", said),) if isinstance(said, str) else tuple(said)
        self.asked.append(tuple(message.content for message in messages))
        self.options = options
        return f"answer {len(messages)}"


class FakeTraining:
    """Stands where `runs.train.train` stands, and keeps what it was asked."""

    def __init__(self) -> None:
        self.recipe: Any = None
        self.out = Path()
        self.resume = False
        self.from_step: int | None = None
        self.error: Exception | None = None

    def __call__(
        self,
        recipe: Any,
        out: Path,
        *,
        resume: bool = False,
        from_step: int | None = None,
        watcher: Any = None,
    ) -> FakeRun:
        self.recipe, self.out, self.resume, self.from_step = recipe, out, resume, from_step
        if self.error is not None:
            raise self.error
        return FakeRun(out)


@pytest.fixture
def verdict() -> dict[str, Any]:
    """A verdict to hold."""
    return VERDICT


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeTraining:
    """Nothing is trained; the working directory is empty."""
    fake = FakeTraining()
    monkeypatch.setattr("tunesmith.runs.train.train", fake)
    monkeypatch.chdir(tmp_path)
    return fake


@pytest.fixture
def fake_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeRun:
    """The run that `open_run` gives, whatever the path."""
    fake = FakeRun(tmp_path / "run")
    monkeypatch.setattr("tunesmith.runs.open.open_run", lambda path: fake)
    return fake


@pytest.fixture
def report() -> Callable[..., StepReport]:
    """`report(3, loss=1.0)`: the third step, of 100 tokens."""

    def made(step: int, loss: float = 2.0) -> StepReport:
        return StepReport(
            step=step,
            epoch=0.0,
            loss=loss,
            grad_norm=1.0,
            lr=1e-3,
            tokens=100,
            supervised_tokens=50.0,
            seconds=1.0,
        )

    return made


@pytest.fixture
def validation() -> Callable[..., Validation]:
    """`validation(3, 1.5)`: the held-out loss after step 3."""
    return lambda step, loss, best=True: Validation(step, 0.0, loss, best)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Twelve rows of prompt and completion."""
    path = tmp_path / "tickets.jsonl"
    lines = ({"prompt": f"Where is parcel {n}?", "completion": f"At door {n}."} for n in range(12))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder: a random Llama of two narrow layers over a byte-level vocabulary."""
    bytewise = byte_level([], 258, ["<s>", "</s>"])
    return save_llama(
        tmp_path_factory.mktemp("tiny"),
        PreTrainedTokenizerFast(tokenizer_object=bytewise, bos_token="<s>", eos_token="</s>"),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=1024,
    )
