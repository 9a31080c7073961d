"""What each objective trains, and what is said of a row that is for another one."""

from __future__ import annotations

from collections.abc import Mapping

from tunesmith.core.records import (
    Chat,
    Completion,
    Content,
    ImageLabel,
    Label,
    Pair,
    Preference,
    Prompted,
    Rating,
    Scored,
    Stepwise,
    Tagged,
    Text,
    Triplet,
)
from tunesmith.recipe.kinds import REINFORCED, ObjectiveKind

Kind = ObjectiveKind

KINDS: tuple[type[Content], ...] = (
    Chat,
    Completion,
    Text,
    Preference,
    Rating,
    Prompted,
    Label,
    Tagged,
    Pair,
    Triplet,
    ImageLabel,
    Scored,
    Stepwise,
)

TRAINED: Mapping[str, tuple[type[Content], ...]] = {
    "sft": (Chat, Completion, Text),
    "text": (Chat, Completion, Text),
    "classify": (Label,),
    "tag": (Tagged,),
    "embed": (Pair, Triplet),
    "image": (ImageLabel,),
    **dict.fromkeys(("dpo", "simpo", "orpo", "cpo"), (Preference,)),
    **dict.fromkeys(("kto", "bco"), (Rating, Preference)),
    **dict.fromkeys(REINFORCED, (Prompted, Chat, Completion, Preference, Rating)),
    "reward": (Preference, Rating, Scored, Stepwise),
}
"""The kinds that each objective of this version trains."""

PAIRED = ("dpo", "simpo", "orpo", "cpo")
"""Objectives that hold the two answers of a row against each other: a micro-batch has both."""

ASKED = REINFORCED
"""Objectives that take the questions of rows alone: the model is to find the answers."""

ANSWERED = ("sft", *PAIRED, "kto", "bco", *ASKED)
"""Objectives of models that are asked questions and answer them."""

WHOLE_ROWS = ("embed", "reward", *PAIRED)
"""Objectives that train the texts of a row together: a step has all of them, or none."""

_ABOUT: Mapping[type[Content], tuple[str, str]] = {
    Preference: (
        "a preference (a chosen and a rejected answer)",
        "dpo, simpo, orpo, cpo, kto or reward",
    ),
    Rating: ("a rating (an answer, and whether it was liked)", "kto, bco or reward"),
    Prompted: ("a prompt that waits for its answer (no answer to learn stands behind it)", "grpo"),
    Label: ("a text with its label", "classify"),
    Tagged: ("a list of words with their tags", "tag"),
    Pair: ("a pair of texts", "embed"),
    Triplet: ("a triplet of texts", "embed"),
    ImageLabel: ("an image with its label", "image"),
    Scored: ("an answer with its reward", "reward"),
    Stepwise: ("an answer in steps, each with its label", "reward"),
}


_TAKES: Mapping[str, str] = {
    "sft": "conversations, prompts with completions, and texts",
    "text": "conversations, prompts with completions, and texts",
    "classify": "texts with labels",
    "tag": "words with tags",
    "embed": "pairs and triplets of texts",
    "image": "images with labels",
    **dict.fromkeys(PAIRED, "pairs of a chosen and a rejected answer"),
    **dict.fromkeys(("kto", "bco"), "rated answers, and pairs of a better and a worse one"),
    **dict.fromkeys(ASKED, "prompts"),
    "reward": "answers that were compared, rated or scored, and answers with labelled steps",
}


def wrong_kind(content: Content, objective: str) -> str | None:
    """Why an objective cannot train a content, and what to do; None if it can."""
    if isinstance(content, TRAINED[objective]):
        return None
    what, other = _ABOUT.get(type(content), ("a text to be written", "sft or text"))
    built = any(isinstance(content, kinds) for kinds in TRAINED.values())
    return (
        f"This row is {what}, which is for the objective {other}"
        f"{'' if built else ', and not in this version'}; {objective} trains {_TAKES[objective]}. "
        f"{'Set objective.kind to that, leave' if built else 'Leave'} the row out, or have its "
        "fields read as another form by data.mapping, such as {label: completion, text: prompt}."
    )
