"""The head at sites with its gradient formed in the forward pass equals the plain one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy, linear
from torch.utils._python_dispatch import TorchDispatchMode

from tests.support import assert_near, examples, gradients_of, opened
from tunesmith.data.pack import pack
from tunesmith.engine.loop import on_device
from tunesmith.models.forward import PackedForward
from tunesmith.objectives import cross_entropy as objective
from tunesmith.objectives import linear_head
from tunesmith.objectives.cross_entropy import CrossEntropy, nll_at_sites, nll_of_batch
from tunesmith.objectives.late_weights import nll_with_gradient
from tunesmith.objectives.linear_head import weighted_nll

SITES, WIDTH, VOCABULARY = 50, 16, 97
CPU = torch.device("cpu")


@pytest.fixture(params=["one chunk", "many chunks"])
def chunked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "many chunks":
        monkeypatch.setattr(linear_head, "CHUNK_LOGITS", 7 * VOCABULARY)
        monkeypatch.setattr(linear_head, "CACHED_LOGITS", 3 * VOCABULARY)
        monkeypatch.setattr(linear_head, "_CAST_ROWS", 10)


class _Case:
    """Leaves of one computation; a third of the weights are 0, one target is nearly certain."""

    def __init__(
        self, dtype: torch.dtype = torch.float32, frozen: bool = False, sites: int = SITES
    ) -> None:
        torch.manual_seed(5)
        self.hidden = torch.randn(sites, WIDTH).to(dtype).requires_grad_()
        self.weight = torch.randn(VOCABULARY, WIDTH).to(dtype).requires_grad_(not frozen)
        self.bias = torch.randn(VOCABULARY).to(dtype).requires_grad_(not frozen)
        self.targets = torch.randint(0, VOCABULARY, (sites,))
        self.targets[0] = linear(self.hidden[0], self.weight, self.bias).argmax()
        self.site_weights = torch.tensor([0.0, 0.5, 2.0]).repeat(sites)[:sites]

    def gradients(self) -> list[torch.Tensor | None]:
        return [leaf.grad for leaf in (self.hidden, self.weight, self.bias)]

    def plain(self) -> torch.Tensor:
        logits = linear(self.hidden, self.weight, self.bias).float()
        nll: torch.Tensor = cross_entropy(logits, self.targets, reduction="none")
        return (nll * self.site_weights).sum()

    def ours(self) -> torch.Tensor:
        head = (self.weight, self.bias)
        return weighted_nll(self.hidden, head, self.targets, self.site_weights)[0]


@pytest.mark.usefixtures("chunked")
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_loss_and_gradients_are_the_plain_ones(
    dtype: torch.dtype, tolerance: float, frozen: bool
) -> None:
    """The loss is scaled behind the function, as a division or a mixture of losses would."""
    plain, ours = _Case(dtype, frozen), _Case(dtype, frozen)
    wanted, found = plain.plain(), ours.ours()
    assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=1e-5)
    (wanted * 0.3).backward()
    (found * 0.3).backward()
    for gradient, reference in zip(ours.gradients(), plain.gradients(), strict=True):
        assert (gradient is None) == (reference is None)
        if gradient is not None and reference is not None:
            assert gradient.dtype == dtype
            error = (gradient.float() - reference.float()).norm() / reference.float().norm()
            assert error < tolerance


def _of_answers(nll_S: torch.Tensor) -> torch.Tensor:
    """A loss of four answers that is no weighted sum of sites; one site is in none of them."""
    sums = torch.zeros(4).index_add(0, torch.arange(len(nll_S) - 1) % 4, nll_S[1:])
    return -torch.nn.functional.logsigmoid(0.1 * (sums[1] - sums[0] + sums[3] - sums[2]))


@pytest.mark.usefixtures("chunked")
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_a_loss_of_whole_answers_has_the_plain_gradients(
    dtype: torch.dtype, tolerance: float, frozen: bool
) -> None:
    plain, ours = _Case(dtype, frozen), _Case(dtype, frozen)
    logits = linear(plain.hidden, plain.weight, plain.bias).float()
    wanted = _of_answers(cross_entropy(logits, plain.targets, reduction="none"))
    found = _of_answers(nll_with_gradient(ours.hidden, (ours.weight, ours.bias), ours.targets))
    assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=1e-5)
    wanted.backward()
    found.backward()
    for gradient, reference in zip(ours.gradients(), plain.gradients(), strict=True):
        assert (gradient is None) == (reference is None)
        if gradient is not None and reference is not None:
            assert gradient.dtype == dtype
            error = (gradient.float() - reference.float()).norm() / reference.float().norm()
            assert error < tolerance


def test_values_with_a_gradient_cost_one_pass_of_a_frozen_head() -> None:
    for frozen, products in ((True, 2), (False, 5)):  # logits, dh; and logits again, dW, db
        case = _Case(frozen=frozen)
        with _Watch() as watch:
            head = (case.weight, case.bias)
            _of_answers(nll_with_gradient(case.hidden, head, case.targets)).backward()
        assert len(watch.products) == products
        with torch.no_grad(), _Watch() as watch:
            nll_with_gradient(case.hidden, head, case.targets)
        assert len(watch.products) == 1


class _Watch(TorchDispatchMode):
    """Notes the largest tensor made and the matrix products, by the shapes of their results."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.largest = 0
        self.products: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and not func.is_view:
            self.largest = max(self.largest, result.numel())
            if func.overloadpacket.__name__ in ("mm", "addmm", "addmm_"):
                self.products.append(tuple(result.shape))
        return result


