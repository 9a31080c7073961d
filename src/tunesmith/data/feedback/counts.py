"""What a store holds, counted: by kind, by model, by person."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunesmith.data.feedback.records import Choice, Feedback, Rated

OF_MODELS = ("compared", "better", "rated", "liked", "edited")
OF_PERSONS = ("choice", "rating", "edit")


def _counters() -> defaultdict[str, Counter[str]]:
    return defaultdict(Counter)


@dataclass(slots=True)
class Counts:
    """How many judgements there are: `kinds`, `models` with OF_MODELS, `persons` with OF_PERSONS.

    Of `decided` choices, those without ties, `first` is how often it was the answer that was shown
    first: about half of them, unless people look no further.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    models: defaultdict[str, Counter[str]] = field(default_factory=_counters)
    persons: defaultdict[str, Counter[str]] = field(default_factory=_counters)
    decided: int = 0
    first: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json`."""
        return {
            "judgements": self.kinds.total(),
            "kinds": dict(self.kinds),
            "models": _table(self.models, OF_MODELS),
            "persons": _table(self.persons, OF_PERSONS),
            "shown_first": {"preferred": self.first, "of": self.decided},
        }


def counted(feedback: Iterable[Feedback]) -> Counts:
    """All of it, counted."""
    counts = Counts()
    for each in feedback:
        counts.kinds[each.kind] += 1
        counts.persons[each.person][each.kind] += 1
        _count_models(each, counts)
    return counts


def _count_models(feedback: Feedback, counts: Counts) -> None:
    said = feedback.judgement
    if isinstance(said, Choice):
        for model in {answer.model for answer in feedback.answers}:
            counts.models[model]["compared"] += 1
        if said.preferred != "tie":
            better = said.first if said.preferred == "first" else said.second
            counts.models[better.model]["better"] += 1
            counts.decided += 1
            counts.first += better is said.first
        return
    mine = counts.models[said.answer.model]
    if isinstance(said, Rated):
        mine["rated"] += 1
        mine["liked"] += said.liked
    else:
        mine["edited"] += 1


def _table(named: Mapping[str, Counter[str]], keys: Sequence[str]) -> dict[str, dict[str, int]]:
    return {name: {key: named[name][key] for key in keys} for name in sorted(named)}
