"""Which language a text is in, by script and by function words; None where that does not tell."""

from __future__ import annotations

import re

_SCRIPTS: dict[str, re.Pattern[str]] = {
    "Japanese": re.compile(r"[\u3040-\u30ff]"),
    "Korean": re.compile(r"[\u1100-\u11ff\uac00-\ud7af]"),
    "Chinese": re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]"),
    "Cyrillic script": re.compile(r"[\u0400-\u052f]"),
    "Greek": re.compile(r"[\u0370-\u03ff]"),
    "Arabic script": re.compile(r"[\u0600-\u06ff\u0750-\u077f]"),
    "Hebrew": re.compile(r"[\u0590-\u05ff]"),
    "Devanagari script": re.compile(r"[\u0900-\u097f]"),
    "Thai": re.compile(r"[\u0e00-\u0e7f]"),
}
# Frequent words that few of the others share: not Polish i, to and do, which English is full of.
_WORDS: dict[str, frozenset[str]] = {
    name: frozenset(words.split())
    for name, words in {
        "English": "the and of to is you that it for are with this my have not what",
        "German": "der die und das ist nicht ich ein eine zu den mit sich auf wie sie",
        "French": "le les et est je pas une des vous que dans pour du ce mon avec",
        "Spanish": "el los y es que no una por con para mi como las del se lo",
        "Italian": "il e di che non una per sono con mi del della gli come ho è",
        "Portuguese": "o e que não uma para com meu os do da em eu como você é",
        "Dutch": "de het een en van ik niet is dat op te zijn voor met mijn wat",
        "Polish": "nie w na się jest z że co jak mój po czy dla ale przez",
    }.items()
}
NAMES: tuple[str | None, ...] = (None, *_SCRIPTS, *_WORDS)
"""None where it could not be told."""
_READ = 400
_LETTERS = re.compile(r"[^\W\d_]+")


def language(text: str) -> str | None:
    """The language of the first 400 characters.

    A script decides where it has a third of them or more; else three different function words do,
    if there are twice as many as of any other language.
    """
    head = text[:_READ]
    if not head.isascii():
        for name, pattern in _SCRIPTS.items():
            if 3 * len(pattern.findall(head)) >= len(head):
                return name
    words = set(_LETTERS.findall(head.casefold()))
    hits = sorted(((len(words & known), name) for name, known in _WORDS.items()), reverse=True)
    (most, name), (second, _) = hits[:2]
    return name if most >= 3 and most >= 2 * second else None
