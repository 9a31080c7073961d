"""docs/adapters.md is what the lines of methods say."""

from __future__ import annotations

from tools.adapter_table import PAGE, page


def test_the_page_of_adapters_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tools.adapter_table"
