"""What is said of answers whose code was run: how each ended, counted by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tunesmith.core.sandbox import KINDS
from tunesmith.evaluate.measure import Answered, Measured
from tunesmith.evaluate.wording import plural

CODE = "code_passes"


def ran(measured: Measured) -> dict[str, Any] | None:
    """Counts of each kind of outcome on both sides; None where no code was run."""
    base, tuned = (_counts(side.answers) for side in measured.sides)
    if not tuned:
        return None
    wall = measured.grading.sandbox
    said = f"{_said('tuned model', tuned)}; {_said('base', base)}"
    return {"base": base, "tuned": tuned, "sandbox": wall, "summary": f"{said}. Run in {wall}"}


def _counts(answers: Sequence[Answered]) -> dict[str, int]:
    found = Counter(each.kinds[CODE] for each in answers if CODE in each.kinds)
    return {kind: found[kind] for kind in KINDS if found[kind]}


def _said(side: str, counts: dict[str, int]) -> str:
    programs = plural(sum(counts.values()), "program")
    ends = ", ".join(f"{count} {KINDS[kind]}" for kind, count in counts.items())
    return f"of {programs} of the {side} {ends}"
