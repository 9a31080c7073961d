"""Read a recipe: a YAML file, then settings, then `--set section.field=value`, the last one wins.

Every error is a RecipeError whose lines each say where, what was wrong, what was received and what
is allowed. Paths become absolute here, so that a recipe means the same from any folder: those in a
file are relative to that file, all others to the working directory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tunesmith.core.errors import RecipeError
from tunesmith.recipe import yaml12
from tunesmith.recipe.complaints import complaints, no_such_key, not_a_section
from tunesmith.recipe.fields import AUTO, received
from tunesmith.recipe.rewards import KEY as GRADERS
from tunesmith.recipe.rewards import located
from tunesmith.recipe.schema import describe, path_keys, sections
from tunesmith.recipe.sections import Recipe

EMBEDDED_BASE = "anvil"
HUB = "hub:"
"""How the names of data sets of the hub begin, which are no paths."""


def load(
    path: Path | None = None,
    overrides: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> Recipe:
    """The recipe asked for.

    Args:
        path: a YAML file; an empty one, or None, gives the defaults.
        overrides: texts `section.field=value`, the value written as in YAML.
        settings: values by dotted key, already typed: `{"data.train": "tickets.jsonl"}`.
        folder: what paths in `settings` are relative to; the working directory, if not told.

    Raises:
        RecipeError: the file cannot be read, or a key or value is not what a recipe may say.
    """
    draft = _Draft()
    if path is not None:
        draft.add_file(path)
    for key, value in (settings or {}).items():
        draft.add(key, value, where=None, folder=folder or Path.cwd())
    for override in overrides:
        draft.add_override(override)
    return draft.finish()


class _Draft:
    """Values by section and field, and where each was written."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, Any]] = {}
        self._where: dict[str, str] = {}

    def add(self, key: str, value: Any, where: str | None, folder: Path) -> None:
        """Set `section.field`; paths in `value` are relative to `folder`."""
        section, dot, field = key.partition(".")
        if key in sections():
            raise RecipeError(not_a_section(key, value, where))
        if not dot or section not in sections():
            raise RecipeError(no_such_key(key, where))
        self._values.setdefault(section, {})[field] = _absolute(key, value, folder)
        if where is None:
            self._where.pop(key, None)
        else:
            self._where[key] = where

    def add_override(self, override: str) -> None:
        """Set what one `--set` says."""
        key, equals, text = override.partition("=")
        where = f"--set {override}"
        if not equals:
            raise RecipeError(
                f"{where}: a setting is written section.field=value, as in engine.epochs=2."
            )
        self.add(key.strip(), _override_value(text), where, Path.cwd())

    def add_file(self, path: Path) -> None:
        """Set all that a recipe file says."""
        content, node = _read(path)
        if content is None:
            return
        if not isinstance(content, dict):
            raise RecipeError(
                f"{path} is not a recipe: a recipe is sections of keys and values, and this file "
                f"holds {received(content)}."
            )
        lines = _lines(path, node)
        folder = path.absolute().parent
        for section, fields in content.items():
            where = lines.get(str(section))
            if section in sections() and fields is None:
                continue  # a section whose keys are all commented out
            if section not in sections():
                raise RecipeError(no_such_key(str(section), where))
            if not isinstance(fields, dict):
                raise RecipeError(not_a_section(section, fields, where))
            for field, value in fields.items():
                key = f"{section}.{field}"
                self.add(key, value, lines.get(key, where), folder)

    def finish(self) -> Recipe:
        """The validated recipe, or every complaint about it at once."""
        try:
            return Recipe.model_validate(self._values)
        except ValidationError as error:
            raise RecipeError("\n".join(complaints(error, self._where))) from None


def _read(path: Path) -> tuple[Any, yaml.Node | None]:
    """The content of a YAML file and its node tree."""
    try:
        return yaml12.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(
            f"There is no recipe file {path}. Give the path of a YAML file, or none to use the "
            "defaults."
        ) from None
    except OSError as error:
        raise RecipeError(f"The recipe file {path} cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise RecipeError(
            f"The recipe file {path} is not text in UTF-8 (byte {error.start} is not). Save it as "
            "UTF-8."
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise RecipeError(
            f"{where}: this is not valid YAML ({error.problem}). Mend the line, or quote the value."
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise RecipeError(f"The recipe file {path} is not valid YAML ({reason}).") from None


def _lines(path: Path, node: yaml.Node | None) -> dict[str, str]:
    """Where each section and each dotted key stands, as file:line.

    Raises:
        RecipeError: a key is given twice in one mapping.
    """
    lines: dict[str, str] = {}
    for key, line in _positions(node):
        if key in lines:
            raise RecipeError(
                f"{path}:{line}: {key} is given twice, first at {lines[key]}. Leave one out."
            )
        lines[key] = f"{path}:{line}"
    return lines


def _positions(node: yaml.Node | None) -> Iterator[tuple[str, int]]:
    for section, line, value in yaml12.keys(node):
        yield section, line
        for field, field_line, _ in yaml12.keys(value):
            yield f"{section}.{field}", field_line


def _override_value(text: str) -> Any:
    """A value of `--set`: read as YAML; what is not YAML (`*.jsonl`) is the text it is."""
    try:
        return yaml12.parse(text)[0]
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def _absolute(key: str, value: Any, folder: Path) -> Any:
    """`value` with its paths made absolute; a base only where such a folder exists."""
    if key == "model.base":
        is_folder = isinstance(value, (str, Path)) and _joined(value, folder).is_dir()
        named = value == EMBEDDED_BASE or not value
        return str(_joined(value, folder)) if is_folder and not named else value
    if key not in path_keys():
        return located(value, lambda path: str(_joined(path, folder))) if key == GRADERS else value
    if isinstance(value, (list, tuple)):
        return [_absolute(key, item, folder) for item in value]
    if isinstance(value, Mapping) and "path" in value:
        return {**value, "path": _absolute(key, value["path"], folder)}
    if not isinstance(value, (str, Path)) or not value or (value == AUTO and _may_be_auto(key)):
        return value
    return str(value) if str(value).startswith(HUB) else str(_joined(value, folder))


def _may_be_auto(key: str) -> bool:
    return any(knob.key == key and knob.default == AUTO for knob in describe())


def _joined(value: str | Path, folder: Path) -> Path:
    """`value` from `folder`, absolute; links are kept as they are named."""
    return Path(os.path.abspath(folder / os.path.expanduser(value)))
