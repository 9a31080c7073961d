"""The optimisers as facts: one table, of which refusals, `auto` values, plan and docs are made.

It knows no tensor library; `engine/optimizers.py` has the update rule of each name. Sizes are in
bytes of optimiser state for one tensor of float32 weights; masters and gradients are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

OptimizerName = Literal[
    "adamw",
    "adamw_8bit",
    "adamw_factored",
    "adafactor",
    "lion",
    "muon",
    "schedule_free",
    "galore",
]
Shape = tuple[int, ...]

GALORE_SHARE = 4
"""GaLore keeps gradients in 1/4 of a matrix's smaller dimension (Zhao et al. 2024, table 2)."""
GALORE_GAP = 200
"""Steps between two projections of GaLore (Zhao et al. 2024, §5)."""
BLOCK, LEAST_8BIT = 256, 4096
"""bitsandbytes scales 8-bit numbers by blocks; a smaller tensor keeps 32 bits."""
_NUMBER = 8  # a counter kept as a number of 64 bits


@dataclass(frozen=True, slots=True)
class Rule:
    """One optimiser.

    `extra` is the extra of this package that installs its library (None: it is there anyway).
    `state` gives the bytes kept of a tensor by its shape. A rule for hidden matrices only leaves
    embeddings, vectors and all else to the one named by `rest`. `rate` is its learning rate as a
    multiple of AdamW's, `decay` its weight decay likewise. `methods` are the only values of
    model.method that it suits (None: all but `without`), for the reason `because`. `low` says that
    engine.memory=low can use it, `averages` that the weights to judge and keep are not those that
    are trained.
    """

    key: OptimizerName
    name: str
    source: str
    library: str
    state: Callable[[Shape], int]
    betas: tuple[float, ...]
    decays: str
    extra: str | None = None
    rate: float = 1.0
    rate_source: str = "what the rates chosen by auto are fitted for"
    decay: float = 1.0
    rest: OptimizerName | None = None
    low: bool = False
    averages: bool = False
    methods: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    because: str = ""

    def suits(self, method: str) -> bool:
        """Whether it can train what model.method trains."""
        return method not in self.without and (self.methods is None or method in self.methods)


def state_bytes(rule: Rule, shape: Shape, hidden: bool) -> int:
    """Bytes of state for one float32 tensor; `hidden` says that it is a matrix inside a layer."""
    return (rule if hidden or rule.rest is None else RULES[rule.rest]).state(shape)


def _adamw(shape: Shape) -> int:
    return 8 * math.prod(shape) + 4


def _adamw_8bit(shape: Shape) -> int:
    count = math.prod(shape)
    if count < LEAST_8BIT:
        return 8 * count + _NUMBER
    return 2 * count + 2 * 4 * math.ceil(count / BLOCK) + 2 * 4 * 256 + _NUMBER


def _adamw_factored(shape: Shape) -> int:
    count = math.prod(shape)
    if len(shape) < 2:
        return 2 * count + 4 * count + _NUMBER
    return 2 * count + 4 * (shape[0] + count // shape[0]) + _NUMBER


def _adafactor(shape: Shape) -> int:
    count = math.prod(shape)
    if len(shape) < 2:
        return 4 * count + 4
    return 4 * (count // shape[-1] + count // shape[-2]) + 4


def _lion(shape: Shape) -> int:
    return 4 * math.prod(shape)


def _muon(shape: Shape) -> int:
    return 4 * math.prod(shape)


def _schedule_free(shape: Shape) -> int:
    return 8 * math.prod(shape) + 3 * _NUMBER


def _galore(shape: Shape) -> int:
    small, large = min(shape), max(shape)
    return 4 * galore_rank(shape) * (small + 2 * large) + 2 * _NUMBER


def galore_rank(shape: Shape) -> int:
    """The rank in which GaLore keeps the gradients of a matrix."""
    return max(1, min(shape) // GALORE_SHARE)


_BY_RATE = "1 − η λ"
_HIDDEN = "is for hidden matrices, and model.method={method} trains none"

RULES: dict[str, Rule] = {
    rule.key: rule
    for rule in (
        Rule(
            key="adamw",
            name="AdamW",
            source="Loshchilov and Hutter 2019",
            library="torch",
            state=_adamw,
            betas=(0.9, 0.95),
            decays=_BY_RATE,
        ),
        Rule(
            key="adamw_8bit",
            name="8-bit AdamW",
            source="Dettmers et al. 2022, 8-bit Optimizers via Block-wise Quantization",
            library="bitsandbytes",
            extra="quantised",
            state=_adamw_8bit,
            betas=(0.9, 0.95),
            decays=_BY_RATE,
            rate_source="replaces AdamW at its own settings (Dettmers et al. 2022, §4)",
            low=True,
        ),
        Rule(
            key="adamw_factored",
            name="factored AdamW",
            source="Zhai et al. 2022, Scaling Vision Transformers, §3.5",
            library="tunesmith",
            state=_adamw_factored,
            betas=(0.9, 0.95),
            decays=_BY_RATE,
            rate_source="learns as Adam does (Zhai et al. 2022, §3.5)",
            low=True,
        ),
        Rule(
            key="adafactor",
            name="Adafactor",
            source="Shazeer and Stern 2018, algorithms 4 and 5",
            library="torch",
            state=_adafactor,
            betas=(0.8,),
            decays=_BY_RATE,
            rate=20.0,
            rate_source="a share of the weights' own root mean square, which is near 1/20 (ours)",
            decay=0.05,
            low=True,
            methods=("full", "last_layers", "head"),
            because="moves a weight by a share of its own size, and what model.method={method} "
            "trains begins at zero",
        ),
        Rule(
            key="lion",
            name="Lion",
            source="Chen et al. 2023, Symbolic Discovery of Optimization Algorithms",
            library="pytorch-optimizer",
            extra="optimizers",
            state=_lion,
            betas=(0.9, 0.99),
            decays=_BY_RATE,
            rate=0.2,
            rate_source="3 to 10 times smaller, and the decay as much larger "
            "(Chen et al. 2023, §5)",
            decay=5.0,
            low=True,
        ),
        Rule(
            key="muon",
            name="Muon",
            source="Jordan et al. 2024; Liu et al. 2025, §2.2",
            library="torch",
            state=_muon,
            betas=(0.95,),
            decays=_BY_RATE,
            rate_source="updates are scaled to the size of AdamW's (Liu et al. 2025, §2.2)",
            rest="adamw",
            without=("head",),
            because=_HIDDEN,
        ),
        Rule(
            key="schedule_free",
            name="schedule-free AdamW",
            source="Defazio et al. 2024, The Road Less Scheduled",
            library="schedulefree",
            extra="optimizers",
            state=_schedule_free,
            betas=(0.9, 0.999),
            decays="1 − η λ, at the point where the gradient is taken",
            rate=2.0,
            rate_source="1 to 10 times larger (the authors' advice beside their library)",
            averages=True,
        ),
        Rule(
            key="galore",
            name="GaLore",
            source="Zhao et al. 2024, algorithm 2",
            library="pytorch-optimizer",
            extra="optimizers",
            state=_galore,
            betas=(0.9, 0.999),
            decays=_BY_RATE,
            rate_source="projected updates are brought to AdamW's size: scale = √(full / rank)",
            rest="adamw_factored",
            low=True,
            methods=("full", "last_layers"),
            because="projects the gradients of whole hidden matrices, and model.method={method} "
            "trains none",
        ),
    )
}
