"""Did it keep what it knew? General text by domain, the user's files, the base's own samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.core.records import Score
from tunesmith.core.seeds import derive
from tunesmith.evaluate.bootstrap import Interval, PairedRows, paired_change
from tunesmith.evaluate.frontier import frontier_detail
from tunesmith.evaluate.judgement import MINIMUM_ROWS, Judgement, judged, unmeasured
from tunesmith.evaluate.measure import Measured, Side
from tunesmith.evaluate.pairing import (
    BITS_PER_BYTE,
    NATS_PER_TOKEN,
    pair_files,
    pair_scores,
    unit_of,
)
from tunesmith.evaluate.probes import GENERAL, domains
from tunesmith.evaluate.wording import kept_summary, number, percent, plural

# Loss falls with the size N of a model as N^-0.076 (Kaplan et al. 2020, equation 1.1), so a loss
# 10 % higher is that of a base 3.5 times smaller: a price that nobody should pay without knowing.
KEPT_LIMIT = 0.10

_NAMED_DOMAINS = 2

Judged = tuple[Interval, float, PairedRows]
"""The change of one file, its limit, and its rows."""


def kept(measured: Measured, seed: int = 0) -> Judgement:
    """Did it keep what it knew? Loss on general text, tuned minus base.

    Each file of probes is judged by itself, our own general probes as one; the worst is reported.
    Passes when its whole interval stays within KEPT_LIMIT of the base's loss.

    The domains of the general probes and the base's own samples are told beside it and decide
    nothing. A domain has about ten texts: of nine intervals that wide, one would cross its limit
    by chance in many a good run. And on what the base itself wrote no other model can be as good
    in expectation, so a change that was wanted counts there as much as one that was not.
    """
    base, tuned = measured.sides
    if not base.probes:
        return unmeasured("general text was not measured")
    unit = unit_of(base.probes)
    files = {
        path: _judged(rows, derive(seed, "bootstrap", "kept", path))
        for path, rows in pair_files(base.probes, tuned.probes, unit).items()
    }
    worst = max(files, key=lambda path: _closeness(files[path]))
    drift, limit, rows = files[worst]
    found = _domains(base, tuned, unit, seed)
    what = "general text" if worst == GENERAL else worst
    lost = _most_lost(found) if worst == GENERAL else []
    detail: dict[str, Any] = {
        "summary": kept_summary(drift, limit, unit, what, lost),
        "base": rows.base,
        "tuned": rows.tuned,
        "limit": limit,
        "files": {
            path: {
                "base": pairs.base,
                "tuned": pairs.tuned,
                "change": c.value,
                "low": c.low,
                "high": c.high,
                "limit": line,
                "n": c.n,
            }
            for path, (c, line, pairs) in files.items()
        },
        "domains": found,
        "rule": (
            f"passes when the whole interval is at most {percent(KEPT_LIMIT)} of the base's loss"
        ),
    }
    if measured.left_out:
        detail["left_out"] = {"summary": measured.left_out}
    if base.samples:
        detail["samples"] = own_samples(base, tuned, seed)
    if measured.frontier is not None:
        detail["frontier"] = frontier_detail(measured.frontier, seed)
    return judged(drift.high <= limit, drift, unit, detail)


def own_samples(base: Side, tuned: Side, seed: int) -> dict[str, Any]:
    """How far the tuned model has moved from the base, on texts that the base wrote.

    For x drawn from the base p at temperature 1, E[log p(x) − log q(x)] = KL(p ‖ q). So the sum of
    nll_tuned − nll_base over the samples, divided by their tokens, is an unbiased estimate of the
    KL divergence from base to tuned per token, within the length that is drawn: every sample has
    the same number of tokens, for none is ended early. The interval resamples whole samples.
    """
    nats = pair_scores(base.samples, tuned.samples, NATS_PER_TOKEN)
    kl = paired_change(nats, derive(seed, "bootstrap", "samples"))
    kl_detail = {"value": kl.value, "low": kl.low, "high": kl.high, "n": kl.n}
    bits = pair_scores(base.samples, tuned.samples, BITS_PER_BYTE)
    return {
        "summary": (
            f"on {plural(kl.n, 'text')} that the base wrote, KL(base ‖ tuned) is "
            f"{number(kl.value)} nats per token (95 % interval {number(kl.low)} to "
            f"{number(kl.high)})"
        ),
        "kl": {**kl_detail, "unit": NATS_PER_TOKEN},
        # Samples of special tokens alone have no bytes.
        "loss": {**_change(bits, seed, "samples"), "unit": BITS_PER_BYTE} if len(bits) else None,
    }


def _judged(rows: PairedRows, seed: int) -> Judged:
    return paired_change(rows, seed), KEPT_LIMIT * rows.base, rows


def _closeness(file: Judged) -> tuple[bool, float]:
    drift, limit, _ = file
    return drift.n >= MINIMUM_ROWS, drift.high - limit


def _domains(base: Side, tuned: Side, unit: str, seed: int) -> dict[str, dict[str, Any]]:
    """The general probes domain by domain, in the order of their file."""
    known = domains()
    groups: dict[str, list[tuple[Score, Score]]] = {}
    for before, after in zip(base.probes, tuned.probes, strict=True):
        if before.origin in known:
            groups.setdefault(known[before.origin], []).append((before, after))
    return {
        name: _change(pair_scores([b for b, _ in pairs], [t for _, t in pairs], unit), seed, name)
        for name, pairs in groups.items()
    }


def _change(rows: PairedRows, seed: int, name: str) -> dict[str, Any]:
    found = paired_change(rows, derive(seed, "bootstrap", "kept", name))
    return {
        "base": rows.base,
        "tuned": rows.tuned,
        "change": found.value,
        "low": found.low,
        "high": found.high,
        "n": found.n,
    }


def _most_lost(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The domains that surely got worse, by share of the base's loss, the worst first."""
    worse = [name for name, each in found.items() if each["low"] > 0]
    worse.sort(key=lambda name: -found[name]["change"] / found[name]["base"])
    return worse[:_NAMED_DOMAINS]
