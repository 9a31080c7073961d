"""From files to tokens, with every row accounted for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import pytest

from tunesmith.core.errors import DataError
from tunesmith.core.records import Completion
from tunesmith.data.prepare import Prepared, prepare
from tunesmith.data.render import Renderer
from tunesmith.data.sources import rows_at
from tunesmith.data.split import content_hash


@dataclass(frozen=True)
class Settings:
    """The part of the recipe's data section that this room reads."""

    train: tuple[str, ...]
    validation: str | None = None
    bad_rows: Literal["refuse", "drop"] = "refuse"
    mapping: Mapping[str, str] = field(default_factory=dict)
    group_by: str | None = None
    most_dropped: float = 1.0


@pytest.fixture
def renderer(plain: Any, chatml: str) -> Renderer:
    """Completions and chats in ChatML."""
    return Renderer(plain, chatml)


GOOD = [{"prompt": f"Where is order {n}?", "completion": f"It is at {n}."} for n in range(40)]
BAD = [
    {"prompt": "a", "completion": " "},
    {"question": "a"},
    {"prompt": "a", "completion": "word " * 300},
    {"prompt": "a", "completion": ""},
]


def _prepare(renderer: Renderer, settings: Settings, kind: Any = "sft", share: float = 0.2) -> Any:
    return prepare(settings, kind, renderer, context=64, share=lambda _: share)


def _adds_up(prepared: Prepared) -> dict[str, Any]:
    totals = prepared.ledger.totals()
    dropped = sum(totals["dropped"].values())
    assert totals["rows_in"] == totals["trained"] + totals["held_out"] + dropped
    assert totals["rows_in"] == len(list(prepared.ledger.lines()))
    assert totals["supervised_tokens"] == sum(tokens.sites for tokens in prepared.train)
    return totals


def test_good_rows_are_split_and_counted(renderer: Renderer, write: Callable[..., str]) -> None:
    path = write(GOOD)
    prepared = _prepare(renderer, Settings((path,)))
    totals = _adds_up(prepared)
    assert totals["rows_in"] == 40
    assert totals["dropped"] == {}
    prompts = prepared.prompts(prepared.held_out.rows)
    assert len(prepared.train) == totals["trained"] > 0
    assert len(prepared.held_out) == len(prompts) == totals["held_out"] > 0
    for prompt, tokens in zip(prompts, prepared.held_out, strict=True):
        assert prompt.origin == tokens.origin
        assert prompt.ids_N.tolist() == tokens.ids_N[: len(prompt.ids_N)].tolist()
        assert prompt.answer == GOOD[tokens.origin.line - 1]["completion"]
    origins = {tokens.origin for tokens in prepared.train}
    assert not origins & {tokens.origin for tokens in prepared.held_out}
    assert prepared.files == {path: sha256(Path(path).read_bytes()).hexdigest()}


def test_bad_rows_refuse_the_run(renderer: Renderer, write: Callable[..., str]) -> None:
    path = write([*GOOD[:2], *BAD, *BAD])
    with pytest.raises(DataError) as caught:
        _prepare(renderer, Settings((path,)))
    message = str(caught.value)
    assert message.startswith(f'{path}:3: "completion" is empty')
    assert "8 of 10 rows cannot be used (empty_answer 4, wrong_keys 2, too_long 2)" in message
    assert f"{path}:3, {path}:4, {path}:5, {path}:6, {path}:7, …." in message
    assert "--set data.bad_rows=drop" in message


def test_bad_rows_can_be_dropped_and_are_counted(
    renderer: Renderer, write: Callable[..., str]
) -> None:
    prepared = _prepare(renderer, Settings((write([*BAD, *GOOD]),), bad_rows="drop"))
    totals = _adds_up(prepared)
    assert totals["dropped"] == {"empty_answer": 2, "too_long": 1, "wrong_keys": 1}
    assert [line["reason"] for line in list(prepared.ledger.lines())[:5]] == [
        "empty_answer",
        "wrong_keys",
        "too_long",
        "empty_answer",
        None,
    ]
    assert [f.reason for f in prepared.findings if f.severity == "drop"] == [
        "empty_answer",
        "wrong_keys",
        "too_long",
        "empty_answer",
    ]


@pytest.mark.parametrize("bad_rows", ["refuse", "drop"])
def test_nothing_left_is_always_an_error(
    renderer: Renderer, write: Callable[..., str], bad_rows: Any
) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl:1: "):
        _prepare(renderer, Settings((write(BAD),), bad_rows=bad_rows))


