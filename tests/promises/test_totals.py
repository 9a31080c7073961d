"""One account of tokens: ledger, `data show`, plan and loop agree exactly, over every format."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.bases import save_llama
from tests.conftest import COLOURS, make_tokenizer
from tests.support import nothing_measured, recipe
from tunesmith.core.files import read_json, read_jsonl
from tunesmith.data.formats import FORMATS
from tunesmith.runs import plan as planning
from tunesmith.runs.show import show_data
from tunesmith.runs.train import train

Row = dict[str, Any]
ROWS = 12
TEMPLATE = (
    "{% for t in tools or [] %}{{ '<|turn|>tools\n' + (t | tojson) + '<|end|>\n' }}{% endfor %}"
    "{% for m in messages %}{{ '<|turn|>' + m['role'] + '\n' }}"
    "{% if m['reasoning_content'] %}{{ '(' + m['reasoning_content'] + ')' }}{% endif %}"
    "{{ m['content'] }}{% for c in m['tool_calls'] or [] %}"
    "{{ '#' + c['function']['name'] + ' ' + (c['function']['arguments'] | tojson) }}{% endfor %}"
    "{{ '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|turn|>assistant\n' }}{% endif %}"
)
# Thoughts of earlier turns are left out, so each answer is a sequence of its own.
REWRITING = TEMPLATE.replace(
    "{% if m['reasoning_content'] %}", "{% if loop.last and m['reasoning_content'] %}"
)
SYSTEM = "Name the colour of each box that you are asked for, and thank whoever asked you for it."
TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of two narrow layers whose template writes tools, calls and thoughts."""
    tokenizer = make_tokenizer()
    tokenizer.chat_template = TEMPLATE
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "max_position_embeddings": 256}
    return save_llama(tmp_path_factory.mktemp("base"), tokenizer, **sizes, **heads)


def _said(number: int) -> tuple[str, str]:
    colour = COLOURS[number * 5 % len(COLOURS)]
    return f"Which colour is box {number}, {colour}?", f"Box {number} is {colour}" + "." * number


def _messages(number: int, **last: Any) -> list[Row]:
    """A system prompt that all rows share, two questions and two answers."""
    (first, answer), (second, other) = _said(number), _said(number + ROWS)
    return [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": first},
        {"role": "assistant", "content": answer},
        {"role": "user", "content": second},
        {"role": "assistant", "content": other, **last},
    ]


def _weighted(number: int) -> Row:
    messages = _messages(number)
    messages[2]["weight"] = 0
    return {"messages": messages}


def _calling(number: int) -> Row:
    call = {
        "id": "c",
        "type": "function",
        "function": {"name": "look", "arguments": f'{{"box": {number}}}'},
    }
    asked, answer = _said(number)
    turns = [
        {"role": "user", "content": asked},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "seen"},
        {"role": "assistant", "content": answer, "reasoning_content": "It was seen."},
    ]
    return {"messages": turns, "tools": [TOOL]}


def _thinking(number: int) -> Row:
    messages = _messages(number, reasoning_content="So it is.")
    messages[2]["reasoning_content"] = "It is so."
    return {"messages": messages}


def _sharegpt(number: int) -> Row:
    asked, answer = _said(number)
    return {"conversations": [{"from": "human", "value": asked}, {"from": "gpt", "value": answer}]}


def _dialogue(number: int) -> Row:
    asked, answer = _said(number)
    return {"turns": [{"role": "user", "text": asked}, {"role": "system", "text": answer}]}


def _fields(*names: str, **beside: Any) -> Callable[[int], Row]:
    return lambda number: dict(zip(names, _said(number), strict=True)) | beside


def _spoken(number: int) -> Row:
    *asked, answer = _messages(number)
    return {"prompt": asked, "completion": [answer]}


FORMS: Mapping[str, Callable[[int], Row]] = {
    "chat (messages)": lambda number: {"messages": _messages(number)},
    "weights": _weighted,
    "train": lambda number: {"messages": _messages(number, train=number % 2 == 0)},
    "tools": _calling,
    "thoughts": _thinking,
    "parts": lambda number: {
        "messages": _messages(number, content=[{"type": "text", "text": "Red."}])
    },
    "chat (conversations)": _sharegpt,
    "dialogue (turns)": _dialogue,
    "instruction (instruction, output)": _fields(
        "instruction", "output", input="Look.", system=SYSTEM
    ),
    "instruction (instruction, response)": _fields("instruction", "response", context="Here."),
    "completion (prompt, completion)": _fields("prompt", "completion"),
    "spoken": _spoken,
    "completion (prompt, response)": _fields("prompt", "response"),
    "completion (question, answer)": _fields("question", "answer"),
    "text (text)": lambda number: {"text": "".join(_said(number)) * (1 + number)},
}


