"""How a long document is divided: nothing lost or doubled, and cut where its structure is."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.data.sources import Place, blocks, limits, read, rows_at
from tunesmith.data.sources.sections import LINE, NONE, Line, Section, sections

BITS = [
    "# A\n",
    "## B c\n",
    "\n",
    "word ",
    "end. ",
    "```\n",
    "    indented\n",
    "x" * 30,
    "二。",
    "\n\n",
]
TEXTS = st.lists(st.sampled_from(BITS) | st.text(max_size=5), max_size=60).map("".join)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> int:
    """Rows of at most 60 characters."""
    monkeypatch.setattr(limits, "SECTION", 60)
    return 60


def _texts(folder: Path, text: str, name: str = "guide.md") -> list[str]:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return [row.fields["text"] for row in read([str(path)])]


@settings(max_examples=80, deadline=None)
@given(
    lines=st.lists(st.tuples(TEXTS, st.integers(1, NONE)), max_size=20),
    most=st.sampled_from([1, 2, 7, 60]),
)
def test_no_character_is_lost_doubled_or_moved(lines: list[tuple[str, int]], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "SECTION", most)
        given = [Line(text, number, rank) for number, (text, rank) in enumerate(lines, start=1)]
        found = list(sections(given))
    assert "".join(each.text for each in found) == "".join(text for text, _ in lines)
    assert all(len(each.text) <= most for each in found)
    assert [each.number for each in found] == sorted(each.number for each in found)


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.py"])
@settings(max_examples=60, deadline=None)
@given(text=TEXTS.filter(lambda text: "\0" not in text))
def test_the_rows_joined_are_the_document(
    tmp_path_factory: pytest.TempPathFactory, name: str, text: str
) -> None:
    path = tmp_path_factory.mktemp("texts") / name
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "SECTION", 25)
        patch.setattr(limits, "BLOCK", 16)
        placed = [each for block in blocks(str(path)) for each in block.rows()]
        rows = [each.row for each in placed]
        places = [Place(each.row.origin, each.start, each.size) for each in placed]
        assert rows_at(str(path), places[::-2]) == rows[::-2]
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    assert "".join(row.fields["text"] for row in rows) == plain
    assert len({row.origin for row in rows}) == len(rows)
    lines = plain.split("\n")
    for row in rows:
        first = str(row.fields["text"]).split("\n", 1)[0]
        assert first in lines[row.origin.line - 1], "the origin is the line on which it begins"


def test_what_fits_into_a_row_is_one(tmp_path: Path) -> None:
    text = "# A\n\none\n\n# B\n\ntwo\n" * 20
    assert _texts(tmp_path, text) == [text]


def test_a_row_ends_before_the_strongest_heading_in_reach(tmp_path: Path, short: int) -> None:
    chapter = "# One\n\nText of the first chapter.\n\n## Part\n\nMore.\n\n"
    rest = "# Two\n\nText of the second chapter, which is the longer one.\n"
    assert _texts(tmp_path, chapter + rest)[0] == chapter
    parts = [f"## Part {number}\n\nAbout it.\n\n" for number in range(6)]
    assert _texts(tmp_path, "".join(parts)) == ["".join(parts[at : at + 2]) for at in (0, 2, 4)]


def test_underlines_make_headings_and_fences_hide_them(tmp_path: Path, short: int) -> None:
    first, second = "Some words to begin with.\n\n", "Guide\n=====\n\nIts text goes on and on.\n"
    assert _texts(tmp_path, first + second) == [first, second]
    fenced = "```\nx = 1\n\n# no heading\ny\n\nz\n```\n"
    assert _texts(tmp_path, f"{fenced}\nA paragraph behind it, with words.\n")[0] == f"{fenced}\n"


def test_code_is_cut_between_definitions(tmp_path: Path, short: int) -> None:
    function = "def area(a):\n    b = a\n\n    return b * b\n\n\n"
    assert _texts(tmp_path, function * 3, "shapes.py") == [function] * 3


def test_a_line_longer_than_a_row_is_cut_where_its_sentences_end(
    tmp_path: Path, short: int
) -> None:
    assert _texts(
        tmp_path, "Where is it? It is in the folder. Look there, then. " * 2, "a.txt"
    ) == [
        "Where is it? It is in the folder. Look there, then. ",
        "Where is it? It is in the folder. Look there, then. ",
    ]
    assert _texts(tmp_path, "多" * 40 + "。" + "少" * 40, "b.txt")[0][-1] == "。"
    assert _texts(tmp_path, "word " * 13, "c.txt") == ["word " * 12, "word "]
    assert _texts(tmp_path, "x" * 130, "d.txt") == ["x" * 60, "x" * 60, "x" * 10]


def test_rows_that_begin_on_one_line_are_told_apart(tmp_path: Path, short: int) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"one\n\n{'x' * 130}\n\nlast")
    assert [str(row.origin).removeprefix(str(path)) for row in read([str(path)])] == [
        *(":1", ":3", ":3 item 2", ":3 item 3"),
    ]


def test_an_edit_changes_the_rows_near_it_only(tmp_path: Path, short: int) -> None:
    chapters = [f"# Chapter {number}\n\nIts own text.\n\nMore of it.\n\n" for number in range(9)]
    before = _texts(tmp_path, "".join(chapters))
    chapters[2] = "# Chapter 2\n\nIts own text has grown.\n\nIt is long.\n\nMore.\n\n"
    after = _texts(tmp_path, "".join(chapters))
    assert len(set(after) - set(before)) == 1
    assert after[-6:] == before[-6:]


def test_a_document_is_divided_as_a_stream() -> None:
    lines = (Line(f"line {number}\n", number, LINE) for number in range(1, 60_000))
    tracemalloc.start()
    try:
        count = sum(isinstance(each, Section) for each in sections(lines))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert count > 50
