"""What a labelling run measures before, while and after it trains, by what its model is for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol

from tunesmith.core.batch import Pooling
from tunesmith.core.ports import Watcher
from tunesmith.core.records import Tokens
from tunesmith.evaluate.labels.measured import Rival
from tunesmith.evaluate.measure import Course
from tunesmith.models.label_artefact import Naming
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.labels.embed_judge import EmbedJudge, embedded
from tunesmith.runs.labels.frozen import Frozen
from tunesmith.runs.labels.judge import (
    AnyRivals,
    Floats,
    criterion,
    judge_label_run,
    measured_of,
    naming_of,
    rivals_of,
)
from tunesmith.runs.labels.predict import Predictor
from tunesmith.runs.labels.prompted import ask_base, promptable
from tunesmith.runs.labels.reward_judge import RewardJudge
from tunesmith.runs.labels.setup import LabelSetup


class Judge(Protocol):
    """Is called in the order of its methods."""

    begins: str
    """What `look` measures, a clause for the user."""

    def ask(self, watcher: Watcher) -> None:
        """Ask the untrained base by prompt, where that can be; before it is opened for labels."""
        ...

    def look(self, predictor: Predictor, frozen: Frozen) -> None:
        """Measure what the untrained base makes of the texts."""
        ...

    def criterion(self, predictor: Predictor) -> float:
        """The held-out loss by which weights are chosen."""
        ...

    def naming(self, predictor: Predictor, pooling: Pooling) -> Naming:
        """What the outputs of the trained model mean."""
        ...

    def trained(self, predictor: Predictor) -> None:
        """Keep what the trained model says in memory, to hold the saved one against it."""
        ...

    def finish(self, folder: RunFolder, artefact: Path, course: Course) -> None:
        """Measure what was saved, opened afresh, and write verdict and report."""
        ...


class ClassJudge:
    """For models that label texts."""

    begins = "simple learners on what the untrained base makes of the texts"

    def __init__(self, setup: LabelSetup) -> None:
        self._setup = setup
        self._rivals: AnyRivals | None = None
        self._frozen_RD: Floats | None = None
        self._asked: tuple[Rival, ...] = ()
        self._said_RC: Floats

    def ask(self, watcher: Watcher) -> None:
        if not promptable(self._setup):
            return
        watcher.stage("compare", "the base, asked by a prompt")
        found = ask_base(self._setup)
        if isinstance(found, str):
            watcher.note(found)
        else:
            self._asked = (found,)

    def look(self, predictor: Predictor, frozen: Frozen) -> None:
        self._rivals = rivals_of(self._setup, frozen)
        self._frozen_RD = predictor.features(self._setup.held_out.judging)

    def criterion(self, predictor: Predictor) -> float:
        return criterion(predictor, self._setup.held_out.choosing, self._setup.targets)

    def naming(self, predictor: Predictor, pooling: Pooling) -> Naming:
        return naming_of(self._setup, predictor, pooling)

    def trained(self, predictor: Predictor) -> None:
        self._said_RC = predictor.outputs(self._setup.held_out.judging)

    def finish(self, folder: RunFolder, artefact: Path, course: Course) -> None:
        sides = (self._said_RC, self._frozen_RD, self._rivals)
        measured = measured_of(self._setup, artefact, *sides, course)
        measured = replace(measured, rivals=(*measured.rivals, *self._asked))
        judge_label_run(self._setup, folder, measured)


def judge_of(setup: LabelSetup) -> Judge:
    """The one that the recipe's objective asks for."""
    if setup.targets.problem == "preference":
        return RewardJudge(setup)
    return EmbedJudge(setup) if setup.targets.problem == "similarity" else ClassJudge(setup)


def judged_texts(setup: LabelSetup) -> list[Tokens]:
    """All that is asked to judge a whole run, as often as it is."""
    if setup.targets.problem == "similarity":
        return embedded(setup)
    judging = setup.held_out.judging
    return [*judging, *judging, *judging, *setup.rehearsed(len(judging)), *setup.fitted()]
