"""Large data: the same tokens cached or not, from one process or several, in little memory."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.test_prepare import Settings
from tunesmith.core.errors import DataError, StorageError
from tunesmith.core.records import Origin, Tokens
from tunesmith.data import cache, digests, store, tokenised, workers
from tunesmith.data.cache import TokenCache, open_entry
from tunesmith.data.fates import Fates
from tunesmith.data.labelled import LabelRenderer
from tunesmith.data.portions import Tokenise
from tunesmith.data.prepare import prepare
from tunesmith.data.prepared import Prepared
from tunesmith.data.quality.looks import LOOK, Looks
from tunesmith.data.render import Renderer
from tunesmith.data.sources.json_lines import LineBlock
from tunesmith.data.store import ROW, Portion, Store, Summary, Writer, table_of

ROWS: list[dict[str, Any]] = [
    *({"prompt": f"Where is order {n}?", "completion": f"It is at {n}."} for n in range(60)),
    {"prompt": "a", "completion": " "},
    {"question": "a"},
    {"text": "größe 🙂 " * 9, "page": 3},
    {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}] * 2},
    {"prompt": "a", "completion": "word " * 300},
]


@pytest.fixture
def renderer(plain: Any, chatml: str) -> Renderer:
    """Completions and chats in ChatML."""
    return Renderer(plain, chatml)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of an empty cache; all data is large, and one process works at it."""
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tokenised, "LARGE", 4)
    monkeypatch.setattr(workers, "_cores", lambda: 1)
    return tmp_path / "cache" / "tokens"


def _prepare(renderer: Renderer, path: str, **changes: Any) -> Prepared:
    given = {"kind": "sft", "context": 64, "share": lambda _: 0.2, **changes}
    return prepare(Settings((path,), bad_rows="drop"), renderer=renderer, **given)


def _everything(prepared: Prepared) -> tuple[Any, ...]:
    """All that a run sees of its data."""
    sides = (prepared.train, prepared.held_out)
    return (
        *([_fields(tokens) for tokens in side] for side in sides),
        *((s.lengths.tolist(), s.sites.tolist(), s.rows.tolist()) for s in sides),
        "".join(prepared.ledger.texts()),
        prepared.ledger.totals(),
        prepared.findings,
        prepared.recognised,
        prepared.files,
        [(p.origin, p.ids_N.tolist(), p.answer) for p in prepared.prompts(prepared.held_out.rows)],
    )


def _fields(tokens: Any) -> tuple[Any, ...]:
    arrays = tokens.ids_N.dtype.str, tokens.ids_N.tolist(), tokens.weights_N.tolist()
    return tokens.origin, arrays, tokens.learned_bytes, tokens.part


def _entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


