"""Turn books, textbooks and service dialogues into plain ASCII-leaning documents.

Pure functions on strings: nothing here reads a file. The vocabulary of Anvil is small, so
typographic marks are mapped to their ASCII form and prose that is mostly markup is dropped.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

Message = dict[str, str]

_ASCII = str.maketrans(
    {
        "\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201b": "'", "\u2032": "'", "\u00b4": "'",
        "\u201c": '"', "\u201d": '"', "\u201e": '"', "\u2033": '"', "\u00ab": '"', "\u00bb": '"',
        "\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2212": "-",
        "\u2014": "--", "\u2015": "--", "\u2026": "...", "\u2022": "-", "\u017f": "s",
        "\u00a0": " ", "\u2002": " ", "\u2003": " ", "\u2009": " ", "\u200a": " ", "\u202f": " ",
        "\ufeff": None, "\u200b": None, "\u200c": None, "\u200d": None, "\u00ad": None,
        "\u2060": None, "\u0153": "oe", "\u0152": "Oe", "\u00e6": "ae", "\u00c6": "Ae",
        "\ufb01": "fi", "\ufb02": "fl", "\r": None, "\t": " ",
    }
)  # fmt: skip
_FOOTNOTE = re.compile(r"\\?\[(?:\^?\d{1,4}|[*a-z]|Footnote[^\]]*|Illustration[^\]]*)\\?\]")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_EMPHASIS = re.compile(r"(?<![A-Za-z0-9])([_*]{1,3})(?=\S)([^_*\n]+?)(?<=\S)\1(?![A-Za-z0-9])")
_ESCAPE = re.compile(r"\\([-\\`*_{}\[\]()#+.!&])")
_SPACES = re.compile(r" {2,}")
_DOTS = re.compile(r"\. ?\. ?\.")
_CAPTION = re.compile(r"^####+ .*\.$", re.MULTILINE)
_SLUR = re.compile(r"\bnigg|\bcoon\b|\bdarkey|\bkike\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?][\"')]|[a-z)][.!?]) +(?=[\"'A-Z])")
_SKIPPED_HEADING = re.compile(
    r"contents|preface|foreword|footnote|endnote|^notes?\b|index|bibliograph|glossary|errata|"
    r"advertis|dedicat|transcriber|list of|appendix|acknowledg|colophon|imprint|"
    r"translat|references|key terms|review questions|critical thinking|personal application|"
    r"further (?:study|reading|exploration)|thought questions|figuring|group activit|answer|"
    r"learning (?:objectives|outcomes)|suggested|check your|"
    r"about (?:openstax|american|the authors)|"
    r"customization|collaborative|additional resources|websites|videos|videoclips|articles|books",
    re.IGNORECASE,
)


def normalise(text: str) -> str:
    """Map typographic quotes, dashes and spaces to ASCII; other letters stay (NFC)."""
    return unicodedata.normalize("NFC", text).translate(_ASCII)


def strip_markup(paragraph: str) -> str:
    """Remove markdown emphasis, links, escapes and footnote marks from one paragraph."""
    paragraph = _FOOTNOTE.sub("", _LINK.sub(r"\1", paragraph))
    paragraph = _EMPHASIS.sub(r"\2", _EMPHASIS.sub(r"\2", paragraph))
    paragraph = _DOTS.sub("...", _ESCAPE.sub(r"\1", paragraph))
    return _SPACES.sub(" ", paragraph).strip()


def is_prose(paragraph: str) -> bool:
    """Whether a cleaned paragraph reads as sentences: no verse, table, list, formula or Greek."""
    if paragraph.count("\n") > 1 or paragraph[:1] in "|>-*+=[<" or "|" in paragraph:
        return False
    letters = sum(map(str.isalpha, paragraph))
    capitals = sum(map(str.isupper, paragraph))
    spaces = paragraph.count(" ") + 1
    foreign = sum(ord(char) > 127 for char in paragraph)
    digits = sum(map(str.isdigit, paragraph))
    return (
        letters > 0
        and letters + spaces > 0.82 * len(paragraph)
        and capitals <= max(3, 0.2 * letters)
        and foreign <= 0.01 * len(paragraph) + 1
        and digits <= 0.06 * len(paragraph) + 4
        and "\u00c3" not in paragraph  # UTF-8 once read as Latin-1
        and "____" not in paragraph
        and "http" not in paragraph
    )


def split_long(paragraph: str, limit: int) -> Iterator[str]:
    """Cut a paragraph of more than `limit` characters after sentence ends."""
    piece = ""
    for sentence in _SENTENCE_END.split(paragraph):
        if piece and len(piece) + 1 + len(sentence) > limit:
            yield piece
            piece = ""
        piece = f"{piece} {sentence}" if piece else sentence
    yield piece


def pack(paragraphs: Iterable[str], lowest: int, target: int, highest: int) -> Iterator[str]:
    """Join neighbouring paragraphs into passages of `lowest` to `highest` characters.

    A passage closes once it has `target` characters or when the next paragraph would take it past
    `highest`; what ends up shorter than `lowest` or (one endless sentence) longer is dropped.
    """
    passage = ""
    for paragraph in paragraphs:
        for piece in split_long(paragraph, highest):
            if passage and (len(passage) >= target or len(passage) + 2 + len(piece) > highest):
                if lowest <= len(passage) <= highest:
                    yield passage
                passage = ""
            passage = f"{passage}\n\n{piece}" if passage else piece
    if lowest <= len(passage) <= highest:
        yield passage


def prose_runs(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield (heading, paragraphs) for each unbroken run of prose below a heading.

    Anything that is not prose ends the run, so that a passage never jumps over a gap. Sections
    such as prefaces, notes and review questions are left out by their heading.
    """
    run: list[str] = []
    heading, skipping = "", False
    for block in map(str.strip, normalise(text).split("\n\n")):
        if not block:
            continue
        if block.startswith("#"):
            if run:
                yield heading, run
            heading, run = strip_markup(block.lstrip("#").split("\n")[0]), []
            skipping = bool(_SKIPPED_HEADING.search(heading))
        elif not skipping:
            paragraph = strip_markup(block)
            if is_prose(paragraph):
                run.append(paragraph.replace("\n", " "))
            elif run:
                yield heading, run
                heading, run = "", []
    if run:
        yield heading, run


