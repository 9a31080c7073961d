"""The pictures of a conversation: parts of a message, or `<image>` marks and a list beside them.

    {"type": "image", "path": "pics/a.png"}              a part; "image", "url" and "image_url" too
    {"type": "image"}                                    a part: the next of the row's "images"
    "<image>\\nWhat is this?" with "images": ["a.png"]    LLaVA's and ShareGPT's form ("image" too)

A picture is named by a path, relative to the folder of the file in which the row stands. Nothing is
fetched from a network.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tunesmith.core.records import Chat, Content, Image, Message, Origin
from tunesmith.data.formats.fields import fail, kind_of, shown, told, whole

PARTS = ("image", "image_url", "input_image")
"""Types of a part that is a picture."""

FIELDS = ("images", "image")
"""Fields of a row that name its pictures."""

MARK = "<image>"

_NAMES = ("path", "image", "url", "image_url")
_MARKED = re.compile(rf"{MARK}\n?|\n{MARK}\Z")
"""A mark with the line end that parts it from the text: a chat template writes its own."""


def part_name(part: Mapping[str, Any], where: str) -> str:
    """The path in a part of a message; "" for the next of those that the row names."""
    given = [part[name] for name in _NAMES if part.get(name) is not None]
    return _name(given[0], where) if given else ""


def shown_by(fields: Mapping[str, Any], said: Sequence[Message]) -> tuple[Message, ...]:
    """The messages with a path for each of their pictures, and no mark left in their texts."""
    given = _given(fields)
    placed = [_placed(message) if given else message for message in said]
    open_places = sum(not image.name for message in placed for image in message.images)
    if open_places != len(given):
        fail("image_marks", _miscounted(open_places, len(given)))
    names = iter(given)
    return tuple(_named(message, names) for message in placed)


def located(content: Content, origin: Origin) -> Content:
    """A conversation whose pictures lie where its row says, seen from the row's own file."""
    if not isinstance(content, Chat) or not any(each.images for each in content.messages):
        return content
    folder = os.path.dirname(origin.path)
    return replace(content, messages=tuple(_in(folder, each) for each in content.messages))


def _in(folder: str, message: Message) -> Message:
    images = (replace(each, path=os.path.join(folder, each.name)) for each in message.images)
    return replace(message, images=tuple(images))


def _given(fields: Mapping[str, Any]) -> list[str]:
    """The pictures that stand beside the conversation."""
    found = [fields[name] for name in FIELDS if fields.get(name)]
    if len(found) > 1:
        fail("image_marks", 'The row has "images" and "image". Name its pictures in one of them.')
    listed = found[0] if found and isinstance(found[0], list) else found
    return [_name(each, f"picture {number}: ") for number, each in enumerate(listed, start=1)]


def _name(value: Any, where: str) -> str:
    """A path, as it may be given: itself, or in an object with a "path" or "url"."""
    if isinstance(value, dict):
        value = next((value[key] for key in ("path", "url") if value.get(key)), value)
    if not isinstance(value, str) or not value.strip():
        received = f"{kind_of(value)} without one" if isinstance(value, dict) else told(value)
        fail("image_name", f"{where}a picture is named by its path; received {received}.")
    if value.startswith("data:"):
        fail(
            "image_name",
            f"{where}the picture stands in the row itself ({shown(value[:20])}…). Save it as a "
            "file, and give its path.",
        )
    if "://" in value:
        fail(
            "image_remote",
            f"{where}{shown(value)} is an address, and nothing is fetched from a network. Save the "
            "picture beside the data, and give its path.",
        )
    return whole(value, f"{where}the path of a picture")


def _placed(message: Message) -> Message:
    """A user's message whose marks have become pictures without a name."""
    if message.role != "user":
        return message
    cuts = [match.span() for match in _MARKED.finditer(message.content)]

    def moved(at: int) -> int:
        return at - sum(min(end, at) - start for start, end in cuts if start < at)

    marks = [Image("", "", moved(start)) for start, _ in cuts]
    images = [replace(each, at=moved(each.at)) for each in message.images]
    return replace(
        message,
        content=_MARKED.sub("", message.content),
        images=tuple(sorted([*images, *marks], key=lambda image: image.at)),
    )


def _named(message: Message, names: Iterator[str]) -> Message:
    images = tuple(
        each if each.name else replace(each, name=next(names)) for each in message.images
    )
    return replace(message, images=images) if images else message


def _miscounted(places: int, given: int) -> str:
    if not given:
        return (
            "A part of a message is a picture without a file. Give the part a "
            '"path", or name the row\'s pictures in a list "images".'
        )
    return (
        f"The row names {given} {'picture' if given == 1 else 'pictures'}, and the user's messages "
        f"have {places} {'place' if places == 1 else 'places'} for them ({MARK} in a text, or a "
        'part {"type": "image"}). Give one for each, or leave the row out.'
    )
