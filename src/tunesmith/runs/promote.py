"""The gate: a run becomes the current version of a named model if its verdict says ship."""

from __future__ import annotations

from pathlib import Path

from tunesmith.core.errors import GateHeld, InputError, RegistryError, RunFolderError
from tunesmith.recipe import load
from tunesmith.runs.artefacts import damage, hashes
from tunesmith.runs.finished import artefact_of, content_of, run_folder, verdict_of
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.registry import Named, Registry, Version, now


def promote(path: Path, name: str, home: Path, because: str | None = None) -> Named:
    """Make the run in `path` the current version of `name`.

    A run that is current already changes nothing. `because` is recorded, and lets a run through
    whose verdict says hold.

    Raises:
        GateHeld: the verdict says hold, and no reason was given.
        RunFolderError: `path` is no run, is not finished, or is not what was judged.
        RegistryError: `name` cannot be a name, or its file is broken.
        InputError: the reason is empty.
    """
    registry = Registry(home)
    registry.get(name)  # a bad name is told before a file is hashed
    _require_reason(because)
    folder = run_folder(path)
    verdict, artefact = verdict_of(folder), artefact_of(folder)
    files = _whole(folder, artefact)
    if verdict["decision"] != "ship" and because is None:
        raise GateHeld(
            f"{path} was not promoted to {name}, because its verdict says hold. "
            f"{verdict['sentence']} To promote it all the same, say why: --because TEXT."
        )
    with registry.locked():
        named = registry.get(name) or Named(name, 0, (), ())
        if named.versions and named.now.run == _place(path) and named.now.files == files:
            return named
        promoted = named.promoted(
            Version(
                version=len(named.versions) + 1,
                run=_place(path),
                artefact=_place(artefact),
                base=load(folder.recipe).model.base,
                files=files,
                decision=verdict["decision"],
                sentence=verdict["sentence"],
                time=now(),
                before=named.current or None,
                because=because,
            )
        )
        registry.put(promoted)
        return promoted


def rollback(name: str, home: Path, because: str | None = None) -> Named:
    """Make the version current again that was current before the current one was promoted.

    Raises RegistryError if there is no such name, no version before, or it is not whole any more.
    """
    _require_reason(because)
    registry = Registry(home)
    with registry.locked():
        named = registry.require(name)
        if named.now.before is None:
            raise RegistryError(
                f"{name} cannot be rolled back: nothing was current before version "
                f"{named.current}. Promote another run instead."
            )
        before = named.at(named.now.before)
        _require_whole(name, before)
        rolled = named.rolled_back(before.version, because)
        registry.put(rolled)
        return rolled


def promoted_run(name: str, home: Path) -> Path | None:
    """The run folder of the current version of `name`, None if nothing is called that.

    Raises RegistryError if what was promoted is not whole any more.
    """
    registry = Registry(home)
    if name not in registry.names():
        return None
    version = registry.require(name).now
    _require_whole(name, version)
    return Path(version.run)


def state_of(version: Version) -> str | None:
    """What is wrong with the files of a version, as the rest of a sentence; None if they are whole.

    All of them are read.
    """
    return damage(Path(version.artefact), version.files)


def _require_whole(name: str, version: Version) -> None:
    if wrong := state_of(version):
        raise RegistryError(
            f"Version {version.version} of {name} cannot be used: {version.artefact} {wrong}. Put "
            "it back as it was, or promote a run that is whole."
        )


def _require_reason(because: str | None) -> None:
    if because is not None and not because.strip():
        raise InputError("--because is empty. Say why, in words that the history will show.")


def _whole(folder: RunFolder, artefact: Path) -> dict[str, str]:
    """The hashes of the artefact; raises RunFolderError where it is not what was judged."""
    recorded = content_of(folder.hashes) if folder.hashes.exists() else None
    if wrong := damage(artefact, recorded):
        raise RunFolderError(
            f"{folder.path} cannot be promoted: its {artefact.name} {wrong}. Put it back as it "
            "was, or train again."
        )
    return hashes(artefact) if recorded is None else dict(recorded)


def _place(path: Path) -> str:
    return str(path.absolute())
