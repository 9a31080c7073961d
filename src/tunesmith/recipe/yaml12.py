"""YAML as people write it today: the scalars of YAML 1.2 on PyYAML's parser.

PyYAML follows YAML 1.1, where `1e-4` is text, `010` is eight, `no` is false and `2024-01-01` is a
date. In a recipe each of these is a trap, so the recipe is read and written with the four plain
scalars of YAML 1.2 (null, true/false, whole numbers, numbers); everything else is text, the merge
key `<<` too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

_SCALARS = (
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("tag:yaml.org,2002:int", r"[-+]?(?:0|[1-9][0-9_]{0,30})", list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|nan|NaN)",
        list("-+.0123456789"),
    ),
)


class Loader(yaml.SafeLoader):
    """A safe loader that knows the scalars above."""


class Dumper(yaml.SafeDumper):
    """Quotes exactly the texts that `Loader` would read as something else."""


for _class in (Loader, Dumper):
    _class.yaml_implicit_resolvers = {}  # without those of YAML 1.1
    for _tag, _pattern, _first in _SCALARS:
        _class.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), _first)


def parse(text: str) -> tuple[Any, yaml.Node | None]:
    """The value of a YAML document, and its node tree (None for an empty one) for line numbers.

    Raises:
        yaml.YAMLError: the text is not one YAML document.
    """
    loader = Loader(text)
    try:
        node = loader.get_single_node()
        return (None if node is None else loader.construct_document(node)), node
    finally:
        loader.dispose()


def keys(node: yaml.Node | None) -> Iterator[tuple[str, int, yaml.Node]]:
    """Each key of a mapping node as (key, its line counted from 1, the node of its value)."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield str(key.value), key.start_mark.line + 1, value


def inline(value: Any) -> str:
    """A scalar or list on one line, as `Loader` reads it back."""
    text = yaml.dump(
        value, Dumper=Dumper, default_flow_style=True, allow_unicode=True, width=float("inf")
    )
    return text.removesuffix("\n").removesuffix("\n...")
