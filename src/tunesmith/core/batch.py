"""The batch: segments laid end to end, and sites where something is predicted.

Shape legend, used by every name in the code:

    T   tokens in the batch, all segments laid end to end, no padding
    S   sites: positions whose hidden state predicts something
    D   hidden size of the model
    V   vocabulary size
    N   tokens of one example
    B   sequences in the batch
    C   classes; of an image, its channels
    H W height and width of an image, in pixels

Arrays are numpy when the data room makes them and torch once the engine has put them on the
device; the fields and shapes are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from tunesmith.core.records import Origin

Array = Any
Pooling = Literal["last", "cls", "mean", "words"]
"""Where a labelled sequence is read: its last token, its first, all of them, or its words."""

ROOT = -1


class Segment(NamedTuple):
    """Tokens `start` to `end` (exclusive) of the batch.

    A segment attends to itself causally and to all of its ancestors. `parent` is the index of
    another segment, earlier in the list, or ROOT. Segments lie depth first: the descendants of each
    directly behind it.
    """

    start: int
    end: int
    parent: int = ROOT


def path(segments: Sequence[Segment], place: int) -> list[Segment]:
    """Segment `place` with all its ancestors before it, the root first."""
    found = [segments[place]]
    while found[-1].parent != ROOT:
        found.append(segments[found[-1].parent])
    return found[::-1]


@dataclass(frozen=True, slots=True)
class Batch:
    """One micro-batch.

    | field        | shape | meaning                                                            |
    |--------------|-------|--------------------------------------------------------------------|
    | tokens_T     | T     | token ids, int64                                                   |
    | positions_T  | T     | position inside the segment's own path from its root, int64        |
    | segments     | list  | see Segment                                                        |
    | sites_S      | S     | indices into T whose hidden state predicts something, int64        |
    | targets_S    | S     | what it predicts (token id or label), int64                        |
    | weights_S    | S     | how much it counts, float32                                        |
    | owner_S      | S     | which sequence it belongs to, int64, an index into `origins`       |
    | origins      | list  | file and line of each sequence                                     |
    | labels_B     | B, …  | where sequences are labelled: the class of each (int64), its score  |
    |              |       | (float32), or 0 and 1 for each of C classes (float32; B, C)         |
    | parts_B      | B     | where rows are several texts: which of its row's each is, int64; of   |
    |              |       | answers that were compared or rated 0 is the better, 1 the worse, 2 |
    |              |       | a question with the answer to another one                           |
    | texts_B      | B     | and a number that equal texts share, int64                          |
    | features_RD  | R, D  | what a frozen model makes of each labelled sequence (B), or site (S),|
    |              |       | where that is known, float32                                        |
    | images       | list  | where rows have pictures: the files of each sequence's, in order    |
    | reference_S  | S     | where a loss looks back at the base: its log-probability of each     |
    |              |       | target, in nats, float32                                            |
    | advantages_S | S     | where tokens were sampled: how much better than expected what came  |
    |              |       | of each was, float32                                                |
    | sampled_S    | S     | and, where the weights moved since: its log-probability then, in    |
    |              |       | nats, float32                                                       |
    | values_S     | S     | and, where a critic learns: what it expected then, float32          |
    | returns_S    | S     | and what came, float32                                              |
    | count        |       | what the sum of losses is divided by, where that is not the sum of  |
    |              |       | the weights                                                         |

    Of a labelled sequence `weights_S` says how much the state at each of its sites adds to the one
    state it is judged by: 1 at a single site, or 1/n at each of n.
    """

    tokens_T: Array
    positions_T: Array
    segments: tuple[Segment, ...]
    sites_S: Array
    targets_S: Array
    weights_S: Array
    owner_S: Array
    origins: tuple[Origin, ...]
    labels_B: Array | None = None
    parts_B: Array | None = None
    texts_B: Array | None = None
    features_RD: Array | None = None
    images: tuple[tuple[str, ...], ...] | None = None
    reference_S: Array | None = None
    advantages_S: Array | None = None
    sampled_S: Array | None = None
    values_S: Array | None = None
    returns_S: Array | None = None
    count: float | None = None

    @property
    def tokens(self) -> int:
        """T."""
        return len(self.tokens_T)


@dataclass(frozen=True, slots=True)
class ImageBatch:
    """One micro-batch of images.

    | field        | shape      | meaning                                                       |
    |--------------|------------|---------------------------------------------------------------|
    | pixels_BCHW  | B, 3, H, W | red, green and blue, uint8; None where the features are known |
    | origins      | list       | file and line of each image's row                             |
    | labels_B     | B, …       | as in Batch; None where nothing is learned                    |
    | features_BD  | B, D       | what the frozen part of the model makes of each, float32      |
    """

    pixels_BCHW: Array | None
    origins: tuple[Origin, ...]
    labels_B: Array | None = None
    features_BD: Array | None = None

    @property
    def tokens(self) -> int:
        """B: what a run counts in, where it reads no tokens."""
        return len(self.origins)


@dataclass(frozen=True, slots=True)
class LossSum:
    """A loss not yet divided: `sum` over sites (a scalar tensor with a graph) and the true `count`.

    The step adds sums over micro-batches and divides once. `extras` are sums too, reported as
    means over `count`.
    """

    sum: Array
    count: float
    extras: Mapping[str, float] = field(default_factory=dict)

    def plus(self, other: LossSum) -> LossSum:
        """The sum of both."""
        names = self.extras.keys() | other.extras.keys()
        extras = {n: self.extras.get(n, 0.0) + other.extras.get(n, 0.0) for n in sorted(names)}
        return LossSum(self.sum + other.sum, self.count + other.count, extras)
