"""Each metric on answers whose worth is known, and against the libraries that define it."""

from __future__ import annotations

import json
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF
from sklearn.metrics import accuracy_score, f1_score

from tools import metric_table
from tunesmith.core.errors import DataError, RecipeError
from tunesmith.core.records import Origin, Prompt, ToolCall
from tunesmith.evaluate.metrics import METRICS, Check, Grader, load_patterns
from tunesmith.evaluate.metrics.metric import OfCorpus
from tunesmith.evaluate.metrics.overlap import longest_common
from tunesmith.recipe.fields import MetricName

TRACK = json.dumps({"type": "function", "function": {"name": "track", "parameters": {}}})
CLOSE = json.dumps({"name": "close", "parameters": {}})


def asked(reference: str, tools: tuple[str, ...] = (), calls: tuple[ToolCall, ...] = ()) -> Prompt:
    return Prompt(Origin("rows.jsonl", 1), (), np.array([1], np.int32), reference, tools, calls)


def of(key: str, prompt: Prompt | str, answer: str) -> bool | float | None:
    metric = METRICS[key].of
    assert not isinstance(metric, OfCorpus)
    return metric(asked(prompt) if isinstance(prompt, str) else prompt, answer)


def of_all(key: str, references: list[str], answers: list[str]) -> float:
    metric = METRICS[key].of
    assert isinstance(metric, OfCorpus)
    return float(metric.value(metric.columns(references, answers).sum(axis=0)))


def test_the_recipe_knows_every_metric_by_name() -> None:
    assert set(get_args(MetricName)) == set(METRICS)


def test_the_page_is_made_from_the_table() -> None:
    message = "Make it again: python -m tools.metric_table"
    assert metric_table.PAGE.read_text(encoding="utf-8") == metric_table.page(), message


@pytest.mark.parametrize(
    ("key", "reference", "best"),
    [
        ("exact_match", "Yes.", True),
        ("label_accuracy", "billing", True),
        ("json_valid", '{"a": [1, {"b": null}]}', True),
        ("json_fields", '{"a": [1, {"b": null}]}', 1.0),
        ("number_match", "So it is 72 apples.", True),
        ("rouge_l", "It is on its way.", 1.0),
        ("length_ratio", "It is on its way.", 1.0),
    ],
)
def test_the_reference_itself_is_the_best_answer(
    key: str, reference: str, best: bool | float
) -> None:
    assert of(key, reference, reference) == best
    assert isinstance(best, bool) is (key not in metric_table.MEANS)
    assert of(key, reference, "") in (False, 0.0)


@pytest.mark.parametrize("key", ["macro_f1", "chrf", "bleu"])
def test_the_references_themselves_are_the_best_answers(key: str) -> None:
    texts = ["It is on its way.", "The parcel is at the depot.", "It is on its way."]
    best = 1.0 if key == "macro_f1" else 100.0
    assert of_all(key, texts, texts) == pytest.approx(best)
    assert of_all(key, texts, [""] * 3) == 0


@pytest.mark.parametrize(
    ("answer", "right"), [("Billing.", True), (' "billing"\n', True), ("billing issue", False)]
)
def test_a_label_is_the_whole_answer(answer: str, right: bool) -> None:
    assert of("label_accuracy", "billing", answer) is right


@pytest.mark.parametrize(
    ("answer", "valid", "fields"),
    [
        ('{"b": 2, "a": 1.0}', True, 1.0),
        ('```json\n{"a": 1, "b": 2}\n```', True, 1.0),
        ('{"a": 1}', True, 2 / 3),
        ('{"a": "1", "b": 2}', True, 0.5),
        ('{"a": 1, "b": 2, "c": 3}', True, 0.8),
        ('Here: {"a": 1, "b": 2}', False, 0.0),
        ('{"a": NaN, "b": 2}', False, 0.0),
        ('{"a": 1, "b": 2', False, 0.0),
        ("[" * 100_000, False, 0.0),
        (f"{'[' * 300}{']' * 300}", False, 0.0),
        ("12", False, 0.0),
    ],
)
def test_json_answers(answer: str, valid: bool, fields: float) -> None:
    reference = '{"a": 1, "b": 2}'
    assert of("json_valid", reference, answer) is valid
    assert of("json_fields", reference, answer) == pytest.approx(fields)


