"""The table of states: every move in it leads on, and nothing leads out of an end."""

from __future__ import annotations

import pytest

from tunesmith.serve.jobs.states import FINISHED, MOVES, STATUSES, is_legal


def test_the_ends_are_the_three_that_clients_wait_for() -> None:
    assert {"succeeded", "failed", "cancelled"} == FINISHED


@pytest.mark.parametrize("status", STATUSES)
def test_each_state_can_be_reached_and_left(status: str) -> None:
    reached = {after for moves in MOVES.values() for after in moves} | {"validating_files"}
    assert status in reached
    assert bool(MOVES[status]) is (status not in FINISHED)  # type: ignore[index]


def test_a_finished_job_never_moves_and_a_paused_one_is_queued_first() -> None:
    assert not is_legal("cancelled", "queued")
    assert not is_legal("paused", "running")
    assert is_legal("running", "queued")
