"""One round: answers are drawn and graded, the best are written down, and a model learns them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from shutil import rmtree
from typing import Any

from tunesmith.core.errors import DataError
from tunesmith.core.files import read_json, read_jsonl, write_json, write_jsonl
from tunesmith.core.ports import Grader, RolloutSampler, Watcher
from tunesmith.core.records import Prompt
from tunesmith.core.seeds import derive
from tunesmith.evaluate.wording import number, percent, plural
from tunesmith.models.open import open_base
from tunesmith.models.rollouts import InProcessRollouts
from tunesmith.recipe import load
from tunesmith.runs.finished import artefact_of
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.improve.choosing import KEPT, NOT_GRADED, REJECTED, Choice, Sampled, choose
from tunesmith.runs.improve.folder import RoundFolder
from tunesmith.runs.improve.rows import Row, accepted_row, pair_row
from tunesmith.runs.improve.sampling import Answers, Asking, told
from tunesmith.runs.improve.scores import why_not
from tunesmith.runs.improve.setup import ImproveSetup
from tunesmith.runs.improve.wanted import Wanted
from tunesmith.runs.open import device_here, open_artefact
from tunesmith.runs.train import train

Ledger = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rounds:
    """Makes rounds, and takes up those that were begun."""

    setup: ImproveSetup
    wanted: Wanted
    grader: Grader
    watcher: Watcher

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
        self.watcher.note(_account(round_number, ledger, pairs=self.setup.pairs))
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
        choices = self._choices(answers)
        write_jsonl(folder.samples, self._sample_lines(answers, choices))
        provenance = {"model": model.name, "round": round_number, "temperature": wanted.temperature}
        write_jsonl(folder.accepted, self._accepted(answers, choices, provenance))
        write_jsonl(folder.pairs, self._pairs(answers, choices, provenance))
        write_json(folder.ledger, self._ledger(answers, choices, seconds))

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

    def _sample_lines(self, answers: Answers, choices: Sequence[Choice]) -> list[Row]:
        return [
            {
                "origin": str(question.prompt.origin),
                "answer": place,
                "outcome": outcome,
                **told(each),
            }
            for question, some, choice in zip(self.setup.questions, answers, choices, strict=True)
            for place, (each, outcome) in enumerate(zip(some, choice.outcomes, strict=True))
        ]

    def _accepted(self, answers: Answers, choices: Sequence[Choice], provenance: Row) -> list[Row]:
        return [
            accepted_row(question, some[place], {**provenance, **_place(question.prompt, place)})
            for question, some, choice in zip(self.setup.questions, answers, choices, strict=True)
            for place in choice.kept
        ]

    def _pairs(self, answers: Answers, choices: Sequence[Choice], provenance: Row) -> list[Row]:
        return [
            pair_row(
                question,
                some[better],
                some[worse],
                {**provenance, "origin": str(question.prompt.origin), "answers": [better, worse]},
            )
            for question, some, choice in zip(self.setup.questions, answers, choices, strict=True)
            for better, worse in choice.pairs
        ]

    def _ledger(self, answers: Answers, choices: Sequence[Choice], seconds: float) -> Ledger:
        """`sampled` = `kept` + `rejected`, by reason, + `not_graded`."""
        counts = Counter(outcome for choice in choices for outcome in choice.outcomes)
        every = [each for some in answers for each in some]
        rewards = [each.reward for each in every if each.grade.value is not None]
        without = [
            str(question.prompt.origin)
            for question, choice in zip(self.setup.questions, choices, strict=True)
            if not choice.kept
        ]
        return {
            "prompts": len(choices),
            "sampled": len(every),
            "kept": counts[KEPT],
            "rejected": {reason: counts[reason] for reason in REJECTED},
            "not_graded": counts[NOT_GRADED],
            "why_not_graded": why_not(every),
            "pairs": sum(len(choice.pairs) for choice in choices),
            "best_reward": max(rewards, default=None),
            "mean_reward": sum(rewards) / len(rewards) if rewards else None,
            "tokens": sum(each.tokens for each in every),
            "seconds": seconds,
            "prompts_without": without,
        }

    def _require_rows(self, round_number: int, ledger: Ledger, folder: RoundFolder) -> None:
        """Raises DataError, with what the reward said, where nothing can be learned."""
        if ledger["pairs" if self.setup.pairs else "kept"]:
            return
        nothing = _nothing(ledger, self.wanted, pairs=self.setup.pairs)
        raise DataError(
            f"Round {round_number}: {nothing} All answers stand in {folder.samples}. Draw more "
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


class Model:
    """The base, or the model of a round's run, opened when it is first asked."""

    def __init__(self, setup: ImproveSetup, run: RunFolder | None = None) -> None:
        self._setup = setup
        self._run = run
        self._sampler: RolloutSampler | None = None

    @property
    def name(self) -> str:
        """What stands in the provenance of its answers."""
        return self._setup.asked.model.base if self._run is None else str(self._run.path)

    def sampler(self) -> RolloutSampler:
        """Draws its answers."""
        if self._sampler is None:
            self._sampler = self._open()
        return self._sampler

    def close(self) -> None:
        """Its memory is wanted for training."""
        self._sampler = None

    def _open(self) -> RolloutSampler:
        if self._run is not None:
            opened = open_artefact(artefact_of(self._run), load(self._run.recipe))
            return InProcessRollouts(opened.base, opened.renderer.stop_ids())
        model = self._setup.opening.model
        device = device_here(self._setup.opening)
        base = open_base(self._setup.described, model.dtype, device, quantize=model.quantize)
        return InProcessRollouts(base, self._setup.renderer.stop_ids())


