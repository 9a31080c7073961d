"""Which trials a search makes: over a clock that is not real, and trials that are not trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.evaluate.conftest import make_scores
from tests.support import Recorder
from tunesmith.evaluate.measure import Side
from tunesmith.evaluate.probes import GENERAL
from tunesmith.runs.halving import Candidate
from tunesmith.runs.heldout import HeldOut
from tunesmith.runs.search_found import found_of
from tunesmith.runs.search_rounds import Rounds
from tunesmith.runs.trials import Trial

BASE = Side(held_out=make_scores(2.0), probes=make_scores(1.5, file=GENERAL))


def _foretold(candidate: Candidate, share: float) -> float:
    """A minute around each trial, ten an epoch."""
    return 60 + 600 * candidate.epochs * share


def _nine(epochs: int = 1) -> list[Candidate]:
    return [Candidate(number, 1e-3 * (1 + number), None, epochs) for number in range(9)]


class FakeTrials:
    """Trials whose loss falls with the number, and which forget if they are among `forgetful`;
    each takes `slower` times what is foretold."""

    def __init__(self, forgetful: Sequence[int] = (), slower: float = 1.0) -> None:
        self.forgetful = forgetful
        self.slower = slower
        self.clock = 0.0

    def finished(self, candidate: Candidate, share: float) -> Trial | None:
        return None

    def made(self, candidate: Candidate, share: float) -> Trial:
        seconds = self.slower * _foretold(candidate, share)
        self.clock += seconds
        number = candidate.number
        forgets = number in self.forgetful and share == 1
        probes = make_scores(3.0 if forgets else 1.5, file=GENERAL)
        side = Side(held_out=make_scores(1.9 - number / 10 - share / 100), probes=probes)
        return Trial(candidate, share, round(100 * share), seconds, side, f"run-{number}")


def _made(minutes: float, trials: FakeTrials, watcher: Any = None) -> list[tuple[int, float]]:
    return [(each.candidate.number, each.share) for each in _trials(minutes, trials, watcher)]


def _trials(minutes: float, trials: FakeTrials, watcher: Any = None) -> list[Trial]:
    found: Any = trials  # stands where Trials stands
    rounds = Rounds(found, BASE, _foretold, 60 * minutes, watcher or Recorder())
    return rounds.made(_nine())


def test_in_time_enough_every_rung_is_made() -> None:
    trials = FakeTrials()
    made = _made(200, trials)
    assert [share for _, share in made] == pytest.approx([1 / 9] * 9 + [1 / 3] * 4 + [1.0] * 2)
    assert made[-2:] == [(8, 1.0), (0, 1.0)]


@pytest.mark.parametrize("minutes", [11.5, 14, 20, 30, 50])
def test_no_time_is_overrun_and_one_runs_in_full(minutes: float) -> None:
    trials, watcher = FakeTrials(), Recorder()
    made = _made(minutes, trials, watcher)
    assert trials.clock <= 60 * minutes
    assert sum(share == 1 for _, share in made) >= 1
    assert any("no time for more" in note for note in watcher.notes)


def test_what_trials_took_is_expected_of_the_next_ones() -> None:
    """Twice as slow as foretold: only the first trial was begun without knowing that."""
    trials = FakeTrials(slower=2.0)
    _made(60, trials)
    assert trials.clock <= 60 * 60


def test_where_the_best_forget_the_next_that_does_not_runs_in_full() -> None:
    made = _made(200, FakeTrials(forgetful=[8, 7, 0]))
    in_full = [number for number, share in made if share == 1]
    assert in_full == [8, 0, 7, 6], "until one passes, the best of the shorter trials first"


def test_a_search_that_finds_none_says_so_and_what_to_do() -> None:
    found = _found(_trials(1000, FakeTrials(forgetful=range(9))), "full")
    assert found["sentence"].startswith("None of 9 recipes kept what the base knew")
    assert any("tunesmith sample replay.jsonl" in said for said in found["cautions"])
    assert not any("most_forgetting" in said for said in found["cautions"])


def test_what_there_was_no_time_for_is_told() -> None:
    minutes = 60.0  # holds the trials of all rungs but no more
    found = _found(_trials(minutes, FakeTrials(forgetful=range(9))), "lora")
    assert any("search again with more --minutes" in said for said in found["cautions"])


def _found(made: list[Trial], method: str) -> dict[str, Any]:
    rows = HeldOut([], [], list(range(40)), [], [], shared=False)
    return found_of(made, BASE, rows, method)
