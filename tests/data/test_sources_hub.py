"""Data sets of the hub, from one that is imitated on this machine; nothing leaves it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import DataError
from tunesmith.data.sources.hub_names import HubName, parsed
from tunesmith.data.sources.hub_splits import by_names, splits_of

COMMIT, OLDER = sha1(b"new").hexdigest(), sha1(b"old").hexdigest()
LINES = b'{"text": "a"}\n{"text": "b"}\n'
CONFIGS = [
    {"config_name": "en", "data_files": [{"split": "train", "path": "en/*.jsonl"}]},
    {"config_name": "de", "data_files": "de.jsonl"},
]
SETS: dict[str, dict[str, Any]] = {
    "ann/one": {"files": {"README.md": b"# One", ".x/rows.csv": b"a\n", "rows.jsonl": LINES}},
    "ann/split": {"files": {"train.csv": b"text\na\n", "test.csv": b"text\nb\nc\n"}},
    "ann/langs": {
        "files": {"en/1.jsonl": LINES, "en/2.jsonl": LINES[:14], "de.jsonl": LINES},
        "card": {"configs": CONFIGS},
    },
    "ann/twice": {"files": {"a.csv": b"text\na\n", "a.jsonl": LINES}},
    "ann/script": {"files": {"script.py": b"print()"}},
    "ann/asked": {"files": {"rows.jsonl": LINES}, "gated": True},
    "ann/nothing": {
        "files": {"a.jsonl": LINES},
        "card": {"configs": [{"config_name": "en", "data_dir": "en"}]},
    },
    "ann/empty": {"files": {"README.md": b"# Soon"}},
}
ASK = """
import json, sys
from tunesmith.core.errors import TunesmithError
from tunesmith.data.sources import expand, rows_of, at_revision
for name in sys.argv[1:]:
    try:
        found = expand([name])
        rows = [str(row.origin) for path in found.files for row in rows_of(path)]
        told = [each.message for each in found.findings]
        print(json.dumps({"rows": rows, "told": told, "pinned": at_revision(name)}))
    except TunesmithError as error:
        print(json.dumps({"error": str(error)}))
