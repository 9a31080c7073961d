"""A chat log becomes conversations, and its ledger says what became of each message."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tunesmith.cli.app import run
from tunesmith.core.errors import DataError, TunesmithError
from tunesmith.core.files import read_jsonl
from tunesmith.core.records import Chat, Example
from tunesmith.data.formats import understand
from tunesmith.data.sources import rows_of
from tunesmith.runs import convert_log as converting
from tunesmith.runs.convert_log import convert_log

COLUMNS = ("Ticket ID", "Sender", "Created At", "Body")
ROWS = [
    ("7", "Mia", "2024-05-01 10:00:00", "Where is my parcel?"),
    ("7", "Ann", "2024-05-01 10:05:00", "On its way."),
    ("7", "Mia", "2024-05-01 10:00:30", "It is number 4711."),
    ("7", "bot", "2024-05-01 10:04:00", "Please wait."),
    ("7", "Mia", "2024-05-01 10:06:00", "Thanks!"),
    ("8", "Tom", "2024-05-01 10:01:00", "Hello?"),
    ("9", "Zoe", "soon", "Hi"),
    ("9", "Ann", "2024-05-01 10:01:00", "Hi"),
    ("9", "Zoe", "2024-05-01 10:01:00", ""),
]
LEFT_OUT = {
    "skipped_author": 1,
    "after_last_answer": 1,
    "no_agent_answer": 1,
    "bad_time": 2,
    "no_text": 1,
}


def _csv(path: Path) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([COLUMNS, *ROWS])


def _jsonl(path: Path) -> None:
    lines = (json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in ROWS)
    path.write_text("".join(lines), encoding="utf-8")


def _parquet(path: Path) -> None:
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]
    pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.mark.parametrize(
    ("name", "write"), [("log.csv", _csv), ("log.jsonl", _jsonl), ("log.parquet", _parquet)]
)
def test_each_message_is_accounted_for(name: str, write: object, tmp_path: Path) -> None:
    log, out = tmp_path / name, tmp_path / "out.jsonl"
    assert callable(write)
    write(log)
    made = convert_log([str(log)], out, "chat", ["ANN"], skipped=["bot"])
    assert (made.messages, made.trained, made.context) == (9, 1, 2)
    assert (made.conversations, made.merged, dict(made.left_out)) == (1, 1, LEFT_OUT)
    (row,) = rows_of(str(out))
    assert row.fields["conversation_id"] == "7"
    example = understand(row)
    assert isinstance(example, Example)
    assert isinstance(example.content, Chat)
    assert [message.content for message in example.content.messages] == [
        "Where is my parcel?\nIt is number 4711.",
        "On its way.",
    ]
    ledger = read_jsonl(made.ledger)
    assert Counter(line["outcome"] for line in ledger) == {"dropped": 6, "context": 2, "trained": 1}
    assert Counter(line["reason"] for line in ledger if line["reason"]) == LEFT_OUT
    assert [line["lines"] for line in ledger[:3]] == [[1], [1], [1]]
    first = 1 if name != "log.csv" else 2  # the header stands on the first line
    assert [line["origin"] for line in ledger[:2]] == [f"{log}:{first}", f"{log}:{first + 1}"]
    assert made.recognised == [
        f'{log}: 9 messages, read by conversation_id from "Ticket ID", author from "Sender", time '
        'from "Created At", text from "Body".'
    ]
    assert made.first[0].startswith(
        f"{log}:{first + 6}: \"Created At\" is 'soon', which is no time"
    )


def test_the_command_tells_it_and_train_names_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _csv(Path("log.csv"))
    asked = ["data", "convert", "log.csv", "out.jsonl"]
    assert run([*asked, "--agent", "Bob"]) == 2
    assert "The authors and roles of this log, with their messages: Mia (3), " in (
        capsys.readouterr().err
    )
    assert run([*asked, "--agent", "Ann", "--skip", "boot"]) == 2
    assert "No message is by boot." in capsys.readouterr().err
    assert run([*asked, "--skip", "bot"]) == 2
    assert "name the agents with --agent" in capsys.readouterr().err
    assert not Path("out.jsonl").exists()
    assert run([*asked, "--agent", "Ann", "--skip", "bot"]) == 0
    told = capsys.readouterr().out
    assert "9 messages in: 1 of agents to learn, 2 as context, 6 left out (bad_time 2, " in told
    assert "out.jsonl: 1 conversation as chat, in which 1 message joined the one before" in told
    assert "out.jsonl.ledger.jsonl: what became of each message." in told
    assert run([*asked, "--agent", "Ann"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert run(["train", "--data", "log.csv", "--out", "run"]) == 2
    refusal = capsys.readouterr().err
    assert "log.csv:2: This looks like a chat log" in refusal
    assert "tunesmith data convert LOG OUT.jsonl --to chat --agent NAME" in refusal


def test_a_log_without_an_answer_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    log, out = tmp_path / "log.csv", tmp_path / "out.jsonl"
    _csv(log)
    with pytest.raises(DataError, match=r"of 9 messages all were left out \(.*no_agent_answer 1"):
        convert_log([str(log)], out, "chat", ["bot"], skipped=["Ann", "Mia"])
    for form in ("chta", "label"):
        with pytest.raises(
            DataError, match=rf"{form} cannot hold; formats that can are chat, share"
        ):
            convert_log([str(log)], out, form, ["Ann"])
    assert [*tmp_path.iterdir()] == [log]


def test_a_message_that_is_lost_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, account = tmp_path / "log.csv", converting._ledger
    _csv(log)
    monkeypatch.setattr(converting, "_ledger", lambda read, *rest: account(read[:-1], *rest))
    with pytest.raises(TunesmithError, match="does not add up: 9 messages were read, and 8"):
        convert_log([str(log)], tmp_path / "out.jsonl", "chat", ["Ann"])
    assert [*tmp_path.iterdir()] == [log]


def test_an_answer_learned_elsewhere_needs_a_format_with_weights(tmp_path: Path) -> None:
    answer = {"author": "Ann", "text": "a"}
    replies = [{"author": "Mia", "text": text, "replies": [answer]} for text in ("b", "c")]
    tree = {"author": "Mia", "text": "q", "replies": [{**answer, "replies": replies}]}
    log = tmp_path / "log.json"
    log.write_text(json.dumps([tree]), encoding="utf-8")
    chat = convert_log([str(log)], tmp_path / "chat.jsonl", "chat", ["Ann"])
    assert (chat.conversations, chat.trained, chat.branched) == (2, 3, True)
    assert read_jsonl(chat.ledger)[1]["lines"] == [1, 2]
    alpaca = convert_log([str(log)], tmp_path / "alpaca.jsonl", "instruction", ["Ann"])
    assert (alpaca.conversations, alpaca.trained, dict(alpaca.left_out)) == (
        1,
        2,
        {"cannot_hold": 2},
    )
