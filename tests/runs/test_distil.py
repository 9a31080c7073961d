"""Answers of a model behind an endpoint as rows to learn: what is sent, kept and left out."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.judges import Server, judge_server
from tests.support import Recorder
from tunesmith.cli.app import run as command
from tunesmith.core.errors import DataError, EndpointError, InputError, Interrupted
from tunesmith.core.files import read_jsonl
from tunesmith.core.records import Chat, Message, Origin, Row
from tunesmith.data.formats import read_row, understand
from tunesmith.data.questions import question_of
from tunesmith.data.sources import rows_of
from tunesmith.models.endpoint import Endpoint
from tunesmith.runs.distil import Foreseen, TokenPrices, distil
from tunesmith.runs.distilled import Distilled, ledger_of, replies_of

ROWS: list[dict[str, Any]] = [
    {"prompt": "one"},
    {"prompt": "two", "completion": "its own answer"},
    {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "3"}]},
    {"messages": [{"role": r, "content": c} for r, c in (("user", "a"), ("assistant", "b"))]},
    {"text": "a document"},
    {"prompt": "one"},
    {"prompt": 7},
]


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy stands between a test and its own server."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def replying(text: str = "yes", finish: str = "stop", **beside: Any) -> str:
    message = {"role": "assistant", "content": text, **beside}
    choices = [{"index": 0, "finish_reason": finish, "message": message}]
    return json.dumps({"id": "1", "object": "chat.completion", "choices": choices})


def asked(server: Server, path: Path, out: Path, **more: Any) -> Distilled | None:
    given = {"retries": 0, "timeout": 5.0, "max_tokens": 64, "parallel": 1}
    endpoint = Endpoint(server.url, "the-teacher", **{**given, **more.pop("endpoint", {})})
    return distil([str(path)], out, endpoint, more.pop("agree", lambda _: True), **more)


def test_answers_become_rows_that_are_read_again(prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    with judge_server(raw=replying("  an answer\n")) as server:
        done = asked(server, prompts, out, endpoint={"temperature": 0.7})
        host = server.url[7:-3]
    assert done is not None
    rows = read_jsonl(out)
    assert (done.rows_in, done.written, len(rows)) == (7, 4, 4)
    read = [understand(row) for row in rows_of(str(out))]
    assert not any(read_row(row).extras for row in rows_of(str(out)))
    answer = Message("assistant", "  an answer\n")
    assert read[2].content == Chat((Message("system", "Be brief."), Message("user", "3"), answer))
    assert rows[1]["messages"][0] == {"role": "user", "content": "two"}
    provenance = rows[0]["provenance"]
    assert provenance.pop("date")[:2] == "20"
    assert provenance == {
        "model": "the-teacher",
        "host": host,
        "sampling": {"temperature": 0.7, "max_tokens": 64},
        "origin": f"{prompts}:1",
    }


def test_every_row_is_accounted_for(prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    with judge_server() as server:
        server.raw = replying()
        done = asked(server, prompts, out)
        assert len(server.asked) == 4
    assert done is not None
    ledger = read_jsonl(ledger_of(out))
    assert [each["reason"] for each in ledger] == [
        *[None] * 4,
        "no_question",
        "duplicate",
        "wrong_type",
    ]
    assert [each["line"] for each in ledger] == [1, 2, 3, 4, None, None, None]
    assert done.written + done.left_out.total() == done.rows_in == len(ROWS)


def test_others_answers_before_are_context() -> None:
    roles = ("user", "assistant", "user", "assistant")
    said = [{"role": role, "content": str(n)} for n, role in enumerate(roles)]
    question = question_of(Row(Origin("f", 1), {"messages": said}), {})
    assert question == (
        Message("user", "0"),
        Message("assistant", "1", weight=0),
        Message("user", "2"),
    )


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (replying("half of", "length"), "cut_off"),
        (replying(" \n"), "empty"),
        (replying("", "content_filter"), "refused"),
        (replying("No.", refusal="I will not."), "refused"),
        (replying("", "tool_calls"), "tools"),
        (replying("What?", "timeout"), "not_ended"),
    ],
)
def test_what_cannot_be_learned_is_left_out_with_a_reason(
    prompts: Path, tmp_path: Path, raw: str, reason: str
) -> None:
    out = tmp_path / "rows.jsonl"
    with judge_server(raw=raw) as server:
        with pytest.raises(DataError, match=f"No answer can be learned .*{reason} 4"):
            asked(server, prompts, out)
        assert not out.exists()
        assert not ledger_of(out).exists()
        lines = replies_of(out).read_text().splitlines(keepends=True)
        replies_of(out).write_text("".join(lines[:1]))
        server.raw = replying()
        done = asked(server, prompts, out)
        assert len(server.asked) == 4 + 3
    assert done is not None
    assert (done.written, done.left_out[reason]) == (3, 1)


def test_a_request_that_is_refused_is_left_out(prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    with judge_server(raw=replying(), status=lambda n: 400 if n == 2 else 200) as server:
        done = asked(server, prompts, out)
    assert done is not None
    assert (done.written, done.left_out["refused"]) == (3, 1)


def test_the_cost_is_said_first_and_nothing_is_sent_without_consent(
    prompts: Path, tmp_path: Path
) -> None:
    heard: list[Foreseen] = []

    def refuse(foreseen: Foreseen) -> bool:
        heard.append(foreseen)
        return False

    with judge_server(raw=replying()) as server:
        prices = TokenPrices(2.0, 10.0, "EUR")
        out = tmp_path / "rows.jsonl"
        assert asked(server, prompts, out, agree=refuse, prices=prices) is None
        assert server.asked == []
    assert not out.exists()
    (foreseen,) = heard
    assert (foreseen.requests, foreseen.most_written) == (4, 4 * 64)
    assert foreseen.most_read >= sum(len(t) for t in ("one", "two", "Be brief.3", "a"))
    assert foreseen.most == pytest.approx((foreseen.most_read * 2 + 256 * 10) / 1e6)
    assert any("at most" in s and "EUR" in s for s in foreseen.sentences())


def test_after_an_interruption_only_the_rest_is_asked(prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"

    class Interrupting(Recorder):
        def note(self, message: str) -> None:
            super().note(message)
            if message.startswith("2 of"):
                signal.raise_signal(signal.SIGINT)

    with judge_server(raw=replying(), delay=0.05) as server:
        with pytest.raises(Interrupted, match="asks only the rest"):
            asked(server, prompts, out, watcher=Interrupting())
        assert not out.exists()
        first = {each["messages"][-1]["content"] for each in server.asked[:2]}
        under_way = len(server.asked)
        assert under_way <= 3
        server.asked.clear()
        done = asked(server, prompts, out)
        again = {each["messages"][-1]["content"] for each in server.asked}
    assert done is not None
    assert done.written == 4
    assert len(again) == 2
    assert not first & again


def test_a_failing_endpoint_leaves_nothing_half_written(prompts: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    with (
        judge_server(raw=replying(), status=lambda n: 200 if n < 3 else 500) as server,
        pytest.raises(EndpointError, match="failed"),
    ):
        asked(server, prompts, out)
    assert {path.name for path in tmp_path.iterdir()} == {
        "prompts.jsonl",
        "rows.jsonl.replies.jsonl",
    }
    assert len(read_jsonl(replies_of(out))) == 2


@pytest.mark.parametrize(
    "url", ["localhost:8000", "http://me:secret@host/v1", "http://h/v1?k=secret"]
)
def test_what_is_no_address_is_refused_without_repeating_it(
    prompts: Path, tmp_path: Path, url: str
) -> None:
    with pytest.raises(InputError, match="must be an http") as error:
        asked(Server(url), prompts, tmp_path / "rows.jsonl")
    assert "secret" not in str(error.value)


def test_the_command(prompts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "rows.jsonl"
    with judge_server(raw=replying()) as server:
        words = ["distil", "--data", str(prompts), "--url", server.url, "--model", "t"]
        words += ["--out", str(out)]
        assert command(words) == 2
        assert "Add --yes" in capsys.readouterr().err
        assert server.asked == []
        assert command([*words, "--prompt-price", "1"]) == 2
        assert command([*words, "--yes", "--prompt-price", "1", "--answer-price", "2"]) == 0
        said = capsys.readouterr().out
        assert "Price: at most" in said
        assert "4 of 7 rows; left out: " in said
        assert command([*words, "--yes"]) == 2
        assert "exists already" in capsys.readouterr().err
