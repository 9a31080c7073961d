"""What a job's verdict must be, whether it is, and the page of all jobs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunesmith.evaluate.wording import number

if TYPE_CHECKING:
    from benchmarks.jobs_list import Job

QUESTIONS = ("learned", "kept", "memorised", "worth", "parity")
HOLD, REFUSED = "hold", "refused"
_MARKS = {True: "yes", False: "**no**", None: "–"}


@dataclass(frozen=True, slots=True)
class Expected:
    """What must come out: the decision, and the answers that follow from how the job is made.

    A question that is not named may be answered either way.
    """

    decision: str
    answers: Mapping[str, bool | None]

    def __str__(self) -> str:
        told = ", ".join(f"{name} {_MARKS[passed]}" for name, passed in self.answers.items())
        if self == SHIP:
            return "ship"
        return f"{self.decision}: {told}" if told else self.decision


SHIP = Expected("ship", dict.fromkeys(QUESTIONS, True))


def hold_for(question: str, **answers: bool) -> Expected:
    """Hold, because this question fails; `answers` to others that are known, too."""
    return Expected(HOLD, {question: False, **answers, "parity": True})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job came to: its verdict as in verdict.json, or why the run refused to begin."""

    train: int
    judge: int
    seconds: float
    verdict: Mapping[str, Any] | None = None
    refusal: str = ""

    @property
    def decision(self) -> str:
        """As in the verdict."""
        return REFUSED if self.verdict is None else str(self.verdict["decision"])


def mistakes(expected: Expected, found: Outcome) -> list[str]:
    """Where the outcome is not what must come out, as clauses; none for a right verdict."""
    said = []
    if found.decision != expected.decision:
        said.append(f"decision {found.decision} instead of {expected.decision}")
    for name, wanted in expected.answers.items():
        passed = found.verdict[name]["pass"] if found.verdict else None
        if passed is not wanted:
            said.append(f"{name} {_MARKS[passed]} instead of {_MARKS[wanted]}")
    return said


def page(jobs: Sequence[Job], found: Mapping[str, Outcome]) -> str:
    """The whole page, in Markdown."""
    right = sum(not mistakes(job.expected, found[job.name]) for job in jobs)
    lines = [_row(job, found[job.name]) for job in jobs]
    faults = [_fault(job, found[job.name]) for job in jobs if job.fault]
    reasons = [f"- `{job.name}`: {job.why}" for job in jobs if not job.fault]
    return _PAGE.format(
        right=right,
        all=len(jobs),
        table="\n".join([_HEAD, *lines]),
        reasons="\n".join(reasons),
        faults="\n\n".join(faults),
    )


def _row(job: Job, found: Outcome) -> str:
    wrong = mistakes(job.expected, found)
    answers = [_answer(found.verdict, name) for name in QUESTIONS]
    cells = [
        f"`{job.name}`",
        job.base,
        job.data,
        job.method,
        f"{found.train} / {found.judge}",
        job.fault or "nothing",
        str(job.expected),
        found.decision + (f" **WRONG: {'; '.join(wrong)}**" if wrong else ""),
        *answers,
        f"{found.seconds:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def _answer(verdict: Mapping[str, Any] | None, name: str) -> str:
    if verdict is None:
        return ""
    answer = verdict[name]
    if answer["value"] is None:
        return _MARKS[answer["pass"]]
    value = f"{_MARKS[answer['pass']]} {number(answer['value'])}"
    if answer["low"] is None:
        return value
    return f"{value} ({number(answer['low'])} to {number(answer['high'])})"


def _fault(job: Job, found: Outcome) -> str:
    if found.verdict is None:
        said = f"The run did not begin: {_without_folders(found.refusal.splitlines()[0])}"
    else:
        caught = [name for name in QUESTIONS if found.verdict[name]["pass"] is False]
        said = f"Caught by {_listed(caught)}. " if caught else ""
        said += f"The verdict: {_without_folders(found.verdict['sentence'])}"
    fault = job.fault[0].upper() + job.fault[1:]
    return f"**`{job.name}`.** {fault}. {job.why} {said}"


def _without_folders(text: str) -> str:
    """The files of a job by name alone, for its folder is wherever it was run."""
    return re.sub(r"/\S*/", "", text)


def _listed(names: Sequence[str]) -> str:
    quoted = [f"*{name}*" for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


_HEAD = (
    "| job | base | data | method | rows: train / judge | wrong by design | must be | verdict "
    "| learned | kept | memorised | worth | parity | seconds |\n" + "|---" * 14 + "|"
)

_PAGE = """\
# Real jobs and their verdicts

Whether the verdict is right can only be seen where the truth is known. These are {all} small jobs
on public data sets and two bases: Anvil, which is in the package, and a GPT-Neo of 3.4 million
weights that answers small talk. Some are as one would do them with care and should ship, some are
ordinary and forget too much, and some are wrong by design. What must come out was written down
before they ran, and follows from how each is made (`benchmarks/jobs_list.py`); questions that are
not named there may go either way. **{right} of {all} verdicts are right.**

These jobs have mended the verdict twice. With shuffled labels the loss of the answers fell, since
their look was learned, nothing was forgotten, and all five questions passed: since then right
answers are held against chance. And replayed text, which gains nothing, stood among the trained
rows, where it hid what was learned by heart: now it is left out there. They have mended one
statement, too: `talk-narrow-full` was thought to keep what the base knew, because its small talk
was replayed; it kept small talk alone. Before the list was written, trial runs had shown that
usual settings forget too much on both bases, and that the talking base cannot read clauses.

    python -m benchmarks.jobs --data DATA --models MODELS --out build/jobs --page docs/jobs.md

runs those that are not finished under `--out`, one thread each, and writes this page; it exits with
1 where a verdict is wrong. `--only NAME...` runs these. `DATA` holds the data sets as their authors
publish them, `MODELS` the talking base; what is read of them stands in `benchmarks/jobs_data.py`.

In the table *learned* is the gain on held-out rows, *kept* what general text (or the base's small
talk, if that is worse) costs more, *memorised* how much further the tuned model is from rows never
seen, *worth* the gain over the best help, all in bits per byte with 95 % intervals, and *parity*
the largest difference of the saved model in nats per token. *yes* and **no** say whether the
question passed, – that it could not be judged. The seconds are those of a processor core for the
whole run.

{table}

## Why the others must come out so

{reasons}

## Wrong by design, and which question caught it

{faults}
"""
