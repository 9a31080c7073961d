"""Preference objectives against their formulas, with the model's own logits and autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, logsigmoid, softplus

from tests.support import assert_near, gradients_of, opened
from tunesmith.core.batch import Batch, LossSum
from tunesmith.core.records import Origin, Tokens
from tunesmith.data.pack import pack
from tunesmith.engine.loop import on_device
from tunesmith.models.forward import FullLogitsForward, PackedForward
from tunesmith.models.methods import Tuned
from tunesmith.objectives import cross_entropy as any_head
from tunesmith.objectives.cross_entropy import CrossEntropy
from tunesmith.objectives.penalised import Penalised
from tunesmith.objectives.preferences import PREFERENCES
from tunesmith.objectives.preferences.answers import Answers
from tunesmith.objectives.preferences.dpo import VARIANTS
from tunesmith.objectives.preferences.kept import only
from tunesmith.objectives.preferences.orpo import ORPO
from tunesmith.recipe.preferences import PreferenceLoss

CPU = torch.device("cpu")
ROWS = 4


def _sequences(parts: Sequence[int]) -> list[Tokens]:
    """For each of four long questions an answer of each part, of uneven length and weight."""
    draw, found = np.random.default_rng(4), []
    for row in range(ROWS):
        question = draw.integers(0, 300, 20)
        for part in parts:
            answer = draw.integers(0, 300, int(draw.integers(2, 9)))
            weights = np.repeat(np.float32([0, 1]), [len(question), len(answer)])
            weights[-1] = 0.5
            ids = np.concatenate([question, answer]).astype(np.int32)
            found.append(Tokens(Origin("made.jsonl", row + 1), ids, weights, 1, part))
    return found


PAIRS = _sequences((0, 1))
RATED = [each for n, each in enumerate(_sequences((0, 1, 2))) if n not in (3, 6, 7)]


def _batch(rows: Sequence[Tokens], share: bool = True) -> Batch:
    """The rows with a made-up reference, the same number for the same token of an answer."""
    batch = pack(rows, share)
    reference_S = -6.5 - np.sin(batch.targets_S + batch.positions_T[batch.sites_S])
    parts_B = np.array([row.part for row in rows])
    return on_device(
        replace(batch, parts_B=parts_B, reference_S=reference_S.astype(np.float32)), CPU
    )


@pytest.fixture(scope="module")
def tuned(tiny_base: Path) -> Tuned:
    return opened(tiny_base)


def _values(tuned: Tuned, rows: Sequence[Tokens]) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return _plainly(tuned, rows)


def _plainly(tuned: Tuned, rows: Sequence[Tokens]) -> dict[str, torch.Tensor]:
    """Log-likelihood, log-ratio and length of each answer, each in a forward pass of its own."""
    found: dict[str, list[torch.Tensor]] = {"p": [], "r": [], "n": []}
    for row in rows:
        ids, weights = torch.tensor(row.ids_N[None].astype(np.int64)), torch.tensor(row.weights_N)
        logits = tuned.base.model(input_ids=ids).logits[0, :-1]
        log_p = -cross_entropy(logits, ids[0, 1:], reduction="none")
        reference = -6.5 - torch.sin(ids[0, 1:] + torch.arange(len(log_p)))
        for name, values in (("p", log_p), ("r", log_p - reference), ("n", torch.ones(len(log_p)))):
            found[name].append(values @ weights[1:])
    return {name: torch.stack(values) for name, values in found.items()}


Formula = Callable[[dict[str, torch.Tensor]], torch.Tensor]


def _of_pairs(formula: Callable[..., torch.Tensor]) -> Formula:
    """A formula of the values of the better answers and of the worse."""
    return lambda v: formula(
        {name: each[0::2] for name, each in v.items()},
        {name: each[1::2] for name, each in v.items()},
    ).mean()


def _sft(v: dict[str, torch.Tensor]) -> torch.Tensor:
    return -v["p"][0::2].sum() / v["n"][0::2].sum()


def _log_odds(w: dict[str, torch.Tensor]) -> torch.Tensor:
    p = (w["p"].double() / w["n"]).exp()
    return (p / (1 - p)).log()


PARTS = torch.tensor([row.part for row in RATED])


def _kto(v: dict[str, torch.Tensor]) -> torch.Tensor:
    z = (0.2 * v["r"])[PARTS == 2].mean().clamp(min=0).detach()
    liked, disliked = ((0.2 * v["r"] - z)[part == PARTS] for part in (0, 1))
    return torch.cat([2.0 * (1 - liked.sigmoid()), 0.5 * disliked.sigmoid()]).mean()


def _bco(v: dict[str, torch.Tensor]) -> torch.Tensor:
    liked, disliked = ((0.2 * v["r"])[part == PARTS] for part in (0, 1))
    middle = ((liked.mean() + disliked.mean()) / 2).detach()
    return torch.cat([softplus(middle - liked), softplus(disliked - middle)]).mean()


CASES: dict[str, tuple[str, dict[str, Any], Formula]] = {
    "dpo": ("dpo", {"beta": 0.2}, _of_pairs(lambda b, w: softplus(0.2 * (w["r"] - b["r"])))),
    "conservative": (
        "dpo",
        {"beta": 0.2, "smoothing": 0.1},
        _of_pairs(
            lambda b, w: (
                0.9 * softplus(0.2 * (w["r"] - b["r"])) + 0.1 * softplus(0.2 * (b["r"] - w["r"]))
            )
        ),
    ),
    "robust": (
        "dpo",
        {"beta": 0.2, "variant": "robust", "smoothing": 0.1},
        _of_pairs(
            lambda b, w: (
                (0.9 * softplus(0.2 * (w["r"] - b["r"])) - 0.1 * softplus(0.2 * (b["r"] - w["r"])))
                / 0.8
            )
        ),
    ),
    "hinge": (
        "dpo",
        {"beta": 0.2, "variant": "hinge"},
        _of_pairs(lambda b, w: (1 - 0.2 * (b["r"] - w["r"])).clamp(min=0)),
    ),
    "ipo": (
        "dpo",
        {"beta": 0.2, "variant": "ipo"},
        _of_pairs(lambda b, w: (b["r"] / b["n"] - w["r"] / w["n"] - 2.5) ** 2),
    ),
    "normalized": (
        "dpo",
        {"beta": 2.0, "variant": "normalized"},
        _of_pairs(lambda b, w: softplus(2 * (w["r"] / w["n"] - b["r"] / b["n"]))),
    ),
    "simpo": (
        "simpo",
        {"beta": 2.0, "margin": 0.5},
        _of_pairs(lambda b, w: -logsigmoid(2 * (b["p"] / b["n"] - w["p"] / w["n"]) - 0.5)),
    ),
    "cpo": (
        "cpo",
        {"beta": 0.2, "sft": 0.7},
        lambda v: _of_pairs(lambda b, w: softplus(0.2 * (w["p"] - b["p"])))(v) + 0.7 * _sft(v),
    ),
    "orpo": (
        "orpo",
        {"beta": 0.5},
        lambda v: _of_pairs(lambda b, w: 0.5 * softplus(_log_odds(w) - _log_odds(b)))(v) + _sft(v),
    ),
    "kto": ("kto", {"beta": 0.2, "liked": 2.0, "disliked": 0.5}, _kto),
    "bco": ("bco", {"beta": 0.2}, _bco),
}


def _rows(kind: str) -> list[Tokens]:
    return RATED if kind in ("kto", "bco") else PAIRS


def _ours(
    tuned: Tuned, case: str, cuts: Sequence[int] = (), share: bool = True, path: Any = None
) -> tuple[LossSum, dict[str, torch.Tensor]]:
    """Value, count, extras and gradients of a step whose micro-batches begin at `cuts`."""
    kind, settings, _ = CASES[case]
    rows, objective = _rows(kind), PREFERENCES[kind](**settings)
    forward = path or tuned.base.forward
    batches = [
        _batch(rows[start:end], share) for start, end in zip([0, *cuts], [*cuts, None], strict=True)
    ]
    tuned.module.zero_grad()
    each = objective.of_step(forward, iter(batches)) if cuts else [objective]
    total = LossSum(0.0, 0.0)
    for one, batch in zip(each, batches, strict=True):
        loss = one.loss(forward, batch)
        loss.sum.backward()
        total = total.plus(replace(loss, sum=float(loss.sum.detach())))
    return total, gradients_of(tuned.module)


@pytest.mark.parametrize("case", CASES)
def test_loss_and_every_gradient_are_those_of_the_formula(tuned: Tuned, case: str) -> None:
    """In one micro-batch and in several, with prefixes shared and repeated."""
    kind, _, formula = CASES[case]
    tuned.module.zero_grad()
    wanted = formula(_plainly(tuned, _rows(kind)))
    wanted.backward()
    gradients = gradients_of(tuned.module)
    whole = _ours(tuned, case)
    assert whole[0].count == (5 if kind in ("kto", "bco") else ROWS)
    for loss, found in (whole, _ours(tuned, case, (4, 6), share=False)):
        assert loss.sum / loss.count == pytest.approx(float(wanted.detach()), rel=1e-5)
        assert loss.extras == pytest.approx(whole[0].extras, rel=1e-4, abs=1e-4)
        assert_near({n: g / loss.count for n, g in found.items()}, gradients, 2e-5)


@pytest.mark.parametrize("case", ["dpo", "kto"])
@pytest.mark.parametrize("path", [PackedForward, FullLogitsForward])
def test_any_head_gives_the_same(
    tuned: Tuned, monkeypatch: pytest.MonkeyPatch, case: str, path: type
) -> None:
    wanted = _ours(tuned, case)
    monkeypatch.setattr(PackedForward, "linear_head", None)
    monkeypatch.setattr(any_head, "CHUNK", 7)
    loss, found = _ours(tuned, case, path=path(tuned.base.model))
    assert loss.sum == pytest.approx(wanted[0].sum, rel=1e-5)
    assert_near(found, wanted[1])


def test_a_penalty_leaves_a_step_whole(tuned: Tuned) -> None:
    """What is a mean over a step stays one under a cost of the weights."""
    forward, batches = tuned.base.forward, [_batch(PAIRS[:4]), _batch(PAIRS[4:])]
    plain = PREFERENCES["orpo"]()
    each = Penalised(plain, lambda: torch.tensor(0.5)).of_step(forward, iter(batches))
    total = LossSum(torch.zeros(()), 0.0)
    for one, batch in zip(each, batches, strict=True):
        total = total.plus(one.loss(forward, batch))
    wanted = plain.loss(forward, _batch(PAIRS)).sum + 0.5 * ROWS
    torch.testing.assert_close(total.sum, wanted)
    assert len(Penalised(CrossEntropy(), lambda: torch.zeros(())).of_step(forward, batches)) == 2


def test_what_is_reported_of_pairs(tuned: Tuned) -> None:
    """Sums over the pairs."""
    v = _values(tuned, PAIRS)
    reward, better = 0.2 * v["r"], v["r"][0::2] > v["r"][1::2]
    assert 0 < better.sum() < ROWS
    assert _ours(tuned, "dpo")[0].extras == pytest.approx(
        {
            "reward_chosen": float(reward[0::2].sum()),
            "reward_rejected": float(reward[1::2].sum()),
            "reward_margin": float((reward[0::2] - reward[1::2]).sum()),
            "accuracy": float(better.sum()),
            "log_p_chosen": float(v["p"][0::2].sum()),
            "log_p_rejected": float(v["p"][1::2].sum()),
        },
        rel=1e-4,
    )
    beside = _ours(tuned, "orpo")[0]
    assert beside.extras["nll_chosen"] / beside.count == pytest.approx(float(_sft(v)), rel=1e-5)


def test_what_is_reported_of_rated_answers(tuned: Tuned) -> None:
    v = _values(tuned, RATED)
    point = max(0.0, float((0.2 * v["r"])[PARTS == 2].mean()))
    assert point > 0  # or the clamp would be all that is tested
    margins = torch.cat([(0.2 * v["r"] - point)[PARTS == 0], (point - 0.2 * v["r"])[PARTS == 1]])
    extras = _ours(tuned, "kto")[0].extras
    assert extras == pytest.approx(
        {
            "reward_margin": float(margins.sum()),
            "accuracy": float((margins > 0).sum()),
            "log_p": float(v["p"][PARTS < 2].sum()),
            "point": 5 * point,
            "liked": 2.0,
        },
        rel=1e-4,
    )


def test_some_sequences_of_a_batch_have_what_they_have_alone(tuned: Tuned) -> None:
    batch, kept = _batch(RATED), PARTS == 2
    found, alone = only(batch, kept), _batch([row for row in RATED if row.part == 2])
    assert found.tokens == alone.tokens < batch.tokens
    assert found.origins == alone.origins
    for name in ("owner_S", "targets_S", "reference_S", "parts_B", "weights_S"):
        assert torch.equal(getattr(found, name), getattr(alone, name))
    forward = tuned.base.forward
    torch.testing.assert_close(forward.hidden_at_sites(found), forward.hidden_at_sites(alone))
    both = only(batch, PARTS < 2)
    assert any(segment.parent >= 0 for segment in both.segments)
    assert only(batch, torch.ones_like(kept)) is batch


def test_a_step_of_one_kind_has_a_point_and_one_of_mismatches_learns_nothing(tuned: Tuned) -> None:
    liked, mismatched = (_batch([r for r in RATED if r.part == part]) for part in (0, 2))
    loss = PREFERENCES["bco"]().loss(tuned.base.forward, liked)
    assert loss.extras["reward_margin"] == pytest.approx(0.0, abs=1e-4)
    alone = PREFERENCES["kto"]().loss(tuned.base.forward, liked)
    assert alone.extras["point"] == 0.0
    tuned.module.zero_grad()
    nothing = PREFERENCES["kto"]().loss(tuned.base.forward, mismatched)
    nothing.sum.backward()
    assert nothing.count == 0.0
    assert gradients_of(tuned.module) == {}


def test_an_answer_that_has_become_certain_does_not_break_orpo() -> None:
    log_p = torch.tensor([0.0], requires_grad=True)
    certain, other = (Answers(p, None, torch.ones(1)) for p in (log_p, torch.tensor([-1.0])))
    loss = ORPO().of_pairs(certain, other).loss
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert log_p.grad is not None
    assert torch.isfinite(log_p.grad).all()


def test_a_loss_that_looks_back_wants_its_reference(tuned: Tuned) -> None:
    """A slip of ours: without one, a log-likelihood would pass for a log-ratio."""
    with pytest.raises(AssertionError, match="reference_S"):
        PREFERENCES["dpo"]().loss(tuned.base.forward, replace(_batch(PAIRS), reference_S=None))


def test_every_loss_of_dpo_that_the_recipe_names_is_there() -> None:
    assert set(get_args(PreferenceLoss)) == set(VARIANTS)
