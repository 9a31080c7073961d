"""Which language a text is in, or that it cannot be told."""

from __future__ import annotations

import pytest

from tunesmith.data.quality.languages import language


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The parcel is for you and the letter is not.", "English"),
        ("Das ist nicht der Brief, und ich habe die Tasche nicht.", "German"),
        ("Je ne sais pas dans quelle boîte est le paquet pour mon frère.", "French"),
        ("Nie wiem, czy to jest na stole, bo się spieszę.", "Polish"),
        ("荷物はどこですか。明日届きますか。", "Japanese"),
        ("how do i get a card to france, and what do i do to use it", "English"),
        ("what do i need to do to top up", None),
        ("7 × 6 = 42", None),
    ],
)
def test_function_words_or_the_script_decide(text: str, found: str | None) -> None:
    """Questions in small letters are no Polish: `i`, `to` and `do` are words of both."""
    assert language(text) == found
