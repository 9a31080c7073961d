"""The tables of a run on preferences or rewards: the numbers behind its pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tunesmith.evaluate.preferences.features import FEATURES
from tunesmith.evaluate.preferences.measured import PreferenceMeasured
from tunesmith.evaluate.preferences.safety import rates_of
from tunesmith.evaluate.tables import Table, tables_of
from tunesmith.evaluate.wording import number, percent

Json = Mapping[str, Any]


def tables_of_preferences(verdict: Json, measured: PreferenceMeasured) -> dict[str, list[Table]]:
    """The tables of each question; none where nothing was measured."""
    usual, detail = tables_of(verdict, measured.run), verdict["learned"]["detail"]
    learned = [*_measures(detail), *_grades(detail), *_features(detail), *_spent(measured)]
    return {"learned": learned, "kept": usual["kept"], "memorised": usual["memorised"]}


def _measures(detail: Json) -> Iterator[Table]:
    """Win rates, accuracy, diversity, KL: a line each."""
    rows = [_line(f"Win rate by {each['by']}", each) for each in detail.get("wins", ())]
    words = []
    if length := detail.get("length"):
        rows.append(_line("Win rate at equal length", length["at_equal"]))
        if length["near"] is not None:
            rows.append(_line("Win rate of answers about as long", length["near"]))
        words.append(("Win rate at equal length", length["definition"]))
    if pairs := detail.get("pairs"):
        rows.append(_line("Reward accuracy on held-out pairs", pairs["accuracy"]))
        rows.append(
            _line(
                "Share of pairs whose chosen answer the base finds likelier", pairs["base_prefers"]
            )
        )
        rows.append(_line("Reward margin, nats: change", pairs["margin"], number))
    if ratings := detail.get("ratings"):
        rows.append(_line("Area under the ROC curve on rated answers", ratings["accuracy"]))
    for name, found in rates_of(detail.get("safety")):
        rates = [(side, {**found[side], "n": found["n"]}) for side in ("base", "tuned")]
        rows += [_line(f"{name.capitalize()} prompts refused, {side}", r) for side, r in rates]
    if kl := detail.get("kl_spent"):
        rows.append(_line("KL(tuned ‖ base), nats per token", kl["token"], number))
        rows.append(_line("KL(tuned ‖ base), nats per answer", kl["answer"], number))
    if rows:
        yield Table(("Measure", "Value", "95 % interval", "Rows"), rows, words)
    figures = (detail.get("diversity") or {}).get("figures", {})
    several = [
        [
            name,
            number(found["base"]),
            number(found["tuned"]),
            f"{number(found['low'])} to {number(found['high'])}",
        ]
        for name, found in figures.items()
    ]
    if several:
        yield Table(
            ("Diversity of a prompt's answers", "Base", "Tuned", "95 % interval of the change"),
            several,
        )


def _grades(detail: Json) -> Iterator[Table]:
    """Success and grade, and the parts of it."""
    if not (found := detail.get("success")):
        return
    rows = [
        [f"Graded {number(found['from'])} or better", *_both(found, percent)],
        ["Mean grade", *_both(found["grade"])],
        *([f"Part of it: {name}", *_both(part)] for name, part in found["parts"].items()),
        ["Tokens of an answer", *_both(found["tokens"])],
    ]
    yield Table(("Answers to held-out prompts", "Base", "Tuned"), rows)


def _both(found: Json, show: Any = number) -> list[str]:
    return [show(found["base"]), show(found["tuned"])]


def _spent(measured: PreferenceMeasured) -> Iterator[Table]:
    """What learning from its own answers took."""
    seconds = measured.tries.seconds if measured.tries else {}
    if whole := sum(seconds.values()):
        rows = [[name, f"{each:,.1f} ({percent(each / whole)})"] for name, each in seconds.items()]
        yield Table(("Seconds spent on", "In all"), rows)


def _line(name: str, found: Json, show: Any = percent) -> list[str]:
    ends = f"{show(found['low'])} to {show(found['high'])}"
    return [name, show(found["value"]), ends, f"{found['n']:,}"]


def _features(detail: Json) -> Iterator[Table]:
    """What was looked at in search of a reward hack and occurs at all, the suspected first."""
    found = (detail.get("hacking") or {}).get("features", ())
    rows = [
        [
            each["title"] + (" (suspected)" if each["suspected"] else ""),
            number(each["base"]),
            number(each["tuned"]),
            f"{number(each['effect']['value'])} ({number(each['effect']['low'])} to "
            f"{number(each['effect']['high'])})",
            "" if each["correlation"] is None else number(each["correlation"]),
            "" if each["share"] is None else percent(min(1.0, max(0.0, each["share"]["value"]))),
        ]
        for each in found
        if each["base"] or each["tuned"]
    ]
    heads = (
        "Surface feature of an answer",
        "Base",
        "Tuned",
        "Moved, standard deviations",
        "Correlation with the score",
        "Share of the gain",
    )
    if rows:
        yield Table(heads, rows, [("Share of the gain", _SHARE)])


_SHARE = (
    "What of the gain in score vanishes where the feature is held equal: least squares of each "
    "prompt's change in score on its change in the feature, counts as log(1 + count). It is asked "
    f"only of features that moved and that surely go with the score (5 % over {len(FEATURES)} of "
    "them). Those that explain a quarter each and half together are suspected."
)
