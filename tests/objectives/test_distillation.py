"""Learning from a teacher: the value, every gradient, and that it is approached."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div

from tests.bases import save_llama
from tests.conftest import make_tokenizer
from tests.support import SETTINGS, assert_near, examples, gradients_of, loop_over, opened
from tunesmith.core.batch import LossSum
from tunesmith.core.records import Tokens
from tunesmith.data.pack import pack
from tunesmith.engine.loop import on_device
from tunesmith.engine.stopping import StopRequest
from tunesmith.models.forward import FullLogitsForward, PackedForward
from tunesmith.models.methods import Tuned
from tunesmith.models.open import Base, describe, open_base
from tunesmith.objectives import Distillation, linear_head
from tunesmith.objectives.distillation import Divergence

SHARE, TEMPERATURE = 0.7, 2.5
VOCABULARY = 330


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Base:
    """Wider and deeper than the tiny base, and sure of itself."""
    folder = tmp_path_factory.mktemp("teacher")
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4}
    save_llama(folder, make_tokenizer(), seed=11, num_attention_heads=4, **sizes)
    base = open_base(describe(str(folder)), "float32", "cpu")
    base.model.requires_grad_(False)
    with torch.no_grad():
        base.model.get_output_embeddings().weight.mul_(20)
    return base


def _ours(
    tuned: Tuned,
    teacher: Base,
    groups: list[list[Tokens]],
    forward: object | None = None,
    way: Divergence = "forward",
) -> tuple[LossSum, dict[str, torch.Tensor]]:
    tuned.module.zero_grad()
    total = LossSum(0.0, 0.0)
    objective = Distillation(teacher.forward, SHARE, TEMPERATURE, way)
    for rows in groups:
        batch = on_device(pack(rows), torch.device("cpu"))
        loss = objective.loss(forward or tuned.base.forward, batch)  # type: ignore[arg-type]
        loss.sum.backward()
        total = total.plus(replace(loss, sum=float(loss.sum.detach())))
    return total, gradients_of(tuned.module)


def _plainly(
    tuned: Tuned, teacher: Base, rows: list[Tokens], way: Divergence = "forward"
) -> tuple[float, float]:
    """With the library's own forward of both models, full logits and F.kl_div."""
    tuned.module.zero_grad()
    total = kl_total = torch.zeros(())
    for row in rows:
        ids, weights = torch.from_numpy(row.ids_N).long(), torch.from_numpy(row.weights_N[1:])
        logits = tuned.base.model(input_ids=ids[None]).logits[0, :-1]
        wanted = teacher.model(input_ids=ids[None]).logits[0, :-1, : logits.shape[1]]
        ours = (logits / TEMPERATURE).log_softmax(-1)[:, : wanted.shape[1]]
        soft = (wanted / TEMPERATURE).log_softmax(-1)
        kl = kl_div(ours, soft, reduction="none", log_target=True).sum(-1)
        if way == "reverse":
            ours = (logits[:, : wanted.shape[1]] / TEMPERATURE).log_softmax(-1)
            kl = kl_div(soft, ours, reduction="none", log_target=True).sum(-1)
        nll = cross_entropy(logits, ids[1:], reduction="none")
        mixed = (1 - SHARE) * nll + SHARE * TEMPERATURE**2 * kl
        total, kl_total = total + (mixed * weights).sum(), kl_total + (kl * weights).sum()
    total.backward()
    return float(total.detach()), float(kl_total.detach())


