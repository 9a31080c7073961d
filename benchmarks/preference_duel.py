"""Two models answer the same prompts, and two rewards say whose answers are better.

Shape legend: N answers, all prompts' side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.records import Message, Origin, Preference, Prompt
from tunesmith.core.seeds import derive
from tunesmith.evaluate.judge_figures import balance
from tunesmith.evaluate.preferences.diversity import diversity
from tunesmith.evaluate.preferences.length import length_figures
from tunesmith.evaluate.preferences.measured import Asked, PreferenceMeasured, Way
from tunesmith.evaluate.preferences.rewards import told
from tunesmith.evaluate.preferences.spent import kl_spent
from tunesmith.evaluate.preferences.wins import judge_of, score_of, scored_wins, win_rate
from tunesmith.models.rollouts import InProcessRollouts
from tunesmith.runs.labels.ask_rewards import RewardModel, Worth, answers_of
from tunesmith.runs.labels.reward_grader import RewardGrader
from tunesmith.runs.open import Opened, open_run
from tunesmith.runs.preferences.ways import way, with_log_probs

Found = dict[str, Any]
Floats = NDArray[np.float64]

_BUDGET = 8192


class Judges:
    """The reward that answers were learned by, and the one that was made from other pairs.

    Args:
        reward: the run of the first.
        judge: the run of the second.
    """

    def __init__(self, reward: Path, judge: Path) -> None:
        self._runs = tuple(map(open_run, (reward, judge)))
        self._graders = tuple(map(RewardGrader, self._runs))

    def right(self, pairs: Sequence[Preference]) -> list[Found]:
        """How often each has the answer that people chose above the other."""
        return [self._right(RewardModel(run), pairs) for run in self._runs]

    def _right(self, model: RewardModel, pairs: Sequence[Preference]) -> Found:
        worth = model.worth([answer for pair in pairs for answer in answers_of(pair)])
        both = zip(worth[0::2], worth[1::2], strict=True)
        signs = [
            float(np.sign(one.reward - other.reward))
            for one, other in both
            if isinstance(one, Worth) and isinstance(other, Worth)
        ]
        return told(balance(signs))

    def graded(self, name: str, prompts: Sequence[Prompt], drawn: Any) -> Way:
        """The answers with what each gives them: `score` by the first, `judge` by the second."""
        by_reward, by_judge = (way(name, name, prompts, drawn, each) for each in self._graders)
        answers = tuple(
            tuple(replace(one, judge=other.score) for one, other in zip(*some, strict=True))
            for some in zip(by_reward.answers, by_judge.answers, strict=True)
        )
        return Way(name, name, answers)


class Duels:
    """Holds models against one, `first`, on the prompts of some pairs.

    Each gives `drawn` answers to a prompt at temperature 1, of at most `most` tokens.
    """

    def __init__(
        self, first: Path, pairs: Sequence[Preference], judges: Judges, most: int, drawn: int
    ) -> None:
        self._judges, self._pairs = judges, pairs
        self._most, self._count = most, drawn
        self._first = open_run(first).model
        self._prompts, answers = self._drawn(self._first, "before")
        self._before = judges.graded("before", self._prompts, answers)

    def agreement(self) -> float:
        """The correlation of both rewards among the answers of the first model to one prompt."""
        score_N, judge_N = (
            np.concatenate([_centred([of(one) for one in some]) for some in self._before.answers])
            for of in (score_of, judge_of)
        )
        return float(np.corrcoef(score_N, judge_N)[0, 1])

    def against(self, run: Path, name: str) -> Found:
        """What the model of a run wins, and what that costs."""
        prompts, drawn = self._drawn(open_run(run).model, name)
        after = self._judges.graded(name, prompts, drawn)
        after = with_log_probs(after, prompts, drawn, self._first.base, _BUDGET)
        asked = tuple(map(Asked.of, self._prompts))
        measured = PreferenceMeasured(prompts=asked, base=self._before, tuned=after)
        spent, varied = kl_spent(measured, 0), diversity(measured, 0)
        assert spent is not None
        assert varied is not None  # there are several answers to each prompt
        wins = {
            by: scored_wins(self._before, after, of, by)
            for by, of in (("reward", score_of), ("judge", judge_of))
        }
        length = length_figures(self._before, after, wins["judge"], 0)
        return {
            **{by: told(win_rate(each.wins_R, 0, by)) for by, each in wins.items()},
            "at_equal_length": length["at_equal"],
            "tokens": [length["base"], length["tuned"]],
            "kl": spent["answer"],
            "self_bleu": varied["figures"]["self-BLEU"],
        }

    def _drawn(self, model: Opened, name: str) -> tuple[list[Prompt], Any]:
        prompts = [_prompt(model, pair, n) for n, pair in enumerate(self._pairs, start=1)]
        model.base.model.eval()
        sampler = InProcessRollouts(model.base, model.renderer.stop_ids())
        seed = derive(0, "duel", name)
        return prompts, sampler.sample(prompts, self._count, self._most, 1.0, seed)


def _prompt(model: Opened, pair: Preference, number: int) -> Prompt:
    said = pair.prompt
    turns = (Message("user", said),) if isinstance(said, str) else said
    return Prompt(Origin("test", number), turns, model.renderer.ask(turns), "{}")


def _centred(scores: Sequence[float | None]) -> Floats:
    """Those of the answers to one prompt that both rewards grade, less their mean."""
    known_N = np.array([score for score in scores if score is not None], dtype=np.float64)
    return known_N - known_N.mean() if len(known_N) else known_N