def test_no_tensor_is_larger_than_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    chunk = 7 * VOCABULARY
    monkeypatch.setattr(linear_head, "CHUNK_LOGITS", chunk)
    monkeypatch.setattr(linear_head, "_SIZES", 1)
    case = _Case(frozen=True)
    with _Watch() as watch:
        case.ours().backward()
    assert watch.largest <= max(chunk, SITES * WIDTH)
    with _Watch() as watch:
        case.plain()
    assert watch.largest == SITES * VOCABULARY


def test_a_frozen_head_costs_no_product_for_its_weight() -> None:
    for frozen, products in ((True, 2), (False, 4)):  # logits, dh; and dW, db
        case = _Case(frozen=frozen)
        with _Watch() as watch:
            case.ours().backward()
        assert len(watch.products) == products
        assert ((VOCABULARY, WIDTH) in watch.products) is not frozen


def test_products_have_few_sizes() -> None:
    """Code is made for each size, and kept: 1 to 32 sites are one size."""
    sizes = set()
    for sites in (1, 31, 32):
        case = _Case(frozen=False, sites=sites)
        for graph in (torch.enable_grad, torch.no_grad):
            with graph(), _Watch() as watch:
                case.ours()
            sizes.add(tuple(rows for rows, columns in watch.products if columns == VOCABULARY))
    assert sizes == {(32,)}


@pytest.mark.parametrize(
    ("sites", "dtype", "chunks"),
    [
        (2 * WIDTH, torch.bfloat16, 1),  # logits of 2 V S bytes, where a sum would take 4 V D
        (2 * WIDTH + 1, torch.bfloat16, 3),
        (2 * WIDTH, torch.float32, 2),  # added where it stands: nothing to save
    ],
)
def test_the_gradient_of_a_trained_head_is_one_product_where_that_takes_no_more(
    sites: int, dtype: torch.dtype, chunks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear_head, "CHUNK_LOGITS", WIDTH * VOCABULARY)
    monkeypatch.setattr(linear_head, "_SIZES", 1)
    weight = torch.empty(VOCABULARY, WIDTH, dtype=dtype)
    assert len(list(linear_head.chunks_of(sites, weight, trained=True))) == chunks
    assert len(list(linear_head.chunks_of(sites, weight, trained=False))) > 1


def test_without_a_gradient_only_the_loss_is_formed() -> None:
    case = _Case()
    with torch.no_grad(), _Watch() as watch:
        value = case.ours()
    assert len(watch.products) == 1
    torch.testing.assert_close(value, case.plain().detach())


