"""Every kernel of attention over segments says what a mask written out by hand says."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from tunesmith.core.batch import ROOT, Segment
from tunesmith.core.errors import Unsupported
from tunesmith.models import segment_attention as kernel
from tunesmith.models.attention import dense_attention, flex, segment_attention
from tunesmith.models.layout import Layout

FLAT = (Segment(0, 6), Segment(6, 7), Segment(7, 20))
BRANCHED = (
    Segment(0, 9),
    Segment(9, 14, 0),
    Segment(14, 16, 1),
    Segment(16, 22, 1),
    Segment(22, 29, 0),
    Segment(29, 33),
    Segment(33, 40, 5),
)
WINDOWS = [None, 1, 3, 6, 9, 15, 100]
Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def _states(total: int, query_heads: int = 6, dtype: torch.dtype = torch.float32) -> Tensors:
    """Queries, keys and values in memory as a model makes them: tokens before heads."""
    torch.manual_seed(1)
    query, key, value = (
        torch.randn(1, total, heads, 8, dtype=dtype).transpose(1, 2).requires_grad_()
        for heads in (query_heads, 2, 2)
    )
    return query, key, value


def _path(segments: tuple[Segment, ...], place: int) -> list[int]:
    """The tokens of segment `place` and of all above it, in order."""
    segment = segments[place]
    above = [] if segment.parent == ROOT else _path(segments, segment.parent)
    return above + list(range(segment.start, segment.end))


def _by_hand(segments: tuple[Segment, ...], window: int | None) -> torch.Tensor:
    """Who sees whom, shape (T, T), from the words of the batch: itself, and its ancestors."""
    seen = torch.zeros(segments[-1].end, segments[-1].end, dtype=torch.bool)
    for place, segment in enumerate(segments):
        path = _path(segments, place)
        for token in range(segment.start, segment.end):
            upto = path[: path.index(token) + 1]
            seen[token, upto if window is None else upto[-window:]] = True
    return seen


def _reference(states: Tensors, seen: torch.Tensor, softcap: float | None = None) -> torch.Tensor:
    query, key, value = states
    if softcap is None:
        return scaled_dot_product_attention(
            query, key, value, attn_mask=seen, scale=0.5, enable_gqa=True
        )
    key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], 1) for x in (key, value))
    scores = softcap * torch.tanh(query @ key.transpose(2, 3) * 0.5 / softcap)
    return scores.masked_fill(~seen, -torch.inf).softmax(-1) @ value


def _assert_equal(ours: torch.Tensor, wanted: torch.Tensor, states: Tensors) -> None:
    """Outputs and gradients, for a gradient that is expanded and not in memory order."""
    torch.testing.assert_close(ours, wanted, atol=1e-5, rtol=1e-5)
    slope = torch.randn(ours.shape[2], 1, 8).transpose(0, 1).expand_as(ours)
    pairs = (torch.autograd.grad(out, states, slope, retain_graph=True) for out in (ours, wanted))
    for left, right in zip(*pairs, strict=True):
        torch.testing.assert_close(left, right, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("segments", [FLAT, BRANCHED])
@pytest.mark.parametrize("softcap", [None, 1.5])
def test_segments_attend_as_a_mask_by_hand_says(
    segments: tuple[Segment, ...], window: int | None, softcap: float | None
) -> None:
    states, layout = _states(segments[-1].end), Layout(segments)
    wanted = _reference(states, _by_hand(segments, window), softcap)
    ours, _ = segment_attention(
        torch.nn.Identity(), *states, None, scaling=0.5,
        segment_layout=layout, sliding_window=window, softcap=softcap,
    )  # fmt: skip
    _assert_equal(ours.transpose(1, 2), wanted, states)
    dense = dense_attention(*states, layout, 0.5, layout.effective(window), softcap)
    _assert_equal(dense, wanted, states)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("segments", [FLAT, BRANCHED])
@pytest.mark.parametrize(("name", "value"), [("_MOST_ROWS", 3), ("_KEPT_KEYS", 0)])
def test_blocks_of_rows_and_probabilities_made_again_change_nothing(
    segments: tuple[Segment, ...],
    window: int | None,
    name: str,
    value: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kernel, name, value)
    states = _states(segments[-1].end)
    ours, _ = segment_attention(
        torch.nn.Identity(), *states, None, scaling=0.5,
        segment_layout=Layout(segments), sliding_window=window,
    )  # fmt: skip
    _assert_equal(ours.transpose(1, 2), _reference(states, _by_hand(segments, window)), states)


def test_probabilities_of_long_segments_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "_MOST_ROWS", 300)
    layout, states = Layout((Segment(0, 300),)), _states(300)
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.append(tensor.numel()) or tensor, lambda tensor: tensor
    ):
        segment_attention(torch.nn.Identity(), *states, None, segment_layout=layout)
    assert max(kept) == states[0].numel()


def test_products_have_few_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that makes code for each size it meets has little to make."""
    sizes: set[torch.Size] = set()
    product = torch.bmm

    def noted(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        sizes.add(left.shape)
        return product(left, right)

    monkeypatch.setattr(torch, "bmm", noted)
    for length in range(33, 65):
        query, key, value = (x.detach() for x in _states(length))
        layout = Layout((Segment(0, length),))
        segment_attention(torch.nn.Identity(), query, key, value, None, segment_layout=layout)
    assert len(sizes) == 2


@pytest.mark.filterwarnings("ignore:flex_attention called without")
@pytest.mark.parametrize("window", WINDOWS)
def test_the_mask_for_devices_says_the_same(window: int | None) -> None:
    query, key, value = (x.detach() for x in _states(40))
    layout = Layout(BRANCHED)
    ours = flex(query, key, value, layout, 0.5, layout.effective(window))
    wanted = _reference((query, key, value), _by_hand(BRANCHED, window))
    torch.testing.assert_close(ours, wanted, atol=1e-5, rtol=1e-5)


def test_bfloat16_is_near() -> None:
    states = _states(40, dtype=torch.bfloat16)
    ours, _ = segment_attention(
        torch.nn.Identity(), *states, None, scaling=0.5, segment_layout=Layout(BRANCHED)
    )
    exact = tuple(x.float() for x in states)
    wanted = _reference(exact, _by_hand(BRANCHED, None))  # type: ignore[arg-type]  # three
    assert (ours.transpose(1, 2).float() - wanted).norm() < 0.01 * wanted.norm()


def test_dropped_scores_take_the_plain_route() -> None:
    """The mean over many draws is what is computed without."""
    states, layout = _states(40), Layout(BRANCHED)
    with torch.no_grad():
        draws = [
            segment_attention(
                torch.nn.Identity(), *states, None, dropout=0.3, scaling=0.5, segment_layout=layout
            )[0]
            for _ in range(600)
        ]
        wanted = _reference(states, _by_hand(BRANCHED, None)).transpose(1, 2)
    assert not torch.equal(draws[0], draws[1])
    assert (torch.stack(draws).mean(0) - wanted).norm() < 0.1 * wanted.norm()


def test_sinks_are_refused() -> None:
    states, sinks = _states(20), torch.zeros(6)
    with pytest.raises(Unsupported, match="its attention has sinks"):
        segment_attention(
            torch.nn.Identity(), *states, None, segment_layout=Layout(FLAT), s_aux=sinks
        )


@pytest.mark.parametrize(
    "segments",
    [
        (Segment(0, 4), Segment(5, 9)),
        (Segment(0, 4), Segment(4, 6), Segment(6, 8, 0)),
        (Segment(0, 4, 1), Segment(4, 6)),
    ],
    ids=["a gap", "not depth first", "a parent that comes later"],
)
def test_segments_in_another_order_are_an_error(segments: tuple[Segment, ...]) -> None:
    with pytest.raises(ValueError, match="depth first"):
        Layout(segments)
