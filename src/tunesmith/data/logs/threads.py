"""Who answers whom: messages that name the one they reply to, as trees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.data.formats.fields import shown
from tunesmith.data.logs.messages import Fault, Said

TOP = -1


@dataclass(frozen=True, slots=True)
class Threads:
    """The messages as trees, each by its number.

    `parents` are TOP for those that open a thread, `roots` the number of the message that opened
    it, `depths` how many messages lie between; `faults` are those of parents that cannot be.
    """

    parents: tuple[int, ...]
    roots: tuple[int, ...]
    depths: tuple[int, ...]
    faults: dict[int, Fault]


def threads_of(messages: Sequence[Said]) -> Threads:
    """The trees that parents make.

    A parent that is not there, and messages whose parents lead back to themselves, are faults;
    such a message counts as opening its own thread, so that all have a root.
    """
    numbers: dict[str, int] = {}
    for number, said in enumerate(messages):
        numbers.setdefault(said.place, number)
        if said.id is not None:
            numbers.setdefault(said.id, number)
    faults: dict[int, Fault] = {}
    parents = []
    for number, said in enumerate(messages):
        parent = TOP if said.parent is None else numbers.get(said.parent, TOP)
        if said.parent is not None and parent == TOP:
            faults[number] = Fault(
                "missing_parent",
                f'This message answers "{shown(said.parent)}", which is not in the log, so what '
                "was asked is not known.",
            )
        parents.append(parent)
    roots, depths = [TOP] * len(messages), [0] * len(messages)
    for number in range(len(messages)):
        _climb(number, parents, roots, depths, faults, messages)
    return Threads(tuple(parents), tuple(roots), tuple(depths), faults)


def _climb(
    number: int,
    parents: list[int],
    roots: list[int],
    depths: list[int],
    faults: dict[int, Fault],
    messages: Sequence[Said],
) -> None:
    """Find the root of a message and of all above it; a circle is cut where it was entered."""
    path: list[int] = []
    on_path: set[int] = set()
    at = number
    while at != TOP and roots[at] == TOP and at not in on_path:
        path.append(at)
        on_path.add(at)
        at = parents[at]
    if at in on_path:
        faults[at] = Fault(
            "cycle",
            f"The messages that this one answers lead back to itself, by way of "
            f"{messages[parents[at]].place}. A thread must begin somewhere.",
        )
        parents[at] = TOP
        _climb(number, parents, roots, depths, faults, messages)
        return
    for each in reversed(path):
        parent = parents[each]
        roots[each] = each if parent == TOP else roots[parent]
        depths[each] = 0 if parent == TOP else depths[parent] + 1
