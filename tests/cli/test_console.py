"""What a person sees of a run: plain lines in a log, a moving bar on a terminal."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest
from rich.console import Console

from tunesmith.cli.console import Lines, Screen, progress
from tunesmith.cli.pace import Pace
from tunesmith.cli.text import duration, wrapped
from tunesmith.core.records import StepReport, Validation

Reports = Callable[..., StepReport]
Validations = Callable[..., Validation]


class Clock:
    """Moves only when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_lines_of_a_whole_run(report: Reports, validation: Validations) -> None:
    stream, clock = io.StringIO(), Clock()
    with Lines(stream, clock) as lines:
        lines.stage("data", "read, check, split")
        lines.note("12 rows in.")
        lines.training(2, 0)
        clock.now = 1.0
        lines.step(report(1))
        lines.validated(validation(1, 1.5))
        clock.now = 2.0
        lines.step(report(2, loss=1.0))
        lines.validated(validation(2, 1.6, best=False))
    assert stream.getvalue().splitlines() == [
        "   0.0 s  data: read, check, split",
        "   0.0 s  12 rows in.",
        "   1.0 s  train: 1/2  loss 2.000  100 tokens/s  1.0 s left",
        "   2.0 s  train: 2/2  loss 1.500  held-out 1.500  100 tokens/s",
        "   2.0 s  train: 2 steps, best held-out loss 1.500 at step 1",
        "   2.0 s  done",
    ]


@pytest.mark.parametrize(("seconds_a_step", "most"), [(0.01, 21), (60.0, 101)])
def test_lines_of_training_are_few(seconds_a_step: float, most: int, report: Reports) -> None:
    stream, clock = io.StringIO(), Clock()
    lines = Lines(stream, clock)
    lines.training(1000, 0)
    for step in range(1, 1001):
        clock.now += seconds_a_step
        lines.step(report(step))
    assert most - 5 <= len(stream.getvalue().splitlines()) <= most


def test_a_resumed_run_says_where_it_goes_on(report: Reports) -> None:
    stream = io.StringIO()
    lines = Lines(stream, Clock())
    lines.training(100, 40)
    lines.step(report(41))
    assert stream.getvalue() == "   0.0 s  train: goes on after step 40 of 100\n"


def test_a_failed_run_is_not_done() -> None:
    stream = io.StringIO()
    with pytest.raises(ValueError, match="no"), Lines(stream):
        raise ValueError("no")
    assert stream.getvalue() == ""


def test_screen_leaves_a_line_a_stage_with_its_notes(
    report: Reports, validation: Validations
) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=80, force_terminal=True, color_system=None)
    with Screen(console) as screen:
        screen.stage("data", "read [check] split")
        screen.note("12 rows in: tickets.jsonl:3 is like :4.")
        screen.stage("train", "lora")
        screen.training(2, 0)
        screen.step(report(1))
        screen.validated(validation(1, 1.5))
        screen.step(report(2))
    left = _without_controls(stream.getvalue())
    assert "✓ data      read [check] split  0.0 s" in left
    assert "            12 rows in: tickets.jsonl:3 is like :4." in left
    assert "2/2  loss 2.000  held-out 1.500" in left
    assert left.rstrip().endswith("2 steps, best held-out loss 1.500 at step 1")


def test_screen_marks_the_stage_that_failed() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=80, force_terminal=True, color_system=None)
    screen = Screen(console)
    screen.stage("base", "open it")
    with pytest.raises(ValueError, match="no"), screen:
        raise ValueError("no")
    assert "✗ base      open it" in _without_controls(stream.getvalue())


def test_elsewhere_than_on_a_terminal_there_are_lines() -> None:
    with progress() as watcher:
        assert isinstance(watcher, Lines)


def test_pace_looks_at_recent_steps_only(report: Reports) -> None:
    clock = Clock()
    pace = Pace(100, 0, clock)
    for step in range(1, 41):
        clock.now += 10.0 if step <= 20 else 1.0
        pace.add(report(step, loss=4.0 if step <= 20 else 2.0))
    assert (pace.loss, pace.tokens_per_second, pace.seconds_left) == (2.0, 100.0, 60.0)


def test_an_early_stop_is_told() -> None:
    assert Pace(100, 30).summary() == "30 of 100 steps"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "0.0 s"), (9.9, "9.9 s"), (9.96, "10 s"), (187, "3:07 min"), (7500, "2:05 h")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_wrapping_never_breaks_a_place() -> None:
    place = "/a-long/path-with-dashes/to-the/tickets-of-the-last-year.jsonl:17"
    lines = wrapped(f"{place}: the answer is empty, so nothing is learned.\nNext.", 50).splitlines()
    assert lines[0].startswith(place)
    assert lines[-1] == "Next."


def _without_controls(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


def test_a_held_out_grade_is_told_as_one(report: Reports) -> None:
    """The loop minimises minus the grade; whoever reads along wants the grade."""
    pace = Pace(4, 0, clock=lambda: 0.0)
    pace.add(report(2))
    pace.measured(Validation(2, 0.5, -0.87, True, grade=0.87))
    assert "  held-out grade 0.870  " in pace.words()
    assert pace.summary().endswith("best held-out grade 0.870 at step 2")
