"""The rounds of a search: which trials are made within the time, and who goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tunesmith.core.ports import Watcher
from tunesmith.evaluate.measure import Side
from tunesmith.runs.halving import Candidate, going_on, rungs_of
from tunesmith.runs.search_found import kept, passing, ranked
from tunesmith.runs.trials import Trial, Trials

SecondsOf = Callable[[Candidate, float], float]
"""What a candidate is foretold to take for a share of its steps."""


class Rounds:
    """All trials of one search, none of them begun that is not foretold to end in time.

    Until one has run in full, the time for that is kept free. What trials took more than was
    foretold is expected of the next ones, too.
    """

    def __init__(
        self, trials: Trials, base: Side, seconds_of: SecondsOf, budget: float, watcher: Watcher
    ) -> None:
        self._trials = trials
        self._base = base
        self._seconds_of = seconds_of
        self._budget = budget
        self._watcher = watcher
        self._made: list[Trial] = []

    def made(self, candidates: Sequence[Candidate]) -> list[Trial]:
        """Every trial, rung by rung and each rung ranked; the values asked for come first."""
        order = list(candidates)
        for rung in rungs_of(len(candidates)):
            best = self._rung(going_on(order, rung.count), rung.share, candidates[0])
            order = [trial.candidate for trial in best] or order
        self._step_down(candidates[0])
        return self._made

    def _rung(
        self, entered: Sequence[Candidate], share: float, asked: Candidate
    ) -> Sequence[Trial]:
        """The trials of one rung, ranked; of those in full one is made in any case."""
        begun = len(self._made)
        for number, candidate in enumerate(entered, start=1):
            if self._fits(candidate, share, asked):
                self._make(candidate, share, f"{number} of {len(entered)}")
        if share == 1 and len(self._made) == begun:
            quickest = min(entered, key=lambda each: self._seconds_of(each, share))
            self._make(quickest, share, "1 of 1")
        best = ranked(self._made[begun:], self._base)
        self._made[begun:] = best
        if left := len(entered) - len(best):
            self._watcher.note(f"There is no time for more: {left} trials are left out.")
        return best

    def _step_down(self, asked: Candidate) -> None:
        """Where all that ran in full forgot too much: the next best that did not in a shorter
        trial, each in full while there is time, until one passes."""
        while not any(trial.share == 1 and self._kept(trial) for trial in self._made):
            following = [
                trial.candidate
                for trial in passing(self._made, self._base)
                if self._fits(trial.candidate, 1.0, asked)
            ]
            if not following:
                return
            self._make(following[0], 1.0, "the next best that kept what the base knew,")

    def _kept(self, trial: Trial) -> bool:
        return kept(trial, self._base).passed is not False and trial.side is not None

    def _fits(self, candidate: Candidate, share: float, asked: Candidate) -> bool:
        if self._trials.finished(candidate, share) is not None:
            return True
        spent = sum(trial.seconds for trial in self._made)
        foretold = sum(self._seconds_of(trial.candidate, trial.share) for trial in self._made)
        slower = max(1.0, spent / foretold) if foretold else 1.0
        needed = self._seconds_of(candidate, share)
        if share < 1:
            needed += self._seconds_of(asked, 1.0)
        return spent + slower * needed <= self._budget

    def _make(self, candidate: Candidate, share: float, which: str) -> None:
        rank = "" if candidate.rank is None else f", rank {candidate.rank}"
        self._watcher.stage(
            "trial",
            f"{which} at {share:.0%} of the steps: rate {candidate.learning_rate:g}{rank}, "
            f"{candidate.epochs} epochs",
        )
        self._made.append(self._trials.made(candidate, share))
