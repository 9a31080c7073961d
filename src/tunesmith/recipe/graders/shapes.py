"""The table of graders: the fields of each type, and what may stand in them.

`string_check`, `text_similarity`, `python`, `score_model`, `label_model` and `multi` are the shapes
of the OpenAI fine-tuning interface, field by field. docs/rewards.md says what each computes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal[
    "text",
    "path",
    "template",
    "formula",
    "choice",
    "not_negative",
    "positive",
    "count",
    "flag",
    "texts",
    "object",
    "schema",
    "messages",
    "range",
    "graders",
]
GraderJson = Mapping[str, Any]

REFERENCE = "{{ item.answer }}"
"""Where a verifier finds the answer wanted, if it is not told: the field `answer` of the row."""

METRICS = (
    *("exact_match", "label_accuracy", "json_valid", "json_fields", "number_match"),
    *("chrf", "bleu", "rouge_l", "length_ratio"),
)
"""Metrics of evaluate.metrics that are a number of one answer."""

SIMILARITIES = (
    *("cosine", "fuzzy_match", "bleu", "gleu", "meteor"),
    *("rouge_1", "rouge_2", "rouge_3", "rouge_4", "rouge_5", "rouge_l"),
)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a grader; `default` is taken where it is left out and not `required`."""

    kind: Kind
    default: Any = None
    required: bool = False
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shape:
    """One type of grader. `needs` is what must be allowed or named before it can be opened, and
    `inside_only` says that it stands in a `multi` alone."""

    fields: Mapping[str, Field]
    needs: Literal["", "run_code", "endpoint"] = ""
    inside_only: bool = False


_WANTED = Field("template", REFERENCE)
_TEXT = Field("template", required=True)
_SAID = Field("messages", required=True)
_SAMPLING = Field("object")

SHAPES: Mapping[str, Shape] = {
    "exact": Shape({"reference": _WANTED, "strict": Field("flag", False)}),
    "numeric": Shape(
        {
            "reference": _WANTED,
            "tolerance": Field("not_negative", 0.0),
            "relative": Field("not_negative", 0.0),
        }
    ),
    "json_schema": Shape({"schema": Field("schema", required=True)}),
    "regex": Shape(
        {
            "pattern": Field("text", required=True),
            "whole": Field("flag", False),
            "seconds": Field("positive", 1.0),
        }
    ),
    "ends_with": Shape({"reference": _WANTED}),
    "length": Shape(
        {
            "at_least": Field("count", 0),
            "at_most": Field("count", None),
            "unit": Field("choice", "characters", options=("characters", "words")),
            "margin": Field("count", 0),
        }
    ),
    "metric": Shape(
        {"metric": Field("choice", required=True, options=METRICS), "reference": _WANTED}
    ),
    "tests": Shape({"tests": Field("template"), "seconds": Field("positive", 5.0)}, "run_code"),
    "function": Shape(
        {
            "path": Field("path", required=True),
            "function": Field("text", "grade"),
            "seconds": Field("positive", 5.0),
        }
    ),
    "model": Shape({"run": Field("path", required=True)}),
    "judge": Shape(
        {
            "rubric": Field("text", required=True),
            "model": Field("text"),
            "range": Field("range", (0.0, 1.0)),
            "reference": Field("template"),
        },
        "endpoint",
    ),
    "string_check": Shape(
        {
            "input": _TEXT,
            "reference": _TEXT,
            "operation": Field("choice", required=True, options=("eq", "ne", "like", "ilike")),
        }
    ),
    "text_similarity": Shape(
        {
            "input": _TEXT,
            "reference": _TEXT,
            "evaluation_metric": Field("choice", required=True, options=SIMILARITIES),
        }
    ),
    "python": Shape(
        {"source": Field("text", required=True), "image_tag": Field("text")}, "run_code"
    ),
    "score_model": Shape(
        {
            "model": Field("text", required=True),
            "input": _SAID,
            "range": Field("range", (0.0, 1.0)),
            "sampling_params": _SAMPLING,
        },
        "endpoint",
    ),
    "label_model": Shape(
        {
            "model": Field("text", required=True),
            "input": _SAID,
            "labels": Field("texts", required=True),
            "passing_labels": Field("texts", required=True),
            "sampling_params": _SAMPLING,
        },
        "endpoint",
        inside_only=True,
    ),
    "multi": Shape(
        {
            "graders": Field("graders", required=True),
            "calculate_output": Field("formula", required=True),
        }
    ),
}


def names_of(graders: tuple[GraderJson, ...]) -> tuple[str, ...]:
    """What each is called in metrics and reports: its `name`, else its type; each once."""
    wanted = [str(each.get("name") or each.get("type")) for each in graders]
    seen: dict[str, int] = {}
    names = []
    for name in wanted:
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return tuple(names)


def walk(grader: GraderJson) -> Iterator[GraderJson]:
    """A grader, and all that stand inside it."""
    yield grader
    if grader["type"] == "multi":
        for inner in grader["graders"].values():
            yield from walk(inner)


def value(grader: GraderJson, name: str) -> Any:
    """A field as it was given, or its default."""
    given = grader.get(name)
    return SHAPES[grader["type"]].fields[name].default if given is None else given
