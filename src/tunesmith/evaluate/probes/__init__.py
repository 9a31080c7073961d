"""Short general texts, written for this project, on which forgetting shows.

Everyday prose of several kinds: knowledge, conversation, instructions, arithmetic, stories and
news. None of it is about any task, so a model that was tuned well should read it as before.
"""

from __future__ import annotations

import json
from importlib import resources

from tunesmith.core.records import Example, Origin, Text

_FILE = "general.jsonl"


def general() -> list[Example]:
    """The probes in the order of the file, each with its line as origin."""
    lines = resources.files(__name__).joinpath(_FILE).read_text(encoding="utf-8").splitlines()
    return [
        Example(Origin(_FILE, number), Text(json.loads(line)["text"]))
        for number, line in enumerate(lines, start=1)
    ]
