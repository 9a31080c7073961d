"""Which files of a data set of the hub are which split, as its publisher wrote or named them.

The rules are those that the hub documents under "Structure your repository", and that the library
`datasets` follows: the card's `configs`, or else the names of files and folders. The library itself
is not used, because on the way it counts each use with one service and asks another about the data
set, and nothing is sent here that was not asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.core.errors import DataError
from tunesmith.data.sources.hub_names import HubName

Splits = dict[str, list[str]]
"""The files of each split, in order."""

_TRAIN = "train"
_KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SHARD = re.compile(r"data/(\w+(?:\.\w+)*)-\d{5}-of-\d{5}[^/]*\.[^/]*")
_IN_FOLDER = r"(?:.*/)?(?:[^/]*[-._ 0-9])?(?:{})(?:[-._ 0-9][^/]*)?/.*"
_IN_NAME = r"(?:.*/)?(?:[^/]*[-._ 0-9])?(?:{})[-._ 0-9][^/]*"
_GLOB = re.compile(r"\*\*/|\*\*|\*|\?|\[[^\]]+\]|.", re.DOTALL)
_SIGNS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def splits_of(name: HubName, files: Sequence[str], card: Mapping[str, Any]) -> Splits:
    """The splits of the configuration that is named.

    Args:
        name: as the user wrote it.
        files: the paths of the data files in the repository.
        card: what stands at the head of its README, as YAML.

    Raises:
        DataError: the configuration is none of the data set's, or one must be named.
    """
    files = sorted(files)
    listed = card.get("configs") or []
    if not isinstance(listed, list) or not all(isinstance(each, Mapping) for each in listed):
        raise DataError(f"{name}: the configurations in the card of the data set are no list.")
    configs = {str(each.get("config_name")): each for each in listed}
    if not configs:
        if name.config is not None:
            raise DataError(f"{name} has no configurations, so leave out :{name.config}.")
        return by_names(files)
    return _of_config(name, _chosen(name, configs), files)


def by_names(files: Sequence[str]) -> Splits:
    """The splits that the names of files tell: shards first, then folders, then files."""
    shards: Splits = {}
    for file in files:
        if found := _SHARD.fullmatch(file):
            shards.setdefault(found[1], []).append(file)
    if shards:
        return shards
    for pattern in (_IN_FOLDER, _IN_NAME):
        found_in = {
            split: [file for file in files if re.fullmatch(pattern.format("|".join(words)), file)]
            for split, words in _KEYWORDS.items()
        }
        if any(found_in.values()):
            return {split: found for split, found in found_in.items() if found}
    return {_TRAIN: list(files)} if files else {}


def _chosen(name: HubName, configs: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    if name.config is not None and name.config in configs:
        return configs[name.config]
    marked = [each for each in configs.values() if each.get("default") is True]
    default = marked[0] if marked else configs.get("default")
    if name.config is None and (default is not None or len(configs) == 1):
        return default or next(iter(configs.values()))
    asked = "none is named" if name.config is None else f"none is called {name.config}"
    offered = ", ".join(str(HubName(name.id, each, name.revision, name.split)) for each in configs)
    raise DataError(f"{name}: of its {len(configs)} configurations {asked}. Name one: {offered}.")


def _of_config(name: HubName, config: Mapping[str, Any], files: Sequence[str]) -> Splits:
    folder = str(config.get("data_dir") or "").strip("/")
    above = f"{folder}/" if folder else ""
    inside = [file.removeprefix(above) for file in files if file.startswith(above)]
    given = config.get("data_files")
    splits = by_names(inside) if given is None else {}
    for split, patterns in _patterns(name, given).items():
        for pattern in patterns:
            matching = _matching(pattern, inside)
            if not matching:
                raise DataError(
                    f"{name}: the card of the data set names {pattern} for the split {split}, and "
                    "no file of a form that is read matches that."
                )
            splits.setdefault(split, []).extend(matching)
    return {split: [above + file for file in found] for split, found in splits.items()}


def _patterns(name: HubName, given: Any) -> dict[str, list[str]]:
    """The patterns of each split, from all ways in which a card may write them."""
    if given is None:
        return {}
    listed = given if isinstance(given, list) else [given]
    patterns: dict[str, list[str]] = {}
    for each in listed:
        split, paths = _TRAIN, each
        if isinstance(each, Mapping):
            split, paths = str(each.get("split", _TRAIN)), each.get("path")
        paths = paths if isinstance(paths, list) else [paths]
        if not all(isinstance(path, str) for path in paths):
            raise DataError(f"{name}: the card of the data set names its files in no known way.")
        patterns.setdefault(split, []).extend(paths)
    return patterns


def _matching(pattern: str, files: Sequence[str]) -> list[str]:
    """The files that a pattern means; none if it has no meaning."""
    try:
        expression = re.compile("".join(map(_expression, _GLOB.findall(pattern))))
    except re.error:
        return []
    return [file for file in files if expression.fullmatch(file)]


def _expression(part: str) -> str:
    """The regular expression of one part of a pattern."""
    if part in _SIGNS:
        return _SIGNS[part]
    return part.replace("[!", "[^") if part.startswith("[") and len(part) > 1 else re.escape(part)
