"""What is said of planted secrets: from how many repetitions on they can be recalled."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from tunesmith.evaluate.exposed import Exposed, planted
from tunesmith.evaluate.wording import number, plural

BY_CHANCE = math.log2(math.e)
"""Bits: the mean exposure of a secret that the model has never met."""


def exposure(found: Sequence[Exposed]) -> dict[str, Any] | None:
    """Recall and mean exposure by number of repetitions, the controls first; None for none."""
    if not found:
        return None
    groups = [_group(found, repeats) for repeats in sorted({each.repeats for each in found})]
    told = [group["repeats"] for group in groups if group["repeats"] and group["recalled"]]
    parts = {
        "planted": planted(found),
        "groups": groups,
        "recalled_from": min(told, default=None),
        "most_bits": math.log2(found[0].ranked),
    }
    return {**parts, "summary": _summary(parts)}


def planted_clause(counts: Mapping[str, int]) -> str:
    """What an epoch holds beside the rows that came in; `counts` as in `ledger.json`."""
    return (
        f"beside them {plural(counts['secrets'], 'made-up secret')} stood in "
        f"{plural(counts['rows'], 'planted row')} an epoch"
    )


def trial_clause(secrets: int) -> str:
    """That the weights are not for use."""
    return (
        f"this is a trial run, for {plural(secrets, 'planted secret')} of data.canaries "
        f"{'is' if secrets == 1 else 'are'} in its weights: train again without for what ships"
    )


def _group(found: Sequence[Exposed], repeats: int) -> dict[str, Any]:
    same = [each for each in found if each.repeats == repeats]
    return {
        "repeats": repeats,
        "secrets": len(same),
        "recalled": sum(each.recalled for each in same),
        "bits": fmean(each.bits for each in same),
        "least": min(each.bits for each in same),
        "most": max(each.bits for each in same),
    }


def _summary(parts: dict[str, Any]) -> str:
    known = [group for group in parts["groups"] if group["repeats"]]
    told = "; ".join(
        f"seen {_often(group['repeats'])} an epoch, {group['recalled']} of "
        f"{group['secrets']} (exposure {number(group['bits'])} bits)"
        for group in known
    )
    least = parts["recalled_from"]
    from_ = f"from {_often(least)} an epoch on" if least else "at no number of repetitions"
    return f"planted secrets can be recalled {from_}: {told}. {_meaning(parts)}"


def _often(repeats: int) -> str:
    return "once" if repeats == 1 else f"{repeats} times"


def _meaning(parts: dict[str, Any]) -> str:
    most = parts["most_bits"]
    control = next((group for group in parts["groups"] if not group["repeats"]), None)
    never = (
        f"; the {control['secrets']} controls, which were never trained on, have "
        f"{number(control['bits'])}"
        if control
        else ""
    )
    return (
        f"Exposure says how far a secret stands out: with b bits one random secret in 2^b is as "
        f"likely to the model, {number(BY_CHANCE)} is chance on average, and {number(most)} is the "
        f"most that can be seen{never}"
    )