def seconds_of(folder: RoundFolder) -> dict[str, float]:
    """What a round took: sampling with grading, optimiser steps, and answering held-out prompts."""
    metrics = read_jsonl(folder.run.metrics) if folder.run.metrics.exists() else []
    return {
        "sampling": read_json(folder.ledger)["seconds"] if folder.ledger.exists() else 0.0,
        "training": sum(line.get("seconds", 0.0) for line in metrics),
        "held_out": read_jsonl(folder.held_out)[0]["seconds"],
    }


def _place(prompt: Prompt, place: int) -> Row:
    return {"origin": str(prompt.origin), "answer": place}


def _account(round_number: int, ledger: Ledger, *, pairs: bool) -> str:
    """What became of a round's answers: the first numbers of its ledger."""
    reasons = [f"{count:,} {reason}" for reason, count in ledger["rejected"].items() if count]
    ungraded = f", {ledger['not_graded']:,} not graded" if ledger["not_graded"] else ""
    without = len(ledger["prompts_without"])
    return (
        f"Round {round_number}: {ledger['sampled']:,} answers ({ledger['tokens']:,} tokens), "
        f"{ledger['kept']:,} kept, {sum(ledger['rejected'].values()):,} rejected"
        f"{' (' + ', '.join(reasons) + ')' if reasons else ''}{ungraded}; {without:,} of "
        f"{plural(ledger['prompts'], 'prompt')} without an accepted answer"
        f"{'; ' + plural(ledger['pairs'], 'pair') if pairs else ''}."
    )


def _nothing(ledger: Ledger, wanted: Wanted, *, pairs: bool) -> str:
    """Why there is nothing to learn: how many could not be graded, and what the best was worth."""
    asked = f"{plural(ledger['sampled'], 'answer')} to {plural(ledger['prompts'], 'prompt')}"
    share = percent(ledger["not_graded"] / ledger["sampled"])
    found = [f"{share} could not be graded{': ' if ledger['not_graded'] else ''}"]
    if ledger["why_not_graded"]:
        found = [found[0] + ledger["why_not_graded"].rstrip(".")]
    if ledger["best_reward"] is not None:
        least = "" if wanted.at_least is None else f", and --at-least is {number(wanted.at_least)}"
        found.append(f"the best reward was {number(ledger['best_reward'])}{least}")
    if ledger["rejected"]["cut_off"]:
        cut = ledger["rejected"]["cut_off"]
        found.append(
            f"{cut:,} did not end within --max-new-tokens {wanted.max_new_tokens}, which is never "
            "learned"
        )
    if pairs and ledger["kept"]:
        return (
            f"{ledger['kept']:,} of {asked} were accepted, but no worse one stands beside them, so "
            "there is no pair to learn from."
        )
    return f"none of {asked} was accepted ({'; '.join(found)})."
