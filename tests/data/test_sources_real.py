"""Real files, as other people publish them."""

from __future__ import annotations

import csv
import lzma
from collections import Counter
from pathlib import Path

import pytest

from tunesmith.core.records import Row
from tunesmith.data.sources import Place, blocks, described, expand, read, rows_at

DATA = Path(__file__).parents[3] / "shared" / "data"

CLOTHES = ["dress", "hat", "longsleeve", "outwear", "pants", "shirt", "shoes", "shorts", "skirt"]
CLOTHES += ["t-shirt"]

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets are not here")


@pytest.mark.parametrize(
    ("name", "form", "count", "fields"),
    [
        ("banking77/train.csv", "CSV", 10_003, ["text", "category"]),
        ("cuad-clauses/master_clauses.csv", "CSV", 510, None),
        ("gsm8k/test.jsonl", "JSON lines", 1_319, ["question", "answer"]),
        ("hh-rlhf-harmless-test/test.jsonl.gz", "JSON lines", 2_312, ["chosen", "rejected"]),
        ("tldr-pages/tldr-en.jsonl.gz", "JSON lines", 7_424, None),
        ("llamafactory-demos/wiki_demo.txt", "text", 141, ["text"]),
        ("llamafactory-demos/dpo_en_demo.json.gz", "JSON", 300, None),
        ("text-openstax/openstax.txt.xz", "text", 1867, ["text"]),
    ],
)
def test_each_row_is_read_and_found_again(
    name: str, form: str, count: int, fields: list[str] | None
) -> None:
    path = str(DATA / name)
    assert described(path).name == form
    placed = [each for block in blocks(path) for each in block.rows()]
    assert len(placed) == count
    assert fields is None or {tuple(each.row.fields) for each in placed} == {tuple(fields)}
    some = placed[:: max(1, count // 20)]
    places = [Place(each.row.origin, each.start, each.size) for each in some]
    assert rows_at(path, places) == [each.row for each in some]


def test_a_table_is_what_the_standard_reader_makes_of_it() -> None:
    path = DATA / "cuad-clauses" / "master_clauses.csv"
    with open(path, encoding="utf-8-sig", newline="") as file:
        expected = list(csv.DictReader(file))
    rows = [placed.row for block in blocks(str(path)) for placed in block.rows()]
    assert [row.fields for row in rows] == [
        {name.strip(): cell for name, cell in row.items()} for row in expected
    ]
    assert _true_lines(path, rows)


def _true_lines(path: Path, rows: list[Row]) -> bool:
    """Whether each row's first cell begins the line of its origin."""
    lines = path.read_bytes().decode().split("\n")
    firsts = [str(next(iter(row.fields.values()))) for row in rows]
    return all(
        lines[row.origin.line - 1].lstrip('"').startswith(first[:20])
        for row, first in zip(rows, firsts, strict=True)
    )


def test_a_packed_library_of_books_is_read_as_a_stream() -> None:
    titles: Counter[str] = Counter()
    for block in blocks(str(DATA / "text-classic-books" / "books.jsonl.xz")):
        titles.update(str(placed.row.origin) for placed in block.rows())
        if len(titles) >= 20:
            break
    assert max(titles.values()) == 1


def test_a_book_is_divided_between_its_paragraphs() -> None:
    path = DATA / "text-openstax" / "openstax.txt.xz"
    texts = [
        str(placed.row.fields["text"]) for block in blocks(str(path)) for placed in block.rows()
    ]
    with lzma.open(path, "rt", encoding="utf-8") as file:
        assert "".join(texts) == file.read()
    assert max(map(len, texts)) <= 8000
    assert sum(text.endswith("\n\n") for text in texts) > 0.99 * len(texts)


def test_a_folder_of_images_is_labelled_by_its_folders() -> None:
    rows = read([str(DATA / "clothing-small" / "train")])
    labels = Counter(row.fields["label"] for row in rows)
    assert len(rows) == 500
    assert labels == dict.fromkeys(CLOTHES, 50)


def test_a_pattern_names_what_a_folder_mixes() -> None:
    files = expand([str(DATA / "llamafactory-demos" / "*.json*")]).files
    assert [Path(file).name for file in files] == [
        *("alpaca_en_demo.json", "c4_demo.jsonl", "dataset_info.json", "dpo_en_demo.json.gz"),
        *("glaive_toolcall_en_demo.json", "identity.json", "kto_en_demo.json", "mllm_demo.json"),
        "reason_tool_use_demo_50.jsonl",
    ]
