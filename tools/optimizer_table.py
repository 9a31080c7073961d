"""Write docs/optimizers.md: the optimisers side by side, from the table that the recipe reads.

Usage: python -m tools.optimizer_table [--out FILE]

What `python -m benchmarks.optimizers --out benchmarks/optimizers.json` measured stands beside it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tunesmith.core.files import read_json
from tunesmith.recipe.optimizers import GALORE_GAP, RULES, Rule

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "optimizers.md"
FIGURES = ROOT / "benchmarks" / "optimizers.json"
SIDE = 1024

_HEAD = """\
# Optimisers

What `engine.optimizer` may be. Made by `python -m tools.optimizer_table` from the table that the
recipe's refusals, the `auto` values and the plan are made of; a test keeps it true.

State is in bytes per float32 weight of a matrix of {side} × {side}; masters and gradients come
beside it. In the weight decay η is the learning rate and λ is `engine.weight_decay`; biases and
norm weights do not decay. "low" says whether `engine.memory=low` takes it, which updates each
weight inside the backward pass and keeps no gradient.

| `engine.optimizer` | rule | library | state | betas | a step multiplies weights by | low |
|---|---|---|---|---|---|---|
"""

_RATES = """
The learning rate that `auto` chooses is AdamW's times the factor below, and `auto` decays by as
much less or more where the paper says so. What is set in the recipe is taken as it is.

| `engine.optimizer` | learning rate | source | weight decay | trains | not with |
|---|---|---|---|---|---|
"""

_TAIL = """
## Which to take

- **AdamW** is the default: the rates chosen by `auto` are fitted for it.
- **Memory is short**: `engine.memory=low`, which takes `adamw_factored`. `galore` keeps the moments
  in a quarter of each matrix's smaller side, found anew every {gap} steps; `adafactor` keeps next
  to nothing, and no momentum.
- **Pre-training**: `muon` learns more from each token in hidden matrices.
- **The end is not known**: `schedule_free` averages the weights, so that no schedule has to end.
  Validation, the best weights and the saved model are the average x; checkpoints hold y and z, from
  which a resumed run goes on to the bit. `engine.schedule` is then constant.
- `lion` keeps half of AdamW's state, at a rate of its own. `adamw_8bit` is meant for accelerators,
  where we have not run it: on a processor `adamw_factored` is smaller and faster.

## What is not here, and why

Read and tried with torch 2.13 on a processor:

- **torchao** 0.18: its 8-bit AdamW compiles for 19 s at the first step. A later step on a million
  weights then took 58 ms, bitsandbytes' 47 ms, and torch's fused AdamW 1 ms.
- **APOLLO**: `apollo-torch` 1.0.3 is licensed CC-BY-NC, which rules out commercial use. The one in
  `pytorch-optimizer` 4.1 scales the projected gradient and projects it back, where the paper scales
  the whole gradient (Zhu et al. 2024, algorithm 1): it is another rule.
- **galore-torch** has one release, 1.0, and needs bitsandbytes; `pytorch-optimizer` has the same
  rule, held to the paper's equations by our tests.
- **bitsandbytes** is an extra of its own: it has 125 MB, and PEFT imports it in every run once it
  is installed. Where the package `kernels` is installed too it fetches code from the hub, so that
  `adamw_8bit` is refused there unless HF_HUB_OFFLINE=1.
"""


def page() -> str:
    """The whole of docs/optimizers.md."""
    facts = "".join(map(_facts, RULES.values()))
    rates = "".join(map(_rates, RULES.values()))
    return (
        _HEAD.format(side=SIDE)
        + facts
        + _RATES
        + rates
        + _measured()
        + _TAIL.format(gap=GALORE_GAP)
    )


def _facts(rule: Rule) -> str:
    size = rule.state((SIDE, SIDE)) / SIDE**2
    library = rule.library if rule.extra is None else f"{rule.library} (extra `{rule.extra}`)"
    betas = ", ".join(f"{beta:g}" for beta in rule.betas)
    cells = (
        f"`{rule.key}`",
        f"{rule.name} ({rule.source})",
        library,
        f"{size:.2f}",
        betas,
        rule.decays,
        "yes" if rule.low else "no",
    )
    return f"| {' | '.join(cells)} |\n"


def _rates(rule: Rule) -> str:
    trains = "all" if rule.rest is None else f"hidden matrices; `{rule.rest}` the rest"
    refused = [f"`model.method={method}`" for method in rule.without]
    if rule.methods is not None:
        refused.append(f"any `model.method` but {', '.join(rule.methods)}")
    if rule.averages:
        refused.append("a schedule that decays")
    cells = (
        f"`{rule.key}`",
        f"× {rule.rate:g}",
        rule.rate_source,
        f"× {rule.decay:g}",
        trains,
        ", ".join(refused) or "-",
    )
    return f"| {' | '.join(cells)} |\n"


def _measured() -> str:
    figures = read_json(FIGURES)
    lines = "".join(map(_figure, figures["found"]))
    return f"""
## Measured

`python -m benchmarks.optimizers`: Anvil, all weights in float32, {figures["steps"]} steps of 4
support conversations at the rate of `auto`, all optimisers taking turns step by step in one process
on one core. The loss says that each learns at its rate, not which is best: one seed, one task.

| `engine.optimizer` | learning rate | held-out loss | a step, × AdamW's | state, bytes a weight |
|---|---|---|---|---|
{lines}"""


def _figure(found: dict[str, Any]) -> str:
    cells = (
        f"`{found['optimizer']}`",
        f"{found['learning_rate']:.2g}",
        f"{found['loss']:.2f}",
        f"{found['seconds']:.2f}",
        f"{found['state_bytes'] / found['weights']:.2f}",
    )
    return f"| {' | '.join(cells)} |\n"


def main() -> None:
    """Parse the arguments and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=PAGE, help="file to write")
    args = parser.parse_args()
    args.out.write_text(page(), encoding="utf-8")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
