"""The page of `python -m benchmarks.serving`, from what it measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("SERVING.md")

_TURNS = {
    "together": "all clients at once, all adapters in memory",
    "alone": "one request at a time",
    "in_turn": "all clients at once, one adapter in memory at a time",
    "transformers": "`transformers serve --continuous-batching`: all clients at once, base alone",
}
_COLUMNS = (
    "requests",
    "errors",
    "tokens_per_second",
    "p50_seconds",
    "p95_seconds",
    "client_mean_seconds",
    "fairness",
)

_HEAD = """\
# Chat with many adapters on one base

Made by `python -m benchmarks.serving` on {machine}.

{clients} clients ask {adapters} LoRA adapters of rank {rank} over Anvil in bfloat16, through the
real server, for answers of at most {tokens} tokens. The adapters' weights are random, so that
answers are text without sense; each turn has a server process of its own and the same prompts.

| | requests | errors | tokens/s | median s | p95 s | mean of a client s | Jain's index |
|---|---:|---:|---:|---:|---:|---:|---:|
{rows}

Together is **{times_alone:.1f}** times as fast as one at a time, and **{times_in_turn:.1f}** times
as fast as loading adapters in turn.

Memory of the server's process, after so many adapters were asked (an adapter's weights are
{adapter:.2f} MB): {memory}.
"""


def page(kept: Mapping[str, Any]) -> str:
    """Of `machine`, `asked` and what was measured."""
    rows = [_row(name, kept[name]) for name in _TURNS if name in kept]
    return _HEAD.format(
        machine=kept["machine"],
        **{name: kept["asked"][name] for name in ("clients", "adapters", "rank", "tokens")},
        rows="\n".join(rows),
        times_alone=kept["times_alone"],
        times_in_turn=kept["times_in_turn"],
        adapter=kept["adapter_bytes"] / 1e6,
        memory=", ".join(f"{n}: {size / 1e6:.0f} MB" for n, size in kept["memory"]),
    )


def _row(name: str, figures: Mapping[str, Any]) -> str:
    if "reason" in figures:
        return f"| {_TURNS[name]} | not run: {figures['reason']} | | | | | | |"
    return f"| {_TURNS[name]} | {' | '.join(_cell(figures[column]) for column in _COLUMNS)} |"


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return f"{value[0]} to {value[1]}"
    return f"{value:.3f}" if isinstance(value, float) and value <= 1 else f"{value}"
