"""A folder of images, sent as one .zip file: unpacked without trusting a word of it.

    cats/1.png, dogs/2.png        →  00000001.png, 00000002.png, and rows.jsonl with their labels

Names in an archive never become paths: each image gets a number, and the name of the folder that
it stands in is its label, a text. Sizes are counted while unpacking, whatever the archive says.
"""

from __future__ import annotations

import json
import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tunesmith.core.errors import DataError
from tunesmith.core.files import whole_folder, write_jsonl

ROWS = "rows.jsonl"

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
MOST_IMAGES = 100_000
MOST_IMAGE_BYTES = 32 << 20
MOST_PROPORTION = 100
"""So many times the size of the archive may what is in it have; images hardly shrink."""

MOST_DIRECTORY_BYTES = 32 << 20

_BLOCK = 1 << 20
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError),
    *(NotImplementedError, RuntimeError, ValueError, IndexError),
)
"""What the reader of archives raises at one that is damaged, or made to be."""
_TAIL = (1 << 16) + 64
_END, _ELSEWHERE = b"PK\x05\x06", b"PK\x06\x07"


def unpack_images(archive: Path, name: str, target: Path) -> None:
    """Unpack the archive, which the client calls `name`, to the folder `target`, whole or not at
    all. Raises DataError with what to do.
    """
    _require_short_directory(archive, name)
    with _refusals(name), zipfile.ZipFile(archive) as opened:
        entries = [(entry, _label(entry, name)) for entry in opened.infolist() if _counts(entry)]
        _require_some(entries, name)
        budget = max(MOST_IMAGE_BYTES, MOST_PROPORTION * archive.stat().st_size)
        rows: list[dict[str, str]] = []
        with whole_folder(target) as draft:
            for number, (entry, label) in enumerate(entries, start=1):
                place = f"{number:08d}{PurePosixPath(entry.filename).suffix.lower()}"
                most = min(budget, MOST_IMAGE_BYTES)
                budget -= _copy(_pieces(opened, entry), draft / place, most, entry)
                rows.append({"image": place, "label": label})
            write_jsonl(draft / ROWS, rows)


def _require_short_directory(archive: Path, name: str) -> None:
    """The list of what an archive holds is read as a whole, so its length is looked at first: at
    its end, wherever in the last bytes that may be, or be said to be elsewhere (ZIP64)."""
    with archive.open("rb") as source:
        source.seek(max(0, archive.stat().st_size - _TAIL))
        tail = source.read()
    ends = (found.end() for found in re.finditer(_END, tail))
    longest = max((int.from_bytes(tail[end + 8 : end + 12], "little") for end in ends), default=0)
    if longest > MOST_DIRECTORY_BYTES or _ELSEWHERE in tail:
        raise DataError(
            f"{name} has too many entries, or is in the form for such (ZIP64). Send fewer images, "
            "in several files if need be."
        )


def _counts(entry: zipfile.ZipInfo) -> bool:
    """Whether it is meant: no folder, and nothing that systems add of themselves."""
    parts = PurePosixPath(entry.filename).parts
    hidden = any(part.startswith(".") and part not in (".", "..") for part in parts)
    added = hidden or "__MACOSX" in parts or parts[-1:] in (("Thumbs.db",), ("desktop.ini",))
    return not (entry.is_dir() or added)


def _label(entry: zipfile.ZipInfo, name: str) -> str:
    """The class of an image. Raises DataError for an entry that is none, or no plain file."""
    shown = f"{name}: {json.dumps(entry.filename, ensure_ascii=False)[:200]}"
    path = PurePosixPath(entry.filename)
    leads_out = path.is_absolute() or ".." in path.parts or "\\" in entry.filename
    if leads_out or ":" in entry.filename:
        raise DataError(f"{shown} leads out of the archive. Pack the folder itself, as it is.")
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
        raise DataError(f"{shown} is a link, which is not followed. Pack the file it leads to.")
    if entry.flag_bits & 1:
        raise DataError(f"{shown} is encrypted. Pack the folder without a password.")
    if path.suffix.lower() not in ENDINGS:
        raise DataError(
            f"{shown} is no image; there are {', '.join(ENDINGS)}. Leave out everything else."
        )
    if len(path.parts) < 2:
        raise DataError(
            f"{shown} stands in no folder, and the name of its folder is an image's label. Sort "
            "the images into one folder for each class."
        )
    return path.parts[-2]


def _require_some(entries: list[tuple[zipfile.ZipInfo, str]], name: str) -> None:
    if not entries:
        raise DataError(f"{name} holds no images. Pack a folder for each class, with images in it.")
    if len(entries) > MOST_IMAGES:
        raise DataError(
            f"{name} holds {len(entries):,} images, and {MOST_IMAGES:,} are the most. Send fewer."
        )
    depths = {len(PurePosixPath(entry.filename).parts) for entry, _ in entries}
    if len(depths) > 1:
        raise DataError(
            f"{name} has images at several depths, and the name of the folder is the label. Let "
            "all folders with images be equally deep."
        )


def _pieces(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """What is in an entry. A damaged one can look, to those who read it, as if the disk failed."""
    try:
        with opened.open(entry) as source:
            while block := source.read(_BLOCK):
                yield block
    except OSError as error:
        raise zipfile.BadZipFile(f"an entry cannot be read: {error}") from error


def _copy(blocks: Iterable[bytes], target: Path, most: int, entry: zipfile.ZipInfo) -> int:
    """Unpack one image, of `most` bytes at most; returns how many it has."""
    size = 0
    with open(target, "wb") as out:
        for block in blocks:
            size += len(block)
            if size > most:
                raise DataError(
                    f"{json.dumps(entry.filename)[:200]} unpacks to more than the archive may hold "
                    f"({MOST_IMAGE_BYTES >> 20} MB an image, and {MOST_PROPORTION} times its own "
                    "size in all). Send smaller images, in several files if need be."
                )
            out.write(block)
    return size


@contextmanager
def _refusals(name: str) -> Iterator[None]:
    """What the reader of archives finds wrong, as a finished sentence."""
    try:
        yield
    except _DAMAGE as error:
        raise DataError(
            f"{name} is no .zip file that can be unpacked ({str(error)[:100]}). Pack it again, as "
            "a plain .zip."
        ) from None
