"""The model card says what the files of a run say, and no number more."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import yaml

from tests.evaluate.conftest import make_answers, make_course, make_measured
from tunesmith.evaluate.card import card, shown_of
from tunesmith.evaluate.labels.opening import opening
from tunesmith.evaluate.measure import Measured, Parity
from tunesmith.evaluate.verdict import judge
from tunesmith.recipe.methods import MethodName

RECIPE = {
    "model": {"base": "own/\\base", "method": "lora", "rank": 8, "alpha": 16, "dtype": "float32"},
    "objective": {"kind": "sft"},
    "engine": {"learning_rate": 0.002, "batch_size": 4, "optimizer": "adamw", "seed": 3},
    "data": {"context": 512},
}
LEDGER = {"rows_in": 1042, "trained": 1000, "held_out": 40, "dropped": {"too_long": 2}}
ENVIRONMENT = {
    "python": "3.11.9",
    "packages": {"torch": "2.13.0", "peft": None},
    "processor": "Some CPU",
    "git_revision": None,
    "inputs": {"rows|1.jsonl": "ab12"},
}
PLAN = {"parameters": 5000, "trained_parameters": 700}


def card_of(measured: Measured, **changes: Any) -> str:
    inputs: dict[str, Any] = {
        "name": "tickets-1",
        "artefact": "adapter",
        "verdict": judge(measured).to_json(),
        "recipe": RECIPE,
        "ledger": LEDGER,
        "environment": ENVIRONMENT,
        "plan": PLAN,
        "hashes": {"adapter_model.safetensors": "cd34"},
    }
    inputs |= changes
    shown = shown_of(inputs["verdict"], measured, inputs["artefact"], inputs["recipe"])
    return card(**inputs, shown=shown)


@pytest.fixture
def full() -> Measured:
    found = make_measured(course=make_course([1.4, 1.3, 1.5], 20, 100), parity=Parity(0, 40, 9, 9))
    assert found.base is not None
    assert found.tuned is not None
    base = make_answers({"greeting": [False] * 40})
    tuned = make_answers({"greeting": [True] * 40})
    sides = replace(found.base, answers=base), replace(found.tuned, answers=tuned)
    return replace(found, base=sides[0], tuned=sides[1])


def test_the_card_carries_what_the_run_says(full: Measured) -> None:
    text = card_of(full)
    said = (
        f"> {judge(full).sentence}",
        "700 of 5,000 weights trained, in float32",
        "rank 8, alpha 16",
        "1,042 rows in: 1,000 trained on, 40 held out, 2 dropped (too_long 2).",
        "| `rows\\|1.jsonl` | `ab12` |",
        "| `adapter/adapter_model.safetensors` | `cd34` |",
        "| greeting | 0 % | 100 % | +100 points |",
        "30 steps of 100 planned (5 epochs)",
        "at most 512 tokens",
        'peft.AutoPeftModelForCausalLM.from_pretrained("adapter")',
        "python 3.11.9, torch 2.13.0",
    )
    for line in said:
        assert line in text
    assert "peft None" not in text
    assert "git revision" not in text
    head = yaml.safe_load(text.split("---")[1])
    assert head == {
        "base_model": "own/\\base",
        "library_name": "peft",
        "tags": ["tunesmith", "lora"],
    }


def test_tables_are_whole(full: Measured) -> None:
    rows = [line for line in card_of(full).splitlines() if line.startswith("|")]
    widths = [len(re.findall(r"(?<!\\)\|", row)) for row in rows]
    breaks = [n for n, row in enumerate(rows) if set(row) == {"|", "-"}]
    for head, after in zip(breaks, [*breaks[1:], len(rows) + 1], strict=True):
        assert len({*widths[head - 1 : after - 1]}) == 1


def test_what_was_not_measured_is_a_limit_and_no_number() -> None:
    text = card_of(Measured(), artefact="model", plan={})
    limits = text.partition("## Limits")[2].partition("##")[0]
    assert "- Did it learn? Not judged: the task was not measured on held-out rows." in limits
    assert limits.count("Not judged") == 5
    assert "weights trained" not in text
    assert "None" not in text
    assert 'transformers.AutoModelForCausalLM.from_pretrained("model")' in text


def test_failures_are_limits(full: Measured) -> None:
    worse = replace(full, parity=Parity(0.5, 40, 8, 9))
    text = card_of(worse)
    assert "**Hold.**" in text
    assert re.search(r"- Is it what you will serve\? Fails: the saved model .* 8 of 9", text)


def test_text_of_the_user_is_no_tag() -> None:
    found = make_measured()
    assert found.base is not None
    assert found.tuned is not None
    answers = make_answers({"<script>\n|x": [True] * 40})
    hostile = replace(
        found,
        base=replace(found.base, answers=answers),
        tuned=replace(found.tuned, answers=answers),
    )
    text = card_of(hostile)
    assert "<script>" not in text
    assert "| &lt;script> \\|x |" in text


@pytest.mark.parametrize(("method", "alone"), [("lora", True), ("dora", False), ("vera", False)])
def test_vectors_by_an_adapter_say_who_opens_it(method: MethodName, alone: bool) -> None:
    """transformers drops DoRA's lengths without a word, and refuses VeRA; PEFT opens both."""
    naming = {
        "pooling": "mean",
        "problem": "similarity",
        "temperature": 1,
        "threshold": 0,
        "cut": 0,
    }
    text = "\n".join(opening("embed", "adapter", "base", naming, method))
    assert ("sentence-transformers opens it, too." in text) == alone
    assert ("merge it into its base first" in text) != alone
    assert 'peft.AutoPeftModelForFeatureExtraction.from_pretrained("adapter")' in text
