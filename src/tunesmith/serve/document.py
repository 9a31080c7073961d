"""The page of every setting, made from the code: python -m tunesmith.serve.document."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from tunesmith.recipe import yaml12
from tunesmith.serve.settings import Limits, Settings

_HEAD = """\
# Settings of the service

Every key, made from the code by `python -m tunesmith.serve.document > docs/settings.md`; a test
keeps this page equal to it.

They stand in `serve.yaml` in the home of the service, a line each; `tunesmith serve` has options
for the first of them, which go before the file. An unknown key is an error that names the nearest
known one.
"""


def markdown() -> str:
    """The whole page, ending with a newline."""
    return "".join([_HEAD, *_table("Service", Settings), *_table("Limits", Limits, "limits.")])


def _table(title: str, section: type[BaseModel], prefix: str = "") -> list[str]:
    lines = [f"\n## {title}\n\n{section.__doc__}\n\n| key | default | why |\n|---|---|---|\n"]
    for name, field in section.model_fields.items():
        if name in ("home", "limits"):
            continue  # where the file lies, and the other table
        default = field.get_default(call_default_factory=True, validated_data={})
        size = f" ({_size(default)})" if name.endswith("bytes") else ""
        why = " ".join((field.description or "").split())
        lines.append(f"| `{prefix}{name}` | `{_shown(default)}`{size} | {why} |\n")
    return lines


def _shown(default: Any) -> str:
    return yaml12.inline(list(default) if isinstance(default, tuple) else default)


def _size(count: int) -> str:
    power = min(3, (count.bit_length() - 1) // 10)
    return f"{count >> 10 * power} {('B', 'KiB', 'MiB', 'GiB')[power]}"


if __name__ == "__main__":
    print(markdown(), end="")