def test_a_given_validation_file_is_held_out_whole(
    renderer: Renderer, write: Callable[..., str]
) -> None:
    train, held = write(GOOD[:10]), write(GOOD[10:13], "held.jsonl")
    prepared = _prepare(renderer, Settings((train,), held))
    totals = _adds_up(prepared)
    assert (totals["rows_in"], totals["trained"], totals["held_out"]) == (13, 10, 3)
    assert {tokens.origin.path for tokens in prepared.held_out} == {held}
    assert set(prepared.files) == {train, held}


def test_folders_and_patterns_stand_for_their_files(
    renderer: Renderer, write: Callable[..., str], tmp_path: Path
) -> None:
    for folder in ("train", "held"):
        (tmp_path / folder).mkdir()
    write(GOOD[:10], "train/b.jsonl")
    table = [["prompt", "completion"], *([row["prompt"], row["completion"]] for row in GOOD[10:15])]
    (tmp_path / "train" / "a.csv").write_text("\n".join(map(",".join, table)))
    (tmp_path / "train" / "LICENSE").touch()
    held = write(GOOD[20:23], "held/c.jsonl")
    train, pattern = str(tmp_path / "train"), str(tmp_path / "held" / "*.jsonl")
    prepared = _prepare(renderer, Settings((train,), pattern))
    files = [f"{train}/a.csv", f"{train}/b.jsonl", held]
    assert list(prepared.files) == files
    assert _adds_up(prepared)["held_out"] == 3
    origins = [str(tokens.origin) for tokens in prepared.train]
    assert origins[:6] == [*(f"{files[0]}:{line}" for line in range(2, 7)), f"{files[1]}:1"]
    assert [f.reason for f in prepared.findings] == ["skipped_files"]
    with pytest.raises(DataError, match="named more than once"):
        _prepare(renderer, Settings((train, files[1])))


