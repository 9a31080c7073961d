"""What was measured of a run on comparisons, brought before its own judgement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from tunesmith.core.files import read_json, write_json
from tunesmith.core.ports import Grader, Watcher
from tunesmith.core.records import Prompt, Rollout, Score, Tokens
from tunesmith.data.compared import BETTER
from tunesmith.evaluate.measure import Measured
from tunesmith.evaluate.preferences.card import shown_of_preferences
from tunesmith.evaluate.preferences.measured import (
    Asked,
    Compared,
    Implicit,
    PreferenceMeasured,
    Rated,
    Way,
)
from tunesmith.evaluate.preferences.page import render_preferences
from tunesmith.evaluate.preferences.safety import conduct
from tunesmith.evaluate.preferences.verdict import judge_preferences
from tunesmith.evaluate.verdict import Verdict
from tunesmith.models.open import Base, open_base
from tunesmith.recipe import PREFERENCES, load
from tunesmith.runs.artefacts import hashes
from tunesmith.runs.finished import artefact_of
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.heldout import spread
from tunesmith.runs.measuring import trained_of
from tunesmith.runs.open import device_here, open_artefact
from tunesmith.runs.preferences.ways import draw, prompts_of, way, with_log_probs
from tunesmith.runs.rewards import knows_the_answer, open_reward
from tunesmith.runs.setup import Setup
from tunesmith.runs.show import shown_of_training
from tunesmith.runs.written import about, finish

_IMPLICIT: dict[str, Implicit] = {"simpo": "mean", "orpo": "mean", "cpo": "total"}
"""What each objective takes for the reward of an answer; the others look back at the base."""

_LOOKED_THROUGH = 4
"""Times as many trained rows as held-out prompts: among them some of either kind are chosen."""


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Measures the run of `setup`, whose files are in `folder`, beside what any run measures."""

    setup: Setup
    folder: RunFolder
    watcher: Watcher

    @property
    def prompts(self) -> list[Prompt]:
        """The held-out prompts that both models answer: without a reward to grade answers by, those
        of which rows say whether they are to be refused."""
        recipe, held_out = self.setup.recipe, self.setup.held_out.prompts
        if recipe.objective.kind not in PREFERENCES:
            return []
        if recipe.reward.graders is None:
            held_out = [each for each in held_out if Asked.of(each).expect]
        return prompts_of(held_out, recipe.evaluate.level)

    @property
    def trained_prompts(self) -> list[Prompt]:
        """Trained prompts, as many of either kind, where refusals judge: who learned by heart when
        to refuse does so there alone."""
        setup, held_out = self.setup, self.prompts
        if setup.recipe.reward.graders is not None or not held_out:
            return []
        in_order = not setup.recipe.data.shuffle
        seen = setup.prepared.seen_first(setup.recipe.engine.seed, in_order=in_order)
        rows = spread(np.unique(seen.rows).tolist(), _LOOKED_THROUGH * len(held_out))
        return _alike(setup.prepared.prompts(rows), held_out)

    def ask_base(self, base: Base) -> Way | None:
        """The base's answers and their grades, made once and kept for a resumed run: those to
        held-out prompts, then those to trained ones."""
        if not self.prompts:
            return None
        if self.folder.base_answers.exists():
            return Way.from_json(read_json(self.folder.base_answers))
        self.watcher.stage("measure", "the base's answers to held-out prompts")
        prompts = [*self.prompts, *self.trained_prompts]
        drawn = draw(base, self.setup.renderer.stop_ids(), prompts, self.setup.recipe)
        found = way("base", "the base", prompts, drawn, self._grader())
        write_json(self.folder.base_answers, found.to_json())
        return found

    def judged(self, measured: Measured, base: Way | None) -> Verdict:
        """Ask the tuned model as saved, and write verdict, report and card, which ends the run."""
        setup, folder = self.setup, self.folder
        found = measured_of(setup, measured)
        if base is not None:
            self.watcher.stage("compare", "the tuned model's answers with the base's")
            found = self._asked(found, base)
        write_json(folder.shown, shown_of_training(setup.prepared, setup.recipe))
        write_json(folder.hashes, hashes(artefact_of(folder)))
        return write_preferences(folder, found, setup.recipe.engine.seed)

    def _asked(self, found: PreferenceMeasured, base: Way) -> PreferenceMeasured:
        """With both models' answers."""
        held_out, trained = self.prompts, self.trained_prompts
        tuned, count = self._ask_tuned([*held_out, *trained]), len(held_out)
        seen = [Asked.of(each) for each in trained]
        return replace(
            found,
            prompts=tuple(map(Asked.of, held_out)),
            base=base.part(slice(count)),
            tuned=tuned.part(slice(count)),
            seen=conduct(seen, (base.part(slice(count, None)), tuned.part(slice(count, None)))),
            grader="the reward",
            proxy=not knows_the_answer(self.setup.recipe.reward),
        )

    def _ask_tuned(self, prompts: Sequence[Prompt]) -> Way:
        """One model is open at a time: first what was saved, then the base, which is asked what it
        holds of the other's answers."""
        recipe = self.setup.recipe
        drawn = self._drawn_afresh(prompts)
        found = way("tuned", "the tuned model", prompts, drawn, self._grader())
        base = open_base(
            self.setup.described,
            recipe.model.dtype,
            device_here(recipe),
            quantize=recipe.model.quantize,
        )
        return with_log_probs(found, prompts, drawn, base, recipe.engine.tokens_per_micro_batch)

    def _drawn_afresh(self, prompts: Sequence[Prompt]) -> list[list[Rollout]]:
        saved = open_artefact(artefact_of(self.folder), self.setup.recipe)
        return draw(saved.base, saved.renderer.stop_ids(), prompts, self.setup.recipe)

    def _grader(self) -> Grader | None:
        reward = self.setup.recipe.reward
        return None if reward.graders is None else open_reward(reward, self.folder.reward_replies)


