"""The general probes that ship with the package."""

from __future__ import annotations

from tunesmith.core.records import Text
from tunesmith.evaluate.probes import general


def test_there_are_sixty_short_texts_of_their_own() -> None:
    texts = [example.content.text for example in general() if isinstance(example.content, Text)]
    assert len(texts) == len(set(texts)) == 60
    assert all(40 <= len(text.split()) <= 80 for text in texts)
    assert all(text.isascii() and text == text.strip() for text in texts)


def test_each_probe_knows_its_line() -> None:
    assert [str(example.origin) for example in general()][:2] == [
        "general.jsonl:1",
        "general.jsonl:2",
    ]
    assert len({example.origin for example in general()}) == len(general())