@pytest.mark.parametrize("kind", ["sft", "text"])
def test_a_hit_is_a_miss_is_no_cache(
    renderer: Renderer, write: Callable[..., str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = write(ROWS)
    missed = _everything(_prepare(renderer, path, kind=kind))
    with monkeypatch.context() as patch:
        patch.setattr(tokenised, "LARGE", 1 << 30)
        assert _everything(_prepare(renderer, path, kind=kind)) == missed
    monkeypatch.setattr(Tokenise, "__call__", None)
    assert _everything(_prepare(renderer, path, kind=kind)) == missed


def test_several_processes_make_what_one_makes(
    renderer: Renderer, write: Callable[..., str], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr("tunesmith.data.sources.limits.BLOCK", 500)
    path, broken = write(ROWS), write([*ROWS, 3, *ROWS, 4], "broken.jsonl")
    alone = _everything(_prepare(renderer, path))
    files = {file.name: file.read_bytes() for file in _entries(folder)[0].iterdir()}
    shutil.rmtree(folder)
    monkeypatch.setattr(workers, "_cores", lambda: 2)
    monkeypatch.setattr(workers, "_WORTH", 4)
    assert _everything(_prepare(renderer, path)) == alone
    assert {file.name: file.read_bytes() for file in _entries(folder)[0].iterdir()} == files
    with pytest.raises(DataError, match=rf"broken\.jsonl:{len(ROWS) + 1}: a row must be"):
        _prepare(renderer, broken)
    assert len(list(folder.iterdir())) == 1, "what was not finished is gone"


def test_several_files_are_worked_at_together_and_each_row_keeps_its_file(
    renderer: Renderer, write: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunesmith.data.sources.limits.BLOCK", 500)
    monkeypatch.setattr(workers, "_cores", lambda: 2)
    monkeypatch.setattr(workers, "_WORTH", 4)
    paths = tuple(write(ROWS[:60][at : at + 9], f"{at}.jsonl") for at in range(0, 60, 9))
    prepared = prepare(Settings(paths), "sft", renderer, 64, lambda _: 0.0)
    assert [str(tokens.origin) for tokens in prepared.train] == [
        f"{path}:{line}" for path in paths for line in range(1, 10) if path != paths[-1] or line < 7
    ]


def test_a_name_that_makes_another_form_makes_another_entry(
    renderer: Renderer, tmp_path: Path, folder: Path
) -> None:
    for ending in (".csv", ".tsv", ".txt"):
        path = tmp_path / f"rows{ending}"
        path.write_text("text\nlong enough\nto be large\n")
        tokenised.tokenised([str(path)], 1, Tokenise(renderer, "text", 64))
    assert len(_entries(folder)) == 3


def test_everything_that_decides_the_tokens_decides_the_entry(
    plain: Any, merging: Any, chatml: str, write: Callable[..., str], folder: Path
) -> None:
    path = write(ROWS)
    renderers = [
        Renderer(plain, chatml),
        Renderer(merging, chatml),
        Renderer(plain, chatml + " "),
        Renderer(plain, chatml, "plain"),
    ]
    given = {"kind": "sft", "context": 64}
    for number, renderer in enumerate(renderers, start=1):
        tokenised.tokenised([path], 1, Tokenise(renderer, **given))
        assert len(_entries(folder)) == number
    others: list[Any] = [
        {"kind": "text"},
        {"context": 63},
        {"mapping": {"a": "b"}},
        {"group_by": "a"},
    ]
    for number, changed in enumerate(others, start=5):
        tokenised.tokenised([path], 1, Tokenise(renderers[0], **(given | changed)))
        assert len(_entries(folder)) == number
    tokenised.tokenised([write([*ROWS, ROWS[0]])], 1, Tokenise(renderers[0], **given))
    assert len(_entries(folder)) == 9
    tokenised.tokenised([path], 0, Tokenise(renderers[0], **given))
    assert len(_entries(folder)) == 10, "which files validate does"
    _prepare(renderers[0], write([*ROWS, ROWS[0]], "other name.jsonl"), share=lambda _: 0.5)
    assert len(_entries(folder)) == 10, "neither the name nor the split does"


@pytest.mark.parametrize(
    "table", [*(name for name in store.TABLES if name not in ("tokens", "labels")), "summary.json"]
)
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_entry_is_made_again(
    renderer: Renderer, write: Callable[..., str], folder: Path, table: str, damage: str
) -> None:
    path = write([*ROWS, {"prompt": "Who writes?", "completion": "ana.lind@postfach.net"}])
    sound = _everything(_prepare(renderer, path))
    (entry,) = _entries(folder)
    _damage(entry / table, damage)
    assert open_entry(entry, [path]) is None
    assert _everything(_prepare(renderer, path)) == sound
    assert _everything(_prepare(renderer, path)) == sound


def test_labels_are_kept_and_damaged_ones_are_made_again(
    plain: Any, write: Callable[..., str], folder: Path
) -> None:
    texts = [{"text": f"Order {n}", "label": ["late", "lost"][: n % 2 + 1]} for n in range(40)]
    path = write(texts)

    def labels() -> list[tuple[str, ...]]:
        made = _prepare(LabelRenderer(plain), path, kind="classify")
        assert made.ledger.totals()["supervised_tokens"] == made.train.sites.sum()
        return [tokens.labels for side in (made.train, made.held_out) for tokens in side]

    sound = labels()
    assert {len(each) for each in sound} == {1, 2}
    assert labels() == sound, "from the cache"
    (entry,) = _entries(folder)
    _damage(entry / "labels", "flip")
    assert open_entry(entry, [path]) is None
    assert labels() == sound


def _damage(file: Path, damage: str) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    if damage == "remove":
        file.unlink()
    else:
        file.write_bytes(data if damage == "flip" else data[:-1])


def test_damaged_tokens_are_never_trained_on(
    renderer: Renderer, write: Callable[..., str], folder: Path
) -> None:
    path = write(ROWS)
    sound = _everything(_prepare(renderer, path))
    (entry,) = _entries(folder)
    _damage(entry / "tokens", "cut")
    assert _everything(_prepare(renderer, path)) == sound
    (entry,) = _entries(folder)
    _damage(entry / "tokens", "flip")
    with pytest.raises(StorageError, match=r"rows\.jsonl:\d+ were damaged in the token cache"):
        _everything(_prepare(renderer, path))


def test_two_writers_leave_one_entry_and_both_can_read(folder: Path) -> None:
    shared, stores = TokenCache(folder), []
    with shared.draft() as first, shared.draft() as second:
        for draft in (first, second):
            stores.append(_write_entry(draft))
        shared.publish(second, "key")
        shared.publish(first, "key")
    assert [path.name for path in folder.iterdir()] == ["key"]
    assert not (folder / "key" / "lock").exists()
    for each in (*stores, shared.find("key", ["a.jsonl"])):
        assert each is not None
        assert each.tokens(0).ids_N.tolist() == [5, 6, 7]


def _write_entry(draft: Path) -> Store:
    files = {name: open(draft / name, "wb") for name in store.TABLES}  # noqa: SIM115
    writer = Writer(files)
    writer.append(0, _portion(1))
    for file in files.values():
        file.close()
    cache.seal(draft, writer.summary)
    return Store.on_disk(["a.jsonl"], draft, writer.summary)


def _portion(rows: int) -> Portion:
    """Rows of three tokens, the last two learned."""
    ids_N, weights_N = np.array([5, 6, 7], np.int32), np.array([0, 1, 1], np.float32)
    one, ids, _ = table_of([(0, Tokens(Origin("a.jsonl", 1), ids_N, weights_N, 2))])
    sequences = np.repeat(one, rows)
    sequences["row"] = np.arange(rows)
    sequences["start"] = 3 * np.arange(rows)
    records = np.zeros(rows, ROW)
    records["content"][:, :8] = np.random.default_rng(rows).integers(0, 256, (rows, 8))
    looks = Looks(np.zeros(rows, LOOK))
    return Portion(
        rows,
        records,
        sequences,
        np.tile(ids, rows),
        np.empty(0, np.int64),
        {},
        [""] * rows,
        {},
        Counter(),
        Counter(),
        looks,
    )


def test_the_least_recently_used_goes_first(folder: Path) -> None:
    sizes = []
    for number, name in enumerate("abc"):
        keep = TokenCache(folder, limit=1 << 30)
        with keep.draft() as draft:
            _write_entry(draft)
            sizes.append(sum(file.stat().st_size for file in draft.iterdir()))
            keep.publish(draft, name)
        os.utime(folder / name / "summary.json", (number, number))
    assert keep.find("a", ["a.jsonl"]) is not None, "so a was used last"
    tight = TokenCache(folder, limit=3 * sizes[0] + 1)
    with tight.draft() as draft:
        _write_entry(draft)
        tight.publish(draft, "d")
    assert [path.name for path in _entries(folder)] == ["a", "c", "d"]
    with TokenCache(folder, limit=0).draft() as draft:
        _write_entry(draft)
        TokenCache(folder, limit=0).publish(draft, "e")
    assert [path.name for path in _entries(folder)] == ["e"], "the newest always stays"


def test_what_a_killed_writer_left_is_removed_and_a_living_ones_is_not(folder: Path) -> None:
    dead, living, young = (folder / f".partial-{name}" for name in ("dead", "living", "young"))
    for draft in (dead, living, young):
        draft.mkdir(parents=True)
        (draft / "lock").touch()
    for draft in (dead, living):
        os.utime(draft, (time.time() - 3600,) * 2)
    with open(living / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with TokenCache(folder).draft() as draft:
            _write_entry(draft)
            TokenCache(folder).publish(draft, "key")
    assert {path.name for path in folder.iterdir()} == {".partial-living", ".partial-young", "key"}


@pytest.mark.parametrize("room", [100, 6000])
def test_a_full_disk_is_said_and_leaves_nothing(
    renderer: Renderer, write: Callable[..., str], folder: Path, room: int
) -> None:
    """Full while the tables are written, or only as their last bytes leave the buffers."""
    path = write(ROWS * 40)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(StorageError, match=r"cannot be written to .*variable TUNESMITH_CACHE"):
            _prepare(renderer, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(folder.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_done_without_and_said(
    renderer: Renderer, write: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(ROWS)
    sound = _prepare(renderer, path)
    monkeypatch.setenv("TUNESMITH_CACHE", path)  # no folder
    prepared = _prepare(renderer, path)
    note, *findings = prepared.findings
    assert (note.reason, note.severity) == ("no_cache", "warn")
    assert "will be tokenised again" in note.message
    assert findings == sound.findings
    assert [_fields(t) for t in prepared.train] == [_fields(t) for t in sound.train]


def test_small_data_leaves_no_trace(
    renderer: Renderer, write: Callable[..., str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenised, "LARGE", 1 << 20)
    _prepare(renderer, write(ROWS))
    assert not folder.parent.exists()


def test_a_file_written_to_meanwhile_is_refused(
    renderer: Renderer, write: Callable[..., str], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    path, seal = write(ROWS), cache.seal

    def meanwhile(draft: Path, summary: Summary) -> None:
        seal(draft, summary)
        write(ROWS[:9])

    monkeypatch.setattr(tokenised, "seal", meanwhile)
    with pytest.raises(DataError, match="was written to while it was read"):
        _prepare(renderer, path)
    assert _entries(folder) == []


def test_a_row_changed_since_is_never_asked(renderer: Renderer, write: Callable[..., str]) -> None:
    path = write(ROWS)
    prepared = _prepare(renderer, path)
    whole = Path(path).read_bytes()
    for changed in (whole.replace(b"is at", b"was at"), whole.replace(b"is at", b"is by"), b""):
        Path(path).write_bytes(changed)
        with pytest.raises(DataError, match=r"rows\.jsonl:\d+: the row is no longer what it was"):
            prepared.prompts(prepared.held_out.rows)


def test_a_digest_is_remembered_while_the_file_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "WORTH", 1)
    monkeypatch.setattr(digests, "_SETTLED", -1.0)
    hashed: list[Path] = []
    true_hash = digests.sha256
    monkeypatch.setattr(digests, "sha256", lambda path: hashed.append(path) or true_hash(path))
    file = tmp_path / "rows.jsonl"
    file.write_text("a")
    first = digests.digest(file)
    assert digests.digest(file) == first == true_hash(file)
    assert len(hashed) == 1
    times = file.stat()
    file.write_text("b")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # the size is the same, too
    assert digests.digest(file) == true_hash(file) != first
    monkeypatch.setattr(digests, "_SETTLED", 60.0)
    file.write_text("c")
    hashed.clear()
    assert digests.digest(file) == digests.digest(file)
    assert len(hashed) == 2, "a file changed just now may change again unnoticed"


class _Quick:
    """Makes tables of a row a line, without looking at it."""

    lasts = True

    def identity(self) -> dict[str, Any]:
        return {}

    def __call__(self, block: LineBlock) -> Portion:
        return _portion(block.data.count(b"\n"))


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(('{"text": "' + "x" * 1188 + '"}\n') * 40_000)  # 48 MB
    tracemalloc.start()
    made = tokenised.tokenised([str(path)], 1, _Quick())  # type: ignore[arg-type]
    _, making = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    fates = Fates(made.store, 1)
    held_R = fates.split(lambda rows: 1000 / rows)
    lines = sum(text.count("\n") for text in fates.ledger(held_R).texts())
    train = fates.sequences(~held_R)
    assert (lines, int(train.lengths.sum())) == (40_000, 3 * len(train))
    _, settling = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert making < 20e6, "some blocks of a megabyte, and what is made of them"
    assert settling < 40_000 * 150 + 12e6, "arrays of numbers, and some thousand lines"
