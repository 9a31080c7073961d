"""Exact match, and every way in which a user's check can fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tunesmith.core.errors import DataError, RecipeError
from tunesmith.core.records import Prompt
from tunesmith.evaluate.metrics import exact_match, load_check

MakePrompt = Callable[..., Prompt]


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        ("Yes.", "Yes.", True),
        ("Yes.", "  Yes.\n", True),
        ("caf\u00e9", "cafe\u0301", True),
        ("Yes.", "yes.", False),
        ("a b", "a  b", False),
    ],
)
def test_exact_match(reference: str, answer: str, equal: bool) -> None:
    assert exact_match(reference, answer) is equal


def written(folder: Path, body: str) -> Path:
    path = folder / "brand.py"
    path.write_text(body, encoding="utf-8")
    return path


def test_a_check_sees_the_example_and_gives_properties(tmp_path: Path, prompt: MakePrompt) -> None:
    check = load_check(
        written(
            tmp_path,
            "seen = []\n"
            "def check(example, answer):\n"
            "    seen.append(example)\n"
            "    return {'polite': 'please' in answer, 'words': len(answer.split())}\n",
        )
    )
    assert check(prompt(7), "please wait") == {"polite": True, "words": 2.0}
    assert check.function.__globals__["seen"] == [
        {
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": "May I?"},
            ],
            "answer": "Yes.",
            "origin": "rows.jsonl:7",
        }
    ]


def test_true_and_false_of_numpy_are_taken(tmp_path: Path, prompt: MakePrompt) -> None:
    check = load_check(
        written(
            tmp_path,
            "import numpy as np\n"
            "def check(example, answer):\n"
            "    return {'a': np.bool_(True), 'b': np.float32(0.5)}\n",
        )
    )
    found = check(prompt(), "")
    assert found["a"] is True
    assert found["b"] == pytest.approx(np.float32(0.5))


def test_loading_leaves_nothing_beside_the_file(tmp_path: Path) -> None:
    body = (
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "@dataclass\nclass Rule:\n    name: str\n"
        "def check(example, answer):\n    return {}\n"
    )
    load_check(written(tmp_path, body))
    assert [path.name for path in tmp_path.iterdir()] == ["brand.py"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"nowhere\.py, which cannot be read \(No such file"):
        load_check(tmp_path / "nowhere.py")


def test_a_file_without_check_is_told_what_to_add(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"brand\.py:1, which defines no function named check"):
        load_check(written(tmp_path, "def chek(example, answer): return {}\n"))


@pytest.mark.parametrize(
    ("body", "place"), [("x = 1\ny = 1 / 0\n", "brand.py:2"), ("x = 1\n\ny = (\n", "brand.py:3")]
)
def test_a_file_that_cannot_be_run_is_named_with_its_line(
    tmp_path: Path, body: str, place: str
) -> None:
    with pytest.raises(RecipeError, match=place):
        load_check(written(tmp_path, body))


def test_a_check_that_raises_names_its_line_and_the_row(tmp_path: Path, prompt: MakePrompt) -> None:
    body = "def first(words):\n    return words[0]\ndef check(example, answer):\n"
    check = load_check(
        written(tmp_path, body + "    return {'hi': first(answer.split()) == 'Hi'}\n")
    )
    with pytest.raises(DataError, match=r"brand\.py:2 raised IndexError .* rows\.jsonl:7"):
        check(prompt(7), "")


@pytest.mark.parametrize(
    "value", ["True", "{'a': 'yes'}", "{'a': float('nan')}", "{1: True}", "None", "{'a': None}"]
)
def test_anything_but_true_false_or_a_number_is_refused(
    tmp_path: Path, prompt: MakePrompt, value: str
) -> None:
    check = load_check(written(tmp_path, f"\ndef check(example, answer):\n    return {value}\n"))
    with pytest.raises(DataError, match=r"brand\.py:2 returned .* rows\.jsonl:3; it must return"):
        check(prompt(3), "Hi")
