"""Settings as the operator wrote them: HOME/serve.yaml, and over it the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from tunesmith.core.errors import InputError
from tunesmith.recipe import yaml12
from tunesmith.serve.settings import Limits, Settings

FILE = "serve.yaml"


def configured(home: Path, asked: Mapping[str, Any] | None = None) -> Settings:
    """The settings of the service in this home; `asked` goes before what the file says.

    Raises:
        InputError: the file cannot be read, or a key or a value in it, or in `asked`, is wrong.
    """
    path = home / FILE
    values = {**_read(path), **(asked or {}), "home": home}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise InputError("\n".join(_complaints(error, path, asked or {}))) from None


def _read(path: Path) -> dict[str, Any]:
    """What the file says; nothing where there is none."""
    try:
        content, _ = yaml12.parse(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not valid YAML: {reason}.") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"{path} must have a key and a value on each line, such as `port: 8000`.")
    if "home" in content:
        raise InputError(f"{path}: the home is where this file lies. Leave the key home out.")
    return {str(key): value for key, value in content.items()}


def _complaints(error: ValidationError, path: Path, asked: Mapping[str, Any]) -> Iterator[str]:
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"])
        where = f"--{key.partition('.')[0]}" if key.partition(".")[0] in asked else str(path)
        if fault["type"] == "extra_forbidden":
            yield f"{where}: there is no key {key}. {_nearest(key)}"
        else:
            yield f"{where}: {key}: {fault['msg']}; received {fault['input']!r:.60}."


def _nearest(key: str) -> str:
    known = [name for name in Settings.model_fields if name not in ("home", "limits")]
    known += [f"limits.{name}" for name in Limits.model_fields]
    names = {name.rpartition(".")[2]: name for name in known}
    close = get_close_matches(key.rpartition(".")[2], names, n=1, cutoff=0.7)
    return f"Did you mean {names[close[0]]}?" if close else f"There are {', '.join(known)}."
