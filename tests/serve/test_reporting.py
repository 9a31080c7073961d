"""What a job's client is told of the steps of a run."""

from __future__ import annotations

import pytest

from tests.serve.jobs_told import Told
from tunesmith.core.records import StepReport
from tunesmith.serve.jobs.reporting import Reporter


@pytest.mark.parametrize(("planned", "told"), [(3, 1), (2, 0)])
def test_fewer_steps_than_planned_are_explained_once(planned: int, told: int) -> None:
    tell = Told()
    reporter = Reporter(tell, lambda: None)
    reporter.stage("data")
    reporter.training(planned, 0)
    for step in (1, 2):
        reporter.step(StepReport(step, 0.0, 2.0, 1.0, 1e-3, 100, 50.0, 1.0))
    reporter.stage("saving")
    reporter.stage("verdict")
    why = "Training ended at step 2 of 3: the validation no longer improved"
    assert tell.events[2:] == [why] * told
