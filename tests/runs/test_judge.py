"""A judge model around a run: what is sent and kept, and that it never costs the run."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests import judges
from tests.conftest import colour_rows
from tests.judges import Server, judge_server
from tests.support import Recorder, recipe
from tunesmith.cli.app import run as command
from tunesmith.core.errors import DataError, EndpointError, InputError, Interrupted, RecipeError
from tunesmith.core.files import read_json
from tunesmith.evaluate.measure import Measured
from tunesmith.models.endpoint import Endpoint
from tunesmith.recipe import JudgeSection, Recipe
from tunesmith.runs import advise, curve, trials
from tunesmith.runs import judge as acting
from tunesmith.runs import opinion as judging
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.judge import judge
from tunesmith.runs.opinion import judged
from tunesmith.runs.train import train

SECRET = "sk-never-written"


class Stages(Recorder):
    """Keeps the details of the stages, too."""

    def __init__(self) -> None:
        super().__init__()
        self.stages: dict[str, str] = {}

    def stage(self, name: str, detail: str = "") -> None:
        self.stages[name] = detail


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy in between, and nothing is tried again."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(judging, "Endpoint", partial(Endpoint, retries=0))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("judged") / "colours.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in colour_rows(60)))
    return path


def asked(tiny_base: Path, data: Path, server: Server, **fields: Any) -> Recipe:
    given = {"judge__url": server.url, "judge__model": "the-judge", "engine__max_steps": 2}
    return recipe(tiny_base, data, **{**given, **fields})


@dataclass(frozen=True)
class Trained:
    """A run, what its watcher was told, and how many requests the judge got."""

    path: Path
    told: Stages
    requests: int


@pytest.fixture(scope="module")
def trained(tiny_base: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run with baselines whose judge refused its key."""
    out, told = tmp_path_factory.mktemp("run") / "run", Stages()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("OF_THE_JUDGE", SECRET)
        with judge_server(status=lambda _: 401, error=f"Unknown key {SECRET}") as server:
            fields = {"judge__key_variable": "OF_THE_JUDGE", "evaluate__examples": 1}
            train(asked(tiny_base, data, server, **fields), out, watcher=told)
            return Trained(out, told, len(server.asked))


@pytest.fixture
def finished(trained: Trained, tmp_path: Path) -> Path:
    """A copy of that run, which nobody has judged."""
    return shutil.copytree(trained.path, tmp_path / "run")


def to(server: Server) -> dict[str, Any]:
    return {"judge.url": server.url, "judge.model": "the-judge", "judge.key_variable": None}


def secret_in(folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if SECRET.encode() in path.read_bytes()]


def test_a_judge_that_refuses_costs_no_run(trained: Trained) -> None:
    verdict = read_json(trained.path / "verdict.json")
    said = verdict["learned"]["detail"]["judge"]["summary"]
    assert "refused the key (401, Unknown key …)" in said
    assert "not judged by the-judge, of which the report says why" in verdict["sentence"]
    assert "not judged by the-judge" in (trained.path / "report.html").read_text().lower()
    assert (trained.path / "adapter").is_dir()
    assert [note for note in trained.told.notes if "Later: tunesmith judge" in note]
    assert 0 < trained.requests <= 4  # those under way at once, and none again


def test_a_key_is_never_written(
    trained: Trained, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert secret_in(trained.path) == []
    monkeypatch.setenv("OF_THE_JUDGE", SECRET)
    with judge_server(says=judges.longest) as server:
        judge(finished, {**to(server), "judge.key_variable": "OF_THE_JUDGE"})
        assert {each["authorization"] for each in server.headers} == {f"Bearer {SECRET}"}
    assert secret_in(finished) == []


def test_how_much_goes_where_is_said_before_anything_is_sent(finished: Path) -> None:
    class Listening(Stages):
        def stage(self, name: str, detail: str = "") -> None:
            super().stage(name, detail)
            self.before = len(server.asked)

    told = Listening()
    with judge_server(says=judges.longest) as server:
        judge(finished, to(server), watcher=told)
        sent, host = len(server.asked), server.url[7:-3]
        assert told.before == 0
        assert told.stages["judge"].startswith(f"{sent} requests, about ")
        assert told.stages["judge"].endswith(f" tokens in all, go to the-judge at {host}")
        judge(finished, to(server), watcher=told)
        assert "nothing is sent" in told.stages["judge"]


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"status": lambda _: 429}, "has no room"),
        ({"status": lambda _: 500}, "failed (500, no)"),
        ({"raw": "<html>"}, "no chat completion"),
        ({"says": judges.nonsense}, "could not be read"),
        ({"says": judges.empty}, "was empty"),
        ({"delay": 0.3}, "did not answer within 0.05 s"),
    ],
)
def test_every_failure_is_not_judged(
    tiny_base: Path, data: Path, finished: Path, settings: dict[str, Any], why: str
) -> None:
    measured = Measured.from_json(read_json(finished / "measured.json"))
    told = Recorder()
    with judge_server(**settings) as server:
        fields = {"judge__timeout": 0.05} if "delay" in settings else {}
        named = asked(tiny_base, data, server, **fields)
        found = judged(named, RunFolder(finished), measured, told)
    assert found is not None
    assert why in found.why
    assert found.contests == ()
    assert why in told.notes[0]
    assert judged(recipe(tiny_base, data), RunFolder(finished), measured, told) is None


