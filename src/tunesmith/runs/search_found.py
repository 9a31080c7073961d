"""What a search found: its trials ranked, the winner, and what is to be known of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from tunesmith.core.seeds import derive
from tunesmith.evaluate.bootstrap import Interval, paired_change
from tunesmith.evaluate.judgement import Judgement
from tunesmith.evaluate.measure import Measured, Side
from tunesmith.evaluate.pairing import NATS_PER_TOKEN, pair_scores
from tunesmith.evaluate.verdict import judge
from tunesmith.evaluate.wording import measurement, plural
from tunesmith.runs.halving import Candidate
from tunesmith.runs.heldout import HeldOut
from tunesmith.runs.trials import Trial


def kept(trial: Trial, base: Side) -> Judgement:
    """Whether the trial kept what the base knew, by the rule of the verdict."""
    probes = Side(probes=trial.side.probes) if trial.side else None
    return judge(Measured(base=Side(probes=base.probes), tuned=probes)).kept


def ranked(trials: Sequence[Trial], base: Side) -> list[Trial]:
    """Those that kept what the base knew first, and of alike ones the lower loss."""
    return sorted(trials, key=lambda each: (kept(each, base).passed is False, each.loss))


def passing(made: Sequence[Trial], base: Side) -> list[Trial]:
    """Shorter trials that kept what the base knew and were not made in full: the longest, and of
    alike ones the best, first."""
    full = {trial.candidate.number for trial in made if trial.share == 1}
    shorter = [
        trial
        for trial in made
        if trial.candidate.number not in full
        and trial.side is not None
        and kept(trial, base).passed is not False
    ]
    ordered = sorted(shorter, key=lambda trial: (-trial.share, trial.loss))
    found: dict[int, Trial] = {}
    for trial in ordered:
        found.setdefault(trial.candidate.number, trial)
    return list(found.values())


def found_of(made: Sequence[Trial], base: Side, held_out: HeldOut, method: str) -> dict[str, Any]:
    """The content of search.json. Losses are nats per token of the rows that choose.

    The winner is the best of those that ran in full; `method` is how they are trained.
    """
    final = ranked([trial for trial in made if trial.share == 1], base)
    winner = final[0]
    asked = next((trial for trial in final if trial.candidate.number == 0), None)
    fell = None if asked is None else _fell(winner, asked)
    return {
        "sentence": _sentence(winner, fell, made, base),
        "cautions": [*_cautions(winner, made, base, held_out, method)],
        "winner": asdict(winner.candidate),
        "loss": _finite(winner.loss),
        "asked_loss": None if asked is None else _finite(asked.loss),
        "fell_by": None if fell is None else asdict(fell),
        "kept": kept(winner, base).to_json(),
        "choosing_rows": len({each.origin for each in base.held_out}),
        "seconds": sum(trial.seconds for trial in made),
        "trials": [
            {
                **asdict(trial.candidate),
                "share": trial.share,
                "steps": trial.steps,
                "loss": _finite(trial.loss),
                "kept": kept(trial, base).passed,
                "drift": kept(trial, base).value,
                "seconds": trial.seconds,
                "run": trial.run,
            }
            for trial in made
        ],
    }


def _fell(winner: Trial, asked: Trial) -> Interval | None:
    """By how much the winner's loss lies below that of the recipe as it was asked."""
    if winner.side is None or asked.side is None or winner is asked:
        return None
    rows = pair_scores(winner.side.held_out, asked.side.held_out, NATS_PER_TOKEN)
    return paired_change(rows, derive(0, "bootstrap", "search"))


def _finite(loss: float) -> float | None:
    return loss if loss < float("inf") else None


def _sentence(winner: Trial, fell: Interval | None, made: Sequence[Trial], base: Side) -> str:
    tried = plural(len({trial.candidate.number for trial in made}), "recipe")
    if winner.side is None:
        return f"The loss of each of {tried} was no longer a number; lower the learning rate."
    values = _values(winner.candidate)
    loss = f"a held-out loss of {winner.loss:.3f} nats per token"
    if kept(winner, base).passed is False:
        return (
            f"None of {tried} kept what the base knew within the limit when run in full. Of those "
            f"that ran in full the best has {values}, with {loss}; its verdict will be hold."
        )
    if winner.candidate.number == 0:
        return f"Of {tried} the one asked for stays the best ({values}), with {loss}."
    said = f"Of {tried} the best has {values} and reaches {loss}"
    if fell is None:
        return f"{said}; the one asked for was not tried in full."
    doubt = "" if fell.low > 0 else ", which is not clearly better"
    return f"{said}, below the one asked for by {measurement(fell)}{doubt}."


def _values(candidate: Candidate) -> str:
    rank = "" if candidate.rank is None else f", rank {candidate.rank}"
    return (
        f"learning rate {candidate.learning_rate:g}{rank} and {plural(candidate.epochs, 'epoch')}"
    )


def _cautions(
    winner: Trial, made: Sequence[Trial], base: Side, held_out: HeldOut, method: str
) -> Iterator[str]:
    rows = plural(len({each.origin for each in base.held_out}), "row")
    if held_out.shared:
        yield (
            f"There are too few held-out rows to choose on some and judge on others: the {rows} "
            "that chose will judge, too, and flatter the result. Hold out more "
            "(data.validation_share), or name a file of them (data.validation)."
        )
    else:
        yield (
            f"The winner's own loss is a little too good, being the lowest of several on the same "
            f"{rows}. Its run is judged on {plural(len(set(held_out.rows)), 'row')} that chose "
            "nothing."
        )
    answer = kept(winner, base)
    if answer.passed is False:
        yield _remedy(answer, len(passing(made, base)), method)
    lost = {t.candidate.number for t in made if t.side and kept(t, base).passed is False}
    if lost and answer.passed is not False:
        yield f"{plural(len(lost), 'recipe')} lost more of what the base knew than is allowed."
    broken = {trial.candidate.number for trial in made if trial.side is None}
    if broken:
        yield f"The loss of {plural(len(broken), 'recipe')} was no longer a number."
    yield from _edge(winner, made)


def _remedy(answer: Judgement, untried: int, method: str) -> str:
    """What to do where no recipe kept what the base knew."""
    said = f"What it lost: {answer.detail['summary']}."
    if untried:
        return (
            f"{said} {plural(untried, 'recipe')} kept it in shorter trials, but there was no time "
            "to run them in full: search again with more --minutes."
        )
    strength = (
        "save the adapter at the strength that forgets little enough "
        "(--set evaluate.most_forgetting=0.1), or "
        if method == "lora"
        else ""
    )
    return (
        f"{said} Another rate or rank does not mend that here; {strength}mix in rows of the base's "
        "own: write them with `tunesmith sample replay.jsonl`, and add --data replay.jsonl."
    )


def _edge(winner: Trial, made: Sequence[Trial]) -> Iterator[str]:
    rates = sorted({trial.candidate.learning_rate for trial in made})
    place = rates.index(winner.candidate.learning_rate)
    if len(rates) > 2 and place in (0, len(rates) - 1):
        side = "lowest" if place == 0 else "highest"
        yield (
            f"Its learning rate is the {side} that was tried ({rates[place]:g}): search again "
            "around it with --set engine.learning_rate."
        )