def test_places_in_arrays_are_not_told_apart_but_how_often_is() -> None:
    assert of("json_fields", '{"a": ["x", "y"]}', '{"a": ["y", "x"]}') == 1
    assert of("json_fields", '["x", "y"]', '["x", "x"]') == 0.5
    assert of("json_fields", '{"a": true}', '{"a": 1}') == 0


def test_a_reference_of_another_kind_has_no_value() -> None:
    assert of("json_valid", "Yes.", "{}") is None
    assert of("json_fields", "Yes.", "{}") is None
    assert of("number_match", "None.", "3") is None
    assert of("tool_calls", "Yes.", "{}") is None


DEEP = f"<function=track><parameter=x>{'[' * 900}{']' * 900}</parameter></function>"
CALL = ToolCall("track", '{"number": "A7", "days": 2}')


@pytest.mark.parametrize(
    "answer",
    [
        '<tool_call>\n{"name": "track", "arguments": {"days": 2, "number": "A7"}}\n</tool_call>',
        '{"name": "track", "parameters": {"number": "A7", "days": 2.0}}',
        '[TOOL_CALLS][{"name": "track", "arguments": {"number": "A7", "days": 2}}]',
        '[TOOL_CALLS]track[ARGS]{"number": "A7", "days": 2}',
        '{"type": "function", "function": {"name": "track", "arguments": '
        '"{\\"number\\": \\"A7\\", \\"days\\": 2}"}}',
        "<tool_call>\n<function=track>\n<parameter=number>\nA7\n</parameter>\n"
        "<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>",
        "[track(number='A7', days=2)]",
        'Let me see {it}. commentary to=functions.track json{"number": "A7", "days": 2}',
    ],
)
def test_calls_are_read_as_templates_write_them(answer: str) -> None:
    prompt = asked(answer, (CLOSE, TRACK), (CALL,))
    assert of("tool_calls", prompt, answer) is True
    assert of("tool_names", prompt, answer) is True
    assert of("tool_calls", prompt, answer.replace("A7", "A8")) is False
    assert of("tool_names", prompt, answer.replace("A7", "A8")) is True
    assert of("tool_names", prompt, answer.replace("track", "close")) is False
    assert of("tool_names", prompt, "It is on its way.") is False
    assert of("tool_calls", prompt, f"{answer} {answer}") is False


@pytest.mark.parametrize(
    "answer",
    [
        "[track(",
        "[track(A7)]",
        "[track(number={1})]",
        "[track(x=1) + 2]",
        "[f('\\d')]",
        "{" * 9000,
        DEEP,
    ],
)
def test_what_is_no_call_is_none(answer: str) -> None:
    prompt = asked("[track(number='A7', days=2)]", (TRACK,), (CALL,))
    assert of("tool_calls", prompt, answer) is False


def test_where_no_call_is_wanted_none_is_right() -> None:
    prompt = asked("It is on its way.", (TRACK,))
    assert of("tool_calls", prompt, 'On "its" way {soon}.') is True
    assert of("tool_calls", prompt, '{"name": "track", "arguments": {}}') is False


@pytest.mark.parametrize(
    ("reference", "answer", "right"),
    [
        ("#### 72", "48 and 24 make 72.", True),
        ("#### 72", "72 apples, of 80", False),
        ("1,234.50", "$1234.5", True),
        ("1200", "1'200 Fr.", True),
        ("3", "3.0 %", True),
        ("3", "-3", False),
        ("-3", "It is \u22123 degrees", True),
        ("2", "10-8=2", True),
        ("8", "10-8", True),
        ("3.5", "3,5 m", True),
        ("0.5", ".5", True),
        ("0.00001", "1e-5", True),
        ("2", "no number", False),
        ("7", "1,2,7", True),
    ],
)
def test_the_last_number_counts(reference: str, answer: str, right: bool) -> None:
    assert of("number_match", reference, answer) is right


def texts_and_answers(seed: int, rows: int = 60) -> tuple[list[str], list[str]]:
    generator = np.random.default_rng(seed)
    words = [
        "The",
        "cat",
        "sat",
        "on",
        "mats,",
        "it's",
        "3.5",
        "km",
        "(Well)",
        "na\u00efve",
        "\u6771\u4eac",
    ]
    some = [" ".join(generator.choice(words, generator.integers(1, 12))) for _ in range(rows)]
    kept = [" ".join(w for w in text.split() if generator.random() < 0.7) for text in some]
    return some, [text if generator.random() < 0.8 else "the mat" for text in kept]


