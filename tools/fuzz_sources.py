"""Mutated inputs must end in rows or in a finished sentence: python -m tools.fuzz_sources 100000

Each case is a file or a folder, made from its number alone: sound rows or a document in a random
form, damaged before and after a random packing, under a random ending; bombs and folders of links
among them. It is read as a run would, a block at a time, its rows are understood, and some are read
again. The limits are set low, so that bombs are small. What ends otherwise (another exception, a
message that is none, 10 seconds without an end, memory that grows) is printed, and `--only N` runs
it again. `--documents` makes PDF, DOCX and HTML only, which take longer.
"""

from __future__ import annotations

import argparse
import csv
import faulthandler
import gzip
import io
import json
import lzma
import pickle
import re
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tools.documents import docx, pdf
from tunesmith.core.errors import DataError
from tunesmith.core.records import Example
from tunesmith.data.formats import understand
from tunesmith.data.sources import Place, blocks, expand, limits, require_readable, rows_at

LIMITS = {
    **{"BLOCK": 1 << 12, "ITEMS": 20, "ROW": 1 << 15, "WHOLE": 1 << 17, "FREE": 1 << 17},
    **{"SECTION": 500, "TREE": 1 << 17, "PAGE": 1 << 17, "CODE": 1 << 12},
}
SECONDS = 10


class Overdue(BaseException):
    """A case did not end. No Exception, so that nobody takes it for what a broken file raises."""


GROWTH = 300 << 20
"""Bytes by which the process may grow after the first cases, which bring the libraries."""

WORDS = [
    *("order", "größe", "你好", "🙂", "", " ", "null", "1e999", "-0", "True", "<|im_end|>"),
    *('a "quote"', "two\nlines", "a\r\nb", ",;\t", "\u2028", "{", "[", "]}", "x" * 3000),
]
PIECES = [
    *(b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\r\n", b"\n\n", b"\r", b'"', b"'", b"\\"),
    *(b'"\\ud800"', b"\\u0000", b"\xe4", b"\xed\xa0\x80", b"{", b"}", b"[", b"]", b",", b":"),
    *(b"PAR1", b"PK\x03\x04", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"NaN", b"9" * 5000, b"[" * 5000),
    *(b'{"a":' * 2000, b"x" * 40_000, b'"' + b"y" * 9000 + b'"', b"\n" * 9000, b" " * 9000),
]
TAGS = [
    *("<p>", "</p>", "<div>", "<h1>", "</h1>", "<li>", "<ul>", "<br>", "<pre>", "</pre>", "<td>"),
    *("<tr>", "<table>", "</table>", "<script>x<", "</script>", "<style>", "<!--", "-->", "&amp;"),
    *("<![CDATA[", "]]>", "<?xml", "<!DOCTYPE html>", "&#0;", "&#xd800;", "&bogus;", "<a href='"),
    *("<meta charset='utf-7'>", "<meta charset='x'>", "<b", "</", "<div>" * 900, "</b>" * 900),
    *("<p hidden>", "<template>", "<textarea>", "<title>", "<svg>", "<plaintext>", "<3"),
]
XML = [
    *("<w:tbl>", "</w:tbl>", "<w:tr/>", "<w:tbl><w:tr><w:tc><w:p/></w:tc></w:tr></w:tbl>"),
    *("<w:p><w:r><w:t>x</w:t></w:r></w:p>", "<w:sdt><w:sdtContent>", "</w:sdtContent></w:sdt>"),
    *("<w:p><w:pPr><w:numPr/><w:pStyle/></w:pPr></w:p>", "<!-- -->", "<?x y?>", "&lt;", "&bogus;"),
    *("<w:p>" * 300 + "</w:p>" * 300, "<w:ins>" * 2000 + "</w:ins>" * 2000, "<x/>", "<w:t>"),
]
ROLES = ["user", "assistant"]
Maker = Callable[[Random], tuple[bytes, str]]
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda data: gzip.compress(data, 1),
    ".xz": lambda data: lzma.compress(data, preset=0),
    ".zst": lambda data: pa.compress(data, "zstd", asbytes=True),
}
ENDINGS = [
    *(".jsonl", ".json", ".csv", ".tsv", ".parquet", ".txt", ".md", ".data", "", ".py", ".jpg"),
    *(".pdf", ".docx", ".html"),
]


def make(random: Random, folder: Path, forms: Sequence[Maker]) -> str:
    """One case in an empty folder, in one of some forms; the name under which it is given."""
    if random.random() < 0.03:
        return _tree(random, folder)
    data, ending = random.choice(forms)(random)
    if random.random() < 0.7:
        data = _mutated(random, data)
    ending = random.choice(ENDINGS) if random.random() < 0.15 else ending
    if random.random() < 0.02:
        data = random.choice([data, b'{"text": "a"}\n', b"a,b\n", b"\n"])[:2000] * 4000
    if random.random() < 0.4:
        packing = random.choice(list(PACKERS))
        data = PACKERS[packing](data)
        ending += packing
        if random.random() < 0.4:
            data = _mutated(random, data)
    path = folder / "class" / f"rows{ending}"
    path.parent.mkdir()
    path.write_bytes(data)
    return str(path)


