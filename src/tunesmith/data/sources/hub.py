"""Data sets of the hub: their files, fetched into the hub's local cache and read as any others.

The paths of what is fetched hold the commit, so an origin names file, row and revision. One that is
named by its commit is found again without the network once its files are there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import errors

from tunesmith.core.errors import DataError, StorageError
from tunesmith.core.files import read_json, write_json
from tunesmith.core.records import Finding
from tunesmith.data.digests import cache_folder
from tunesmith.data.sources.forms import BY_ENDING, TEXT
from tunesmith.data.sources.hub_names import HubName, parsed
from tunesmith.data.sources.hub_splits import splits_of
from tunesmith.data.sources.opened import ending_of

_NO_DATA = {"config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json"}


@dataclass(frozen=True, slots=True)
class _Resolved:
    """A name with the commit and the split that it stands for, and the files of that."""

    name: HubName
    files: tuple[str, ...]


def fetched(name: str) -> tuple[list[str], list[Finding]]:
    """The local paths of the files that a name stands for, and which revision of them it is.

    Raises:
        DataError: there is no such data set, revision, configuration or split, one of several must
            be named, its files are of no form that is read, or the hub cannot be reached.
    """
    found = _resolved(name)
    paths = [_file(found.name, file) for file in found.files]
    if parsed(name).commit is not None:
        return paths, []
    message = (
        f"{name} is read as it is on the hub today. To read the same again, whatever becomes of "
        f"it, name it {found.name}."
    )
    return paths, [Finding("hub_revision", message, "warn")]


def pinned(name: str) -> str:
    """The name with the commit and the split that it stands for now; raises as `fetched` does."""
    return str(_resolved(name).name)


@cache  # all of a run sees one revision, even if another is published meanwhile
def _resolved(written: str) -> _Resolved:
    name = parsed(written)
    if name.commit is not None and (known := _remembered(name)):
        return known
    with _said(name):
        info = huggingface_hub.HfApi().dataset_info(name.id, revision=name.revision)
    names = [each.rfilename for each in info.siblings or []]
    files = _data_files(names)
    if not files:
        raise DataError(_no_files(name, names))
    card: Any = info.card_data
    splits = splits_of(name, files, {} if card is None else card.to_dict())
    split, chosen = _of_split(name, splits)
    found = _Resolved(replace(name, revision=info.sha, split=split), tuple(chosen))
    for each in (found.name, replace(found.name, split=name.split)):
        _remember(each, found)
    return found


def _data_files(names: Sequence[str]) -> list[str]:
    """The files of rows; where there are none, plain texts. None are hidden or descriptions."""
    shown = [
        name
        for name in names
        if Path(name).name not in _NO_DATA
        and not any(part.startswith((".", "__")) for part in name.split("/"))
    ]
    forms = {name: BY_ENDING.get(ending_of(name)) for name in shown}
    rows = [name for name, form in forms.items() if form is not None and form.holds == "rows"]
    return rows or [name for name, form in forms.items() if form is TEXT]


def _of_split(name: HubName, splits: Mapping[str, Sequence[str]]) -> tuple[str, Sequence[str]]:
    """The split that is named, or the only one, and its files, which are all of one form."""
    if not splits:
        raise DataError(
            f"{name}: the card of the data set names no file of a form that is read. Name another "
            "configuration, or fetch what you mean with `hf download`, and name the files."
        )
    if name.split is not None and name.split not in splits:
        offered = ", ".join(str(replace(name, split=each)) for each in splits)
        raise DataError(f"{name} has no split {name.split}. It has {offered}.")
    if name.split is None and len(splits) > 1:
        offered = ", ".join(str(replace(name, split=each)) for each in splits)
        raise DataError(
            f"{name} has {len(splits)} splits, and which is meant is not said. Name one: {offered}."
        )
    split = name.split or next(iter(splits))
    files = list(dict.fromkeys(splits[split]))
    forms = {BY_ENDING[ending_of(file)].name: file for file in files}
    if len(forms) > 1:
        raise DataError(
            f"{replace(name, split=split)} holds files of several forms "
            f"({', '.join(forms.values())}), which may be the same rows twice. Fetch what you mean "
            "with `hf download`, and name the files."
        )
    return split, files


def _no_files(name: HubName, names: Sequence[str]) -> str:
    if any(each.endswith(".py") for each in names):
        return (
            f"{name} holds no data but a program that makes it, and no program of others is run "
            "here. Make its rows with it yourself if you trust it, and name their file."
        )
    held = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return (
        f"{name} holds no JSON lines, JSON, CSV, Parquet or text (it holds {held or 'nothing'}). "
        "Fetch it with `hf download`, save it as one of these, and name the file."
    )


def _file(name: HubName, file: str) -> str:
    """The local path of a file, fetched where it is not in the cache yet."""
    with _said(name):
        return huggingface_hub.hf_hub_download(
            name.id, file, repo_type="dataset", revision=name.revision
        )


@contextmanager
def _said(name: HubName) -> Iterator[None]:
    """Turns what the hub's library raises into what to do about it."""
    try:
        yield
    except errors.GatedRepoError:
        raise DataError(
            f"{name} is given only to those who have asked for it. Ask on its page of the hub, "
            "then log in with `hf auth login`."
        ) from None
    except errors.RepositoryNotFoundError:
        raise DataError(
            f"{name} could not be fetched: the hub has no such data set, or you may not read it "
            "(log in with `hf auth login`). A file on disk is named without hub:."
        ) from None
    except errors.RevisionNotFoundError:
        raise DataError(f"{name} has no revision {name.revision}. Check it on the hub.") from None
    # `HTTPError` is the root of what its network library raises; the library has changed before.
    except (OSError, ValueError, errors.HTTPError) as error:  # type: ignore[attr-defined]
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(" .:")
        raise DataError(
            f"{name} could not be fetched from the hub: {reason}. Check the network; what was "
            "fetched before is read without it if it is named with its commit."
        ) from None


def _note(name: HubName) -> Path:
    return cache_folder() / "hub" / f"{hashlib.sha256(str(name).encode()).hexdigest()}.json"


def _remember(name: HubName, found: _Resolved) -> None:
    with suppress(OSError, StorageError):
        _note(name).parent.mkdir(parents=True, exist_ok=True)
        write_json(_note(name), {"split": found.name.split, "files": list(found.files)})


def _remembered(name: HubName) -> _Resolved | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        known: Any = read_json(_note(name))
        return _Resolved(replace(name, split=str(known["split"])), tuple(known["files"]))
    return None
