"""Names that lead to a model of a project, as `tunesmith promote` and `rollback` move them.

A name leads to the run of a job, of which the registry keeps all versions with their verdicts. It
can be given wherever the id of a model can.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tunesmith.core.errors import GateHeld, InputError, RegistryError
from tunesmith.runs.finished import run_folder, verdict_of
from tunesmith.runs.promote import promote, rollback
from tunesmith.runs.registry import Named, Registry
from tunesmith.serve.errors import ApiError, bad_request, conflict
from tunesmith.serve.own.projects import folder_of
from tunesmith.serve.settings import Settings


class Aliases:
    """The names of all projects; each act sees those of one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def all(self, project: str) -> list[Named]:
        """In the order of the alphabet."""
        registry = self._registry(project)
        return [registry.require(name) for name in registry.names()]

    def get(self, project: str, name: str) -> Named:
        """Raises ApiError 404."""
        try:
            found = self._registry(project).get(name)
        except RegistryError:
            found = None
        if found is None:
            raise ApiError(
                404,
                f"No model is promoted to {name}. POST /v1/tunesmith/aliases/{name}/promote makes "
                "the name.",
                param="alias",
                code="alias_not_found",
            )
        return found

    def job_of(self, project: str, name: str) -> str | None:
        """The job whose model the name leads to now; None if there is no such name."""
        try:
            named = self._registry(project).get(name)
        except RegistryError:
            return None
        return None if named is None else Path(named.now.run).parent.name

    def promote(self, project: str, name: str, run: Path, because: str | None) -> Named:
        """Let the name lead to the model of this run.

        Raises ApiError: 409 where its verdict says hold and no reason is given, or its files are no
        longer those that were judged; 400 for a name that cannot be one.
        """
        if name in self._settings.bases:
            raise bad_request(f"{name} is the name of a base. Take another.", param="alias")
        with _refusals():
            try:
                return promote(run, name, folder_of(self._settings, project), because)
            except GateHeld:
                said = verdict_of(run_folder(run))["sentence"]
                raise conflict(
                    f"The verdict of this model says hold. {said} To promote it all the same, say "
                    "why in because.",
                    param="because",
                    code="verdict_holds",
                ) from None

    def rollback(self, project: str, name: str, because: str | None) -> Named:
        """Let the name lead to the version before again. Raises ApiError 404, 409."""
        named = self.get(project, name)
        if named.now.before is None:
            raise conflict(
                f"{name} cannot be rolled back: nothing was current before version "
                f"{named.current}. Promote another model instead.",
                param="alias",
            )
        with _refusals():
            return rollback(name, folder_of(self._settings, project), because)

    def _registry(self, project: str) -> Registry:
        return Registry(folder_of(self._settings, project))


@contextmanager
def _refusals() -> Iterator[None]:
    """What the registry refuses, without paths of the server."""
    try:
        yield
    except RegistryError as error:
        if "cannot be the name" in str(error):
            raise bad_request(str(error), param="alias") from None
        raise _changed() from None
    except InputError:
        raise _changed() from None


def _changed() -> ApiError:
    return conflict(
        "The files of this model are not whole, or not those that were judged any more, so no name "
        "may lead to it. Train it again, or promote another model."
    )
