"""Text that was damaged on its way: wrong encodings, lost characters, control characters."""

from __future__ import annotations

import re

REPLACEMENT = "\ufffd"

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff]")
_PAGE_ENDS = "\x0b\x0c"

# The characters that Windows-1252 has for the bytes 80 to BF, which go on a UTF-8 sequence; the
# five bytes it has none for stay control characters. A lead byte shows as one of the letters below.
_GOES_ON = "".join(
    bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(128, 192)
)
_MORE = f"[{re.escape(_GOES_ON)}]"
_MOJIBAKE = re.compile(
    f"[ÂÃ]{_MORE}|[âï]{_MORE}{{2}}|ð{_MORE}{{3}}|(?:[ÐÑ]{_MORE}){{2,}}|(?:[ÎÏ]{_MORE}){{2,}}"
)


def mojibake(text: str) -> tuple[str, str] | None:
    """The first piece of UTF-8 that was read as Windows-1252, and what it stood for.

    "Ã©" for "é", "â€“" for "–": found only where the characters, taken for bytes again, are UTF-8.
    Of the scripts beyond Latin, two letters in a row are asked for.
    """
    if text.isascii():
        return None
    pieces = ((found[0], _meant(found[0])) for found in _MOJIBAKE.finditer(text))
    return next(((piece, meant) for piece, meant in pieces if meant is not None), None)


def control_character(text: str) -> str | None:
    """The first control character that is no tab or line end, as "U+0007"."""
    found = None if text.isascii() and text.isprintable() else _CONTROLS.search(text)
    return None if found is None else f"U+{ord(found[0]):04X}"


def mended(text: str) -> tuple[str, dict[str, int]]:
    """The text with mojibake undone and control characters taken out, and how many of each.

    Form feeds and vertical tabs become line ends. What was lost (U+FFFD) cannot be mended.
    """
    counts: dict[str, int] = {}
    if not text.isascii():
        text, counts["mojibake"] = _undone(text)
    for mark in _PAGE_ENDS:
        counts["control_characters"] = counts.get("control_characters", 0) + text.count(mark)
        text = text.replace(mark, "\n")
    text, removed = _CONTROLS.subn("", text)
    counts["control_characters"] += removed
    return text, {what: count for what, count in counts.items() if count}


def _undone(text: str) -> tuple[str, int]:
    undone = 0

    def replace(found: re.Match[str]) -> str:
        nonlocal undone
        meant = _meant(found[0])
        undone += meant is not None
        return found[0] if meant is None else meant

    return _MOJIBAKE.sub(replace, text), undone


def _meant(piece: str) -> str | None:
    try:
        data = b"".join(
            bytes([ord(each)]) if ord(each) < 256 else each.encode("cp1252") for each in piece
        )
        return data.decode()
    except UnicodeError:
        return None
