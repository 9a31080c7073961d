"""Short general texts, written for this project, on which forgetting shows.

Each has a domain, so that a run can say what was lost: knowledge, conversation, directions,
arithmetic, stories and news as prose; instructions, refusals of harmful requests and formats as
questions with the answer that a helpful model would give. None is about any task, so a model that
was tuned well should read them as before.

A question is a turn of a chat for a base that has a chat template of its own, where only the answer
counts; any other base reads it as plain text, question and answer, since it knows no template.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from tunesmith.core.records import Chat, Content, Example, Message, Origin, Text

GENERAL = "general probes"
"""What stands for a file in the origin of a probe; a user's own file is hardly called so."""

_FILE = "general.jsonl"


def general(*, chat: bool) -> list[Example]:
    """The probes in the order of the file, each with its line as origin.

    Args:
        chat: questions become turns of a chat; else everything is plain text.
    """
    return [
        Example(Origin(GENERAL, number), _content(row, chat))
        for number, row in enumerate(_rows(), start=1)
    ]


def domains() -> dict[Origin, str]:
    """The domain of each probe, in the order of the file."""
    return {Origin(GENERAL, number): row["domain"] for number, row in enumerate(_rows(), start=1)}


def _rows() -> list[Mapping[str, Any]]:
    lines = resources.files(__name__).joinpath(_FILE).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _content(row: Mapping[str, Any], chat: bool) -> Content:
    if "text" in row:
        return Text(row["text"])
    asked, answered = row["prompt"], row["completion"]
    if chat:
        return Chat((Message("user", asked), Message("assistant", answered)))
    return Text(f"{asked}\n{answered}")
