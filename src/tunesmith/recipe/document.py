"""The page of every recipe key, made from the sections: python -m tunesmith.recipe.document."""

from __future__ import annotations

from itertools import groupby

from tunesmith.recipe import yaml12
from tunesmith.recipe.schema import Knob, describe, sections

_HEAD = """\
# The recipe

Every key, made from the code by `python -m tunesmith.recipe.document > docs/recipe.md`; a test
keeps this page equal to it.

A recipe is a YAML file of sections. Whatever it leaves out has the default below, and
`--set section.field=value` on the command line wins over the file. Paths in a file are relative to
that file. An unknown key is an error that names the nearest known one. `auto` is chosen from the
model, the data and the machine; the run's own `recipe.yaml` holds the chosen value with its reason.
"""


def markdown() -> str:
    """The whole page, ending with a newline."""
    parts = [_HEAD]
    for name, knobs in groupby(describe(), key=lambda knob: knob.key.partition(".")[0]):
        parts.append(f"\n## {name}\n\n{sections()[name].__doc__}\n\n")
        parts.append("| key | default | accepts | why |\n|---|---|---|---|\n")
        parts += [_line(knob) for knob in knobs]
    return "".join(parts)


def _line(knob: Knob) -> str:
    cells = (f"`{knob.key}`", f"`{yaml12.inline(knob.default)}`", knob.type, knob.description)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    print(markdown(), end="")
