"""Named models and their versions: one JSON file a name, in the folder that `--home` names.

    HOME/models/support.json    the versions of `support`, which one is current, and what was done
    HOME/models/.lock           held while a file is changed

A file is replaced as a whole, so a kill leaves the old one or the new one; the lock is the
system's, and goes with the process that holds it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tunesmith.core.errors import RegistryError
from tunesmith.core.files import read_json, storage_errors, write_json

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Version:
    """A run that was promoted. `files` are the hashes of its `artefact`.

    `before` is the version that was current until then, which a rollback restores; `because` is
    the reason given, and must be there where the verdict was to hold.
    """

    version: int
    run: str
    artefact: str
    base: str
    files: Mapping[str, str]
    decision: str
    sentence: str
    time: str
    before: int | None = None
    because: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something done to a name: `promote` or `rollback`, and to which version it led."""

    time: str
    act: str
    version: int
    because: str | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """A name, its versions from 1 on, the number of the current one, and its history."""

    name: str
    current: int
    versions: tuple[Version, ...]
    history: tuple[Event, ...]

    def at(self, number: int) -> Version:
        """The version of this number."""
        return self.versions[number - 1]

    @property
    def now(self) -> Version:
        """The current version."""
        return self.at(self.current)

    def promoted(self, version: Version) -> Named:
        """With one more version, which is current."""
        event = Event(version.time, "promote", version.version, version.because)
        return replace(
            self,
            current=version.version,
            versions=(*self.versions, version),
            history=(*self.history, event),
        )

    def rolled_back(self, to: int, because: str | None) -> Named:
        """With an earlier version as the current one."""
        event = Event(now(), "rollback", to, because)
        return replace(self, current=to, history=(*self.history, event))

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json`; `from_json` is the way back."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Named:
        """What `to_json` wrote. Raises LookupError, TypeError or ValueError for anything else."""
        versions = tuple(Version(**each) for each in value["versions"])
        history = tuple(Event(**each) for each in value["history"])
        named = cls(value["name"], value["current"], versions, history)
        if [each.version for each in versions] != [*range(1, len(versions) + 1)]:
            raise ValueError("the versions are not numbered from 1 on")
        if not 1 <= named.current <= len(versions):
            raise ValueError(f"there is no version {named.current}")
        return named


class Registry:
    """The named models of one home. Raises RegistryError where that is a file."""

    def __init__(self, home: Path) -> None:
        if home.exists() and not home.is_dir():
            raise RegistryError(f"{home} is a file, and --home needs a folder, new or not.")
        self.folder = home / "models"

    def names(self) -> list[str]:
        """All of them, in the order of the alphabet."""
        return sorted(
            path.stem for path in self.folder.glob("*.json") if _NAME.fullmatch(path.stem)
        )

    def get(self, name: str) -> Named | None:
        """The model of this name, None if there is none; raises RegistryError for a broken file."""
        path = self._path(name)
        try:
            return Named.from_json(read_json(path))
        except FileNotFoundError:
            return None
        except (OSError, LookupError, TypeError, ValueError) as error:
            raise RegistryError(
                f"{path} does not hold a named model ({error}). Put back a copy of it, or remove "
                "it and promote the run again."
            ) from error

    def require(self, name: str) -> Named:
        """The model of this name; raises RegistryError, with the names there are, if none."""
        if (named := self.get(name)) is not None:
            return named
        names = self.names()
        known = f"The names there are: {', '.join(names)}." if names else "It holds no names yet."
        raise RegistryError(
            f"No model is called {name} in {self.folder.parent}. {known} `tunesmith promote RUN "
            f"{name}` makes it, and --home names another folder."
        )

    def put(self, named: Named) -> None:
        """Write a model, as a whole or not at all. Hold the lock."""
        write_json(self._path(named.name), named.to_json())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the files: others that change them wait until this block ends."""
        path = self.folder / ".lock"
        with storage_errors(path):
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise RegistryError(
                f"{json.dumps(name, ensure_ascii=False)} cannot be the name of a model. Take up to "
                "64 letters, digits, dots, dashes and underscores, a letter or digit first."
            )
        return self.folder / f"{name}.json"


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