def test_a_finished_run_is_judged_later_against_base_and_best_help(finished: Path) -> None:
    before = read_json(finished / "verdict.json")
    sentence = before.pop("sentence").replace("; not judged by the-judge, of which", "|")
    with judge_server(says=judges.longest) as server:
        verdict = judge(finished, to(server))
    after = read_json(finished / "verdict.json")
    assert after == json.loads(json.dumps(verdict.to_json()))
    found = after["learned"]["detail"].pop("judge")
    assert [each["against"] for each in found["contests"]] == [
        "base",
        before["worth"]["detail"]["best"],
    ]
    assert after.pop("sentence") == f"{sentence.partition('|')[0]}."
    after["learned"]["detail"]["properties"].pop()
    before["learned"]["detail"].pop("judge")
    assert after == before
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "What was trained" in page
    assert "preferred by the judge" in (finished / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_nothing_is_asked_twice(finished: Path) -> None:
    with judge_server(says=judges.longest) as server:
        first = judge(finished, to(server))
        sent = len(server.asked)
        assert judge(finished, to(server)) == first
        assert len(server.asked) == sent
        judge(finished, {**to(server), "judge.model": "another"})
        assert len(server.asked) == 2 * sent


def test_an_interrupted_judging_goes_on_where_it_was(finished: Path) -> None:
    with judge_server(says=judges.longest) as server:
        whole = judge(finished, to(server))
        sent = len(server.asked)
        kept = finished / "judge.jsonl"
        lines = kept.read_text().splitlines(keepends=True)
        assert len(lines) == sent
        kept.write_text("".join(lines[:5]) + "no json\n" + lines[5][:20])  # as a kill leaves it
        assert judge(finished, to(server)) == whole
        assert len(server.asked) == 2 * sent - 5
        assert len(kept.read_text().splitlines()) == sent
        assert judge(finished, to(server)) == whole
        assert len(server.asked) == 2 * sent - 5


def test_a_failure_keeps_what_was_replied_and_the_verdict_as_it_was(
    finished: Path,
) -> None:
    before = (finished / "verdict.json").read_bytes()
    fails = True
    with judge_server(status=lambda number: 429 if fails and number > 3 else 200) as server:
        with pytest.raises(EndpointError, match="has no room"):
            judge(finished, {**to(server), "judge.parallel": 1})
        assert (finished / "verdict.json").read_bytes() == before
        assert len((finished / "judge.jsonl").read_text().splitlines()) == 3
        fails = False
        judge(finished, to(server))
        contents = [each["messages"][1]["content"] for each in server.asked]
        assert len(contents) == len({*contents}) + 1  # the one that failed is asked again


def test_ctrl_c_is_no_failure(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(acting, "ask", stopped)
    with judge_server() as server, pytest.raises(Interrupted, match="the same command goes on"):
        judge(finished, to(server))


def test_people_s_labels_are_asked_about_too(finished: Path, tmp_path: Path) -> None:
    labels = [
        {"prompt": f"p{n}", "a": "good", "b": "bad", "preferred": "a"}
        if n % 2
        else {"prompt": f"p{n}", "a": "bad", "b": "good", "preferred": "b"}
        for n in range(12)
    ]
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in labels))
    with judge_server() as server:
        verdict = judge(finished, {**to(server), "judge.labels": str(path), "judge.rows": 2})
    found = verdict.learned.detail["judge"]
    assert (found["agreement"]["agreement"], found["agreement"]["kappa"]) == (1.0, 1.0)
    assert found["trusted"]
    assert found["contests"][0]["n"] == 2


def test_what_cannot_be_used_is_said_before_anything_is_written(
    tiny_base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WITH_A_BREAK", "a\nb")
    (tmp_path / "empty").write_text(" ")
    (tmp_path / "labels").write_text("{}\n")
    with judge_server() as server:
        for fields, error, said in (
            ({"judge__key_variable": "NOT_THERE"}, RecipeError, "no such environment variable"),
            ({"judge__key_variable": "WITH_A_BREAK"}, RecipeError, "characters that no key has"),
            ({"judge__rubric": str(tmp_path / "empty")}, RecipeError, "which is empty"),
            ({"judge__rubric": str(tmp_path / "none")}, RecipeError, "cannot be read"),
            ({"judge__labels": str(tmp_path / "labels")}, DataError, "labels:1: prompt is not"),
        ):
            with pytest.raises(error, match=said):
                train(asked(tiny_base, data, server, **fields), tmp_path / "run")
        assert not (tmp_path / "run").exists()
        assert server.asked == []


def test_runs_within_other_acts_are_not_judged(tiny_base: Path, data: Path) -> None:
    with judge_server() as server:
        named = asked(tiny_base, data, server)
    assert trials.unjudged(named).judge == JudgeSection()
    assert curve._scored(named).judge == JudgeSection()
    assert advise._asked(named).judge == JudgeSection()


def test_the_command_judges_and_says_what_it_found(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["judge", str(finished)]) == 2
    assert "no such environment variable" in capsys.readouterr().err  # as its recipe says
    with judge_server(says=judges.always_first) as server:
        words = ["judge", str(finished), "--url", server.url, "--model", "m"]
        words += ["--set", "judge.key_variable=null"]
        assert command([*words, "--set", "engine.epochs=2"]) == 2
        assert "so only what a judge is asked can be set" in capsys.readouterr().err
        assert command([*words, "--set", "judge.rows=3"]) == 0
        told = capsys.readouterr()
        assert "it is position-biased" in told.out
        assert f"to m at {server.url[7:-3]}" in told.err
        assert command([*words, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["learned"]["detail"]["judge"]["judged"]
    with pytest.raises(InputError):
        judge(finished.parent, {})