@pytest.mark.parametrize("way", ["forward", "reverse"])
@pytest.mark.parametrize("chunk", [None, 7])
@pytest.mark.parametrize("method", ["full", "head", "lora"])
def test_loss_and_every_gradient_are_those_of_full_logits(
    tiny_base: Path,
    teacher: Base,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    chunk: int | None,
    way: Divergence,
) -> None:
    if chunk:
        monkeypatch.setattr(linear_head, "CHUNK_LOGITS", 2 * chunk * VOCABULARY)
        monkeypatch.setattr(linear_head, "CACHED_LOGITS", 3 * VOCABULARY)
    tuned, rows = opened(tiny_base, method), examples(6)
    value, kl = _plainly(tuned, teacher, rows, way)
    wanted = gradients_of(tuned.module)
    loss, found = _ours(tuned, teacher, [rows], way=way)
    assert kl > 0.5
    assert loss.sum == pytest.approx(value, rel=1e-5)
    assert loss.extras["kl_to_teacher"] == pytest.approx(kl, rel=1e-4)
    assert_near(found, wanted, tolerance=1e-4)


@pytest.mark.parametrize("way", ["forward", "reverse"])
@pytest.mark.parametrize("path", [PackedForward, FullLogitsForward])
def test_any_head_gives_the_same(
    tiny_base: Path, teacher: Base, monkeypatch: pytest.MonkeyPatch, path: type, way: Divergence
) -> None:
    tuned, rows = opened(tiny_base), examples(6)
    wanted = _ours(tuned, teacher, [rows], way=way)
    monkeypatch.setattr(PackedForward, "linear_head", None)
    monkeypatch.setattr("tunesmith.objectives.beside._CHUNK", 7)
    found = _ours(tuned, teacher, [rows], path(tuned.base.model), way)
    assert found[0].sum == pytest.approx(wanted[0].sum, rel=1e-5)
    assert found[0].extras == pytest.approx(wanted[0].extras, rel=1e-4)
    assert_near(found[1], wanted[1])


@pytest.mark.parametrize("way", ["forward", "reverse"])
@pytest.mark.parametrize("more", [-20, 20])
def test_a_vocabulary_that_is_filled_up_is_compared_where_both_have_tokens(
    tiny_base: Path, teacher: Base, more: int, way: Divergence
) -> None:
    tuned, rows, model = opened(tiny_base), examples(6), deepcopy(teacher.model)
    head = torch.nn.Linear(64, VOCABULARY + more, bias=False)
    with torch.no_grad():
        head.weight.normal_(std=0.3, generator=torch.Generator().manual_seed(3))
    model.set_output_embeddings(head.requires_grad_(False))
    teacher = replace(teacher, model=model, forward=PackedForward(model))
    value, _ = _plainly(tuned, teacher, rows, way)
    wanted = gradients_of(tuned.module)
    loss, found = _ours(tuned, teacher, [rows], way=way)
    assert loss.sum == pytest.approx(value, rel=1e-5)
    assert_near(found, wanted, tolerance=1e-4)


def test_micro_batches_do_not_change_it(tiny_base: Path, teacher: Base) -> None:
    tuned, rows = opened(tiny_base), examples(6)
    whole, parts = _ours(tuned, teacher, [rows]), _ours(tuned, teacher, [[row] for row in rows])
    assert whole[0].sum == pytest.approx(parts[0].sum, rel=1e-6)
    assert whole[0].count == parts[0].count
    assert_near(whole[1], parts[1])


def test_a_student_approaches_its_teacher_which_stays(
    tiny_base: Path, teacher: Base, tmp_path: Path
) -> None:
    tuned, rows = opened(tiny_base), examples(16)
    before = {name: weight.clone() for name, weight in teacher.model.named_parameters()}
    first = _ours(tuned, teacher, [rows])[0]
    settings = replace(SETTINGS, total_steps=120, validate_every=1000)
    objective = Distillation(teacher.forward, 1.0, 1.0)
    loop_over(tuned, rows, tmp_path, settings, objective=objective).run(StopRequest())
    last = _ours(tuned, teacher, [rows])[0]
    assert last.extras["kl_to_teacher"] < 0.5 * first.extras["kl_to_teacher"]
    for name, weight in teacher.model.named_parameters():
        assert torch.equal(weight, before[name]), name
        assert weight.grad is None