def book_passages(text: str) -> list[str]:
    """Passages of about 2,500 to 4,000 characters of one book, in reading order.

    Runs without one paragraph of 120 characters (title pages, tables of contents, play bills) are
    left out, and so are passages with racial slurs: a shipped model need not know them.
    """
    passages: list[str] = []
    for _, run in prose_runs(text):
        if max(map(len, run)) >= 120:
            passages += pack(run, lowest=1500, target=2800, highest=4000)
    return [passage for passage in passages if not _SLUR.search(passage)]


def textbook_sections(text: str) -> Iterator[list[str]]:
    """Yield, per module (`# Title`) of the textbooks, its sections of 600 to 4,000 characters.

    Lines that begin in lower case are the torn halves of formulas and end a run like other
    non-prose; figure captions (`#### Text.`) are left out. The section's heading stands as its
    first paragraph.
    """
    for module in re.split(r"^# ", _CAPTION.sub("", text), flags=re.MULTILINE)[1:]:
        title, _, body = module.partition("\n")
        if _SKIPPED_HEADING.search(title):
            continue
        sections: list[str] = []
        for heading, run in prose_runs(f"# {title}\n\n{body}"):
            kept = [line for line in run if not line[0].islower() and "=" not in line]
            head = [heading] if heading else []
            sections += pack(head + kept, lowest=600, target=2800, highest=4000)
        if sections:
            yield sections


def dialogue_messages(turns: Iterable[dict[str, str]]) -> list[Message]:
    """Service dialogue turns (role user or system, text) as user and assistant messages.

    Turns without text are left out, then consecutive turns of one speaker become one message;
    leading assistant and trailing user messages are dropped, so that every chat opens with the
    customer and ends with an answer.
    """
    messages: list[Message] = []
    for turn in turns:
        role = "user" if turn["role"] == "user" else "assistant"
        content = normalise(turn["text"]).strip()
        if not content:
            continue
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += " " + content
        else:
            messages.append({"role": role, "content": content})
    if messages and messages[0]["role"] == "assistant":
        messages.pop(0)
    if messages and messages[-1]["role"] == "user":
        messages.pop()
    return messages