@pytest.mark.parametrize("seed", range(4))
def test_bleu_and_chrf_are_those_of_sacrebleu(seed: int) -> None:
    references, answers = texts_and_answers(seed)
    for rows in (slice(0, 1), slice(0, 3), slice(0, 60)):
        ours, wanted = answers[rows], references[rows]
        bleu, chrf = BLEU(), CHRF()
        assert of_all("bleu", wanted, ours) == pytest.approx(
            bleu.corpus_score(ours, [wanted]).score
        )
        assert of_all("chrf", wanted, ours) == pytest.approx(
            chrf.corpus_score(ours, [wanted]).score
        )


@pytest.mark.parametrize("answers", [["", ""], ["a", "b"], ["Yes it is", "no"], ["Yes it", ""]])
def test_short_and_empty_answers_score_as_in_sacrebleu(answers: list[str]) -> None:
    wanted = ["Yes it is here now", "no"]
    assert of_all("bleu", wanted, answers) == pytest.approx(
        BLEU().corpus_score(answers, [wanted]).score
    )
    assert of_all("chrf", wanted, answers) == pytest.approx(
        CHRF().corpus_score(answers, [wanted]).score
    )


def test_rouge_l_is_that_of_rouge_score_on_letters_it_knows() -> None:
    scorer = RougeScorer(["rougeL"])
    for reference, answer in zip(*texts_and_answers(5), strict=True):
        plain = reference.encode("ascii", "ignore").decode()
        if any(letter.isalnum() for letter in plain):
            theirs = scorer.score(plain, answer.encode("ascii", "ignore").decode())["rougeL"]
            ours = of("rouge_l", plain, answer.encode("ascii", "ignore").decode())
            assert ours == pytest.approx(theirs.fmeasure)


@settings(max_examples=60, deadline=None)
@given(st.text("abc", max_size=40), st.text("abc", max_size=40))
def test_the_longest_common_subsequence_is_that_of_the_table(first: str, second: str) -> None:
    row = [0] * (len(second) + 1)
    for one in first:
        before = row
        row = [0]
        for place, other in enumerate(second):
            longest = max(before[place + 1], row[-1])
            row.append(before[place] + 1 if one == other else longest)
    assert longest_common(first, second) == row[-1]


def test_accuracy_and_macro_f1_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    wanted = generator.choice(["billing", "order", "other"], 80, p=[0.6, 0.3, 0.1]).tolist()
    given = [w if generator.random() < 0.6 else "order" for w in wanted]
    given[3], given[5] = "nothing", ""
    classes = sorted(set(wanted))
    assert of_all("macro_f1", wanted, given) == pytest.approx(
        f1_score(wanted, given, labels=classes, average="macro", zero_division=0)
    )
    right = [of("label_accuracy", w, g) for w, g in zip(wanted, given, strict=True)]
    assert np.mean(right) == pytest.approx(accuracy_score(wanted, given))


def test_an_answer_is_graded_by_metrics_patterns_and_check() -> None:
    check = Check(metric_table.PAGE, lambda example, answer: {"short": len(answer) < 9})
    metrics = [METRICS["number_match"], METRICS["bleu"], METRICS["exact_match"]]
    grader = Grader(metrics, load_patterns({"apples": r"\bapples?\b"}), check)
    found = {"number match": True, "apples": True, "short": True}
    assert grader(asked("72"), "72 apple") == found
    assert Grader(metrics)(asked("None."), "3") == {}


def test_a_property_of_the_check_cannot_take_the_name_of_another() -> None:
    for name in ("apples", "BLEU"):
        check = Check(metric_table.PAGE, lambda example, answer, name=name: {name: True})
        grader = Grader((), load_patterns({"apples": "a"}), check)
        with pytest.raises(DataError, match=f"'{name}', which is the name of a metric or of a pat"):
            grader(asked("72"), "apples")


@pytest.mark.parametrize(
    ("patterns", "said"),
    [
        ({"open": "(a"}, r"evaluate\.patterns\.open is '\(a', which is no regular expression"),
        ({"BLEU": "a"}, r"evaluate\.patterns\.BLEU: that is the name of a metric"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_named(patterns: dict[str, str], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        load_patterns(patterns)
