"""How often an answer is a success: the headline where a verifier, or grades of 0 and 1, say so."""

from __future__ import annotations

from typing import Any

import numpy as np

from tunesmith.evaluate.bootstrap import Interval, PairedRows, paired_rate_change
from tunesmith.evaluate.preferences.measured import Drawn, PreferenceMeasured
from tunesmith.evaluate.wording import number, percent, plural

Json = dict[str, Any]


def success_figures(measured: PreferenceMeasured) -> Json | None:
    """Successes and mean grades of both models, on the prompts whose first answers both have one;
    None where the run did not learn from grades, or none is there.

    `judges` says that success is what was asked for: the grader checks what is right, or says
    nothing but yes and no, and there is a success at all.
    """
    rows = _graded(measured)
    if measured.tries is None or not rows:
        return None
    grades_R2 = np.array([[one.score for one in row] for row in rows], dtype=np.float64)
    found_R2 = (grades_R2 >= measured.tries.success).astype(np.float64)
    plain = not measured.proxy or set(grades_R2.ravel().tolist()) <= {0.0, 1.0}
    base, tuned = (float(share) for share in found_R2.mean(axis=0))
    change = paired_rate_change(PairedRows(found_R2[:, 0], found_R2[:, 1], np.ones(len(rows))))
    tokens = np.mean([[one.tokens for one in row] for row in rows], axis=0)
    return {
        "from": measured.tries.success,
        "judges": bool(plain and found_R2.any()),
        "base": base,
        "tuned": tuned,
        "change": change.value,
        "low": change.low,
        "high": change.high,
        "n": change.n,
        "grade": dict(zip(("base", "tuned"), grades_R2.mean(axis=0).tolist(), strict=True)),
        "tokens": dict(zip(("base", "tuned"), tokens.tolist(), strict=True)),
        "parts": _parts(rows),
    }


def change_of(found: Json) -> Interval:
    """The change of the share of successes."""
    return Interval(found["change"], found["low"], found["high"], found["n"])


def success_clause(found: Json) -> str:
    """`held-out success rose from 3 % to 86 % of 60 prompts (change ...)`."""
    moved = "fell" if found["change"] < 0 else "rose"
    if not found["change"]:
        moved = "went"
    low, change, high = (f"{100 * found[end]:+.0f}" for end in ("low", "change", "high"))
    return (
        f"held-out success {moved} from {percent(found['base'])} to {percent(found['tuned'])} of "
        f"{plural(found['n'], 'prompt')} ({change} points, 95 % interval {low} to {high})"
    )


def success_remarks(found: Json | None, measured: PreferenceMeasured) -> list[str]:
    """What else there is to be known of grades, and what they cost."""
    if found is None or measured.tries is None:
        return []
    grade, tokens = found["grade"], found["tokens"]
    return [
        f"the mean grade went from {number(grade['base'])} to {number(grade['tuned'])}",
        f"answers have {number(tokens['tuned'])} tokens on average, those of the base "
        f"{number(tokens['base'])}",
        f"{measured.tries.tokens:,} tokens were sampled to learn from",
    ]


def _graded(measured: PreferenceMeasured) -> list[tuple[Drawn, Drawn]]:
    """The first answers of base and tuned to each prompt, where both have a grade."""
    pairs = zip(*(way.answers for way in measured.both or ()), strict=True)
    firsts = [(before[0], after[0]) for before, after in pairs if before and after]
    return [row for row in firsts if all(one.score is not None for one in row)]


def _parts(rows: list[tuple[Drawn, Drawn]]) -> Json:
    """The mean of each part of the grade, by both."""
    names = sorted({name for row in rows for one in row for name in one.parts})
    return {
        name: {
            side: float(
                np.mean(
                    [found for row in rows if (found := row[at].parts.get(name)) is not None]
                    or [0.0]
                )
            )
            for at, side in enumerate(("base", "tuned"))
        }
        for name in names
    }
