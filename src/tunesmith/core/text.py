"""Text of the user's data as a terminal or a page may show it."""

from __future__ import annotations

_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {127: 0x2421}


def visible(text: str) -> str:
    """The text with each control character shown by its picture.

    None may reach the terminal, which would obey it, nor a page, which may not hold it.
    """
    return text.translate(_PICTURES)
