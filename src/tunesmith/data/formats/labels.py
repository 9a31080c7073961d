"""Things with labels: texts, words, images; and texts beside others that are near or far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from tunesmith.core.records import ImageLabel, Label, Pair, Tagged, Triplet
from tunesmith.data.formats.fields import fail, filled, kind_of, told, whole

_GIVE = "; give it a text."
filled_text = partial(filled, reason="empty_text", advice=_GIVE)


def label(fields: Mapping[str, Any], text: str = "text", name: str = "label") -> Label:
    """A text and its class, or the list of its classes."""
    value = fields[name]
    listed = value if isinstance(value, list) else [value]
    if not listed:
        fail("no_label", f'"{name}" is an empty list; give the text a label.')
    return Label(filled_text(fields, text), tuple(_name(each, name) for each in listed))


def image(fields: Mapping[str, Any], path: str = "image") -> ImageLabel:
    """The path of an image and its class."""
    return ImageLabel(filled_text(fields, path), _name(fields["label"], "label"))


def has_words(fields: Mapping[str, Any]) -> bool:
    """Whether `tokens` are words; it may be the count of them, beside a text."""
    return isinstance(fields["tokens"], list)


def tagged(fields: Mapping[str, Any], tags: str = "tags") -> Tagged:
    """Words and a tag for each."""
    words, marks = _words(fields["tokens"], "tokens"), fields[tags]
    if not isinstance(marks, list):
        fail("wrong_type", f'"{tags}" must be a list; received {kind_of(marks)}.')
    if len(words) != len(marks):
        fail(
            "tags_do_not_fit",
            f'There are {len(words)} "tokens" and {len(marks)} "{tags}"; give each token one tag.',
        )
    return Tagged(words, tuple(_name(mark, tags) for mark in marks))


def triplet(fields: Mapping[str, Any], anchor: str = "anchor") -> Triplet:
    """A text, one like it, and one unlike it."""
    return Triplet(*(filled_text(fields, name) for name in (anchor, "positive", "negative")))


def pair(fields: Mapping[str, Any], names: Sequence[str] = ("anchor", "positive")) -> Pair:
    """Two texts that are alike."""
    first, second = (filled_text(fields, name) for name in names)
    return Pair(first, second)


def scored(fields: Mapping[str, Any]) -> Pair:
    """Two sentences and how alike they are."""
    value = fields["score"]
    try:
        score = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        score = math.nan
    if not math.isfinite(score):
        fail("wrong_type", f'"score" must be a number; received {told(value)}.')
    first, second = (filled_text(fields, name) for name in ("sentence1", "sentence2"))
    return Pair(first, second, score)


def _name(value: Any, field: str) -> str:
    """A class: a text, or the number of one."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        fail(
            "wrong_type",
            f'A label in "{field}" must be a string or a whole number; received {kind_of(value)}.',
        )
    if not value.strip():
        fail("no_label", f'A label in "{field}" is empty; give it a name.')
    return whole(value, f'"{field}"')


def _words(value: Any, name: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        fail("wrong_type", f'"{name}" must be a list of strings; received {kind_of(value)}.')
    if not value:
        fail("empty_text", f'"{name}" is an empty list; give it the words of a text.')
    return tuple(whole(word, f'"{name}"') for word in value)