def test_questions_are_read_again_in_one_pass_a_file(
    renderer: Renderer, write: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = (write(GOOD[:20]), write(GOOD[20:], "more.jsonl"))
    prepared = _prepare(renderer, Settings(paths), share=0.5)
    rows, passes = prepared.held_out.rows[::-1], []

    def counted(path: str, places: Any) -> Any:
        passes.append(path)
        return rows_at(path, places)

    monkeypatch.setattr("tunesmith.data.prepared.rows_at", counted)
    prompts = prepared.prompts(rows)
    assert [prompt.origin for prompt in prompts] == [prepared.store.origin(row) for row in rows]
    assert sorted(passes) == sorted(paths)


def test_a_row_on_both_sides_is_refused_or_dropped(
    renderer: Renderer, write: Callable[..., str]
) -> None:
    train, held = write(GOOD[:10]), write(GOOD[9:12], "held.jsonl")
    with pytest.raises(DataError, match=r"rows\.jsonl:10: The same example .*held\.jsonl:1"):
        _prepare(renderer, Settings((train,), held))
    totals = _adds_up(_prepare(renderer, Settings((train,), held, "drop")))
    assert totals["dropped"] == {"in_both_splits": 1}
    assert (totals["trained"], totals["held_out"]) == (9, 3)


def test_a_validation_file_with_no_usable_row_is_an_error(
    renderer: Renderer, write: Callable[..., str]
) -> None:
    held = write(BAD, "held.jsonl")
    with pytest.raises(DataError, match=r"No row of the validation file .*held\.jsonl is left"):
        _prepare(renderer, Settings((write(GOOD),), held, "drop"))


def test_equal_rows_on_one_line_each_get_their_own_entry(
    renderer: Renderer, tmp_path: Path
) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[{"text": "a b"}, {"text": "a b"}, {"text": ""}, {"text": "c d"}]')
    prepared = _prepare(renderer, Settings((str(path),), bad_rows="drop"), share=0.5)
    assert _adds_up(prepared)["dropped"] == {"empty_text": 1}


def test_the_text_objective_cuts_and_asks_nothing(
    renderer: Renderer, write: Callable[..., str]
) -> None:
    rows = [{"text": f"row {n} " + "word " * 300} for n in range(4)]
    prepared = _prepare(renderer, Settings((write(rows),)), "text")
    totals = _adds_up(prepared)
    assert totals["trained"] + totals["held_out"] == 4
    assert len(prepared.train) > totals["trained"]
    assert prepared.prompts(prepared.held_out.rows) == []


def test_a_one_line_array_is_prepared_as_its_rows_are_line_by_line(
    renderer: Renderer, write: Callable[..., str], tmp_path: Path
) -> None:
    array = tmp_path / "rows.json"
    array.write_text(json.dumps(GOOD))
    lines = _prepare(renderer, Settings((write(GOOD),)))
    items = _prepare(renderer, Settings((str(array),)))
    assert items.ledger.totals() == lines.ledger.totals()
    for line, item in zip(lines.ledger.lines(), items.ledger.lines(), strict=True):
        assert item | {"origin": ""} == line | {"origin": ""}
    for side in ("train", "held_out"):
        ours, theirs = getattr(items, side), getattr(lines, side)
        assert [o.ids_N.tolist() for o in ours] == [t.ids_N.tolist() for t in theirs]
        assert [o.origin.index for o in ours] == [t.origin.line for t in theirs]
    assert len({tokens.origin for tokens in (*items.train, *items.held_out)}) == 40
    assert len({line["origin"] for line in items.ledger.lines()}) == 40


def test_one_file_is_not_read_twice(renderer: Renderer, write: Callable[..., str]) -> None:
    path = write(GOOD)
    for settings in (Settings((path, path)), Settings((path,), path)):
        with pytest.raises(DataError, match="named more than once"):
            _prepare(renderer, settings)


def test_the_ledger_knows_rows_by_their_content(
    renderer: Renderer, write: Callable[..., str]
) -> None:
    prepared = _prepare(renderer, Settings((write([*BAD[1:3], *GOOD]),), bad_rows="drop"))
    unread, long, *rest = (line["content"] for line in prepared.ledger.lines())
    assert unread is None
    assert long == content_hash(Completion(BAD[2]["prompt"], BAD[2]["completion"]))
    assert rest == [content_hash(Completion(row["prompt"], row["completion"])) for row in GOOD]


def _forged(text: str) -> list[dict[str, Any]]:
    """Each place in which a row can hold `text`."""
    ok, bad = {"role": "user", "content": "Hello?"}, {"role": "assistant", "content": text}
    return [
        {"messages": [ok, bad]},
        {"messages": [ok | {"content": text}, bad | {"content": "Hello."}]},
        {"prompt": text, "completion": "Hello."},
        {"prompt": "Hello?", "completion": text},
        {"text": text},
    ]


@pytest.mark.parametrize("kind", ["sft", "text"])
@pytest.mark.parametrize("text", ["say <|im_end|> now", "<|im_start|>assistant", "<s>Once"])
def test_a_special_token_spelled_in_a_row_takes_it_out(
    renderer: Renderer, write: Callable[..., str], kind: str, text: str
) -> None:
    path = write([*GOOD[:10], *_forged(text)])
    name = next(each for each in ("<|im_end|>", "<|im_start|>", "<s>") if each in text)
    with pytest.raises(DataError) as caught:
        _prepare(renderer, Settings((path,)), kind)
    assert f"{path}:11: Message 2 (assistant) holds {name}, a special token" in str(caught.value)
    prepared = _prepare(renderer, Settings((path,), bad_rows="drop"), kind)
    assert _adds_up(prepared)["dropped"] == {"special_token_in_text": 5}
    told = [f.message.split(" holds ")[0] for f in prepared.findings if f.severity == "drop"]
    assert told[1:] == ["Message 1 (user)", '"prompt"', '"completion"', '"text"']


def test_a_chat_and_a_plain_completion_do_not_go_together(
    plain: Any, chatml: str, write: Callable[..., str]
) -> None:
    chat, document = _forged("Good morning.")[0], {"text": "A document."}
    both = write([document, *GOOD[:10], chat])
    with pytest.raises(DataError) as caught:
        _prepare(Renderer(plain, chatml, "plain"), Settings((both,)))
    assert f"{both}:12 is a chat and {both}:2 is a prompt" in str(caught.value)
    assert "Set data.completion_as=chat" in str(caught.value)
    assert _prepare(Renderer(plain, chatml, "chat"), Settings((both,))).train
    for rows in ([document, *GOOD[:10]], [document, chat]):
        path = write(rows, "one kind.jsonl")
        assert _prepare(Renderer(plain, chatml, "plain"), Settings((path,))).train


def test_a_template_that_writes_the_start_twice_is_found(
    starting: Any, chatml: str, write: Callable[..., str]
) -> None:
    renderer = Renderer(starting, "{{ bos_token + bos_token }}" + chatml)
    with pytest.raises(DataError, match="two start tokens"):
        _prepare(renderer, Settings((write(GOOD),)))


def _held(prepared: Prepared) -> set[int]:
    """The lines that are held out."""
    return {tokens.origin.line for tokens in prepared.held_out}


def _spoken(talk: int | None, number: int) -> dict[str, Any]:
    """A row that is like no other, of a conversation."""
    said = sha256(f"{number}".encode()).hexdigest()
    row = {"prompt": said[:16], "completion": said[16:32]}
    return row if talk is None else {**row, "conversation_id": talk}


def test_rows_that_say_nearly_the_same_stand_on_one_side(
    renderer: Renderer, write: Callable[..., str]
) -> None:
    rows = [_spoken(None, number) for number in range(60)]
    rows += [{**row, "prompt": f"{row['prompt'].upper()}!!"} for row in rows]
    held = _held(_prepare(renderer, Settings((write(rows),)), share=0.5))
    assert held
    assert held == {(line + 59) % 120 + 1 for line in held}
    more = rows + [_spoken(None, number) for number in range(60, 90)]
    again = _held(_prepare(renderer, Settings((write(more),)), share=0.5))
    assert held == {line for line in again if line <= 120}


@pytest.mark.parametrize("named", [None, "conversation_id"])
def test_a_conversation_stands_on_one_side(
    renderer: Renderer, write: Callable[..., str], named: str | None
) -> None:
    rows = [_spoken(number // 4, number) for number in range(80)]
    prepared = _prepare(renderer, Settings((write(rows),), group_by=named), share=0.5)
    held = _held(prepared)
    assert 0 < len(held) < 80
    assert {(line - 1) // 4 for line in held} == {
        talk for talk in range(20) if {4 * talk + 1, 4 * talk + 4} <= held
    }
    assert not prepared.findings, "the field is used"


def test_a_conversation_in_both_files_is_told(
    renderer: Renderer, write: Callable[..., str]
) -> None:
    train = write([_spoken(number, number) for number in range(9)])
    judged = write([_spoken(number, 20 + number) for number in range(6, 12)], "judged.jsonl")
    (finding,) = _prepare(renderer, Settings((train,), judged)).findings
    assert finding.reason == "in_both_groups"
    assert "3 training rows are of a conversation, or of a picture, that" in finding.message
    assert f"{train}:7" in finding.message


def test_a_group_field_that_no_row_has_is_refused(
    renderer: Renderer, write: Callable[..., str]
) -> None:
    with pytest.raises(DataError, match='No row has the field "case"'):
        _prepare(renderer, Settings((write(GOOD),), group_by="case"))


def test_families_on_both_sides_are_told(renderer: Renderer, write: Callable[..., str]) -> None:
    rows = [
        {"prompt": f"The price of article {number} in the shop?", "completion": "It is nine euros."}
        for number in range(100, 160)
    ]
    (finding,) = _prepare(renderer, Settings((write(rows),))).findings
    assert finding.reason == "families_divided"
    assert "60 of 60 rows" in finding.message


def test_more_dropped_than_allowed_stops_with_the_reasons_counted(
    renderer: Renderer, write: Callable[..., str]
) -> None:
    path = write([*GOOD, *BAD])
    dropping = Settings((path,), bad_rows="drop")
    with pytest.raises(DataError) as refused:
        _prepare(renderer, replace(dropping, most_dropped=0.09))
    said = str(refused.value)
    assert "4 of 44 rows cannot be used" in said
    assert "9.1% of the rows" in said
    assert "data.most_dropped=0.10" in said
    assert len(_prepare(renderer, replace(dropping, most_dropped=0.1)).train)


@pytest.mark.parametrize("writes", [True, False])
def test_a_template_without_the_start_token_is_told(
    starting: Any, plain: Any, chatml: str, write: Callable[..., str], writes: bool
) -> None:
    template = f"{{{{ bos_token }}}}{chatml}" if writes else chatml
    found = _prepare(Renderer(starting, template), Settings((write(GOOD),))).findings
    assert ("missing_start" in {finding.reason for finding in found}) is not writes
    assert "missing_start" not in {
        finding.reason
        for finding in _prepare(Renderer(plain, chatml), Settings((write(GOOD),))).findings
    }
