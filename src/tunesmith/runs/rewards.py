"""The grader that a recipe's reward asks for, and what it may use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.errors import RecipeError
from tunesmith.core.ports import Grader, Respondent
from tunesmith.core.records import Answered, Grade
from tunesmith.core.sandbox import open_sandbox
from tunesmith.evaluate.graders import Account, Tools, open_graders
from tunesmith.models.endpoint import Endpoint, key_from, require_client
from tunesmith.recipe import RewardSection
from tunesmith.recipe.graders import SHAPES, names_of, walk
from tunesmith.runs.labels.reward_grader import RewardGrader
from tunesmith.runs.open import open_run
from tunesmith.runs.replies import Remembered

_BODY = {"max_completions_tokens": "max_tokens"}
"""Fields of `sampling_params` that a request has under another name."""


def _reward_model(folder: str) -> Grader:
    """The reward model of a finished run. Raises RunFolderError, or Unsupported for another run."""
    return RewardGrader(open_run(Path(folder)))


_VERIFIERS = frozenset(
    {"exact", "numeric", "json_schema", "regex", "ends_with", "tests", "string_check", "multi"}
)
"""Graders that check an answer against what is known to be right; `multi` is what it is made of."""


@dataclass(frozen=True, slots=True)
class Reward:
    """The reward of a recipe; a `Grader`.

    `names` are those of its graders, which the parts of a grade have. `account` counts what was
    asked of judges, `walls` says what code is run behind, "" for none.
    """

    grader: Grader
    names: tuple[str, ...]
    account: Account
    walls: str = ""

    def grade(self, answers: Sequence[Answered]) -> list[Grade]:
        """See `core.ports.Grader`. Raises EndpointError where a judge refuses to be asked."""
        return self.grader.grade(answers)


def open_reward(section: RewardSection, replies: Path | None = None) -> Reward:
    """The reward of a recipe.

    Args:
        section: what the recipe says of it.
        replies: a file in which the replies of judges are kept, so that a run that goes on after
            an interruption has the grades of an unbroken one, and asks nothing twice.

    Raises:
        RecipeError: there are no graders, or one of them cannot be opened; says which.
        Unsupported: code cannot be walled off here, or a package is missing.
    """
    if section.graders is None:
        raise RecipeError(
            "No reward is named. Say what an answer is worth in reward.graders, as in "
            "--set 'reward.graders={type: exact}'."
        )
    used = [SHAPES[each["type"]].needs for grader in section.graders for each in walk(grader)]
    weak = section.run_code == "limits_only"
    sandbox = None
    if "run_code" in used and section.run_code is not False:
        sandbox = open_sandbox(weak=weak, key="reward.run_code")
    if "endpoint" in used:
        require_client()
    asks = _Asking(section, replies) if section.url else None
    tools = Tools(sandbox, asks, _reward_model, files=True)
    return Reward(
        open_graders(section.graders, tools),
        names_of(section.graders),
        tools.account,
        sandbox.describe() if sandbox else "",
    )


def knows_the_answer(section: RewardSection) -> bool:
    """Whether every grader checks what is right: then what it rewards is no hack."""
    return all(each["type"] in _VERIFIERS for g in section.graders or () for each in walk(g))


@dataclass(frozen=True, slots=True)
class _Asking:
    """Whom graders ask, by the model's name and how it samples."""

    section: RewardSection
    replies: Path | None

    def __call__(self, model: str | None, sampling: Mapping[str, Any]) -> Respondent:
        section = self.section
        given = {_BODY.get(name, name): each for name, each in sampling.items() if each is not None}
        temperature = given.pop("temperature", section.temperature)
        max_tokens = given.pop("max_tokens", section.max_tokens)
        endpoint = Endpoint(
            url=str(section.url),
            model=str(model or section.model),
            key=key_from(section.key_variable, "reward.key_variable"),
            temperature=temperature,
            max_tokens=max_tokens,
            timeout=section.timeout,
            parallel=section.parallel,
            sampling=given,
            patient=True,
        )
        return endpoint if self.replies is None else Remembered(endpoint, self.replies)
