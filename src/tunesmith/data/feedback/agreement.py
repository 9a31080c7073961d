"""How far people agree on what several of them judged, beyond what chance alone would give."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of `pairs` pairs of judgements of the same thing, so many `agreed`.

    `questions` is how many things were judged more than once. `alpha` is 1 where all agree and 0
    where they agree as often as by chance; None for a single question, and where only one thing
    was ever said.
    """

    questions: int
    pairs: int
    agreed: int
    alpha: float | None


def agreement(
    units: Sequence[Sequence[str]], mirrored: Mapping[str, str] | None = None
) -> Agreement | None:
    """What was said of each thing, by all who judged it; None if none was judged twice.

    Which of two things is called the first may be arbitrary: `mirrored` are then the names that
    change places, and alpha is that of both ways of putting it.
    """
    judged = [unit for unit in units if len(unit) > 1]
    pairs = [pair for unit in judged for pair in combinations(unit, 2)]
    if not pairs:
        return None
    agreed = sum(one == other for one, other in pairs)
    other_way = [[mirrored.get(name, name) for name in unit] for unit in judged if mirrored]
    beyond_chance = alpha([*judged, *other_way]) if len(judged) > 1 else None
    return Agreement(len(judged), len(pairs), agreed, beyond_chance)


def alpha(units: Sequence[Sequence[str]]) -> float | None:
    """Krippendorff's alpha for names, of units that may have unlike numbers of judgements.

    alpha = 1 - D_o / D_e from the matrix of coincidences (Krippendorff, "Computing Krippendorff's
    alpha-reliability", 2011). None where nothing that differs was said.
    """
    coincidences: defaultdict[tuple[str, str], float] = defaultdict(float)
    for unit in units:
        for pair in permutations(unit, 2):
            coincidences[pair] += 1 / (len(unit) - 1)
    totals: defaultdict[str, float] = defaultdict(float)
    for (name, _), count in coincidences.items():
        totals[name] += count
    every = sum(totals.values())
    observed = sum(count for (one, other), count in coincidences.items() if one != other)
    expected = sum(totals[one] * totals[other] for one, other in permutations(totals, 2))
    return 1 - (every - 1) * observed / expected if expected else None
