"""The numbers of a verdict for those who show them: read off `verdict.json`, whatever is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tunesmith.evaluate.bootstrap import paired_change
from tunesmith.evaluate.measure import Cost, Measured
from tunesmith.evaluate.pairing import pair_scores, unit_of

Json = Mapping[str, Any]

_METRIC = {"name", "kind", "base", "tuned", "change", "low", "high", "n"}
_NAMES = {
    "prompt": "with your prompt",
    "examples": "with examples",
    "search": "with search",
    "teacher": "teacher",
}
_SAID = {
    "metrics": "why",
    "judge": "summary",
    "noise_floor": "answers",
    "code": "summary",
    "infilled": "summary",
    "rounding": "summary",
    "samples": "summary",
    "left_out": "summary",
    "frontier": "summary",
    "recall": "summary",
    "money": "summary",
    "exposure": "summary",
}
"""Parts of an answer that say something beside their numbers, and where."""

_OWN = {"loss": "texts that the base wrote", "kl": "KL from base to tuned"}


def metrics_of(detail: Json) -> list[Json]:
    """What was found in the answers: exact match, the metrics, the properties of the check."""
    listed = [detail.get("exact_match"), *detail.get("properties", ())]
    return [each for each in listed if each is not None and each.keys() >= _METRIC]


def definitions_of(detail: Json) -> list[tuple[str, str]]:
    """What each of these numbers is, by name."""
    return [
        (each["name"], each["definition"]) for each in metrics_of(detail) if each.get("definition")
    ]


def remarks_of(detail: Json) -> list[str]:
    """What is said beside the numbers of a question, and last its rule."""
    said = [(detail.get(part) or {}).get(key) for part, key in _SAID.items()]
    return [clause for clause in (*said, detail.get("rule")) if clause]


def changes_of(answer: Json) -> Iterator[tuple[str, list[tuple[str, Json]]]]:
    """The changes on probes: files, domains, the base's own texts. A list for each unit."""
    units: dict[str, list[tuple[str, Json]]] = {}
    for group in ("files", "domains", "samples"):
        for name, found in (answer["detail"].get(group) or {}).items():
            if not isinstance(found, Mapping) or "low" not in found:
                continue
            change = {**found, "change": found.get("change", found.get("value"))}
            called = _OWN.get(name, name) if group == "samples" else name
            units.setdefault(found.get("unit", answer["unit"]), []).append((called, change))
    yield from units.items()


@dataclass(frozen=True, slots=True)
class Way:
    """One way to an answer: the base in one kind of help, or the tuned model.

    `low` and `high` are the interval of the difference to the tuned model, laid on its loss.
    `title` says it in full; `kind` is base or tuned.
    """

    name: str
    title: str
    kind: str
    loss: float | None
    low: float | None
    high: float | None
    cost: Json | None
    exact: float | None


def ways_of(answer: Json, measured: Measured) -> list[Way]:
    """The ways that the question of worth compared, the tuned model last; none where unmeasured."""
    detail = answer["detail"]
    lines = detail.get("baselines", ())
    taught = detail.get("teacher")
    if measured.tuned is None or not (lines or taught):
        return []
    helped = [
        Way(
            short_of(line["name"]),
            line["title"] if line is taught else f"the base with {line['title']}",
            "base",
            line["loss"],
            line["tuned_loss"] + line["low"],
            line["tuned_loss"] + line["high"],
            line["cost"],
            _of(line.get("exact_match"), "base"),
        )
        for line in (*lines, *([taught] if taught else []))
    ]
    best = next((line for line in lines if line["name"] == detail["best"]), taught)
    exact = _of(best.get("exact_match"), "tuned")
    loss = detail.get("tuned", best["tuned_loss"])
    tuned = Way("tuned", "the tuned model", "tuned", loss, None, None, detail["cost"], exact)
    return [*_as_asked(measured), *helped, tuned]


def short_of(name: str) -> str:
    """A kind of help in two or three words: `with search`."""
    return _NAMES.get(name, f"with {name}")


def _of(found: Json | None, side: str) -> float | None:
    return None if found is None else float(found[side])


def _as_asked(measured: Measured) -> Iterator[Way]:
    """The base without any help, on the rows that the helped one was measured on."""
    base, tuned = measured.base, measured.tuned
    if base is None or tuned is None:
        return
    first = next(each for each in (*measured.baselines, measured.teacher) if each is not None)
    asked = {score.origin for score in first.side.held_out}
    before = [score for score in base.held_out if score.origin in asked]
    after = [score for score in tuned.held_out if score.origin in asked]
    if not before:
        return
    rows = pair_scores(after, before, unit_of(before, after))
    more = paired_change(rows, seed=0)
    low, high = rows.base + more.low, rows.base + more.high
    answers = {one.origin for one in first.side.answers}
    exact = [one.exact for one in base.answers if one.origin in answers]
    share = sum(exact) / len(exact) if exact else None
    title = "the base as it is asked, without help"
    yield Way("as asked", title, "base", rows.tuned, low, high, _cost(base.cost), share)


def _cost(cost: Cost | None) -> Json | None:
    return None if cost is None else {**asdict(cost), "tokens": cost.tokens}
