"""The act `improve`: a model learns its own best answers, round after round, while that helps.

In each round the newest model answers every prompt several times, the reward accepts some of the
answers, and the base is tuned on these: rejection sampling (RAFT, Dong et al. 2023), for answers
that are thought over STaR (Zelikman et al. 2022), in rounds of growing and improving ReST (Gulcehre
et al. 2023). Under dpo and its like the best and the worst answers of a prompt are the rows. Each
round is an ordinary run in the improvement's folder. Held-out prompts, answered after each round by
the likeliest answer, say whether it helped: some choose when to stop and which round is best,
others judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tunesmith.core.errors import Interrupted
from tunesmith.core.files import read_json, write_json
from tunesmith.core.ports import Silent, Watcher
from tunesmith.core.seeds import derive
from tunesmith.engine.stopping import stop_on_signals
from tunesmith.evaluate.judgement import MINIMUM_ROWS
from tunesmith.recipe import Recipe
from tunesmith.runs.finished import artefact_of
from tunesmith.runs.improve.choosing import Sampled
from tunesmith.runs.improve.folder import ImproveFolder, RoundFolder
from tunesmith.runs.improve.ledger import Ledger
from tunesmith.runs.improve.model import Model
from tunesmith.runs.improve.rounds import Rounds, seconds_of
from tunesmith.runs.improve.scores import Scale, require_graded, sentence
from tunesmith.runs.improve.setup import ImproveSetup, set_up_improvement
from tunesmith.runs.improve.start import start_of
from tunesmith.runs.improve.wanted import Wanted
from tunesmith.runs.rewards import open_reward

ENDS = {
    "rounds": "all rounds were made",
    "no_gain": "a round brought no gain on the held-out prompts that choose",
    "nothing_left": "all held-out prompts that choose are answered well",
}
"""Why the rounds ended."""


def improve(
    recipe: Recipe, wanted: Wanted, out: Path, watcher: Watcher | None = None
) -> dict[str, Any]:
    """Let a model learn from its own accepted answers in the folder `out`; returns improved.json.

    Asked again for the same, it goes on where it was interrupted, to the same answers and weights.

    Args:
        recipe: as for a run; its data are prompts (answers behind them are not learned), its reward
            says what an answer is worth, its base may be a finished run, and its objective learns
            from answers (sft) or from pairs of them (dpo, …).
        wanted: how answers are drawn and which are learned.
        out: the folder, new or of this very improvement.
        watcher: told what happens.

    Raises:
        InputError: something cannot be used, `out` holds something else, or nothing is accepted.
        EndpointError: a judge refuses to be asked.
        Interrupted: after Ctrl-C or SIGTERM, with all work saved.
    """
    watcher = watcher or Silent()
    wanted.require_sound()
    folder = ImproveFolder(out)
    with stop_on_signals():
        try:
            return _improved(recipe, wanted, folder, watcher)
        except KeyboardInterrupt:
            raise Interrupted("Stopped, with all work saved.") from None


def _improved(
    recipe: Recipe, wanted: Wanted, folder: ImproveFolder, watcher: Watcher
) -> dict[str, Any]:
    watcher.stage("data", "read, check, split")
    reward = open_reward(recipe.reward, folder.replies)
    start = start_of(recipe)
    setup = set_up_improvement(start.recipe, wanted)
    for warning in setup.warnings:
        watcher.note(warning)
    watcher.note(
        f"{len(setup.questions):,} prompts to answer, {len(setup.held_out.prompts):,} held out to "
        f"judge, {_choosing(setup)}."
    )
    if folder.begun(recipe, wanted, setup.inputs | start.inputs):
        watcher.note(f"The improvement in {folder.path} was begun before; it goes on.")
    if folder.result.exists():
        return dict(read_json(folder.result))
    if start.adapter is not None:
        setup = set_up_improvement(start.merged(folder.start), wanted)
    found = _Course(Rounds(setup, reward, watcher), folder).found()
    write_json(folder.result, found)
    return found


def _choosing(setup: ImproveSetup) -> str:
    held_out = setup.held_out
    if held_out.shared:
        return "too few to divide, so they also choose"
    return f"{len(held_out.choosing_prompts):,} to choose"


class _Course:
    """The rounds of one improvement: the answers that judge each, and what is told of it."""

    def __init__(self, rounds: Rounds, folder: ImproveFolder) -> None:
        self._rounds, self._folder = rounds, folder
        self._setup, self._wanted = rounds.setup, rounds.wanted
        seed = derive(self._setup.asked.engine.seed, "improve", "intervals")
        self._scale = Scale(self._wanted.at_least, seed)
        self._judging: list[list[Sampled]] = []
        self._lines: list[dict[str, Any]] = []

    def found(self) -> dict[str, Any]:
        """Make the rounds; the content of improved.json."""
        model = Model(self._setup)
        merits = [self._examined(0, model, None)]
        end = "rounds"
        for number in range(1, self._wanted.rounds + 1):
            if self._nothing_left(merits[-1]):
                end = "nothing_left"
                break
            folder = self._folder.round(number)
            ledger = self._rounds.learned(number, folder, model)
            model = Model(self._setup, folder.run)
            merits.append(self._examined(number, model, ledger))
            if merits[-1] <= max(merits[:-1]):
                end = "no_gain"
                break
        best = merits.index(max(merits))
        return self._told(best, end)

    def _examined(self, number: int, model: Model, ledger: Ledger | None) -> tuple[float, float]:
        """Answer the held-out prompts; how well those are answered that choose."""
        held_out, folder = self._setup.held_out, self._folder.round(number)
        judging = held_out.prompts
        choosing = [] if held_out.shared else held_out.choosing_prompts
        self._rounds.watcher.stage("judge", f"held-out prompts, after round {number}")
        answers = self._rounds.examined(folder, model, [*judging, *choosing])
        judged = answers[: len(judging)]
        chosen = judged if held_out.shared else answers[len(judging) :]
        for some in (judged, chosen):
            require_graded(some, "to held-out prompts")
        self._judging.append(judged)
        self._lines.append(self._line(number, folder, ledger))
        level = self._scale.level(judged)
        self._rounds.watcher.note(
            f"Held-out {self._scale.name} after round {number}: {self._scale.words(level.value)}."
        )
        return self._scale.mean(chosen)

    def _nothing_left(self, merit: tuple[float, float]) -> bool:
        return self._scale.rate and merit[0] == 1

    def _line(self, number: int, folder: RoundFolder, ledger: Ledger | None) -> dict[str, Any]:
        judged = self._judging[-1]
        _, reward = self._scale.mean(judged)
        change = self._scale.change(self._judging[0], judged) if number else None
        counts = {key: value for key, value in (ledger or {}).items() if key not in _ELSEWHERE}
        without = len(ledger["prompts_without"]) if ledger else None
        return {
            "round": number,
            "run": str(folder.run.path) if number else None,
            self._scale.name: asdict(self._scale.level(judged)),
            "change": None if change is None else asdict(change),
            "mean_reward": reward,
            "held_out_not_graded": sum(each.grade.value is None for each in judged),
            "samples": {**counts, "prompts_without": without} if ledger else None,
            "seconds": seconds_of(folder),
        }

    def _told(self, best: int, end: str) -> dict[str, Any]:
        levels = [self._scale.level(judged) for judged in self._judging]
        change = self._scale.change(self._judging[0], self._judging[best]) if best else None
        base = self._setup.asked.model.base
        artefact = artefact_of(self._folder.round(best).run) if best else None
        return {
            "sentence": sentence(self._scale, levels, best, change),
            "cautions": _cautions(self._setup, self._judging),
            "ended": end,
            "why": ENDS[end],
            "measure": self._scale.name,
            "rounds": self._lines,
            "best": best,
            "model": base if artefact is None else str(artefact),
            "judging_prompts": len(self._judging[0]),
            "chosen_on_judged": self._setup.held_out.shared,
        }


_ELSEWHERE = ("seconds", "why_not_graded", "prompts_without")
"""What of a ledger stands elsewhere in a line of improved.json, or nowhere."""


def _cautions(setup: ImproveSetup, judging: Sequence[Sequence[Sampled]]) -> list[str]:
    found = []
    rows = len(judging[0])
    if rows < MINIMUM_ROWS:
        found.append(
            f"{rows} held-out prompts are too few to tell: intervals need {MINIMUM_ROWS} or more."
        )
    if setup.held_out.shared:
        found.append(
            "There are too few held-out prompts to divide: the best round was chosen on those that "
            "judge it, so its number is a little too good."
        )
    failed = max(sum(each.grade.value is None for each in judged) for judged in judging)
    if failed:
        found.append(
            f"Up to {failed} of {rows} held-out answers of a round could not be graded, and are "
            "left out of its number."
        )
    return found