def _alike(trained: Sequence[Prompt], held_out: Sequence[Prompt]) -> list[Prompt]:
    """Of each kind, harmful and harmless, at most as many as are held out, evenly spread."""
    ours, theirs = ([Asked.of(each).expect for each in some] for some in (trained, held_out))
    chosen = [
        place
        for kind in ("refuse", "answer")
        for place in spread(
            [n for n, expect in enumerate(ours) if expect == kind], theirs.count(kind)
        )
    ]
    return [trained[place] for place in sorted(chosen)]


def measured_of(setup: Setup, measured: Measured) -> PreferenceMeasured:
    """The scores of both sides, answer by answer, as pairs and ratings."""
    base, tuned = measured.sides
    pairs, ratings = _sides(setup.held_out.judging, base.held_out, tuned.held_out)
    trained, _ = _sides(trained_of(setup), base.train, tuned.train)
    implicit = _IMPLICIT.get(setup.recipe.objective.kind, "ratio")
    return PreferenceMeasured(measured, implicit, pairs, trained, ratings)


def write_preferences(folder: RunFolder, found: PreferenceMeasured, seed: int) -> Verdict:
    """Judge what was measured and write all that says so; verdict.json last: it ends the run."""
    verdict = judge_preferences(found, seed)
    said = verdict.to_json()
    page = render_preferences(said, found, *about(folder))
    recipe = load(folder.recipe).model_dump(mode="json")
    opened_by = read_json(folder.plan).get("opened_by", "AutoModelForCausalLM")
    shown = shown_of_preferences(said, found, artefact_of(folder).name, recipe, opened_by)
    finish(folder, said, found.to_json(), page, shown)
    return verdict


def _sides(
    rows: Sequence[Tokens], base: Sequence[Score], tuned: Sequence[Score]
) -> tuple[tuple[Compared, ...], tuple[Rated, ...]]:
    """Neighbours of one origin are a pair, a row alone is a rating."""
    if not (base and tuned):
        return (), ()
    pairs, ratings = [], []
    for origin, places in groupby(range(len(rows)), key=lambda place: rows[place].origin):
        some = list(places)
        held = [(-base[place].nll, -tuned[place].nll, rows[place].sites) for place in some]
        if len(some) == 1:
            ratings.append(Rated(origin, rows[some[0]].part == BETTER, *held[0]))
        else:
            by_base, by_tuned, tokens = zip(*held, strict=True)
            pairs.append(Compared(origin, by_base, by_tuned, tokens))
    return tuple(pairs), tuple(ratings)
