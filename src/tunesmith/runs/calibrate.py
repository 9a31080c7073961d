"""Calibration: seconds of real work that say what the rest of a run will take.

Real micro-batches of the run go forward and backward, an update is made on copies, some rows are
scored and a few tokens generated. Nothing of it is kept: no gradient, no random draw, no mode.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import nn

from tunesmith.core.batch import Batch, LossSum
from tunesmith.core.ports import Objective
from tunesmith.engine.loop import Settings, on_device
from tunesmith.engine.memory import is_out_of_memory
from tunesmith.engine.optimizers import embedding_names
from tunesmith.engine.updates import UPDATES
from tunesmith.models.methods import Tuned
from tunesmith.models.seeding import seeded
from tunesmith.recipe.optimizers import RULES
from tunesmith.runs.memory import Meter
from tunesmith.runs.workload import Shape, Work, Workload, first_segments, work_of

Clock = Callable[[], float]

SHARE = 0.1
"""Calibration may take this share of the predicted run, within the seconds below: with less than a
micro-batch of middle size next to nothing is known of the largest."""
LEAST_SECONDS, MOST_SECONDS = 5.0, 20.0
# Weights of one shape that are updated as a sample: enough to leave the processor's cache.
_SAMPLED = 1 << 21


class Sample(NamedTuple):
    """A micro-batch that was computed: its work, its time, and memory above what was held.

    `forward_bytes` is the peak up to the end of the forward pass, `peak_bytes` that of both passes
    with all gradients kept as they come.
    """

    work: Work
    seconds: float
    forward_bytes: float
    peak_bytes: float


class Update(NamedTuple):
    """One optimiser step: its time, and the bytes that masters and optimiser keep for good."""

    seconds: float = 0.0
    masters_bytes: float = 0.0
    optimizer_bytes: float = 0.0

    def plus(self, other: Update, times: float) -> Update:
        """With `times` the other added."""
        return Update(*(a + times * b for a, b in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Rates:
    """Seconds of forward and backward: `fixed` a micro-batch, `each` a product (see Shape)."""

    fixed: float
    each: float

    def seconds(self, shape: Shape, work: Work) -> float:
        """What `work` takes."""
        return self.fixed * work.micro + self.each * shape.products(work)


@dataclass(frozen=True, slots=True)
class Passes:
    """What forward and backward take: time, and memory of micro-batches of growing size.

    `shape_bytes` stay for each new size: oneDNN keeps the code of its bfloat16 products for every
    shape it has met.
    """

    rates: Rates
    samples: tuple[Sample, ...]
    shape_bytes: float


class Calibration:
    """Computes micro-batches of a model as training will, and leaves no trace in it."""

    def __init__(
        self,
        tuned: Tuned,
        objective: Objective,
        shape: Shape,
        meter: Meter,
        free_bytes: float,
        keeps_gradients: bool,
        clock: Clock = time.perf_counter,
    ) -> None:
        self._tuned = tuned
        self._objective = objective
        self._shape = shape
        self._meter = meter
        self._free = free_bytes
        self._keeps_gradients = keeps_gradients
        self._clock = clock
        self._held = 0

    def passes(self, work: Workload, seconds_of_run: Callable[[Rates], float]) -> Passes:
        """Compute micro-batches of growing size, as far as time and memory allow.

        The first, a part of a typical one, is always computed; the very first call prepares kernels
        and is not counted. A larger one is left out if it would not fit into free memory, or would
        take calibration beyond its share of the run: it is then extrapolated. Memory is measured
        after giving back what is free; time without, as training goes on.
        """
        began = self._clock()
        part = first_segments(work.typical, max(1, len(work.typical.segments) // 4))
        with _no_trace(self._tuned):
            self._compute(part)
            start = self._held
            memory = [self._compute(part)]
            before = self._held
            timed = [self._compute(part, mark=False)]
            computed = part
            for batch in (work.typical, work.largest):
                if not self._worth(batch, memory[-1], timed, seconds_of_run, began):
                    break
                try:
                    memory.append(self._compute(batch))
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    break
                computed = batch
            self._meter.mark()
            self._held = self._meter.held()
            # With one size alone, what stays of the first call is the best that is known.
            met = self._held - before if len(memory) > 1 else self._held - start
            kept = max(0.0, met / max(1, len(memory) - 1))
            grown = memory[-1].peak_bytes
            settled: list[Sample] = []
            for batch in work.others if len(memory) > 1 else ():
                if memory[-1].seconds > self._left(memory, seconds_of_run, began):
                    break
                settled.append(self._compute(batch, mark=False))
                grown = max(grown, settled[-1].peak_bytes - kept * len(settled))
            # The first of them asked the system for the memory that the others found there, and
            # the first of a size has code made for it.
            timed += settled[1:] or [self._compute(computed, mark=False)]
        memory[-1] = memory[-1]._replace(peak_bytes=grown)
        return Passes(fit(timed, self._shape), tuple(memory), kept)

    def _left(
        self, found: list[Sample], seconds_of_run: Callable[[Rates], float], began: float
    ) -> float:
        """Seconds that calibration may still take."""
        share = SHARE * seconds_of_run(fit(found, self._shape))
        return min(max(share, LEAST_SECONDS), MOST_SECONDS) - (self._clock() - began)

    def _worth(
        self,
        batch: Batch,
        before: Sample,
        timed: list[Sample],
        seconds_of_run: Callable[[Rates], float],
        began: float,
    ) -> bool:
        """Whether a batch is larger than the last, and there is memory and time for it."""
        work = work_of(batch, self._shape.padded)
        if work.tokens <= before.work.tokens:
            return False
        larger = max(work.tokens / before.work.tokens, work.pairs / max(before.work.pairs, 1.0))
        seconds = fit(timed, self._shape).seconds(self._shape, work)
        left = self._left(timed, seconds_of_run, began)
        return before.peak_bytes * larger < self._free and seconds <= left

    def _compute(self, batch: Batch, mark: bool = True) -> Sample:
        """One micro-batch forward and backward; bytes are above what was held at the mark."""
        module, device = self._tuned.module, self._tuned.base.model.device
        module.train()
        if mark:
            self._meter.mark()
            self._held = self._meter.held()
        held = self._held
        began = self._clock()
        with _gradients_dropped(module, self._keeps_gradients):
            loss = self._objective.loss(self._tuned.base.forward, on_device(batch, device))
            float(loss.sum.detach())
            forward = self._meter.peak()
            loss.sum.backward()
            _wait(device)
            seconds = self._clock() - began
            peak = self._meter.peak()
        return Sample(work_of(batch, self._shape.padded), seconds, forward - held, peak - held)

    def update(self, settings: Settings) -> Update:
        """One optimiser step, from steps on stand-ins for some weights of each shape."""
        embeddings = embedding_names(self._tuned.module)
        shapes: dict[tuple[torch.Size, bool], list[nn.Parameter]] = {}
        for name, weight in self._tuned.module.named_parameters():
            if weight.requires_grad:
                shapes.setdefault((weight.shape, name in embeddings), []).append(weight)
        whole, rest = Update(), RULES[settings.optimizer].rest or settings.optimizer
        for (shape, embeds), alike in shapes.items():
            hidden = len(shape) == 2 and not embeds
            rule = settings.optimizer if hidden else rest
            sampled = alike[: max(1, _SAMPLED // alike[0].numel())]
            part = self._update_of(sampled, replace(settings, optimizer=rule))
            whole = whole.plus(part, len(alike) / len(sampled))
        return whole

    def _update_of(self, weights: Sequence[nn.Parameter], settings: Settings) -> Update:
        """A step on weights of these shapes that are all ones, with a learning rate of zero."""
        stand_in = nn.ParameterList(nn.Parameter(torch.ones_like(weight)) for weight in weights)
        start = {name: weight.detach() for name, weight in stand_in.named_parameters()}
        updates = UPDATES[settings.memory](stand_in, settings, start)
        inside = settings.memory == "low"
        for _ in range(2):  # the first makes the state
            updates.begin(0.0)
            loss = LossSum(torch.stack([weight.sum() for weight in stand_in]).sum(), 1.0)
            began = self._clock()
            updates.backward(loss, last=True)
            began = began if inside else self._clock()
            updates.finish()
            _wait(weights[0].device)
            seconds = self._clock() - began
        own = {weight.data_ptr() for weight in stand_in}
        masters = [each for each in updates.weights().values() if each.data_ptr() not in own]
        return Update(seconds, _bytes(masters), _bytes(updates.state().values()))


def fit(samples: Sequence[Sample], shape: Shape) -> Rates:
    """The rates that come nearest to the samples' seconds, by relative error; none is negative."""
    products = [shape.products(sample.work) for sample in samples]
    rows = [(1 / s.seconds, p / s.seconds) for s, p in zip(samples, products, strict=True)]
    ones = sum(a for a, _ in rows), sum(b for _, b in rows)
    aa, ab, bb = (sum(r[i] * r[j] for r in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    determinant = aa * bb - ab * ab
    if len(samples) > 1 and determinant > 1e-9 * aa * bb:
        fixed = (ones[0] * bb - ones[1] * ab) / determinant
        each = (ones[1] * aa - ones[0] * ab) / determinant
        if fixed >= 0 and each >= 0:
            return Rates(fixed, each)
    return Rates(0.0, ones[1] / bb)


@contextmanager
def _no_trace(tuned: Tuned) -> Iterator[None]:
    """Puts random generators and training modes back as they were."""
    modes = [(module, module.training) for module in tuned.module.modules()]
    try:
        with seeded(0, tuned.base.model.device):
            yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _gradients_dropped(module: nn.Module, kept: bool) -> Iterator[None]:
    """Inside, gradients are held as the engine holds a first one, or not `kept`; then they go.

    With engine.memory=low each is freed as soon as it has updated its weight.
    """
    held: list[torch.Tensor] = []

    def take(weight: torch.Tensor) -> None:
        assert weight.grad is not None
        if kept:
            held.append(weight.grad)
        weight.grad = None

    trained = [weight for weight in module.parameters() if weight.requires_grad]
    handles = [weight.register_post_accumulate_grad_hook(take) for weight in trained]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for weight in trained:
            weight.grad = None


def _bytes(tensors: Iterable[torch.Tensor]) -> float:
    return float(sum(tensor.numel() * tensor.element_size() for tensor in tensors))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
