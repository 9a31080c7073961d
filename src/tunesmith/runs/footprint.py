"""Memory of a training stage as a function of the micro-batch, by stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from tunesmith.engine.masters import PORTION


class Line(NamedTuple):
    """Bytes as a straight line over the tokens of a micro-batch."""

    start: float
    slope: float

    def at(self, tokens: float) -> float:
        """Bytes at so many tokens."""
        return self.start + self.slope * tokens

    @staticmethod
    def through(points: Sequence[tuple[float, float]], start: float = 0.0) -> Line:
        """The line through the first and the last point; through `start` if there is only one.

        Bytes never fall with tokens: a last point below the first is noise, and the line is flat.
        """
        (t0, b0), (t1, b1) = points[0], points[-1]
        if t1 <= t0:
            return Line(start, max(0.0, b1 - start) / t1)
        slope = max(0.0, (b1 - b0) / (t1 - t0))
        return Line(b1 - slope * t1, slope)


@dataclass(frozen=True, slots=True)
class Footprint:
    """The parts that make up the peak of the training stage, in bytes.

    `held` is there before training: libraries, data, weights. `state` is what masters and optimiser
    add for good, `gradients` all of them in float32, `arriving` in the type in which they come;
    they are `kept` to the update, or freed within the backward pass. `forward` and `both` are the
    passes of one micro-batch, by its tokens; `shapes` is what libraries keep for each size of it.
    """

    held: float
    state: float
    gradients: float
    arriving: float
    kept: bool
    forward: Line
    both: Line
    shapes: float

    def peak(self, tokens: float, several: bool) -> float:
        """The peak with micro-batches of `tokens`, `several` of them to a step or one.

        From the second micro-batch on all gradients are there before its forward pass. The update
        has those of a portion in float32 beside them; it and the checkpoint come when activations
        are freed.
        """
        one = self.arriving if self.kept else 0.0
        gradients = self.gradients if several else one
        portion = min(4.0 * PORTION, self.gradients) if self.kept else 0.0
        passes = max(self.both.at(tokens), gradients + portion)
        if several:
            passes = max(passes, self.forward.at(tokens) + gradients)
        return self.held + self.shapes + self.state + passes

    def with_checkpointing(self, input_bytes: float, layers: int) -> Footprint:
        """With activation checkpointing: `input_bytes` a token and layer, and one layer in full."""
        forward = Line(self.forward.start, self.forward.slope / layers + input_bytes * layers)
        more = self.both.slope - self.forward.slope
        both = Line(self.both.start, min(self.both.slope, forward.slope + max(0.0, more)))
        return replace(self, forward=forward, both=both)

    def with_lora(self, weights: int) -> Footprint:
        """With `weights` of LoRA trained instead: nothing is kept of the model's own weights."""
        size = 4.0 * weights
        arriving = size * self.arriving / self.gradients
        return replace(self, state=2 * size, gradients=size, arriving=arriving, kept=True)
