"""The check that the user wrote, with every way it can fail turned into a finished sentence."""

from __future__ import annotations

import math
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tunesmith.core.errors import DataError, RecipeError
from tunesmith.core.records import Prompt

Properties = dict[str, bool | float]
"""What was found in one answer, by name."""

_MODULE = "tunesmith_user_check"
_SHAPE = "def check(example: dict, answer: str) -> dict[str, bool | float]"


@dataclass(frozen=True, slots=True)
class Check:
    """The user's function, with every way it can fail turned into a finished sentence."""

    path: Path
    function: Callable[[dict[str, Any], str], Any]

    def __call__(self, prompt: Prompt, answer: str) -> Properties:
        """The properties of one answer; raises DataError naming the check's line and the row."""
        example = {
            "messages": [{"role": m.role, "content": m.content} for m in prompt.messages],
            "answer": prompt.answer,
            "origin": str(prompt.origin),
        }
        try:
            properties = self.function(example, answer)
        except Exception as error:
            raise DataError(
                f"The check {_place(self.path, error)} raised {_said(error)} on the answer to "
                f"{prompt.origin}. Make it return a value for every answer, also an empty one."
            ) from error
        if not isinstance(properties, Mapping):
            raise self._refused(prompt, f"returned {properties!r}")
        return {self._name(k, prompt): self._value(k, v, prompt) for k, v in properties.items()}

    def _name(self, name: Any, prompt: Prompt) -> str:
        if not isinstance(name, str) or not name:
            raise self._refused(prompt, f"returned a property named {name!r}")
        return name

    def _value(self, name: str, value: Any, prompt: Prompt) -> bool | float:
        plain = value.item() if isinstance(value, np.generic) else value
        if isinstance(plain, bool):
            return plain
        if isinstance(plain, int | float) and math.isfinite(plain):
            return float(plain)
        raise self._refused(prompt, f"returned {value!r} for the property {name!r}")

    def _refused(self, prompt: Prompt, what: str) -> DataError:
        line = getattr(getattr(self.function, "__code__", None), "co_firstlineno", 1)
        return DataError(
            f"The check {self.path}:{line} {what} on the answer to {prompt.origin}; it must return "
            "a dict from property names to True, False or a finite number."
        )


def load_check(path: Path) -> Check:
    """Run the file that the user named and take its function `check`; raises RecipeError."""
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"evaluate.check names {path}, which cannot be read ({_reason(error)}). "
            "Give the path of a Python file with --set evaluate.check=FILE."
        ) from error
    function = getattr(_run(path, source), "check", None)
    if not callable(function):
        raise RecipeError(
            f"evaluate.check names {path}:1, which defines no function named check. Add: {_SHAPE}."
        )
    return Check(path, function)


def _run(path: Path, source: str) -> ModuleType:
    # Not through the import machinery: it would leave a __pycache__ beside the user's file.
    module = ModuleType(_MODULE)
    module.__file__ = str(path)
    sys.modules[_MODULE] = module  # dataclasses look their own module up there
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)  # the user named it
    except Exception as error:
        raise RecipeError(
            f"evaluate.check names {_place(path, error)}, which raised {_said(error)} when it was "
            "loaded. Mend the file, or leave evaluate.check out."
        ) from error
    return module


def _place(path: Path, error: Exception) -> str:
    """`path:line` of the deepest line of the user's file that the error went through."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"{path}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return f"{path}:{lines[-1] if lines else 1}"


def _said(error: Exception) -> str:
    return f"{type(error).__name__} ({error})" if str(error) else type(error).__name__


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or "unknown" if isinstance(error, OSError) else "it is not UTF-8 text"
