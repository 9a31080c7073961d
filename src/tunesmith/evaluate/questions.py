"""Questions of the verdict, each a function from what was measured to a judgement.

`kept` and `worth` have files of their own.

Each rule stands in the docstring of its function; each threshold is a constant with its reason.
"""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.core.records import Score
from tunesmith.core.seeds import derive
from tunesmith.evaluate.answers import answer_changes, worse
from tunesmith.evaluate.bootstrap import (
    Interval,
    PairedRows,
    difference_of_changes,
    paired_change,
)
from tunesmith.evaluate.chance import beyond_chance
from tunesmith.evaluate.exposure import exposure
from tunesmith.evaluate.infilled import infilled
from tunesmith.evaluate.judge_opinion import opinion, preference
from tunesmith.evaluate.judgement import (
    Judgement,
    judged,
    unmeasured,
)
from tunesmith.evaluate.measure import Measured
from tunesmith.evaluate.noise import GREEDY, noise_floor
from tunesmith.evaluate.pairing import (
    NATS_PER_TOKEN,
    joined,
    pair_files,
    pair_scores,
    unit_of,
)
from tunesmith.evaluate.ran import ran
from tunesmith.evaluate.recall import recall
from tunesmith.evaluate.rounding import rounding
from tunesmith.evaluate.wording import (
    course_sentence,
    learned_summary,
    memorised_summary,
    percent,
    served_summary,
)

# "Merely memorised" is taken at its word: more than half of what was gained on trained rows is not
# gained on rows never seen.
MEMORISED_LIMIT = 0.5

# As shares of the base's loss: two sets of one task's rows were 1 to 5 % apart in real jobs,
# general text and the answers of a new task a quarter to three quarters.
SAME_KIND = 0.15


def learned(measured: Measured, seed: int = 0) -> Judgement:
    """Did it learn? Held-out loss, base minus tuned.

    Passes when the whole interval is above the noise of measuring twice, nothing looked for in the
    answers fell with its whole interval below its margin, which is zero for what is true or false
    of an answer (see `metrics.table`), and answers that are right or wrong are surely right more
    often than they would be for other questions (see `chance`): a lower loss alone may be that of
    knowing how answers look. What a judge model prefers is looked for only where it may fail a run
    (see `judge_opinion`).
    """
    base, tuned = measured.sides
    if not base.held_out:
        return unmeasured("the task was not measured on held-out rows")
    unit = unit_of(base.held_out)
    rows = pair_scores(base.held_out, tuned.held_out, unit)
    change = paired_change(rows, derive(seed, "bootstrap", "learned"))
    gain = Interval(-change.value, -change.high, -change.low, change.n)
    answers = answer_changes(base.answers, tuned.answers, measured.grading, seed)
    said = opinion(measured.judged)
    answers["properties"] += preference(said)
    lost = worse(answers)
    beyond = beyond_chance(tuned.answers, measured.grading, seed)
    guessed = beyond.summary if beyond else ""
    noise = noise_floor(base, tuned, unit)
    detail = {
        "summary": learned_summary(rows, gain, unit, lost, noise, guessed),
        "base": rows.base,
        "tuned": rows.tuned,
        "nats_per_token": _nats_per_token(base.held_out, tuned.held_out),
        **answers,
        "metrics": {"chosen": list(measured.grading.metrics), "why": measured.grading.reason},
        "code": ran(measured),
        "judge": said,
        "infilled": infilled(base, tuned, seed),
        "rounding": (
            rounding(measured.unquantised, base, tuned, seed) if measured.unquantised else None
        ),
        "worse": lost,
        "beyond_chance": beyond.to_json() if beyond else None,
        "noise_floor": {
            "value": noise,
            "unit": unit,
            "rows": sum(side.noise.rows for side in (base, tuned) if side.noise),
            "answers": GREEDY,
        },
        "rule": (
            "passes when the whole interval is above the noise floor, nothing looked for in the "
            "answers got worse, and answers that are right or wrong are surely right more often "
            "than they would be for other questions"
        ),
    }
    passed = gain.low > (noise or 0.0) and not lost and not guessed
    return judged(passed, gain, unit, detail)


def _nats_per_token(base: Sequence[Score], tuned: Sequence[Score]) -> dict[str, float]:
    rows = pair_scores(base, tuned, NATS_PER_TOKEN)
    return {"base": rows.base, "tuned": rows.tuned}


def memorised(measured: Measured, seed: int = 0) -> Judgement:
    """Did it merely memorise? How much further the tuned model is from unseen rows than the base.

    The gap is held-out loss minus loss on trained rows; the value is tuned gap minus base gap,
    which takes away that one set may be harder than the other. Passes when the whole interval is
    at most MEMORISED_LIMIT of the gain on trained rows. Only trained files that are like the
    held-out rows count: see `_comparable`.
    """
    base, tuned = measured.sides
    if not base.held_out or not base.train:
        return unmeasured("memorising was not measured on held-out and trained rows")
    unit = unit_of(base.held_out, base.train)
    held = pair_scores(base.held_out, tuned.held_out, unit)
    files = _comparable(held, measured, unit)
    train = joined(list(files.values()))
    gap = difference_of_changes(held, train, derive(seed, "bootstrap", "memorised"))
    gain = max(0.0, train.base - train.tuned)
    limit = MEMORISED_LIMIT * gain
    detail = {
        "summary": memorised_summary(gap, gain, limit, unit),
        "held_out": {"base": held.base, "tuned": held.tuned, "n": len(held)},
        "train": {"base": train.base, "tuned": train.tuned, "n": len(train)},
        "files": list(files),
        "gain_on_trained_rows": gain,
        "limit": limit,
        "course": course_sentence(measured.course),
        "recall": recall(measured),
        "exposure": exposure(measured.exposed),
        "rule": (
            f"passes when the whole interval is at most {percent(MEMORISED_LIMIT)} of the gain "
            "on trained rows"
        ),
    }
    # Without a gain on trained rows there is nothing that could have been memorised.
    return judged(gain == 0 or gap.high <= limit, gap, unit, detail)


def _comparable(held: PairedRows, measured: Measured, unit: str) -> dict[str, PairedRows]:
    """The trained rows by file, those left out that are of another kind than the held-out ones.

    General text that is replayed beside a task is known already and gains next to nothing, so it
    would hide that the task's rows were learned by heart. The kind is told by what the base made
    of them before it was trained. All count where the held-out rows are of these files themselves.
    """
    base, tuned = measured.sides
    files = pair_files(base.train, tuned.train, unit)
    if any(score.origin.path in files for score in base.held_out):
        return files
    alike = {
        path: rows
        for path, rows in files.items()
        if abs(rows.base - held.base) <= SAME_KIND * held.base
    }
    return alike or files


def served(measured: Measured) -> Judgement:
    """Is it what you will serve? The artefact opened afresh against the model in memory.

    Passes when no row's loss differs by more than the tolerance and every prompt has the token ids
    in serving that it had in training.
    """
    found = measured.parity
    if found is None:
        return unmeasured("the saved model was not compared with the trained one")
    equal = found.same_prefixes == found.prefixes
    detail = {
        "summary": served_summary(found),
        "tolerance": found.tolerance,
        "same_prefixes": found.same_prefixes,
        "prefixes": found.prefixes,
        "rule": f"passes up to {found.tolerance:g} nats per token, with every prompt the same",
    }
    passed = found.max_difference <= found.tolerance and equal
    return Judgement(passed, found.max_difference, unit=NATS_PER_TOKEN, n=found.rows, detail=detail)