"""


@dataclass
class Hub:
    """The imitated hub, and a folder for what is fetched from it."""

    home: Path
    asked: list[str] = field(default_factory=list)
    endpoint: str = ""

    def ask(self, *names: str, **environment: str) -> list[dict[str, Any]]:
        """What becomes of some names in another process, which alone looks for this hub."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        own = {
            **{"HF_ENDPOINT": self.endpoint, "HF_HOME": str(self.home), "HF_TOKEN": ""},
            **{"TUNESMITH_CACHE": str(self.home), "PYTHONPATH": os.pathsep.join(sys.path)},
            **{"HF_HUB_DISABLE_PROGRESS_BARS": "1", "no_proxy": "127.0.0.1"},
        }
        done = subprocess.run(
            [sys.executable, "-c", ASK, *names],
            env={**clean, **own, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    found = Hub(tmp_path / "home")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            self._answer(*_answer(self.path))

        do_HEAD = do_GET

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found.endpoint = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def _answer(path: str) -> tuple[int, bytes, dict[str, str]]:
    """What the hub says to a path: about a data set, or a file of one."""
    parts = path.partition("?")[0].strip("/").split("/")
    about = parts[:2] == ["api", "datasets"]
    name = "/".join(parts[2:4] if about else parts[1:3])
    if name not in SETS:
        return 401, b"{}", {"X-Error-Code": "RepoNotFound"}
    files, gated = SETS[name]["files"], "gated" in SETS[name]
    revision = parts[5] if about and len(parts) > 5 else "main" if about else parts[4]
    if revision not in ("main", COMMIT, OLDER):
        return 404, b"{}", {"X-Error-Code": "RevisionNotFound"}
    commit = COMMIT if revision == "main" else revision
    if about:
        told = {"id": name, "sha": commit, "siblings": [{"rfilename": each} for each in files]}
        told |= {"cardData": SETS[name].get("card", {}), "private": False, "gated": gated}
        return 200, json.dumps(told).encode(), {"Content-Type": "application/json"}
    if gated:
        return 403, b"{}", {"X-Error-Code": "GatedRepo"}
    body = files["/".join(parts[5:])]
    return 200, body, {"ETag": f'"{sha1(body).hexdigest()}"', "X-Repo-Commit": commit}


def test_a_data_set_becomes_rows_whose_places_name_the_commit(hub: Hub) -> None:
    one, split, config = hub.ask("hub:ann/one", "hub:ann/split#test", "hub:ann/langs:en")
    place = f"{hub.home}/hub/datasets--ann--one/snapshots/{COMMIT}/rows.jsonl"
    assert one["rows"] == [f"{place}:1", f"{place}:2"]
    assert one["pinned"] == f"hub:ann/one@{COMMIT}#train"
    assert one["told"][0].endswith(f"name it hub:ann/one@{COMMIT}#train.")
    assert [Path(row).name for row in split["rows"]] == ["test.csv:2", "test.csv:3"]
    assert [Path(row).name for row in config["rows"]] == ["1.jsonl:1", "1.jsonl:2", "2.jsonl:1"]
    assert all(path.startswith(("/api/datasets/ann/", "/datasets/ann/")) for path in hub.asked)


def test_what_is_named_by_its_commit_is_found_without_the_network(hub: Hub) -> None:
    name = f"hub:ann/langs:de@{OLDER}"
    (first,) = hub.ask(name)
    assert (len(first["rows"]), first["told"]) == (2, [])
    before = len(hub.asked)
    again = hub.ask(name, first["pinned"])
    assert again == [first, {**first, "pinned": first["pinned"]}]
    assert hub.ask(name, HF_HUB_OFFLINE="1") == [first]
    assert len(hub.asked) == before


def test_what_cannot_be_had_is_said(hub: Hub) -> None:
    expected = {
        "hub:ann/none": "no such data set, or you may not read it (log in with `hf auth login`)",
        "hub:ann/one@v9": "hub:ann/one@v9 has no revision v9.",
        "hub:ann/asked": "only to those who have asked for it. Ask on its page",
        "hub:ann/split": "has 2 splits, .* Name one: hub:ann/split#train, hub:ann/split#test.",
        "hub:ann/split#dev": "has no split dev. It has hub:ann/split#train, hub:ann/split#test.",
        "hub:ann/langs": "2 configurations none is named. .*: hub:ann/langs:en, hub:ann/langs:de.",
        "hub:ann/langs:fr": "none is called fr. Name one: hub:ann/langs:en, hub:ann/langs:de.",
        "hub:ann/one:en": "hub:ann/one:en has no configurations, so leave out :en.",
        "hub:ann/twice": r"#train holds files of several forms \(a.csv, a.jsonl\)",
        "hub:ann/script": "no program of others is run here. Make its rows with it yourself",
        "hub:ann/nothing": "the card of the data set names no file of a form that is read.",
        "hub:ann/empty": r"no JSON lines, JSON, CSV, Parquet or text \(it holds README.md\)",
        "hub:ann": "no such data set",
        "hub:": "no name of a data set of the hub. It is written hub:owner/name",
        "hub:a/b#t@r": "no name of a data set of the hub",
    }
    for told, (name, part) in zip(hub.ask(*expected), expected.items(), strict=True):
        message = told["error"]
        assert message.startswith(name), message
        assert message.endswith("."), message
        for each in part.split(".*"):
            assert each.replace("\\", "") in message, message


def test_without_a_network_it_says_so(hub: Hub) -> None:
    for environment in ({"HF_ENDPOINT": "http://127.0.0.1:9"}, {"HF_HUB_OFFLINE": "1"}):
        (told,) = hub.ask("hub:ann/one", **environment)
        assert told["error"].startswith("hub:ann/one could not be fetched from the hub: ")
        assert "Check the network" in told["error"]
    assert not hub.asked


def test_only_a_name_of_the_hub_is_looked_for_there(hub: Hub) -> None:
    (told,) = hub.ask("ann/one")
    assert "There is no file ann/one" in told["error"]
    assert not hub.asked


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("hub:ann/one", HubName("ann/one")),
        ("hub:squad", HubName("squad")),
        ("hub:a.b/c-d:en-us@v1.0#test", HubName("a.b/c-d", "en-us", "v1.0", "test")),
        ("hub:a/b@refs/convert/parquet", HubName("a/b", None, "refs/convert/parquet")),
        ("hub:a/b#train", HubName("a/b", split="train")),
    ],
)
def test_a_name_is_taken_apart_and_put_together(name: str, parts: HubName) -> None:
    assert parsed(name) == parts
    assert str(parts) == name
    assert HubName("a/b", revision=COMMIT).commit == COMMIT


