"""One round: answers are drawn and graded, the best are written down, and a model learns them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from shutil import rmtree
from typing import Any

from tunesmith.core.errors import DataError
from tunesmith.core.files import read_json, read_jsonl, write_json, write_jsonl
from tunesmith.core.ports import Grader, Watcher
from tunesmith.core.records import Prompt
from tunesmith.core.seeds import derive
from tunesmith.evaluate.wording import plural
from tunesmith.runs.improve.choosing import Choice, Sampled, choose
from tunesmith.runs.improve.folder import RoundFolder
from tunesmith.runs.improve.ledger import Ledger, Sorted, account, nothing
from tunesmith.runs.improve.model import Model
from tunesmith.runs.improve.sampling import Answers, Asking
from tunesmith.runs.improve.setup import ImproveSetup
from tunesmith.runs.improve.wanted import Wanted
from tunesmith.runs.train import train


@dataclass(frozen=True, slots=True)
class Rounds:
    """Makes rounds, and takes up those that were begun."""

    setup: ImproveSetup
    grader: Grader
    watcher: Watcher

    @property
    def wanted(self) -> Wanted:
        """How answers are drawn."""
        return self.setup.wanted

    def learned(self, round_number: int, folder: RoundFolder, model: Model) -> Ledger:
        """Make a round with the answers of `model`; returns its ledger.

        Raises DataError where no answer is accepted.
        """
        if not folder.ledger.exists():
            self.watcher.stage(
                "sample",
                f"round {round_number}: {self.wanted.answers} answers to each of "
                f"{plural(len(self.setup.questions), 'prompt')}",
            )
            self._sorted(round_number, folder, model)
        model.close()
        rmtree(folder.drawn, ignore_errors=True)  # it is all in the samples
        ledger: Ledger = read_json(folder.ledger)
        self._require_rows(round_number, ledger, folder)
        self.watcher.note(account(round_number, ledger, pairs=self.setup.pairs))
        self._train(round_number, folder)
        return ledger

    def examined(
        self, folder: RoundFolder, model: Model, prompts: Sequence[Prompt]
    ) -> list[Sampled]:
        """The likeliest answers of `model` to held-out prompts, graded."""
        asking = Asking(model.sampler, self.grader)
        return asking.likeliest(prompts, self.wanted, folder.held_out)

    def _sorted(self, round_number: int, folder: RoundFolder, model: Model) -> None:
        """Draw the answers, and write what becomes of them; the ledger last."""
        setup, wanted = self.setup, self.wanted
        seed = derive(setup.asked.engine.seed, "improve", round_number)
        prompts = [question.prompt for question in setup.questions]
        asking = Asking(model.sampler, self.grader)
        answers, seconds = asking.drawn(prompts, wanted, seed, folder.drawn, self.watcher)
        provenance = {"model": model.name, "round": round_number, "temperature": wanted.temperature}
        found = Sorted(setup.questions, answers, self._choices(answers), provenance)
        write_jsonl(folder.samples, found.samples())
        write_jsonl(folder.accepted, found.accepted())
        write_jsonl(folder.pairs, found.pairs())
        write_json(folder.ledger, found.ledger(seconds))

    def _choices(self, answers: Answers) -> list[Choice]:
        said: defaultdict[Any, set[str]] = defaultdict(set)
        setup, wanted = self.setup, self.wanted
        return [
            choose(
                some,
                wanted.keep,
                wanted.at_least,
                partial(question.trainable, renderer=setup.renderer, context=setup.context),
                said[question.said],
            )
            for question, some in zip(setup.questions, answers, strict=True)
        ]

    def _require_rows(self, round_number: int, ledger: Ledger, folder: RoundFolder) -> None:
        """Raises DataError, with what the reward said, where nothing can be learned."""
        if ledger["pairs" if self.setup.pairs else "kept"]:
            return
        why = nothing(ledger, self.wanted, pairs=self.setup.pairs)
        raise DataError(
            f"Round {round_number}: {why} All answers stand in {folder.samples}. Draw more "
            "with --answers, ask less with --at-least, or begin with a model that succeeds now and "
            "then: one trained on a few examples first."
        )

    def _train(self, round_number: int, folder: RoundFolder) -> None:
        """The round's run: made, taken up where it was left, or found finished."""
        if folder.run.verdict.exists():
            self.watcher.note(f"The run in {folder.run.path} is finished.")
            return
        self.watcher.stage("learn", f"round {round_number}, in {folder.run.path}")
        begun = folder.run.recipe.exists()
        rows = folder.pairs if self.setup.pairs else folder.accepted
        asked = None if begun else self.setup.recipe_over(rows)
        train(asked, folder.run.path, resume=begun, watcher=self.watcher)


def seconds_of(folder: RoundFolder) -> dict[str, float]:
    """What a round took: sampling with grading, optimiser steps, and answering held-out prompts."""
    metrics = read_jsonl(folder.run.metrics) if folder.run.metrics.exists() else []
    return {
        "sampling": read_json(folder.ledger)["seconds"] if folder.ledger.exists() else 0.0,
        "training": sum(line.get("seconds", 0.0) for line in metrics),
        "held_out": read_jsonl(folder.held_out)[0]["seconds"],
    }
