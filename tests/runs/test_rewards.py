"""The reward of a recipe: judges that fail, what may be used, and the command that tries it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.judges import judge_server
from tunesmith.cli.app import run
from tunesmith.core.errors import EndpointError, RecipeError, Unsupported
from tunesmith.core.records import Answered, Grade, Message, Origin
from tunesmith.core.sandbox import run as sandboxes
from tunesmith.models.endpoint import Endpoint
from tunesmith.recipe import RewardSection, load
from tunesmith.runs import rewards
from tunesmith.runs.rewards import Reward, open_reward

ANSWERS = [
    Answered(Origin("rows.jsonl", n), (Message("user", "Hi?"),), f"answer {n}", '{"good": 1}')
    for n in range(1, 7)
]
RUBRIC = {"type": "judge", "rubric": "Is it kind?", "range": [1, 5]}
LABELS = {
    "type": "label_model",
    "model": "other",
    "input": [{"role": "developer", "content": "Judge {{ sample.output_text }}"}],
    "labels": ["good", "bad"],
    "passing_labels": ["good"],
    "sampling_params": {"temperature": 0.5, "max_completions_tokens": 9, "seed": 3},
}


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy stands between a test and its own server, and nothing is asked more than twice."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(rewards, "Endpoint", partial(Endpoint, retries=1))


def reward(
    url: str, *graders: Mapping[str, Any], replies: Path | None = None, **given: Any
) -> Reward:
    settings = {"url": url, "model": "m", "graders": graders or (RUBRIC,), **given}
    return open_reward(RewardSection.model_validate(settings), replies)


def scores(text: Callable[[str], str]) -> Callable[[Mapping[str, Any]], str]:
    """What is said of an answer, found in the request by its number."""
    return lambda payload: text(re.findall(r"answer (\d)", str(payload["messages"]))[0])


def test_a_judge_is_shown_the_answer_and_gives_a_number() -> None:
    with judge_server(replies=scores(lambda n: json.dumps({"score": min(int(n), 5)}))) as server:
        found = reward(server.url)
        grades = found.grade(ANSWERS)
        sent = server.asked[0]["messages"]
    assert [each.value for each in grades] == [1, 2, 3, 4, 5, 5]
    assert [each["role"] for each in sent] == ["system", "user", "user"]
    assert sent[0]["content"].endswith("Is it kind?")
    assert "[user]\nHi?" in sent[1]["content"]
    assert "from 1 (worst) to 5 (best)" in sent[2]["content"]
    assert (found.account.requests, found.account.failed) == (6, 0)


def test_a_judge_names_a_label() -> None:
    multi = {"type": "multi", "graders": {"a": LABELS}, "calculate_output": "10 * a"}
    with judge_server(
        replies=scores(lambda n: "good" if n < "4" else '{"label": "bad"}')
    ) as server:
        grades = reward(server.url, multi).grade(ANSWERS)
        sent = server.asked[0]
    assert [each.value for each in grades] == [10, 10, 10, 0, 0, 0]
    assert (sent["model"], sent["temperature"], sent["max_tokens"], sent["seed"]) == (
        *("other", 0.5, 9, 3),
    )
    assert sent["messages"][0]["role"] == "system"


@pytest.mark.parametrize(
    "text", ["Well, it depends.", "", '{"score": 9}', '{"score": "high"}', "[]"]
)
def test_garbage_is_asked_again_and_never_a_0(text: str) -> None:
    with judge_server(replies=scores(lambda n: text if n == "2" else "3")) as server:
        found = reward(server.url)
        grades = found.grade(ANSWERS)
    assert [each.value for each in grades] == [3, None, 3, 3, 3, 3]
    assert (
        "an answer to rows.jsonl:2 could not be read, 3 times; at last it was" in grades[1].failed
    )
    assert (found.account.requests, found.account.unread, found.account.failed) == (8, 3, 1)


def test_a_judge_that_is_told_so_may_do_better() -> None:
    def replies(payload: Mapping[str, Any]) -> str:
        again = "could not be read" in payload["messages"][-1]["content"]
        return 'I think:\n{"score": 4}' if again else "hm"

    with judge_server(replies=replies) as server:
        assert reward(server.url).grade(ANSWERS[:1]) == [Grade(4, "", {"judge": 4})]


@pytest.mark.parametrize(("status", "said"), [(429, "has no room (429"), (500, "failed (500")])
def test_a_judge_that_is_rate_limited_is_asked_again(status: int, said: str) -> None:
    with judge_server(
        replies=scores(lambda n: "2"), status=lambda n: status if n in (2, 4, 5) else 200
    ) as server:
        found = reward(server.url, parallel=1)
        grades = found.grade(ANSWERS[:4])
    assert [each.value for each in grades] == [2, 2, None, 2]  # 2 is asked as 3; 4 and 5 are one
    assert said in grades[2].failed
    assert "The judge did not grade an answer to rows.jsonl:3" in grades[2].failed
    assert (found.account.requests, found.account.retries, found.account.failed) == (4, 2, 1)


def test_a_judge_that_is_slow_or_gone_or_no_judge_gives_no_grade() -> None:
    with judge_server(delay=0.4) as server:
        (slow,) = reward(server.url, timeout=0.05).grade(ANSWERS[:1])
    assert slow.value is None
    assert "did not answer within 0.05 s, asked 2 times" in slow.failed
    (gone,) = reward(server.url).grade(ANSWERS[:1])
    assert "cannot be reached" in gone.failed
    with judge_server(raw="<html>") as server:
        (page,) = reward(server.url).grade(ANSWERS[:1])
    assert "no chat completion" in page.failed


def test_a_judge_that_refuses_to_be_asked_ends_the_run() -> None:
    with (
        judge_server(status=lambda _: 401) as server,
        pytest.raises(EndpointError, match="refused a request without a key"),
    ):
        reward(server.url).grade(ANSWERS)


def test_replies_that_are_kept_are_not_asked_for_again(tmp_path: Path) -> None:
    with judge_server(replies=scores(lambda n: "3" if n != "2" else "hm")) as server:
        first = reward(server.url, replies=tmp_path / "replies.jsonl").grade(ANSWERS)
        asked = len(server.asked)
        again = reward(server.url, replies=tmp_path / "replies.jsonl").grade(ANSWERS)
        assert len(server.asked) == asked
        for seed in (3, 4):
            label = {**LABELS, "sampling_params": {"seed": seed}}
            multi = {"type": "multi", "graders": {"a": label}, "calculate_output": "a"}
            reward(server.url, multi, replies=tmp_path / "replies.jsonl").grade(ANSWERS[:1])
        assert server.asked[-1]["seed"] == 4
    assert first == again


def test_no_way_around_the_recipe_runs_code(monkeypatch: pytest.MonkeyPatch) -> None:
    section = RewardSection.model_validate({"graders": ({"type": "tests"},)})
    with pytest.raises(RecipeError, match=r"Allow it with --set reward\.run_code=true"):
        open_reward(section)
    monkeypatch.setattr(sandboxes, "walls", list)
    allowed = section.model_copy(update={"run_code": True})
    with pytest.raises(Unsupported, match=r"reward\.run_code=limits_only"):
        open_reward(allowed)
    assert (
        "limits of time"
        in open_reward(section.model_copy(update={"run_code": "limits_only"})).walls
    )
    with pytest.raises(RecipeError, match=r"No reward is named.*reward\.graders"):
        open_reward(load().reward)


ROWS = [
    {"prompt": "2+2?", "completion": "It is 4.", "answer": "4"},
    {"messages": [{"role": "user", "content": "1+1?"}], "completion": "3", "answer": "2"},
    {"prompt": "?", "completion": "3", "answer": "three"},
]


def test_a_reward_is_tried_on_a_file_of_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, grader, out = (tmp_path / name for name in ("rows.jsonl", "grader.json", "out.jsonl"))
    data.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    grader.write_text('[{"type": "numeric"}, {"type": "function", "path": "r.py", "weight": 0.5}]')
    (tmp_path / "r.py").write_text("def grade(sample, item): return len(sample['output_text'])")
    assert run(["grade", str(data), "--grader", str(grader), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "2 of 3 answers graded, 1 not" in said
    assert "rows.jsonl:3: there is no number in the reference" in said
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["reward"] for line in lines] == [5.0, 0.5, None]
    assert run(["grade", str(data), "--grader", str(grader), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["graded"], figures["failed"]) == (2, 1)
    assert figures["parts"]["numeric"]["mean"] == 0.5


@pytest.mark.parametrize(
    ("grader", "options", "said"),
    [
        ("{", [], "cannot be read as JSON"),
        ('{"type": "exat"}', [], "Did you mean exact?"),
        (
            '{"type": "exact"}',
            ["--field", "text"],
            'the row has no text in "text" (it has "prompt"',
        ),
        ('{"type": "exact"}', ["--out", "grader.json"], "exists already"),
    ],
)
def test_what_cannot_be_tried_is_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    grader: str,
    options: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text(json.dumps(ROWS[0]))
    Path("grader.json").write_text(grader)
    assert run(["grade", "rows.jsonl", "--grader", "grader.json", *options]) == 2
    assert said in capsys.readouterr().err
