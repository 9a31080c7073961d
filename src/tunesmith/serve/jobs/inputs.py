"""The files of a job in its own folder, under names that the server chose.

What a client called its file stands in messages only. The bytes are the blob's own, under another
name, so a file that is deleted while its job runs ends no job.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from tunesmith.core.errors import DataError, RecipeError
from tunesmith.serve.blobs import Blobs
from tunesmith.serve.jobs.recipe import file_ids, method_of
from tunesmith.serve.jobs.unpack import ROWS, unpack_images
from tunesmith.serve.jobs.work import Claimed, ClientFile
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.tables import FileRow, JobRow

DATA = "data"

_COMMANDS = re.compile(r",? or [^.\n]*--[a-z][^\n]*?\.(?=\s|$)")
"""The end of a sentence that advises what to type on a command line, which clients have not."""


def files_of(session: Session, settings: Settings, job: JobRow) -> dict[str, ClientFile]:
    """The files that a job's request names, by their ids, as far as its project has them."""
    wanted = FileRow.project_id == job.project_id, FileRow.id.in_(file_ids(job.asked))
    rows = session.scalars(select(FileRow).where(*wanted, FileRow.deleted_at.is_(None)))
    blobs = Blobs(settings)
    return {row.id: ClientFile(row.filename, blobs.path(row.blob)) for row in rows}


@dataclass(frozen=True, slots=True)
class Inputs:
    """Where the files of a job are, by their ids; `written` are those whose rows the client wrote,
    the training file first."""

    paths: Mapping[str, str]
    written: tuple[str, ...]


def lay_out(claimed: Claimed) -> Inputs:
    """Put the files of a job into its folder, once.

    Raises DataError: a file is gone, or is an archive that cannot be unpacked.
    """
    paths: dict[str, str] = {}
    written: list[str] = []
    (claimed.folder / DATA).mkdir(parents=True, exist_ok=True)
    for id, place in _places(claimed).items():
        paths[id] = str(place)
        if place.name != ROWS:
            written.append(str(place))
        if place.exists():
            continue
        if (file := claimed.files.get(id)) is None or not file.path.is_file():
            raise DataError(f"The file {id} is not there any more. Upload it again.")
        if place.name == ROWS:
            unpack_images(file.path, file.filename, place.parent)
        else:
            link(file.path, place)
    return Inputs(paths, tuple(written))


def in_their_words(message: str, claimed: Claimed) -> str:
    """The message with the client's names of files, and no path of the server."""
    try:
        ids = file_ids(claimed.job.asked)
    except RecipeError:
        ids = ()
    for number, id in enumerate(ids):
        name = claimed.files[id].filename if id in claimed.files else id
        message = _named(message, claimed.folder / DATA / str(number), name)
    message = message.replace(f"{claimed.folder}{os.sep}", "").replace(str(claimed.folder), "it")
    return storable(_COMMANDS.sub(".", message))


def storable(message: str) -> str:
    """What quotes a client's file may hold half a character, or a NUL, that nothing can carry."""
    return message.encode("utf-8", "replace").decode().replace("\0", "?")


def _named(message: str, place: Path, name: str) -> str:
    """With `name` for the file, or the archive of images, that lies at `place`."""
    path = re.escape(str(place))
    message = re.sub(rf"{path}/(\d+)\.\w+", lambda at: f"{name}, image {int(at[1])}", message)
    rows = rf"{path}(?:\.jsonl|/{re.escape(ROWS)})"
    message = re.sub(rf"{rows}:(\d+)", lambda at: f"{name}, line {at[1]}", message)
    return re.sub(rows, lambda _: name, message)


def _places(claimed: Claimed) -> dict[str, Path]:
    """Where each file of a job belongs, by its id; of an archive of images the list of them."""
    method, _ = method_of(claimed.job.asked)
    found: dict[str, Path] = {}
    for number, id in enumerate(file_ids(claimed.job.asked)):
        place = claimed.folder / DATA / str(number)
        file = claimed.files.get(id)
        packed = file is not None and file.filename.lower().endswith(".zip")
        unpacked = method == "tunesmith" and (packed or place.is_dir())
        found[id] = place / ROWS if unpacked else place.with_suffix(".jsonl")
    return found


def clear(claimed: Claimed) -> None:
    """The job needs its files no more."""
    shutil.rmtree(claimed.folder / DATA, ignore_errors=True)


def link(source: Path, target: Path) -> None:
    """The same bytes under another name; a copy where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        draft = target.with_suffix(".partial")
        shutil.copyfile(source, draft)
        os.replace(draft, target)
