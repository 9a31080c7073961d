"""The section reward: graders as they are written, and every way to write one wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import RecipeError
from tunesmith.recipe import Recipe, dump, load
from tunesmith.recipe.graders import SHAPES, faults, names_of, templates
from tunesmith.recipe.graders.formula import FormulaError, parse
from tunesmith.recipe.resolve import Resolved

GOOD: dict[str, dict[str, Any]] = {
    "exact": {},
    "numeric": {"tolerance": 0.5},
    "json_schema": {"schema": {"type": "object"}},
    "regex": {"pattern": "a"},
    "ends_with": {"reference": "."},
    "length": {"at_most": 9},
    "metric": {"metric": "chrf"},
    "tests": {},
    "function": {"path": "r.py"},
    "judge": {"rubric": "Be kind.", "range": [1, 5]},
    "string_check": {"input": "{{ sample.output_text }}", "reference": "a", "operation": "eq"},
    "text_similarity": {"input": "a", "reference": "b", "evaluation_metric": "rouge_l"},
    "python": {"source": "def grade(sample, item): return 1"},
    "model": {"run": "runs/reward"},
    "score_model": {"model": "m", "input": [{"role": "user", "content": "{{ item.q }}"}]},
    "label_model": {
        **{"model": "m", "input": [{"role": "user", "content": "?"}]},
        **{"labels": ["good", "bad"], "passing_labels": ["good"]},
    },
    "multi": {"graders": {"a": {"type": "exact"}}, "calculate_output": "a / 2"},
}


def written(kind: str, **given: Any) -> dict[str, Any]:
    return {"type": kind, **GOOD[kind], **given}


@pytest.mark.parametrize("kind", SHAPES)
def test_each_type_is_read(kind: str) -> None:
    grader = written(kind, name="one")
    if SHAPES[kind].inside_only:
        (sentence,) = faults(grader)
        assert "stands inside a multi alone" in sentence
        grader = {"type": "multi", "graders": {"one": grader}, "calculate_output": "one"}
    assert not list(faults(grader))


@pytest.mark.parametrize(
    ("grader", "said"),
    [
        (3, "grader must be a mapping with a type; received 3"),
        ({}, "grader has no type. The types are exact,"),
        ({"type": "string_chek"}, "grader.type is 'string_chek' (text), which is no grader. Did "),
        (written("exact", stict=True), "unknown field 'stict'. Did you mean strict?"),
        (written("exact", strict="yes"), "grader.strict must be true or false; received 'yes'"),
        (written("exact", weight=float("nan")), "grader.weight must be a finite number"),
        (written("string_check", operation="equals"), "must be one of eq, ne, like, ilike"),
        (
            written("text_similarity", evaluation_metric="rouge1"),
            "received 'rouge1' (text). Did you mean rouge_1?",
        ),
        ({"type": "string_check", "input": "a", "reference": "b"}, "which needs operation"),
        (written("exact", reference="{{ itm.answer }}"), "names begin with item (the row) or"),
        (written("exact", reference="{{ sample.text }}"), "a sample has output_text and output_j"),
        (written("exact", reference="{{ item.a | upper }}"), "stands a name alone"),
        (written("exact", reference="{% if 1 %}"), "has a statement"),
        (written("exact", reference="{{ item.a"), "double braces that are not closed"),
        (written("length", at_least=10), "no length is at least 10 and at most 9"),
        (written("judge", range=[5, 1]), "a list of two numbers, the lower one first"),
        (written("score_model", input="grade it"), "input must be a list of messages"),
        (written("score_model", sampling_params={"top": 1}), "Did you mean top_p?"),
        (written("multi", graders={"a b": {"type": "exact"}}), "has the name 'a b'"),
        (written("multi", calculate_output="b + 1"), "has the name 'b', which none of the graders"),
        (written("multi", calculate_output="__import__('os')"), "which it does not know"),
        (
            written("multi", graders={"a": {"type": "exact", "weight": 2}}),
            "calculate_output weighs",
        ),
        (
            written("multi", graders={"a": written("label_model", passing_labels=["god"])}),
            "which is not among labels. Did you mean good?",
        ),
    ],
)
def test_each_slip_is_a_sentence(grader: Any, said: str) -> None:
    found = " ".join(faults(grader))
    assert said in found
    assert found[-1] in ".?"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.5 * a + max(b, 1, 0) ^ 2", 1.5),
        ("-a ** 2 + 7 // 2 % 2", 0.0),
        ("sqrt(abs(a - 5)) + floor(2.9) - ceil(0.1)", 3.0),
        ("log(exp(b))", 0.5),
    ],
)
def test_a_formula_is_arithmetic(text: str, value: float) -> None:
    assert parse(text)({"a": 1.0, "b": 0.5}) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a.__class__", "has 'a.__class__', which is not allowed"),
        ("(lambda: 1)()", "is not allowed"),
        ("eval('1')", "calls 'eval', which it does not know"),
        ("[1][0]", "is not allowed"),
        ("a if a else 0", "is not allowed"),
        ("'a' * 9", "has 'a', which is no number"),
        ("True", "has True, which is no number"),
        ("max(a)", "takes at least two numbers"),
        ("a +", "cannot be read"),
        ("-" * 1999, "cannot be read"),
        ("1 + " * 999, "characters long"),
    ],
)
def test_what_is_no_arithmetic_is_not_read(text: str, said: str) -> None:
    with pytest.raises(FormulaError) as error:
        parse(text)
    assert said in str(error.value)


@pytest.mark.parametrize(
    "text", ["1 / a", "log(a)", "9 ** 9 ** 9 ** 9", "(a - 1) ** 0.5", "exp(999)", "1e999 * a"]
)
def test_a_formula_without_a_value_is_a_sentence(text: str) -> None:
    with pytest.raises(FormulaError, match="The formula"):
        parse(text)({"a": 0.0})


def test_templates_follow_names_and_nothing_else() -> None:
    names = {
        "item": {"a": "x", "list": [{"b c": 2}], "d-e": None},
        "sample": {"output_text": "{{ item.a }}"},
    }
    text = "{{item.a}} {{ item.list[0]['b c'] }} {{ item.list }} {{ item.d-e }}"
    assert templates.fill(text, names) == 'x 2 [{"b c": 2}] null'
    assert templates.fill("{{ sample.output_text }}", names) == "{{ item.a }}"
    with pytest.raises(templates.MissingName, match=r"no aa in the row\. Did you mean a\?"):
        templates.fill("{{ item.aa }}", names)
    with pytest.raises(templates.MissingName, match=r"no 3 in list of the row\. It is a list of 1"):
        templates.fill("{{ item.list.3 }}", names)
    with pytest.raises(templates.MissingName) as error:
        templates.fill("{{ sample.output_json.a }}", names)
    assert error.value.answers


def test_names_are_told_apart() -> None:
    assert names_of(({"type": "exact"}, {"type": "exact"}, {"type": "regex", "name": "b"})) == (
        *("exact", "exact_2", "b"),
    )


def test_the_section_is_frozen_written_and_read_again(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    inner = "{type: multi, graders: {a: {type: function, path: r.py}}, calculate_output: a}"
    first = "{type: function, path: r.py}, {type: exact, weight: 2}"
    file.write_text(f"reward:\n  graders: [{first}, {inner}]\n")
    recipe = load(file)
    assert recipe.reward.graders is not None
    assert recipe.reward.graders[0]["path"] == str(tmp_path / "r.py")
    assert recipe.reward.graders[2]["graders"]["a"]["path"] == str(tmp_path / "r.py")
    assert hash(recipe) == hash(load(file))
    file.write_text(dump(Resolved(recipe, {})))
    assert load(file).reward == recipe.reward
    assert load(settings={"reward.graders": {"type": "exact"}}).reward.graders == (
        {"type": "exact"},
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"graders": []}, "must be a grader or a list of graders; received []"),
        ({"graders": "grader.json"}, "a list of graders; received 'grader.json' (text)"),
        (
            {"graders": [{"type": "exact"}, {"type": "exat"}, {"type": "regex"}]},
            "reward.graders[1].type is 'exat'",
        ),
        ({"graders": {"type": "tests"}}, "of the type tests executes code, and reward.run_code"),
        ({"graders": {"type": "judge", "rubric": "a"}}, "reward.url names no endpoint"),
        (
            {"graders": {"type": "judge", "rubric": "a"}, "url": "http://a/v1"},
            "names no model, nor does reward.model",
        ),
        ({"graders": {"type": "exact"}, "url": "http://a/v1"}, "and no grader asks one"),
        ({"key_variable": "sk-secret"}, "Put the key itself into that variable"),
    ],
)
def test_what_cannot_hold_is_a_sentence(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as error:
        load(settings={f"reward.{name}": each for name, each in settings.items()})
    assert said in str(error.value)
    assert "sk-secret" not in str(error.value)


def test_a_recipe_without_a_reward_has_none() -> None:
    assert Recipe().reward.graders is None