def _jsonl(rows: Sequence[Row]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def _table(path: Path, rows: Sequence[Row]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0]], delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writeheader()
        writer.writerows(rows)


def _documents(folder: Path, rows: Sequence[Row]) -> None:
    folder.mkdir()
    for number, row in enumerate(rows):
        (folder / f"{number}.{'md' if number % 2 else 'txt'}").write_text(row["text"])


def _packed(path: Path, rows: Sequence[Row]) -> None:
    path.write_bytes(gzip.compress(_jsonl(rows).encode()))


SOURCES: Mapping[str, Callable[[Path, Sequence[Row]], Any]] = {
    "rows.jsonl": lambda path, rows: path.write_text(_jsonl(rows)),
    "rows.json": lambda path, rows: path.write_text(json.dumps({"data": rows})),
    "rows.csv": _table,
    "rows.tsv": _table,
    "rows.parquet": lambda path, rows: pq.write_table(pa.Table.from_pylist([*rows]), path),
    "rows.jsonl.gz": _packed,
    "documents": _documents,
}
REWRITTEN = {"data.template": "rewriting.jinja"}
PLAIN = {"data.completion_as": "plain"}
TEXT = {"objective.kind": "text"}
CASES: Sequence[tuple[str, str, Mapping[str, Any]]] = [
    *((form, "rows.jsonl", {}) for form in FORMS),
    *(("completion (prompt, completion)", source, {}) for source in list(SOURCES)[1:6]),
    ("chat (messages)", "rows.parquet", {}),
    ("completion (prompt, completion)", "rows.jsonl", PLAIN),
    ("thoughts", "rows.jsonl", REWRITTEN),
    *((form, "rows.jsonl", TEXT) for form in ("chat (messages)", "tools", "text (text)")),
    ("text (text)", "documents", TEXT),
]


def test_no_format_that_is_trained_is_left_out() -> None:
    trained = ("chat", "dialogue", "instruction", "completion", "text")
    assert {form.title for form in FORMATS if form.name in trained} <= FORMS.keys()


@pytest.mark.parametrize(("form", "source", "settings"), CASES)
def test_ledger_show_plan_and_loop_agree(
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    source: str,
    settings: Mapping[str, Any],
) -> None:
    monkeypatch.setattr(planning, "_measure", nothing_measured)
    monkeypatch.chdir(tmp_path)
    data, template = tmp_path / source, tmp_path / "rewriting.jinja"
    SOURCES[source](data, [FORMS[form](number) for number in range(ROWS)])
    template.write_text(REWRITING)
    named = {key.replace(".", "__"): value for key, value in settings.items()}
    asked = recipe(
        base,
        data,
        model__method="head",
        evaluate__level="none",
        engine__max_steps=None,
        engine__epochs=1,
        engine__validate_every=99,
        data__checks="off",
        **named,
    )
    figures = show_data(asked).figures
    run = train(asked, tmp_path / "run").folder
    ledger, plan = read_json(run.ledger), read_json(run.plan)
    lines = [line for line in read_jsonl(run.ledger_rows) if line["outcome"] == "trained"]
    steps = [line for line in read_jsonl(run.metrics) if "tokens" in line]
    assert figures is not None
    assert figures.rows.items() <= ledger.items()
    assert ledger["rows_in"] == ROWS
    assert (figures.sequences > ledger["trained"]) == (settings is REWRITTEN)
    supervised = ledger["supervised_tokens"]
    assert supervised > 0
    assert supervised == sum(line["supervised_tokens"] for line in lines)
    assert supervised == figures.supervised
    assert supervised == plan["supervised_tokens_per_epoch"]
    assert supervised == sum(line["supervised_tokens"] for line in steps)
    assert figures.tokens == plan["tokens_per_epoch"]
    computed = sum(line["tokens"] for line in steps)
    assert computed == figures.computed == plan["predicted"]["tokens"]
    assert computed == plan["measured"]["tokens"] <= figures.tokens
