"""A judge model's opinion of a run's answers: while it is trained, or later with the act `judge`.

Nothing is sent unless the recipe names an endpoint, and before the first request the run says how
much goes where. A judge that fails never costs a run: the verdict then says "not judged".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tunesmith.core.errors import (
    EndpointError,
    RecipeError,
    RunFolderError,
)
from tunesmith.core.ports import Watcher
from tunesmith.evaluate.judge_ask import (
    Pair,
    Request,
    duels_of,
    pairs_of,
    requests_of,
    tokens_of,
)
from tunesmith.evaluate.judge_labels import read_labels
from tunesmith.evaluate.judge_records import Contest, Judged, Labelled
from tunesmith.evaluate.measure import Measured
from tunesmith.evaluate.wording import plural
from tunesmith.evaluate.worth import worth
from tunesmith.models.endpoint import Endpoint, key_from, require_client
from tunesmith.recipe import JudgeSection, Recipe
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.heldout import spread
from tunesmith.runs.replies import Remembered


def judged(
    recipe: Recipe, folder: RunFolder, measured: Measured, watcher: Watcher
) -> Judged | None:
    """What the judge that the recipe names says, or why it does not; None if it names none."""
    if recipe.judge.url is None:
        return None
    try:
        return ask(recipe, folder, measured, watcher)
    except EndpointError as error:
        why = str(error).rstrip(".")
        watcher.note(f"Not judged: {why}. Later: tunesmith judge {folder.path}.")
        section = recipe.judge
        return Judged(str(section.model), endpoint_of(section).host, why=why)


def ask(recipe: Recipe, folder: RunFolder, measured: Measured, watcher: Watcher) -> Judged:
    """Ask the judge about the labelled pairs, and then about the run's own answers.

    Raises EndpointError when it does not answer, or too much of what it says cannot be read, and
    RunFolderError when there are no answers.
    """
    section, endpoint = recipe.judge, endpoint_of(recipe.judge)
    rubric = rubric_of(section)
    labels = [] if section.labels is None else read_labels(Path(section.labels))
    sides = _sides(measured, section, recipe.engine.seed)
    labelled = [pair for pair, _ in labels]
    respondent = Remembered(endpoint, folder.judge_replies)
    requests = [
        request
        for pairs in (labelled, *(pairs for _, _, pairs in sides))
        for request in requests_of(pairs, rubric)
    ]
    watcher.stage("judge", _announced(requests, respondent, endpoint))
    duels = duels_of(respondent, labelled, rubric)
    return Judged(
        model=endpoint.model,
        host=endpoint.host,
        rubric=rubric,
        labels=tuple(
            Labelled(duel, preferred) for duel, (_, preferred) in zip(duels, labels, strict=True)
        ),
        contests=tuple(
            Contest(name, title, duels_of(respondent, pairs, rubric))
            for name, title, pairs in sides
        ),
        decides=section.decides,
    )


def require_judge(section: JudgeSection) -> None:
    """Raises InputError if the judge that the recipe names could not be asked from here."""
    if section.url is None:
        return
    require_client()
    endpoint_of(section)
    rubric_of(section)
    if section.labels is not None:
        read_labels(Path(section.labels))


def endpoint_of(section: JudgeSection) -> Endpoint:
    """Where the judge is. Raises RecipeError if its key is not there or cannot be one."""
    return Endpoint(
        url=str(section.url),
        model=str(section.model),
        key=key_from(section.key_variable, "judge.key_variable"),
        temperature=section.temperature,
        max_tokens=section.max_tokens,
        timeout=section.timeout,
        parallel=section.parallel,
    )


def rubric_of(section: JudgeSection) -> str:
    """The text of judge.rubric, "" for none. Raises RecipeError for one without a text."""
    if section.rubric is None:
        return ""
    try:
        text = Path(section.rubric).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"judge.rubric names {section.rubric}, which cannot be read as UTF-8 text ({error}). "
            "Give the path of a text file with --set judge.rubric=FILE."
        ) from error
    if not text:
        raise RecipeError(
            f"judge.rubric names {section.rubric}, which is empty. Write into it what makes an "
            "answer good, or leave judge.rubric out."
        )
    return text


def _sides(
    measured: Measured, section: JudgeSection, seed: int
) -> list[tuple[str, str, list[Pair]]]:
    """Whom the tuned model is held against: its base, and the best of the helped ones."""
    base, tuned = measured.sides
    others = [("base", "the base", base.answers)]
    best = worth(measured, seed).detail.get("best")
    others += [
        (each.name, f"the base with {each.title}", each.side.answers)
        for each in measured.baselines
        if each.name == best
    ]
    found = [(name, title, pairs_of(tuned.answers, answers)) for name, title, answers in others]
    most = section.rows
    found = [(n, t, pairs if most is None else spread(pairs, most)) for n, t, pairs in found]
    if not found[0][2]:
        raise RunFolderError(
            "There is nothing to judge: the run has no answers of both its base and its tuned "
            "model. Train with --set evaluate.level=standard."
        )
    return [side for side in found if side[2]]


def _announced(requests: Sequence[Request], respondent: Remembered, endpoint: Endpoint) -> str:
    """What is going to be sent, and where, said before it is."""
    unknown = respondent.unknown(requests)
    if not unknown:
        return f"all replies of {endpoint.model} are there already, nothing is sent"
    tokens = f"about {tokens_of([tuple(each) for each in unknown]):,} tokens in all"
    asked = f"{plural(len(unknown), 'request')}, {tokens}"
    said = (
        f"{asked}, {'goes' if len(unknown) == 1 else 'go'} to {endpoint.model} at {endpoint.host}"
    )
    known = respondent.known(requests)
    return f"{said}; {known:,} are answered already" if known else said
