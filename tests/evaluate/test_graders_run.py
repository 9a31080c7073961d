"""Graders that execute: the user's function, tests of an answer, the interface's python."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.core.test_sandbox import ISOLATING
from tunesmith.core.errors import RecipeError
from tunesmith.core.records import Answered, Grade, Message, Origin
from tunesmith.core.sandbox import Limits, Sandbox
from tunesmith.core.sandbox.levels import Wall, limits_only
from tunesmith.evaluate.graders import Tools, open_grader
from tunesmith.evaluate.graders.function import HANGS

SOURCE = """
import signal
import time
from dataclasses import dataclass

print("loaded")

@dataclass
class Seen:
    calls: int = 0

seen = Seen()

def grade(sample, item):
    text = sample["output_text"]
    seen.calls += 1
    print("asked about", text)
    if text == "raise":
        return 1 / 0
    if text == "hang":
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        time.sleep(60)
    if text == "leave":
        import os
        os._exit(3)
    if text == "count":
        return seen.calls
    return {"nan": float("nan"), "inf": float("inf"), "none": None, "text": "1"}.get(
        text, item.get("worth", len(item["messages"]))
    )
"""


def shown(text: str, reference: str = "{}", tests: str = "") -> Answered:
    return Answered(Origin("rows.jsonl", 7), (Message("user", "?"),), text, reference, tests)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "reward.py"
    file.write_text(SOURCE)
    return file


def function(path: Path, **given: Any) -> Any:
    return open_grader({"type": "function", "path": str(path), **given}, Tools(files=True))


def test_the_user_s_function_is_asked_in_one_process(path: Path) -> None:
    grader = function(path)
    assert grader.grade([shown("a"), shown("b", '{"worth": true}')]) == [Grade(1.0), Grade(1.0)]
    assert grader.grade([shown("count")]) == [Grade(3.0)]
    assert not list(path.parent.glob("*pycache*"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise", "reward.py:19 raised ZeroDivisionError (division by zero) on an answer to rows"),
        ("nan", "reward.py:14 returned nan (no finite number)"),
        ("inf", "returned inf (no finite number)"),
        ("none", "returned None (no finite number)"),
        ("text", "returned '1' (no finite number)"),
        ("leave", "ended its process (exit status 3) on an answer to rows.jsonl:7"),
    ],
)
def test_each_failure_of_the_function_is_a_sentence(path: Path, text: str, said: str) -> None:
    failed, after = function(path).grade([shown(text), shown("fine")])
    assert failed.value is None
    assert said in failed.failed
    assert after == Grade(1.0)


def test_a_function_that_hangs_is_ended_and_the_others_are_graded(path: Path) -> None:
    began = time.monotonic()
    grades = function(path, seconds=0.2).grade([shown("hang"), shown("fine"), shown("hang")])
    assert [each.value for each in grades] == [None, 1.0, None]
    assert "(grade) did not end within 0.2 s on an answer to rows.jsonl:7" in grades[0].failed
    assert time.monotonic() - began < 10


def test_one_that_only_hangs_is_not_asked_for_ever(path: Path) -> None:
    grader = function(path, seconds=0.1)
    grades = grader.grade([shown("hang")] * (HANGS + 5))
    assert all(each.value is None for each in grades)
    assert f"ran out of time {HANGS} times before this one" in grades[-1].failed
    assert grader.grade([shown("fine")]) == [Grade(1.0)]


def test_no_process_of_a_function_is_left(path: Path) -> None:
    mark = path.rename(path.with_name(f"{uuid4().hex}.py"))
    grader = function(mark)
    assert any(mark.name in line for line in _command_lines())
    del grader
    assert not any(mark.name in line for line in _command_lines())


def _command_lines() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield path.read_text(errors="replace")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (None, "cannot be read"),
        ("a = 1", "reward.py:1 defines no function named grade"),
        ("\ndef grade(", "reward.py:2 raised SyntaxError"),
        ("import nowhere_at_all", "reward.py:1 raised ModuleNotFoundError"),
        ("import os\nos._exit(0)", "ended its process when it was loaded"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_a_sentence(
    tmp_path: Path, source: str | None, said: str
) -> None:
    file = tmp_path / "reward.py"
    if source is not None:
        file.write_text(source)
    with pytest.raises(RecipeError) as error:
        function(file)
    assert said in str(error.value)
    assert "def grade(sample: dict, item: dict) -> float" in str(error.value)


TESTS = "assert add(1, 2) == 3"
PROGRAMS = {
    "```python\ndef add(a, b):\n    return a + b\n```": 1.0,
    "def add(a, b): return a": 0.0,
    "open('/etc/passwd')\ndef add(a, b): return 3": 0.0,
    "open('/usr/lib/a', 'w')\ndef add(a, b): return 3": 0.0,
    "import socket\nsocket.create_connection(('192.0.2.1', 80), 3)\ndef add(a, b): return 3": 0.0,
    "import os\nwhile True: os.fork()": 0.0,
    "while True: pass": 0.0,
    "a = bytearray(10**10)": 0.0,
}


@pytest.mark.parametrize("wall", ISOLATING[:1])
def test_code_that_misbehaves_has_not_passed(wall: Wall) -> None:
    tools = Tools(Sandbox(wall, Limits()))
    grader = open_grader({"type": "tests", "seconds": 2.0}, tools)
    grades = grader.grade([shown(text, tests=TESTS) for text in PROGRAMS])
    assert [each.value for each in grades] == list(PROGRAMS.values())
    of_row, without = grader.grade([shown("a = 1", '{"tests": "assert a == 1"}'), shown("a = 1")])
    assert of_row == Grade(1.0)
    assert without.value is None
    assert "the row has no tests" in without.failed


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 1 / 0", "raised an exception (ZeroDivisionError: division by zero)"),
        ("return float('nan')", "returned nan"),
        ("return 'good'", "which is no number"),
        ("while True: pass", "ran out of time"),
        ("import os; os._exit(0)", "ended before the tests did"),
    ],
)
def test_python_of_a_grader_that_fails_gives_no_grade(
    monkeypatch: pytest.MonkeyPatch, body: str, said: str
) -> None:
    monkeypatch.setattr("tunesmith.evaluate.graders.programs.PYTHON_SECONDS", 1.0)
    source = f"def grade(sample, item):\n    {body}"
    tools = Tools(Sandbox(limits_only(), Limits()))
    (grade,) = open_grader({"type": "python", "source": source}, tools).grade([shown("a")])
    assert grade.value is None
    assert f"rows.jsonl:7: the Python of the grader python {said}" in grade.failed or (
        said in grade.failed
    )


@pytest.mark.parametrize("wall", ISOLATING[:1])
def test_python_of_a_grader_runs_behind_walls(wall: Wall) -> None:
    source = (
        "import os\n"
        "def grade(sample, item):\n"
        f"    assert not os.path.exists({os.fspath(Path(__file__))!r})\n"
        "    return item['worth'] + len(sample['output_json'])"
    )
    tools = Tools(Sandbox(wall, Limits()))
    grader = open_grader({"type": "python", "source": source}, tools)
    assert grader.grade([shown("[1, {}]", '{"worth": 0.25}')]) == [Grade(2.25)]
