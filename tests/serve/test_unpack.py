"""Archives of images: labels by folders, and nothing of what an archive could do otherwise."""

from __future__ import annotations

import random
import stat
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from tunesmith.core.errors import DataError
from tunesmith.core.files import read_jsonl
from tunesmith.serve.jobs import unpack
from tunesmith.serve.jobs.unpack import ROWS, unpack_images


def packed(path: Path, entries: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def test_folders_are_labels_and_names_are_numbers(tmp_path: Path) -> None:
    entries = {
        "pets/cats/a.PNG": b"1",
        "pets/dogs/b.jpg": b"2",
        "__MACOSX/pets/cats/._a.PNG": b"x",
        "pets/.DS_Store": b"x",
    }
    unpack_images(packed(tmp_path / "p.zip", entries), "pets.zip", tmp_path / "out")
    assert read_jsonl(tmp_path / "out" / ROWS) == [
        {"image": "00000001.png", "label": "cats"},
        {"image": "00000002.jpg", "label": "dogs"},
    ]
    assert (tmp_path / "out" / "00000002.jpg").read_bytes() == b"2"
    assert len([*(tmp_path / "out").iterdir()]) == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../cats/a.png", "leads out of the archive"),
        ("/cats/a.png", "leads out of the archive"),
        ("cats\\..\\a.png", "leads out of the archive"),
        ("C:/cats/a.png", "leads out of the archive"),
        ("cats/a.svg", "is no image"),
        ("a.png", "stands in no folder"),
    ],
)
def test_what_is_no_image_in_a_folder_is_refused(tmp_path: Path, name: str, words: str) -> None:
    archive = packed(tmp_path / "p.zip", {name: b"1"})
    if "\\" in name:  # the writer of archives turns these round
        archive.write_bytes(archive.read_bytes().replace(b"cats/../a", b"cats\\..\\a"))
    with pytest.raises(DataError, match=words):
        unpack_images(archive, "p.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_and_damage_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("cats/a.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="is a link"):
        unpack_images(tmp_path / "link.zip", "link.zip", tmp_path / "out")
    (tmp_path / "no.zip").write_bytes(b"PK no archive")
    with pytest.raises(DataError, match=r"no\.zip is no \.zip file"):
        unpack_images(tmp_path / "no.zip", "no.zip", tmp_path / "out")


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_damage_of_any_kind_is_the_archives_fault(tmp_path: Path, method: int) -> None:
    whole = tmp_path / "whole.zip"
    with zipfile.ZipFile(whole, "w", method) as archive:
        for name in ("cats/1.png", "dögs/2.png"):
            archive.writestr(name, bytes(range(250)))
    content, draw = whole.read_bytes(), random.Random(0)
    for number in range(60):
        damaged = bytearray(content)
        damaged[draw.randrange(len(damaged))] ^= draw.randrange(1, 256)
        (tmp_path / "a.zip").write_bytes(damaged)
        with suppress(DataError):
            unpack_images(tmp_path / "a.zip", "a.zip", tmp_path / str(number))


def test_a_directory_of_millions_is_refused_before_it_is_read(tmp_path: Path) -> None:
    archive = packed(tmp_path / "p.zip", {"cats/a.png": b"1"})
    content = bytearray(archive.read_bytes())
    content[-10:-6] = (unpack.MOST_DIRECTORY_BYTES + 1).to_bytes(4, "little")
    archive.write_bytes(content)
    with pytest.raises(DataError, match="too many entries"):
        unpack_images(archive, "p.zip", tmp_path / "out")
    (tmp_path / "64.zip").write_bytes(b"PK\x06\x07" + bytes(16) + bytes(content[-22:]))
    with pytest.raises(DataError, match="too many entries"):
        unpack_images(tmp_path / "64.zip", "64.zip", tmp_path / "out")


def test_a_bomb_stops_unpacking_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "MOST_IMAGE_BYTES", 1 << 16)
    entries = {f"cats/{n}.png": bytes(1 << 16) for n in range(50)}
    archive = packed(tmp_path / "p.zip", entries)
    assert archive.stat().st_size * unpack.MOST_PROPORTION < 50 << 16
    with pytest.raises(DataError, match="unpacks to more"):
        unpack_images(archive, "p.zip", tmp_path / "out")
    large = packed(tmp_path / "l.zip", {"cats/1.png": bytes((1 << 16) + 1)})
    with pytest.raises(DataError, match="unpacks to more"):
        unpack_images(large, "l.zip", tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"p.zip", "l.zip"}
