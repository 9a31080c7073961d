"""Every method on every kind of base trains, resumes, saves, opens elsewhere, merges; or refuses.

One test a pair. `KINDS` are the kinds of objective: a new one is a line there, and the whole
battery runs over it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, PreTrainedModel

from tests.conftest import make_tokenizer
from tests.shapes import sharp
from tests.support import SETTINGS, Recorder, examples, loop_over, model_section, weights_of
from tunesmith.core.errors import Unsupported
from tunesmith.core.records import Tokens
from tunesmith.data.pack import pack
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.engine.loop import Loop, on_device
from tunesmith.engine.stopping import StopRequest
from tunesmith.models.methods import ADAPTER, METHODS, Tuned, attach, reopen
from tunesmith.models.open import Base, describe, open_base
from tunesmith.objectives import OBJECTIVES
from tunesmith.recipe.methods import INITS, needs_of, reason_against
from tunesmith.recipe.methods import METHODS as LINES

WIDTH: dict[str, Any] = {
    "vocab_size": 330,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
GROUPED = WIDTH | {"num_key_value_heads": 2}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": GROUPED,
    "gpt2": {"vocab_size": 330, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    | {"bos_token_id": 0, "eos_token_id": 2},
    "gpt_neox": WIDTH,
    "mistral": GROUPED | {"sliding_window": 16},
    "qwen2": GROUPED,
}
REFUSED = {
    ("bias", "llama"): "biases",
    ("bias", "mistral"): "biases",
    ("oft", "gpt2"): "linear_only",
    ("lora/olora", "gpt2"): "linear_only",
}
CASES = [*METHODS, *(f"lora/{init}" for init in INITS if init != "default"), "rslora/pissa"]


@dataclass(frozen=True)
class Kind:
    """A kind of objective: its rows, and how plain transformers opens a model for it."""

    rows: Callable[[], list[Tokens]]
    opened: Callable[..., PreTrainedModel]


KINDS = {"sft": Kind(lambda: examples(6, vocabulary=330), AutoModelForCausalLM.from_pretrained)}
IDS = torch.arange(3, 40)[None]
STEPS = replace(SETTINGS, total_steps=4, checkpoint_every=2, learning_rate=0.02)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A random model of each family, in a folder."""
    folder, tokenizer = tmp_path_factory.mktemp("battery"), make_tokenizer()
    for family, settings in FAMILIES.items():
        sharp(family, settings, scale=4).save_pretrained(folder / family)
        tokenizer.save_pretrained(folder / family)
    return {family: folder / family for family in FAMILIES}


@cache
def _opened(folder: Path) -> Base:
    return open_base(describe(str(folder)), "float32", "cpu")


@cache
def _plain(kind: str, folder: Path) -> PreTrainedModel:
    return KINDS[kind].opened(folder)


def _base(folder: Path) -> Base:
    """As opened afresh, and faster."""
    return copy.deepcopy(_opened(folder))


def _attached(folder: Path, case: str) -> Tuned:
    method, _, init = case.partition("/")
    layers = 2 if "rank" in LINES[method].keys else 1
    section = model_section(
        method=method, init=init or "default", virtual_tokens=5, layers=layers, rank=4
    )
    return attach(_base(folder), section, 0)


def _loop(tuned: Tuned, kind: str, folder: Path, watcher: Recorder) -> Loop:
    settings = replace(STEPS, rate_factors=tuned.rate_factors)
    return loop_over(
        tuned,
        KINDS[kind].rows(),
        folder,
        settings,
        watcher=watcher,
        objective=OBJECTIVES[kind](),
    )


@torch.no_grad()
def _at_sites(base: Base, rows: list[Tokens]) -> torch.Tensor:
    batch = on_device(pack(rows, base.forward.shares), torch.device("cpu"))
    return base.forward.head(base.forward.hidden_at_sites(batch))


@torch.no_grad()
def _logits(model: torch.nn.Module) -> torch.Tensor:
    logits = model.eval()(input_ids=IDS, attention_mask=torch.ones_like(IDS)).logits
    return logits[:, -IDS.shape[1] :]


@pytest.mark.filterwarnings("ignore:Position ids are not supported")
@pytest.mark.filterwarnings("ignore:Unsupported layer type", "ignore:.*is_gradient_checkpointing")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("case", CASES)
def test_the_battery(
    bases: dict[str, Path], tmp_path: Path, case: str, family: str, kind: str
) -> None:
    if (case, family) in REFUSED:
        _is_refused(bases[family], case, REFUSED[case, family])
        return
    tuned, told = _attached(bases[family], case), Recorder()
    _loop(tuned, kind, tmp_path / "run", told).run(StopRequest())
    assert told.losses[-1] < told.losses[0]

    resumed = _attached(bases[family], case)
    loop = _loop(resumed, kind, tmp_path / "run", Recorder())
    loop.resume(Checkpoints(tmp_path / "run", 2).load(2))
    loop.run(StopRequest())
    ours, theirs = weights_of(tuned.module), weights_of(resumed.module)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)

    tuned.module.eval()
    tuned.save(tmp_path / "out")
    _opens_elsewhere(tuned, kind, bases[family], tmp_path / "out", case)
    rows = KINDS[kind].rows()
    if tuned.artefact == ADAPTER:
        again = reopen(_base(bases[family]), tmp_path / "out")
    else:
        again = open_base(describe(str(tmp_path / "out")), "float32", "cpu")
    torch.testing.assert_close(
        _at_sites(again, rows), _at_sites(tuned.base, rows), atol=1e-5, rtol=1e-5
    )


def _opens_elsewhere(tuned: Tuned, kind: str, base: Path, folder: Path, case: str) -> None:
    """Plain transformers and PEFT give the same logits, and again once merged."""
    wanted, before = _logits(tuned.module), _logits(_plain(kind, base))
    assert not torch.allclose(wanted, before, atol=1e-3)
    if tuned.artefact != ADAPTER:
        torch.testing.assert_close(
            _logits(KINDS[kind].opened(folder)), wanted, atol=1e-5, rtol=1e-5
        )
        return
    theirs = PeftModel.from_pretrained(copy.deepcopy(_plain(kind, base)), folder)
    torch.testing.assert_close(_logits(theirs), wanted, atol=1e-5, rtol=1e-5)
    merges = LINES[case.partition("/")[0]].merges
    assert hasattr(theirs.base_model, "merge_and_unload") == merges
    if merges:
        merged = theirs.merge_and_unload()
        torch.testing.assert_close(_logits(merged), wanted, atol=2e-5, rtol=1e-4)


def _is_refused(folder: Path, case: str, need: str) -> None:
    method, _, init = case.partition("/")
    assert need in needs_of(method, init or "default")
    with pytest.raises(Unsupported) as caught:
        _attached(folder, case)
    name = type(_base(folder).model).__name__
    wanted = reason_against(method, init or "default", need, f"{folder} ({name})")
    assert str(caught.value) == wanted


@pytest.mark.parametrize("case", CASES)
def test_the_base_beside_its_adapter_is_the_base_to_the_last_bit(
    bases: dict[str, Path], case: str
) -> None:
    """In bfloat16 too: what was measured before training is the base that was opened."""
    tuned, rows = _attached(bases["qwen2"], case), KINDS["sft"].rows()
    trained = set(weights_of(tuned.module))
    with tuned.without() as plain:
        found = _at_sites(plain, rows)
    assert torch.equal(found, _at_sites(_base(bases["qwen2"]), rows))
    assert set(weights_of(tuned.module)) == trained
