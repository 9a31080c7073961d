"""Graders that ask nobody: verifiers, likenesses, sums, and the interface's two functions."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer

from tunesmith.core.errors import RecipeError
from tunesmith.core.records import Answered, Grade, Message, Origin
from tunesmith.evaluate.graders import (
    Tools,
    open_grader,
    open_graders,
    run,
    schema,
    similarity,
    validate,
)
from tunesmith.recipe.graders import SHAPES

ASKED = (Message("user", "2 + 2?"),)
ORIGIN = Origin("rows.jsonl", 7)


def shown(text: str, **item: Any) -> Answered:
    return Answered(ORIGIN, ASKED, text, json.dumps(item))


def graded(grader: dict[str, Any], *answers: Answered) -> list[Grade]:
    assert validate(grader) == []
    return open_grader(grader, Tools()).grade(answers)


def worth(grader: dict[str, Any], text: str, **item: Any) -> float | None:
    (grade,) = graded(grader, shown(text, **item))
    assert (grade.value is None) is bool(grade.failed)
    return grade.value


def why(grader: dict[str, Any], text: str, **item: Any) -> str:
    (grade,) = graded(grader, shown(text, **item))
    assert grade.value is None
    assert grade.failed.endswith(".")
    return grade.failed


@pytest.mark.parametrize(
    ("grader", "answer", "text", "value"),
    [
        ({"type": "exact"}, "Paris", " paris. ", 1),
        ({"type": "exact"}, "Paris", "Paris, France", 0),
        ({"type": "exact", "strict": True}, "Paris", "Paris.", 0),
        ({"type": "exact", "strict": True}, "Paris", " Paris\n", 1),
        ({"type": "numeric"}, "#### 42", "6 * 7 = 42.", 1),
        ({"type": "numeric"}, "42", "It is 7.\n#### 42\nI used 6 and 7.", 1),
        ({"type": "numeric"}, "1,000", "1000.0", 1),
        ({"type": "numeric"}, "42", "43", 0),
        ({"type": "numeric"}, "42", "none", 0),
        ({"type": "numeric", "tolerance": 1}, "42", "43", 1),
        ({"type": "numeric", "relative": 0.01}, "-100", "-101", 1),
        ({"type": "numeric", "relative": 0.01}, "-100", "-101.1", 0),
        ({"type": "ends_with"}, "42", "So it is 42\n", 1),
        ({"type": "ends_with"}, "42", "42 it is", 0),
        ({"type": "regex", "pattern": r"\d+"}, "", "a 1", 1),
        ({"type": "regex", "pattern": r"\d+", "whole": True}, "", "a 1", 0),
        ({"type": "length", "at_most": 3}, "", "abc ", 1),
        ({"type": "length", "at_most": 3}, "", "abcd", 0),
        ({"type": "length", "at_most": 3, "margin": 3}, "", "abcd", 0.75),
        ({"type": "length", "at_least": 2, "unit": "words"}, "", "a b", 1),
        ({"type": "metric", "metric": "json_fields"}, '{"a": 1, "b": 2}', '{"a": 1}', 2 / 3),
        ({"type": "metric", "metric": "chrf"}, "the same", "the same", 1),
    ],
)
def test_a_verifier_says_what_an_answer_is_worth(
    grader: dict[str, Any], answer: str, text: str, value: float
) -> None:
    assert worth(grader, text, answer=answer) == pytest.approx(value)


SCHEMA = {
    "type": "object",
    "required": ["a"],
    "properties": {"a": {"type": "integer"}, "b": {"pattern": "^(a+)+$"}},
}


def test_json_is_held_against_its_schema() -> None:
    grader = {"type": "json_schema", "schema": SCHEMA}
    texts = ['{"a": 1}', '```json\n{"a": 1}\n```', '{"a": "1"}', "{}", "a", '{"a": NaN}']
    assert [worth(grader, text) for text in texts] == [1, 1, 0, 0, 0, 0]
    of_row = {"type": "json_schema", "schema": "{{ item.form }}"}
    assert worth(of_row, "3", form={"type": "integer"}) == 1
    assert "no JSON schema" in why(of_row, "3", form="integer")
    assert "no JSON schema" in why(of_row, "3", form={"type": "whole"})


def test_nothing_is_fetched_for_a_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refused)
    grader = {"type": "json_schema", "schema": {"$ref": "http://127.0.0.1:9/schema.json"}}
    assert "nothing is fetched" in why(grader, "{}")
    assert "without an end" in why({"type": "json_schema", "schema": {"$ref": "#"}}, "{}")


@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")
def test_a_pattern_of_a_schema_that_cannot_be_searched_is_a_sentence() -> None:
    grader = {"type": "json_schema", "schema": {"pattern": "[[:foo:]]"}}
    assert "a pattern or a number that cannot be used" in why(grader, '"a"')


def test_a_pattern_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "SECONDS", 0.1)
    text = "a" * 40 + "!"
    began = time.monotonic()
    said = why({"type": "regex", "pattern": "^(a|a)+$", "seconds": 0.1}, text)
    assert "rows.jsonl:7: the pattern '^(a|a)+$' searched this answer for more than 0.1 s" in said
    form = {"type": "json_schema", "schema": {"pattern": "^(a|a)+$"}}
    assert "a pattern of the schema searched" in why(form, json.dumps(text))
    assert time.monotonic() - began < 5


def test_what_the_row_lacks_is_a_sentence_and_what_the_answer_lacks_is_0() -> None:
    exact = {"type": "exact"}
    assert "there is no answer in the row. Did you mean anser?" in why(exact, "a", anser="a")
    assert "no number in the reference" in why({"type": "numeric"}, "1", answer="five")
    assert "is empty" in why({"type": "ends_with"}, "1", answer=" ")
    assert "not of the kind" in why({"type": "metric", "metric": "json_valid"}, "{}", answer="a")
    (grade,) = graded(exact, Answered(ORIGIN, ASKED, "a", "[1"))
    assert grade.value is None
    assert "the item is no JSON object; received '[1'" in grade.failed
    label = {"input": "{{ sample.output_json.label }}", "reference": "a", "operation": "ne"}
    assert worth({"type": "string_check", **label}, '{"label": "b"}') == 1
    assert worth({"type": "string_check", **label}, "no JSON") == 0
    assert worth({"type": "string_check", **label}, '{"other": 1}') == 0


@pytest.mark.parametrize(
    ("operation", "values"),
    [("eq", [1, 0, 0]), ("ne", [0, 1, 1]), ("like", [1, 0, 1]), ("ilike", [1, 1, 1])],
)
def test_strings_are_compared(operation: str, values: list[float]) -> None:
    grader = {
        "type": "string_check",
        "input": "{{ sample.output_text }}",
        "reference": "{{ item.wanted }}",
        "operation": operation,
    }
    assert [worth(grader, text, wanted="Yes") for text in ("Yes", "yes", "Yes!")] == values


PAIRS = [
    ("the cat sat on the mat", "the cat is on the mat"),
    ("a quick brown fox jumps over it", "the fox was quick and brown"),
    ("same words here again and again", "same words here again and again"),
]


@pytest.mark.parametrize("pair", PAIRS)
def test_likenesses_are_the_libraries_own(pair: tuple[str, str]) -> None:
    text, reference = pair
    names = [*(f"rouge{n}" for n in range(1, 6)), "rougeL"]
    theirs = rouge_scorer.RougeScorer(names).score(reference, text)
    for order in range(1, 6):
        ours = similarity.rouge_n(text, reference, order)
        assert ours == pytest.approx(theirs[f"rouge{order}"].fmeasure)
    assert similarity.rouge_l(text, reference) == pytest.approx(theirs["rougeL"].fmeasure)
    bleu = sacrebleu.sentence_bleu(text, [reference]).score / 100
    assert similarity.bleu(text, reference) == pytest.approx(bleu)
    from nltk.translate.gleu_score import sentence_gleu

    gleu = sentence_gleu([reference.split()], text.split())
    assert similarity.gleu(text, reference) == pytest.approx(gleu)


@pytest.mark.parametrize("name", ["cosine", "fuzzy_match", "gleu", "meteor", "bleu", "rouge_2"])
def test_a_likeness_goes_from_0_to_1(name: str) -> None:
    grader = {
        "type": "text_similarity",
        "input": "{{ sample.output_text }}",
        "reference": "{{ item.answer }}",
        "evaluation_metric": name,
    }
    answer = "the small dogs were running home"
    same, near, far, empty = (
        worth(grader, text, answer=answer)
        for text in (answer, "the small dog was running home", "xyz", "")
    )
    assert same == pytest.approx(1, abs=0.01)
    assert far == empty == 0
    assert near is not None
    assert 0 < near < 1
    assert worth(grader, "", answer="") in (0, 1)


def test_meteor_knows_stems() -> None:
    assert similarity.meteor("dogs running", "dog runs") > 0.4


def test_parts_are_weighed_and_told() -> None:
    graders = (
        {"type": "numeric", "weight": 2},
        {"type": "length", "at_most": 2, "weight": -0.5, "name": "short"},
        {
            "type": "multi",
            "graders": {"a": {"type": "exact"}, "b": {"type": "regex", "pattern": "4"}},
            "calculate_output": "(a + b) / 2",
        },
    )
    good, bad = open_graders(graders, Tools()).grade([shown("4", answer="4"), shown("4", other=1)])
    parts = {"numeric": 1, "short": 1, "multi": 1, "multi.a": 1, "multi.b": 1}
    assert good == Grade(2.5, "", parts)
    assert bad.value is None
    assert bad.parts == {"short": 1, "multi.b": 1}
    assert "numeric: rows.jsonl:7: {{ item.answer }}: there is no answer in the row" in bad.failed


def test_a_formula_without_a_value_leaves_the_answer_ungraded() -> None:
    inner = {"a": {"type": "regex", "pattern": "4"}}
    grader = {"type": "multi", "graders": inner, "calculate_output": "1 / a"}
    assert worth(grader, "4") == 1
    said = why(grader, "5")
    assert "The formula '1 / a' has no value with a = 0 (" in said


def test_the_interface_runs_one_grader_on_one_answer() -> None:
    check = {
        "type": "string_check",
        "input": "{{ item.messages[0].content }} {{ sample.output_text }}",
        "reference": "hi {{ item.answer }}",
        "operation": "eq",
    }
    item = {"messages": [{"role": "user", "content": "hi"}], "answer": "4"}
    assert run(check, item, "4") == Grade(1.0)
    assert "must be a JSON object; received [1]" in run(check, [1], "4").failed
    with pytest.raises(RecipeError, match="must be one of eq, ne, like, ilike"):
        run({**check, "operation": "is"}, item, "4")
    for kind, fields in (
        ("python", {"source": "def grade(sample, item): return 1"}),
        ("function", {"path": __file__}),
        ("judge", {"rubric": "a"}),
    ):
        with pytest.raises(RecipeError, match=f"of the type {kind}"):
            run({"type": kind, **fields}, item, "4")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)
FIELDS = sorted({name for shape in SHAPES.values() for name in shape.fields})


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from(sorted(SHAPES)),
    st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4),
    st.sampled_from(["$schema", "$ref", "type", "pattern", "properties"]),
    JSON,
)
def test_whatever_is_written_is_no_traceback(
    kind: str, fields: dict[str, Any], keyword: str, value: Any
) -> None:
    shape = {name: each for name, each in fields.items() if name in SHAPES[kind].fields}
    for grader in (
        {"type": kind, **fields},
        {"type": kind, **shape},
        {"type": "multi", "graders": {"a": {"type": kind, **shape}}, "calculate_output": "a"},
        {"type": "json_schema", "schema": {keyword: value}},
        {"type": value},
        value,
    ):
        assert all(isinstance(sentence, str) for sentence in validate(grader))


def test_what_cannot_be_opened_is_told_without_running_anything() -> None:
    assert "no regular expression" in validate({"type": "regex", "pattern": "("})[0]
    (said,) = validate({"type": "json_schema", "schema": {"type": "objekt"}})
    assert "This is no JSON schema: at ['type']" in said
    nested = {"a": {"type": "regex", "pattern": "("}}
    assert validate({"type": "multi", "graders": nested, "calculate_output": "a"})
    assert validate({"type": "function", "path": "/nowhere.py"}) == []
