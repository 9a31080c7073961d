"""The general probes that ship with the package."""

from __future__ import annotations

from collections import Counter

from tunesmith.core.records import Chat, Text
from tunesmith.evaluate.judgement import MINIMUM_ROWS
from tunesmith.evaluate.probes import GENERAL, domains, general


def test_the_texts_are_short_and_each_is_there_once() -> None:
    plain = [example.content for example in general(chat=False)]
    texts = [content.text for content in plain if isinstance(content, Text)]
    assert len(texts) == len(set(texts)) == len(plain) == 90
    assert all(5 <= len(text.split()) <= 80 for text in texts)
    assert all(text.isascii() and text == text.strip() for text in texts)


def test_each_domain_has_enough_probes_for_an_interval() -> None:
    counts = Counter(domains().values())
    assert set(counts) == {
        "knowledge",
        "conversation",
        "directions",
        "arithmetic",
        "stories",
        "news",
        "instructions",
        "refusals",
        "formats",
    }
    assert min(counts.values()) >= MINIMUM_ROWS


def test_questions_are_turns_of_a_chat_only_where_the_base_knows_chats() -> None:
    known = domains()
    asked = {"instructions", "refusals", "formats"}
    for chat in (False, True):
        for example in general(chat=chat):
            is_chat = isinstance(example.content, Chat)
            assert is_chat == (chat and known[example.origin] in asked)


def test_each_probe_knows_its_line() -> None:
    origins = [example.origin for example in general(chat=True)]
    assert [str(origin) for origin in origins[:2]] == [f"{GENERAL}:1", f"{GENERAL}:2"]
    assert origins == list(domains())
