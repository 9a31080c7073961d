"""Every method on every kind of base trains, resumes, saves, opens elsewhere, merges; or refuses.

One test for each kind of objective (`tests.battery.KINDS`), family of bases, and method.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.battery import KINDS, Subject, at_sites, opened_writer, section_of
from tests.support import SETTINGS, Recorder, weights_of
from tunesmith.core.errors import Unsupported
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.engine.loop import Loop
from tunesmith.engine.stopping import StopRequest
from tunesmith.models.methods import ADAPTER, METHODS, attach
from tunesmith.recipe.methods import INITS, NEEDS, needs_of, unfit
from tunesmith.recipe.methods import METHODS as LINES

CASES = [*METHODS, *(f"lora/{init}" for init in INITS if init != "default"), "rslora/pissa"]
REFUSED: dict[tuple[str, str], str] = {
    ("bias", "llama"): "biases",
    ("bias", "mistral"): "biases",
    ("oft", "gpt2"): "linear_only",
    ("lora/olora", "gpt2"): "linear_only",
    ("ia3", "resnet"): "ia3_targets",
    ("vera", "resnet"): "linear_layers",
    ("oft", "resnet"): "no_convolutions",
    **{
        (case, "resnet"): "no_convolutions"
        for case in ("lora/orthogonal", "lora/pissa", "lora/olora", "rslora/pissa")
    },
}
STEPS = replace(SETTINGS, total_steps=4, checkpoint_every=2)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """A random model of each family, in a folder."""
    folder = tmp_path_factory.mktemp("battery")
    return {
        (name, family): kind.made(folder / name / family, family)
        for name, kind in KINDS.items()
        for family in kind.families
    }


def _loop(subject: Subject, case: str, folder: Path, watcher: Recorder) -> Loop:
    folder.mkdir(parents=True, exist_ok=True)
    line = LINES[case.partition("/")[0]]  # type: ignore[index]
    rate = 0.02 if line.own_rate else 0.02 * min(1, line.rate / LINES["lora"].rate)
    return Loop(
        subject.module,
        subject.forward,
        subject.objective,
        subject.batches,
        replace(STEPS, learning_rate=rate, rate_factors=subject.factors),
        validate=None,
        checkpoints=Checkpoints(folder, 2),
        watcher=watcher,
        revision=subject.revision(STEPS.total_steps) if subject.revision else None,
    )


@pytest.mark.filterwarnings("ignore:Position ids are not supported")
@pytest.mark.filterwarnings("ignore:Unsupported layer type", "ignore:.*is_gradient_checkpointing")
@pytest.mark.parametrize(
    ("kind", "family"), [(kind, family) for kind in KINDS for family in KINDS[kind].families]
)
@pytest.mark.parametrize("case", CASES)
def test_the_battery(
    bases: dict[tuple[str, str], Path], tmp_path: Path, case: str, family: str, kind: str
) -> None:
    base, prepared = bases[kind, family], KINDS[kind].subject
    method = case.partition("/")[0]
    if unfit(method, kind):  # type: ignore[arg-type]
        return  # the recipe is refused: tests/recipe/test_recipe_methods.py
    if need := REFUSED.get((case, family)):
        assert need in needs_of(method, case.partition("/")[2] or "default")  # type: ignore[arg-type]
        with pytest.raises(Unsupported) as caught:
            prepared(base, case)
        assert NEEDS[need][1] in str(caught.value)  # type: ignore[index]
        _works_instead(str(caught.value), kind, base)
        return
    subject, told = prepared(base, case), Recorder()
    before = subject.wanted_elsewhere()
    _loop(subject, case, tmp_path / "run", told).run(StopRequest())
    assert told.losses[-1] < told.losses[0]

    resumed = prepared(base, case)
    loop = _loop(resumed, case, tmp_path / "run", Recorder())
    loop.resume(Checkpoints(tmp_path / "run", 2).load(2))
    loop.run(StopRequest())
    ours, theirs = weights_of(subject.module), weights_of(resumed.module)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)

    subject.module.eval()
    saved = tmp_path / subject.artefact
    subject.save(saved)
    wanted = subject.wanted_elsewhere()
    assert not torch.allclose(wanted, before, atol=1e-4)
    first, *merged = subject.elsewhere(saved)
    torch.testing.assert_close(first, wanted, atol=1e-5, rtol=1e-5)
    assert bool(merged) == (subject.artefact == ADAPTER and LINES[method].merges)
    for each in merged:
        torch.testing.assert_close(each, wanted, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(subject.again(saved), subject.outputs(), atol=1e-5, rtol=1e-5)


def _works_instead(sentence: str, kind: str, base: Path) -> None:
    """What a refusal names is not refused in turn."""
    key, _, name = sentence.rpartition("Use model.")[2].rstrip(".").partition("=")
    KINDS[kind].subject(base, name if key == "method" else f"lora/{name}")


@pytest.mark.parametrize("case", CASES)
def test_the_base_beside_its_adapter_is_the_base_to_the_last_bit(
    bases: dict[tuple[str, str], Path], case: str
) -> None:
    """In bfloat16 too: what was measured before training is the base that was opened."""
    opened = opened_writer(bases["sft", "qwen2"])
    tuned = attach(copy.deepcopy(opened), section_of(case, 2), 0)
    trained = set(weights_of(tuned.module))
    with tuned.without() as plain:
        found = at_sites(plain)
    assert torch.equal(found, at_sites(opened))
    assert set(weights_of(tuned.module)) == trained