def read_all(name: str, random: Random) -> str:
    """How the case ended: "rows" or "sentence".

    Raises AssertionError, or whatever the reader raised, where it ended in neither.
    """
    try:
        files = expand([name]).files
        require_readable(files)
        for path in files:
            _read(path, random)
    except DataError as error:
        _require_sentence(str(error), re.split(r"[*?\[]", name)[0].rstrip("/"))
        return "sentence"
    return "rows"


def _read(path: str, random: Random) -> None:
    placed = [each for block in blocks(path) for each in pickle.loads(pickle.dumps(block)).rows()]
    rows = [each.row for each in placed]
    assert len({row.origin for row in rows}) == len(rows), "two rows have one origin"
    for row in rows:
        assert all(isinstance(field, str) for field in row.fields), "a field without a name"
        understood = understand(row)
        if not isinstance(understood, Example):
            _require_sentence(understood.message)
    some = [each for each in placed if random.random() < 0.3][:50]
    again = rows_at(path, [Place(each.row.origin, each.start, each.size) for each in some])
    assert repr(again) == repr([each.row for each in some]), "a row is another one when read again"


def _require_sentence(message: str, named: str = "") -> None:
    assert named in message, f"names no file: {message!r}"
    assert message[-1] in ".…?", f"no finished sentence: {message!r}"
    assert len(message) < 3000, f"endless: {message[:300]!r}…"
    message.encode()


def _rows(random: Random) -> list[dict[str, Any]]:
    kinds: list[Callable[[], dict[str, Any]]] = [
        lambda: {"text": _text(random)},
        lambda: {"prompt": _text(random), "completion": _text(random)},
        lambda: {"messages": [{"role": r, "content": _text(random)} for r in ROLES]},
        lambda: {"text": random.choice([None, 3, [], {}, True, 0.5]), _text(random): 1},
    ]
    kind = random.choice(kinds)
    return [kind() for _ in range(random.choice([0, 1, 2, 5, 40]))]


def _text(random: Random) -> str:
    return " ".join(random.choices(WORDS, k=random.randrange(4)))


def _json_lines(random: Random) -> tuple[bytes, str]:
    ascii_only = random.random() < 0.5
    lines = [json.dumps(row, ensure_ascii=ascii_only) for row in _rows(random)]
    return random.choice(["\n", "\r\n"]).join([*lines, ""]).encode(), ".jsonl"


def _json(random: Random) -> tuple[bytes, str]:
    rows = _rows(random)
    whole = random.choice([rows, {"data": rows}, {"version": [1], "data": rows, "n": 3}])
    return json.dumps(whole, indent=random.choice([None, 1])).encode(), ".json"


def _table(random: Random) -> tuple[bytes, str]:
    separator = random.choice(",;\t")
    into = io.StringIO()
    writer = csv.writer(into, delimiter=separator, lineterminator=random.choice(["\n", "\r\n"]))
    names = random.choice([["text"], ["prompt", "completion"], ["text", "text"], ["", "text"]])
    writer.writerow(names)
    writer.writerows([_text(random) for _ in names] for _ in range(random.randrange(30)))
    return into.getvalue().encode(), ".tsv" if separator == "\t" else ".csv"


def _document(random: Random) -> tuple[bytes, str]:
    ending = random.choice([".txt", ".md", ".py", ".yaml"])
    return "\n".join(_text(random) for _ in range(20)).encode(), ending


def _pdf(random: Random) -> tuple[bytes, str]:
    pages = [
        [_text(random) for _ in range(random.randrange(4))] for _ in range(random.randrange(9))
    ]
    trailer = random.choice(["", "", "/Encrypt 3 0 R ", "/Prev 0 ", "/Info 9 0 R "])
    return pdf(pages, packed=random.random() < 0.5, trailer=trailer), ".pdf"


def _docx(random: Random) -> tuple[bytes, str]:
    styles = ["", "", "heading 1", "Title", "List"]
    paragraphs = [(random.choice(styles), _text(random)) for _ in range(random.randrange(30))]
    body = "".join(random.choices(XML, k=random.randrange(6)))
    if random.random() < 0.5:
        body = body.encode()[random.randrange(9) :].decode("utf-8", "ignore")
    extra = {"word/more.xml": bytes(random.choice([9, 1 << 18]))} if random.random() < 0.2 else {}
    return docx(paragraphs, body=body, **extra), ".docx"


def _html(random: Random) -> tuple[bytes, str]:
    parts = [random.choice([*TAGS, _text(random)]) for _ in range(random.randrange(60))]
    encoding = random.choice(["utf-8", "utf-8", "cp1252"])
    return "".join(parts).encode(encoding, "replace"), random.choice([".html", ".htm"])


