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
    Tagged,
    Text,
    Triplet,
)

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
)

TRAINED: Mapping[str, tuple[type[Content], ...]] = {
    "sft": (Chat, Completion, Text),
    "text": (Chat, Completion, Text),
}
"""The kinds that each objective of this version trains."""

_ABOUT: Mapping[type[Content], tuple[str, str]] = {
    Preference: ("a preference (a chosen and a rejected answer)", "dpo, orpo, simpo or reward"),
    Rating: ("a rating (an answer, and whether it was liked)", "kto"),
    Prompted: ("a prompt that waits for its answer (no answer to learn stands behind it)", "grpo"),
    Label: ("a text with its label", "classify"),
    Tagged: ("a list of words with their tags", "tag"),
    Pair: ("a pair of texts", "embed"),
    Triplet: ("a triplet of texts", "embed"),
    ImageLabel: ("an image with its label", "image"),
}


def wrong_kind(content: Content, objective: str) -> str | None:
    """Why an objective cannot train a content, and what to do; None if it can."""
    if isinstance(content, TRAINED[objective]):
        return None
    what, other = _ABOUT[type(content)]
    return (
        f"This row is {what}, which is for the objective {other}, and not in this version; "
        f"{objective} trains conversations, prompts with completions, and texts. Leave the row "
        "out, or have its fields read as another form by data.mapping, such as "
        "{label: completion, text: prompt}."
    )