def _products(forward: PackedForward) -> int:
    """How often the objective forms a whole head's worth of logits."""
    batch = on_device(pack(examples(4)), CPU)
    with _Watch() as watch:
        CrossEntropy().loss(forward, batch).sum.backward()
    sites, vocabulary = len(batch.sites_S), forward._head.linear.out_features
    filled = -(-sites // linear_head._SIZES) * linear_head._SIZES
    return sum(watch.products.count((rows, vocabulary)) for rows in {sites, filled})


@pytest.mark.usefixtures("chunked")
def test_likeliest_are_those_that_no_other_token_is_likelier_than() -> None:
    case = _Case()
    logits_SV = linear(case.hidden, case.weight, case.bias)
    case.targets[::3] = logits_SV.argmax(1)[::3]
    head, likeliest_S = (case.weight, case.bias), torch.empty(SITES)
    nll_S = linear_head.nll_of_sites(case.hidden, head, case.targets, likeliest_S)
    assert torch.equal(likeliest_S == 1, case.targets == logits_SV.argmax(1))
    assert 0 < likeliest_S.sum() < SITES
    assert torch.equal(nll_S, linear_head.nll_of_sites(case.hidden, head, case.targets))


def test_a_head_that_is_more_than_linear_takes_the_plain_route(tiny_base: Path) -> None:
    """With a hook on it, or scaled logits, the head itself is called: its logits are made twice."""
    forward = opened(tiny_base).base.forward
    assert isinstance(forward, PackedForward)
    assert forward.linear_head is not None
    assert _products(forward) == 1
    handle = forward._head.linear.register_forward_hook(lambda module, args, out: out * 2)
    assert forward.linear_head is None
    assert _products(forward) == 2
    handle.remove()
    forward._head.cap = 30.0
    assert forward.linear_head is None


def test_an_objective_gives_the_same_by_both_routes(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = opened(tiny_base)
    batch = on_device(pack(examples(8)), CPU)
    found = []
    for plain in (False, True):
        if plain:
            monkeypatch.setattr(PackedForward, "linear_head", None)
        tuned.module.zero_grad()
        loss = CrossEntropy().loss(tuned.base.forward, replace(batch))
        loss.sum.backward()
        found.append((float(loss.sum.detach()), loss.count, gradients_of(tuned.module)))
    assert found[0][:2] == pytest.approx(found[1][:2], rel=1e-6)
    assert_near(found[0][2], found[1][2])


def test_sites_have_the_same_gradients_by_both_routes(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = opened(tiny_base)
    batch = on_device(pack(examples(8)), CPU)
    monkeypatch.setattr(objective, "CHUNK", 7)
    found = []
    for plain in (False, True):
        if plain:
            monkeypatch.setattr(PackedForward, "linear_head", None)
        tuned.module.zero_grad()
        nll_at_sites(tuned.base.forward, batch).square().sum().backward()
        found.append(gradients_of(tuned.module))
    assert_near(*found)


def test_sites_cost_the_same_through_any_head(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Value by value, also where chunks end between sites; the sum is the objective's."""
    forward = opened(tiny_base).base.forward
    batch = on_device(pack(examples(8)), CPU)
    linear_S = nll_of_batch(forward, batch)
    monkeypatch.setattr(PackedForward, "linear_head", None)
    monkeypatch.setattr(objective, "CHUNK", 7)
    with _Watch() as watch:
        any_S = nll_of_batch(forward, batch)
    torch.testing.assert_close(any_S, linear_S, atol=1e-6, rtol=1e-6)
    assert any_S.shape == batch.sites_S.shape
    assert not any_S.requires_grad
    vocabulary = forward._head.linear.out_features
    assert (7, vocabulary) in watch.products
    assert (len(batch.sites_S), vocabulary) not in watch.products
    loss = CrossEntropy().loss(forward, batch).sum
    torch.testing.assert_close(any_S @ batch.weights_S, loss.detach())