def _parquet(random: Random) -> tuple[bytes, str]:
    rows = [row for row in _rows(random) if not {"", " "} & set(row)]
    columns: dict[str, Any] = {}
    for row in rows:
        columns |= dict.fromkeys(row)
    into = io.BytesIO()
    try:
        table = pa.table({name: [row.get(name) for row in rows] for name in columns})
        pq.write_table(table, into, row_group_size=random.choice([1, 7, 100]))
    except (pa.ArrowException, ValueError):  # values of several types, or surrogates
        return b"PAR1" + bytes(random.randbytes(200)) + b"PAR1", ".parquet"
    return into.getvalue(), ".parquet"


DOCUMENTS = (_pdf, _docx, _html)
FORMS = (_json_lines, _json_lines, _json, _table, _table, _document, _parquet, *DOCUMENTS)


def _mutated(random: Random, data: bytes) -> bytes:
    for _ in range(random.choice([1, 1, 2, 8])):
        at, end = sorted((random.randrange(len(data) + 1), random.randrange(len(data) + 1)))
        data = random.choice(MUTATIONS)(random, data, at, end)
    return data


MUTATIONS: tuple[Callable[[Random, bytes, int, int], bytes], ...] = (
    lambda random, data, at, end: data[:at],
    lambda random, data, at, end: data[:at] + data[end:],
    lambda random, data, at, end: data[:end] + data[at:],
    lambda random, data, at, end: data[:at] + random.choice(PIECES) + data[at:],
    lambda random, data, at, end: data[:at] + random.randbytes(4) + data[at:],
    lambda random, data, at, end: data[:at] + random.randbytes(1) + data[at + 1 :],
    lambda random, data, at, end: random.choice(PIECES) + data,
    lambda random, data, at, end: data.decode("utf-8", "replace").encode("utf-16"),
    lambda random, data, at, end: data.decode("utf-8", "replace").encode("cp1252", "replace"),
)


def _tree(random: Random, folder: Path) -> str:
    """Folders in folders, with links to each other, to nothing and to themselves."""
    folders = [folder]
    for number in range(random.randrange(1, 12)):
        inside = random.choice(folders) / f"d{number}"
        inside.mkdir()
        folders.append(inside)
    for number in range(random.randrange(20)):
        name = f"{random.choice(['l', '.l'])}{number}{random.choice(ENDINGS)}"
        place = random.choice(folders) / name
        if random.random() < 0.5:
            place.symlink_to(random.choice([*folders, place, folder / "nothing"]))
        else:
            place.write_bytes(_json_lines(random)[0])
    pattern = random.choice(["", "", "/**/*.jsonl", "/*/*", "/**/d*/**/l*", "/[", "/**"])
    return f"{folder}{pattern}"


def _overdue(number: int, frame: Any) -> None:
    raise Overdue(f"no end after {SECONDS} seconds")


def run(first: int, last: int, forms: Sequence[Maker] = FORMS) -> tuple[Counter[str], list[int]]:
    """Cases `first` to `last` (exclusive): how many ended how, and the numbers of the failed ones.

    What failed is printed as it is met.
    """
    ended: Counter[str] = Counter()
    failed: list[int] = []
    before = {name: getattr(limits, name) for name in LIMITS}
    for name, value in LIMITS.items():
        setattr(limits, name, value)
    alarm = signal.signal(signal.SIGALRM, _overdue)
    root = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        for number in range(first, last):
            random, folder = Random(number), root / "case"
            folder.mkdir()
            signal.alarm(SECONDS)
            try:
                ended[read_all(make(random, folder, forms), random)] += 1
            except (Exception, Overdue):
                failed.append(number)
                print(f"case {number}:\n{traceback.format_exc()}", file=sys.stderr)
            signal.alarm(0)
            shutil.rmtree(folder)
    finally:
        signal.signal(signal.SIGALRM, alarm)
        shutil.rmtree(root)
        for name, value in before.items():
            setattr(limits, name, value)
    return ended, failed


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> int:
    """Run the cases that were asked for; 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("cases", type=int, nargs="?", default=1000, help="how many")
    parser.add_argument("--only", type=int, metavar="N", help="run case N alone")
    parser.add_argument("--documents", action="store_true", help="PDF, DOCX and HTML only")
    asked = parser.parse_args()
    forms = DOCUMENTS if asked.documents else FORMS
    faulthandler.enable()
    if asked.only is not None:
        return bool(run(asked.only, asked.only + 1, forms)[1])
    warm = min(500, asked.cases)
    ended, failed = run(0, warm, forms)
    before = _most_memory()
    more, others = run(warm, asked.cases, forms)
    ended, failed, grown = ended + more, failed + others, _most_memory() - before
    print(f"{asked.cases} cases: {dict(ended)}; failed: {failed}; grew by {grown >> 20} MB")
    return bool(failed or grown > GROWTH)


if __name__ == "__main__":
    sys.exit(main())
