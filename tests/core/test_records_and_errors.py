"""The error tree as drawn is the error tree as it is; records are frozen; seeds depend on names."""

from __future__ import annotations

import dataclasses
import inspect
import re

import numpy as np
import pytest

from tunesmith.core import errors, records
from tunesmith.core.ports import Silent
from tunesmith.core.records import Origin, Tokens
from tunesmith.core.seeds import derive


def _errors() -> dict[str, type[errors.TunesmithError]]:
    found = inspect.getmembers(errors, inspect.isclass)
    return {name: kind for name, kind in found if issubclass(kind, errors.TunesmithError)}


def test_the_drawn_tree_is_the_real_one() -> None:
    """Names, exit codes, and who stands under whom."""
    drawn = re.findall(r"^([ │├└─]*)([A-Z]\w+) +(?:exit )?(\d+) ", errors.__doc__ or "", re.M)
    kinds = _errors()
    assert {name: int(code) for _, name, code in drawn} == {
        name: kind.exit_code for name, kind in kinds.items()
    }
    above: dict[int, str] = {}
    for branch, name, _ in drawn:
        if shallower := [depth for depth in above if depth < len(branch)]:
            assert kinds[name].__base__ is kinds[above[max(shallower)]]
        above = {depth: n for depth, n in above.items() if depth < len(branch)}
        above[len(branch)] = name


def test_every_record_is_frozen() -> None:
    kinds = [kind for _, kind in inspect.getmembers(records, dataclasses.is_dataclass)]
    assert len(kinds) > 10
    for kind in kinds:
        assert kind.__dataclass_params__.frozen, kind
        assert hasattr(kind, "__slots__"), kind


def test_an_origin_reads_as_file_and_line() -> None:
    assert str(Origin("tickets.jsonl", 17)) == "tickets.jsonl:17"


def test_the_first_token_is_never_a_site() -> None:
    tokens = Tokens(Origin("a", 1), np.arange(4), np.array([1, 0, 0.5, 1], dtype=np.float32), 5)
    assert len(tokens) == 4
    assert tokens.sites == 2


def test_a_silent_watcher_has_the_port_s_methods_and_no_others() -> None:
    silent = Silent()
    silent.stage("data", "read")
    silent.training(8, 0)
    silent.note("hello")
    with pytest.raises(AttributeError):
        silent.stpe  # noqa: B018


def test_seeds_depend_on_every_part_of_their_path_and_on_nothing_else() -> None:
    seeds = [
        derive(0, "dropout", 1, 2),
        derive(1, "dropout", 1, 2),
        derive(0, "order", 1, 2),
        derive(0, "dropout", 12),
        derive(0, "dropout", 2, 1),
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive(0, "dropout", 1, 2) == seeds[0] == 8188508171012841840
