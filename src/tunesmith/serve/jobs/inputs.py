"""The files of a job in its own folder, under names that the server chose.

What a client called its file stands in messages only. The bytes are the blob's own, under another
name, so a file that is deleted while its job runs ends no job.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from tunesmith.core.errors import DataError, RecipeError
from tunesmith.core.files import write_text
from tunesmith.serve.blobs import Blobs
from tunesmith.serve.jobs.recipe import file_ids, method_of
from tunesmith.serve.jobs.unpack import ROWS, unpack_images
from tunesmith.serve.jobs.work import Claimed, ClientFile
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.tables import FileRow, JobRow

DATA = "data"

_COMMANDS = re.compile(r",? or [^.\n]*--[a-z][^\n]*?\.(?=\s|$)")
"""The end of a sentence that advises what to type on a command line, which clients have not."""

_HERE = "\0"
"""Stands for the folder of a job while a message is changed; no text has it."""
_RECIPE = re.compile(r"Set objective\.kind to that, leave [^\n]*? by data\.mapping, [^\n]*?\}\.")
"""Advice to change the recipe, which only those who wrote one can follow."""


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
    message = storable(message).replace(str(claimed.folder), _HERE)
    restored = rf"/[^\s\"'<>]*/{re.escape(claimed.job.id)}(?=/)"  # the home was elsewhere then
    message = re.sub(restored, _HERE, message)
    for number, id in enumerate(ids):
        name = claimed.files[id].filename if id in claimed.files else id
        message = _named(message, f"{_HERE}/{DATA}/{number}", name)
    message = message.replace(f"{_HERE}{os.sep}", "").replace(_HERE, "it")
    if (claimed.job.asked.get("method") or {}).get("type") != "tunesmith":
        message = _RECIPE.sub(
            "Ask for the method that trains such rows, or leave them out.", message
        )
    return _COMMANDS.sub(".", message)


def storable(message: str) -> str:
    """What quotes a client's file may hold half a character, or a NUL, that nothing can carry."""
    return message.encode("utf-8", "replace").decode().replace("\0", "?")


def _named(message: str, place: str, name: str) -> str:
    """With `name` for the file, or the archive of images, that lies at `place`."""
    path = re.escape(place)
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


def follow(run: Path, inputs: Inputs, began_with: Sequence[object]) -> None:
    """Let a run that was begun read its files where they are now: its home may have been restored
    to another place since."""
    now = next(iter(inputs.paths.values()))
    before = next((named for named in began_with if isinstance(named, str)), now)
    now, before = _folder_of(now), _folder_of(before)
    if now == before:
        return
    # The recipe is the last: until then another attempt does all of it again.
    for file in sorted(run.iterdir(), key=lambda file: file.name == "recipe.yaml"):
        if file.suffix in (".yaml", ".json", ".jsonl"):
            text = file.read_text(encoding="utf-8")
            write_text(file, text.replace(f"{before}{os.sep}", f"{now}{os.sep}"))


def _folder_of(path: str) -> str:
    """The folder of the job whose file this is."""
    return str(next(parent.parent for parent in Path(path).parents if parent.name == DATA))


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
