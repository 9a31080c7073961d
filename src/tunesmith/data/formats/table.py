"""Every format that is read: the fields that mark it, and the function that reads it. One table.

Formats are told apart by field names alone, and the first one whose fields a row has is its format;
so those with more fields stand before those with fewer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache, partial
from typing import Any, NoReturn

from tunesmith.core.records import Content
from tunesmith.data.formats import chats, completions, labels, messages, pictures, preferences
from tunesmith.data.formats.fields import fail, shown
from tunesmith.data.formats.logs import looks_like_log

_NAMED = 12
_LONGEST = 40
"""Characters of a field name that is compared with the known ones."""

_LIKE = 0.75
"""From this likeness on (0 to 1) an unknown field is taken for a known one misspelt."""

Fields = Mapping[str, Any]

_CHATS = {
    "messages": messages.KEYS,
    "conversations": messages.KEYS | chats.SHAREGPT_KEYS,
}
"""What is read of a message, by the field that holds the messages."""


@dataclass(frozen=True, slots=True)
class Format:
    """A form of row.

    `name` says what a row is, `fields` mark it, and `read` makes its content; `beside` are fields
    that are read where they are there. `inside` names what is read of the objects in a list, by the
    field that holds it. `when` tells rows apart that have the same fields.
    """

    name: str
    fields: tuple[str, ...]
    read: Callable[[Fields], Content]
    beside: tuple[str, ...] = ()
    inside: Mapping[str, frozenset[str]] = field(default_factory=dict)
    when: Callable[[Fields], bool] | None = None

    @property
    def title(self) -> str:
        """The name with the fields that mark it: "chat (messages)"."""
        return f"{self.name} ({', '.join(self.fields)})"


def _preferences() -> Iterator[Format]:
    answers = ("chosen", "rejected")
    yield Format(
        "preference", ("input", "preferred_output", "non_preferred_output"), preferences.openai
    )
    margins = preferences.MARGINS
    yield Format("preference", ("prompt", *answers), preferences.preference, ("tools", *margins))
    for name, keys in _CHATS.items():
        read = partial(preferences.after, name=name)
        beside = (*chats.BESIDE, *margins)
        yield Format("preference", (name, *answers), read, beside, {name: keys})
    yield Format(
        "preference",
        ("instruction", *answers),
        preferences.instructed,
        ("input", "system", "history", *margins),
    )
    yield Format("preference", answers, preferences.unprompted, ("tools", *margins))


def _ratings() -> Iterator[Format]:
    yield Format(
        "rating",
        ("prompt", "completion", "label"),
        preferences.rating,
        ("tools",),
        when=preferences.is_verdict,
    )
    for name, keys in _CHATS.items():
        for label in ("label", "kto_tag"):
            yield Format(
                "rating",
                (name, label),
                partial(preferences.rated, name=name, label=label),
                chats.BESIDE,
                {name: keys},
                partial(preferences.is_verdict, name=label),
            )


def _rewards() -> Iterator[Format]:
    """Answers with what they are worth. A score under another name is left to `data.mapping`: rows
    to be written often have one that is no part of them."""
    for answer in ("completion", "response"):
        read = partial(preferences.scored, answer=answer)
        yield Format("scored answer", ("prompt", answer, "reward"), read, ("tools",))
    for name, keys in _CHATS.items():
        scored = partial(preferences.scored_chat, name=name)
        yield Format("scored answer", (name, "reward"), scored, chats.BESIDE, {name: keys})
    yield Format("steps", ("prompt", "completions", "labels"), preferences.stepwise)


def _no_log(fields: Fields) -> bool:
    return not looks_like_log(fields)


def _conversations() -> Iterator[Format]:
    for name, keys in _CHATS.items():
        read = partial(chats.chat, name=name)
        beside = (*chats.BESIDE, *pictures.FIELDS)
        yield Format("chat", (name,), read, beside, {name: keys}, _no_log)
    inside = {"turns": chats.DIALOGUE_KEYS}
    yield Format("dialogue", ("turns",), chats.dialogue, ("tools",), inside)


def _completions() -> Iterator[Format]:
    beside = ("system", "history")
    yield Format(
        "instruction", ("instruction", "output"), completions.instruction, ("input", *beside)
    )
    dolly = partial(completions.instruction, beside="context", answer="response")
    yield Format("instruction", ("instruction", "response"), dolly, ("context", *beside))
    for prompt, answer in (
        ("prompt", "completion"),
        ("prompt", "response"),
        ("question", "answer"),
    ):
        read = partial(completions.completion, prompt=prompt, answer=answer)
        yield Format("completion", (prompt, answer), read, ("tools",))


def _labels() -> Iterator[Format]:
    for tags in ("tags", "ner_tags"):
        read = partial(labels.tagged, tags=tags)
        yield Format("tagged words", ("tokens", tags), read, when=labels.has_words)
    for anchor in ("anchor", "query"):
        near, names = (anchor, "positive"), (anchor, "positive", "negative")
        yield Format("triplet", names, partial(labels.triplet, anchor=anchor))
        yield Format("pair", near, partial(labels.pair, names=near))
    yield Format("pair", ("sentence1", "sentence2", "score"), labels.scored)
    for name in ("label", "labels", "category"):
        yield Format("label", ("text", name), partial(labels.label, name=name))
    for path in ("image", "file_name", "path"):
        yield Format("image label", (path, "label"), partial(labels.image, path=path))


def waits_for_answer(fields: Iterable[str]) -> bool:
    """Whether fields are those of a prompt alone: none beside it is known, or a known one misspelt.

    So a misspelt, missing or empty answer is told as what it is.
    """
    return _unanswered(frozenset(fields))


@lru_cache(32)
def _unanswered(fields: frozenset[str]) -> bool:
    others = [name for name in fields if name not in ("prompt", "tools")]
    known = {name for form in FORMATS for name in (*form.fields, *form.beside)}
    strange = [name for name in others if name not in known]
    near = (n for n in strange[:_NAMED] if len(n) < _LONGEST and _nearest(n, known))
    return len(strange) == len(others) and not any(near)


def _nearest(name: str, known: Iterable[str]) -> list[str]:
    return get_close_matches(name, known, 1, _LIKE)


_TEXT = Format("text", ("text",), completions.text, when=_no_log)
FORMATS: tuple[Format, ...] = (
    *_preferences(),
    *_ratings(),
    *_rewards(),
    Format("prompt", ("messages",), chats.prompted, when=chats.waits),
    *_conversations(),
    *_completions(),
    *_labels(),
    _TEXT,
    Format("prompt", ("prompt",), completions.prompted, when=waits_for_answer),
)


def recognise(fields: Fields) -> Format | None:
    """The format of a row, by the fields that it has; a field that is null counts as missing.

    Where no format is left then, null counts as there, so that the finding can name that field.
    """
    there = {name for name, value in fields.items() if value is not None}
    return _first(fields, there) or _first(fields, fields.keys())


def _first(fields: Fields, names: Iterable[str]) -> Format | None:
    have = frozenset(names)
    for form in FORMATS:
        if have.issuperset(form.fields) and (form.when is None or form.when(fields)):
            return form
    return None


def refuse_unknown(fields: Fields) -> NoReturn:
    """Raises Unusable: what a row without a format has, what there could be, and what to do."""
    fail("wrong_keys", LOG if looks_like_log(fields) else _complaint(tuple(fields)))


LOG = (
    "This looks like a chat log, whose rows are messages and no examples by themselves. Make "
    "conversations of them first, in which the agents' turns are learned, with `tunesmith data "
    "convert LOG OUT.jsonl --to chat --agent NAME`."
)
"""The sentence about a message of a log where an example should be."""


@lru_cache(32)
def _complaint(fields: tuple[str, ...]) -> str:
    """Rows of one file have mostly the same fields, and likeness is slow to find."""
    # Those of steps, which have all of theirs or are none, are near to others that may be meant.
    forms = [form for form in FORMATS if form.name != "steps"]
    known = dict.fromkeys(name for form in forms for name in form.fields)
    strange = [n for n in fields[:_NAMED] if n not in known and len(n) < _LONGEST]
    close = [(n, match) for n in strange for match in _nearest(n, known)]
    hint = f' Did you mean "{close[0][1]}" for "{shown(close[0][0])}"?' if close else ""
    received = ", ".join(f'"{shown(name)}"' for name in fields[:_NAMED]) or "none"
    more = f", … ({len(fields)} in all)" if len(fields) > _NAMED else ""
    return (
        f"Fields received: {received}{more}; accepted forms: {_ACCEPTED}.{hint} Fields with other "
        "names are read under known ones by data.mapping, such as {body: text}."
    )


def _accepted() -> str:
    trained = (*_conversations(), *_completions(), _TEXT)
    forms = (" and ".join(f'"{name}"' for name in form.fields) for form in trained)
    others = "prompts, preferences, ratings, labels, tags, pairs and images"
    return f"{'; '.join(forms)}; and those of {others}"


_ACCEPTED = _accepted()