TREES = [
    ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "extra.parquet"],
    ["data/train-00000-of-00001-abc.parquet", "data/test_x-00000-of-00001.parquet"],
    ["train.csv", "test.csv", "validation.csv"],
    ["my-train-file_dev.jsonl"],
    ["train/1.csv", "train/deep/2.csv", "dev/1.csv", "other.csv"],
    ["data/en-train/1.csv", "data/en-eval/1.csv"],
    ["trainer.csv", "untested.csv", "contest.csv"],
    ["a.csv", "b/c.csv"],
    ["training_1.csv", "val 2.csv", "evaluation.csv"],
    ["train1.csv", "valid.csv"],
]


@pytest.mark.parametrize("files", TREES)
def test_names_tell_the_splits_that_the_library_finds(tmp_path: Path, files: list[str]) -> None:
    from datasets.data_files import DataFilesDict, get_data_patterns

    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    patterns = get_data_patterns(str(tmp_path))
    found = DataFilesDict.from_patterns(patterns, base_path=str(tmp_path))
    expected = {
        str(split): sorted(os.path.relpath(path, tmp_path) for path in paths)
        for split, paths in found.items()
    }
    assert {split: sorted(paths) for split, paths in by_names(sorted(files)).items()} == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"data_files": "*.csv"}, {"train": ["a.csv"]}),
        ({"data_files": "**/*.csv"}, {"train": ["a.csv", "x/b.csv", "x/y/c.csv"]}),
        ({"data_files": ["x/?.csv", "a.csv"]}, {"train": ["x/b.csv", "a.csv"]}),
        ({"data_files": [{"split": "dev", "path": ["x/**"]}]}, {"dev": ["x/b.csv", "x/y/c.csv"]}),
        ({"data_files": "[!b].csv", "data_dir": "x/y/"}, {"train": ["x/y/c.csv"]}),
        ({"data_dir": "x"}, {"train": ["x/b.csv", "x/y/c.csv"]}),
    ],
)
def test_a_card_names_files_in_all_documented_ways(
    config: dict[str, Any], expected: dict[str, list[str]]
) -> None:
    files = ["a.csv", "x/b.csv", "x/y/c.csv"]
    card = {"configs": [{"config_name": "default", **config}, {"config_name": "other"}]}
    assert splits_of(HubName("a/b"), files, card) == expected


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"configs": "x"}, "are no list"),
        ({"configs": [{"config_name": "a", "data_files": 3}]}, "names its files in no known way"),
        ({"configs": [{"config_name": "a", "data_files": "z.csv"}]}, "names z.csv for the split"),
        ({"configs": [{"config_name": "a", "data_files": "[z-a]"}]}, "names .* for the split"),
    ],
)
def test_a_card_that_makes_no_sense_is_said(card: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=rf"^hub:a/b: .*{message}.*\.$"):
        splits_of(HubName("a/b"), ["a.csv"], card)
