"""The trials of a search: ordinary runs, each measured on the rows that choose and on the probes.

Each is what `tunesmith train` makes of its recipe, so each opens the base afresh (a tuned model is
not made into another one, rank by rank). What is shared is the work: the data are tokenised once
(the token cache), their texts are checked once, and the base is measured once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.errors import NonFiniteLoss
from tunesmith.core.files import read_json, write_json
from tunesmith.core.ports import Watcher
from tunesmith.evaluate.measure import Side
from tunesmith.models.open import Base
from tunesmith.recipe import AUTO, JudgeSection, Recipe
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.halving import Candidate
from tunesmith.runs.open import open_artefact, open_run
from tunesmith.runs.scoring import ModelScorer
from tunesmith.runs.setup import Setup
from tunesmith.runs.train import train
from tunesmith.runs.watching import OfTraining


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate for a share of its steps, and what came of it.

    `side` holds the choosing rows as `held_out`, and the probes; None where the loss was no longer
    a number. `seconds` are all that it took.
    """

    candidate: Candidate
    share: float
    steps: int
    seconds: float
    side: Side | None
    run: str

    @property
    def loss(self) -> float:
        """Nats per token of the choosing rows; infinite where it broke."""
        if self.side is None:
            return math.inf
        scores = self.side.held_out
        return sum(each.nll for each in scores) / sum(each.count for each in scores)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json`; `from_json` is the way back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Trial:
        """What `to_json` wrote."""
        side = Side.from_json(value["side"]) if value["side"] else None
        return cls(**{**value, "candidate": Candidate(**value["candidate"]), "side": side})


class Trials:
    """The trials in one folder.

    Args:
        folder: of all trials.
        asked: the recipe that is searched around, with its `auto` values as they were asked.
        setup: the same recipe, set up.
        per_epoch: optimiser steps in an epoch.
        watcher: told what happens.
    """

    def __init__(
        self, folder: Path, asked: Recipe, setup: Setup, per_epoch: int, watcher: Watcher
    ) -> None:
        self._folder = folder
        self._asked = asked
        self._setup = setup
        self._per_epoch = per_epoch
        self._watcher = watcher

    def finished(self, candidate: Candidate, share: float) -> Trial | None:
        """The trial, if it was made before."""
        file = self._file(candidate, share)
        return Trial.from_json(read_json(file)) if file.exists() else None

    def made(self, candidate: Candidate, share: float) -> Trial:
        """The trial: found finished, taken up where it was left, or made."""
        if (trial := self.finished(candidate, share)) is not None:
            return trial
        began = time.perf_counter()
        run = RunFolder(self._folder / _name(candidate, share))
        side = self._side(run, candidate, share)
        seconds = time.perf_counter() - began
        steps = self.steps(candidate, share)
        trial = Trial(candidate, share, steps, seconds, side, str(run.path))
        write_json(self._file(candidate, share), trial.to_json())
        return trial

    def steps(self, candidate: Candidate, share: float) -> int:
        """How many optimiser steps it takes."""
        whole = candidate.epochs * self._per_epoch
        return math.ceil(share * min(whole, self._asked.engine.max_steps or whole))

    def recipe(self, candidate: Candidate, share: float = 1.0) -> Recipe:
        """The recipe asked for with the candidate's values; in full, what is written in the end."""
        engine: dict[str, Any] = {"learning_rate": candidate.learning_rate}
        if share < 1:
            engine |= {"max_steps": self.steps(candidate, share), "epochs": AUTO}
        else:
            engine |= {"epochs": candidate.epochs}
        model = {} if candidate.rank is None else {"rank": candidate.rank}
        return self._asked.model_copy(
            update={
                "engine": self._asked.engine.model_copy(update=engine),
                "model": self._asked.model.model_copy(update=model),
            }
        )

    def side(self, base: Base) -> Side:
        """What a model is measured on: the rows that choose, and the probes."""
        scorer = ModelScorer(base, self._setup.recipe.engine.tokens_per_micro_batch)
        return Side(
            held_out=tuple(scorer.score(self._setup.held_out.choosing)),
            probes=tuple(scorer.score(self._setup.probes)),
        )

    def _side(self, run: RunFolder, candidate: Candidate, share: float) -> Side | None:
        begun = run.recipe.exists()
        recipe = None if begun else unjudged(self.recipe(candidate, share))
        try:
            train(recipe, run.path, resume=begun, watcher=OfTraining(self._watcher))
        except NonFiniteLoss as broken:
            self._watcher.note(f"{broken} The trial counts as the worst.")
            return None
        finished = open_run(run.path)
        return self.side(open_artefact(finished.artefact, finished.recipe).base)

    def _file(self, candidate: Candidate, share: float) -> Path:
        return self._folder / f"{_name(candidate, share)}.json"


def _name(candidate: Candidate, share: float) -> str:
    """`07-a-ninth` is candidate 7 for a ninth of its steps."""
    part = {1: "in-full", 3: "a-third", 9: "a-ninth"}[round(1 / share)]
    return f"{candidate.number:02d}-{part}"


def unjudged(recipe: Recipe) -> Recipe:
    """Without evaluation, and without the checks of the texts, which were made at the start."""
    return recipe.model_copy(
        update={
            "data": recipe.data.model_copy(update={"checks": "off"}),
            "evaluate": recipe.evaluate.model_copy(
                update={"level": "none", "most_forgetting": None}
            ),
            "judge": JudgeSection(),
        }
    )
