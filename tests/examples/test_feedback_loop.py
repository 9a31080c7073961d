"""The whole loop from feedback to a better model, on a tiny base and in a short form."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from tests.bases import byte_level, save_llama
from tests.conftest import TEMPLATE
from tests.support import nothing_measured
from tunesmith.core.files import read_json
from tunesmith.runs import plan as planning
from tunesmith.runs.setup import Setup

PAGE = Path(__file__).parents[2] / "examples" / "feedback_loop.py"
SHORT: dict[str, dict[str, Any]] = {
    "sft": {"engine.learning_rate": 5e-3, "engine.batch_size": 16, "engine.epochs": 8},
    "reward": {"engine.learning_rate": 1e-3, "engine.epochs": 3},
    "dpo": {"engine.learning_rate": 1e-3, "engine.epochs": 2},
    "grpo": {"engine.learning_rate": 3e-3, "engine.max_steps": 10, "engine.batch_size": 8},
}


@pytest.fixture(scope="module")
def page() -> Iterator[ModuleType]:
    """The page, with the persons beside it, as if it were run from its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PAGE.parent))
        yield importlib.import_module(PAGE.stem)
        for name in (PAGE.stem, "simulated_person"):
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def base(page: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model whose tokens are the words of the page."""
    texts = [text for row in page.examples(100) for text in row.values()]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=byte_level(texts, 400, ["<|pad|>", "<|turn|>", "<|end|>"]),
        eos_token="<|end|>",
        pad_token="<|pad|>",
        model_max_length=128,
    )
    tokenizer.chat_template = TEMPLATE
    return save_llama(
        tmp_path_factory.mktemp("base"),
        tokenizer,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
    )


@pytest.fixture(autouse=True)
def _unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Micro-batches of models that write are not timed."""
    measured = planning._measure

    def unless_it_labels(setup: Any, *arguments: Any, **more: Any) -> Any:
        measure = nothing_measured if isinstance(setup, Setup) else measured
        return measure(setup, *arguments, **more)

    monkeypatch.setattr(planning, "_measure", unless_it_labels)


def test_feedback_makes_a_better_model_and_a_hack_is_named(
    page: ModuleType, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    recipes = {kind: {**page.RECIPES[kind], **SHORT[kind]} for kind in SHORT}
    monkeypatch.setattr(page, "RECIPES", recipes)
    arguments = ["--base", str(base), "--out", str(tmp_path / "loop"), "--rows", "240"]
    settings = ["--set", "model.method=full", "--set", "model.dtype=float32"]
    found = page.main([*arguments, *settings])

    right, pairs = found["accuracy"]
    assert right > 0.8
    assert pairs >= 15
    for kind in ("dpo", "grpo"):
        assert found["wins"][kind].low > 0.55, found["wins"]
        assert found["kl"][kind] > 0
        verdict = read_json(tmp_path / "loop" / kind / "verdict.json")
        assert verdict["learned"]["pass"], verdict["sentence"]
    assert any("“longer is better”" in alarm for alarm in found["alarms"]), found["alarms"]
    verdict = read_json(tmp_path / "loop" / "dpo-longer" / "verdict.json")
    assert verdict["decision"] == "hold"
    assert "“longer is better”" in (tmp_path / "loop" / "dpo-longer" / "report.html").read_text()
    printed = capsys.readouterr().out
    assert "dpo: the person prefers its answers to the SFT model's in" in printed


def test_it_is_one_short_page() -> None:
    assert len(PAGE.read_text(encoding="utf-8").splitlines()) < 200
