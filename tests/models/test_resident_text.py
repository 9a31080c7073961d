"""Tokens are chosen by each answer's own settings, and text is told only once it is certain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch

from tunesmith.core.errors import Unsupported
from tunesmith.models.open import describe, open_base
from tunesmith.models.resident.choosing import Choice, Choosing, nucleus, uniforms
from tunesmith.models.resident.grammar import compiled
from tunesmith.models.resident.row import Row, Wanted, Written
from tunesmith.models.resident.spelling import Spelling, Tail
from tunesmith.models.resident.writer import Writer


@pytest.fixture(scope="module")
def spelling(tiny_base: Path) -> Spelling:
    described = describe(str(tiny_base))
    return Spelling(described.tokenizer, described.vocab_size, (1,))


@pytest.fixture(scope="module")
def writer(tiny_base: Path) -> Writer:
    return Writer(open_base(describe(str(tiny_base)), "float32", "cpu"))


def _answer(writer: Writer, wanted: Wanted) -> tuple[Row, list[Written]]:
    row = writer.join(wanted)
    told = []
    while writer.rows:
        told += [each for _, each in writer.step()]
    return row, told


@pytest.mark.parametrize("size", [50, 2000])
def test_a_nucleus_is_the_smallest_set_of_so_much_probability(size: int) -> None:
    """Also where more tokens belong to it than are looked at first."""
    draw = torch.Generator().manual_seed(0)
    logits_RV = torch.randn(4, size, generator=draw) * torch.tensor([[0.1], [1.0], [3.0], [9.0]])
    top_p_R = torch.tensor([0.9, 0.5, 0.95, 0.3])
    inside_RV = nucleus(logits_RV, top_p_R).isfinite()
    for logits_V, inside_V, top_p in zip(logits_RV, inside_RV, top_p_R, strict=True):
        shares_V, order = logits_V.softmax(-1).sort(descending=True)
        count = int((shares_V.cumsum(-1) < top_p).sum()) + 1
        assert set(order[:count].tolist()) == set(inside_V.nonzero()[:, 0].tolist())


def test_rows_are_chosen_by_their_own_settings() -> None:
    logits_RV = torch.tensor([[0.0, 1.0, 3.0]]).repeat(4, 1)
    rows = [
        Choice(temperature=0),
        Choice(temperature=1),
        Choice(temperature=1, top_p=0.1),
        Choice(temperature=100),
    ]
    choosing = Choosing(rows, torch.device("cpu"))
    assert choosing(logits_RV, torch.full((4,), 0.05)).tolist() == [2, 1, 2, 0]


def test_draws_follow_the_seed_and_fewer_are_the_same() -> None:
    assert (uniforms(5, 10)[:4] == uniforms(5, 4)).all()
    assert (uniforms(5, 10) != uniforms(6, 10)).any()
    assert uniforms(-(1 << 62), 3).shape == (3,)


def test_biases_and_penalties_change_what_is_written(writer: Writer, spelling: Spelling) -> None:
    def ids(**settings: Any) -> list[int]:
        choice = Choice(temperature=0, **settings)
        return _answer(writer, Wanted((5, 6, 7), 12, spelling, choice))[0].ids[3:]

    assert ids(bias={44: 1e4}) == [44] * 12
    assert 44 not in ids(bias={44: 1e4}, frequency=1e5)[1:]
    assert len(set(ids(bias={44: 50.0, 45: 49.0}, presence=2.0)[:3])) == 2
    assert len(set(ids(presence=1e6))) == 12
    assert ids(bias={99_999_999: 100.0}) == ids()


def test_text_is_told_once_no_stop_text_and_no_character_can_change_it() -> None:
    tail = Tail(("</end>", "STOP"))
    told = [tail.add(part) for part in (b"a <", b"/en", b"x \xf0\x9f", b"\x98\x80 S", b"TOP y")]
    assert told == ["a ", "", "</enx ", "😀 ", ""]
    assert tail.stopped
    assert tail.end() == ""
    open_end = Tail(("STOP",))
    assert open_end.add(b"now ST") == "now "
    assert open_end.add(b"\xe2\x82") == ""
    assert open_end.end() == "ST"  # half a character is left out
    assert Tail((), drops_first_space=True).add(b" one two") == "one two"


def test_pieces_are_the_answer_and_log_probabilities_go_with_their_text(
    writer: Writer, spelling: Spelling
) -> None:
    base = Wanted((5, 6, 7), 24, spelling, Choice(temperature=0), top_logprobs=3)
    row, told = _answer(writer, base)
    ids = row.ids[3:]
    text = "".join(each.text for each in told)
    assert text == spelling.tokens.decode_str(ids).rstrip("\ufffd")
    assert sum(each.tokens for each in told) == row.written
    likely = [one for each in told for one in each.likely]
    assert [one.id for one in likely] == ids[: len(likely)]
    assert all(one.rivals[0][0] == one.id and one.rivals[0][2] == one.logprob for one in likely)
    assert all(len(one.rivals) == 3 and one.logprob < 0 for one in likely)
    stop = text[5:8]
    _, until = _answer(writer, Wanted((5, 6, 7), 24, spelling, base.choice, stop=(stop,)))
    assert "".join(each.text for each in until) == text[: text.index(stop)]
    assert until[-1].finish == "stop"


SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "of": {"enum": ["red", "blue"]}},
    "required": ["n", "of"],
    "additionalProperties": False,
}


def test_an_answer_follows_its_schema(writer: Writer, spelling: Spelling) -> None:
    """A random model would never write it; rows without a grammar beside it are not touched."""
    grammar = compiled(SCHEMA, spelling)
    free = Wanted((5, 6), 20, spelling, Choice(temperature=0))
    alone = _answer(writer, free)[0].ids
    rows = [writer.join(free)]
    rows += [
        writer.join(Wanted((5, 6), 200, spelling, Choice(1.0, seed=n), grammar=grammar))
        for n in range(3)
    ]
    while writer.rows:
        writer.step()
    assert rows[0].ids == alone
    for row in rows[1:]:
        found = spelling.tokens.decode_str([id for id in row.ids[2:] if id != 1])
        assert row.finish in ("stop", "length")
        if row.finish == "stop":
            jsonschema.validate(json.loads(found), SCHEMA)
    assert any(row.finish == "stop" for row in rows[1:])


def test_any_object_may_be_asked_for(spelling: Spelling) -> None:
    grammar = compiled(True, spelling)
    first = torch.zeros(spelling.vocabulary)
    grammar.forbid(first)
    allowed = {spelling.raw[id][:1] for id in first.isfinite().nonzero()[:, 0].tolist()}
    assert allowed == {b"{"}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"not": {"type": "integer"}}, '"not"'),
        ({"type": "nothing"}, "nothing"),
        ({"$ref": "http://example.com/schema"}, "example.com"),
        ({"enum": ["x" * 40_000]}, "32,000 are the most"),
    ],
)
def test_a_schema_that_cannot_be_kept_to_is_refused(
    spelling: Spelling, schema: dict[str, Any], said: str
) -> None:
    with pytest.raises(Unsupported, match="cannot be kept to") as refused:
        compiled(schema, spelling)
    assert said in str(refused.value)
    assert str(refused.value).endswith("simplify it.")


def test_a_grammar_that_gives_up_ends_its_own_answer_and_not_as_if_it_were_complete(
    writer: Writer, spelling: Spelling
) -> None:
    many = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(900)}}
    grammar = compiled(many, spelling)
    one = Wanted((5, 6), 9, spelling, Choice(temperature=0))
    rows = [
        writer.join(each)
        for each in (one, Wanted((5, 6), 9, spelling, one.choice, grammar=grammar))
    ]
    while writer.rows:
        writer.step()
    assert [row.finish for row in rows] == ["length", "failed"]


def test_a_model_that_gives_no_numbers_fails_its_own_rows_alone(
    tiny_base: Path, spelling: Spelling
) -> None:
    """Such as with an adapter that has come to nothing."""
    writer = Writer(open_base(describe(str(tiny_base)), "float32", "cpu"))
    one = Wanted((5, 6), 4, spelling, Choice(temperature=0))
    broken = Wanted((5, 6), 4, spelling, Choice(temperature=0, bias={7: float("nan")}))
    rows = [writer.join(one), writer.join(broken)]
    while writer.rows:
        writer.step()
    assert [row.finish for row in rows] == ["length", "failed"]
