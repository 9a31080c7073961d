"""Filling in the middle: what is laid down, what is drawn, and what stays in order."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from tests.bases import byte_level
from tests.support import nothing_measured, recipe
from tunesmith.core.errors import RecipeError, Unsupported
from tunesmith.core.records import Example, Finding, Origin, Text, Tokens
from tunesmith.data.encode import Encoder
from tunesmith.data.infill import INFILLED, Infilling, infilling_of
from tunesmith.data.render import Renderer
from tunesmith.runs import plan as planning
from tunesmith.runs.setup import set_up
from tunesmith.runs.show import show_data
from tunesmith.runs.train import train

CODE = [f"def f{n}(x):\n    y = x + {n}\n    return y * {n * n}\n" for n in range(60)]
TEMPLATE = "{{ messages[0]['content'] }}"


def tokenizer_with(*marks: str) -> PreTrainedTokenizerFast:
    special = ["<|end|>", "<|pad|>", *marks]
    bpe = byte_level(CODE, 330, special)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|end|>", pad_token="<|pad|>", model_max_length=128
    )


FIM = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")


def _infilling(tokenizer: Any, rate: float = 1.0, seed: int = 0) -> Infilling:
    found = infilling_of(tokenizer, rate, seed, None)
    assert found is not None
    return found


def _parts(
    tokenizer: Any, text: str, context: int = 128, **settings: Any
) -> tuple[list[Tokens], list[Tokens]]:
    """A document in order, and infilled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tunesmith.data.render.ChatTemplate", _NoTemplate)
        renderer = Renderer(tokenizer, TEMPLATE, infilling=_infilling(tokenizer, **settings))
    (made,) = renderer.render([Example(Origin("f", 1), Text(text))], "text", context)
    if isinstance(made, Finding):
        raise AssertionError(made.message)
    return (
        [each for each in made if each.part < INFILLED],
        [each for each in made if each.part >= INFILLED],
    )


class _NoTemplate:
    """Documents are told without one."""

    def __init__(self, *_: Any) -> None:
        self.ending = self.call_ending = type("Ending", (), {"stop": None})()


def _told(tokenizer: Any, tokens: Tokens) -> tuple[str, str, str, str]:
    """Form, prefix, middle and suffix of an infilled piece."""
    said = tokenizer.decode(tokens.ids_N)
    assert said.startswith(FIM[0])
    assert said.endswith("<|end|>")
    before, _, rest = said.removesuffix("<|end|>").partition(FIM[1])
    suffix, _, last = rest.partition(FIM[2])
    prefix = before.removeprefix(FIM[0])
    return ("psm", prefix, last, suffix) if prefix else ("spm", "", last, suffix)


def test_both_forms_tell_the_whole_document() -> None:
    tokenizer, forms = tokenizer_with(*FIM), Counter[str]()
    for text in CODE:
        (whole,), (piece,) = _parts(tokenizer, text)
        form, prefix, middle, suffix = _told(tokenizer, piece)
        forms[form] += 1
        assert prefix + middle + suffix == text
        assert piece.weights_N.tolist() == [0.0, *[1.0] * (len(piece) - 1)]
        assert piece.learned_bytes == len(text.encode())
        assert tokenizer.decode(whole.ids_N) == f"{text}<|end|>"
    assert 18 <= forms["psm"] <= 42


def test_gaps_begin_within_words() -> None:
    """Characters are cut, not tokens: some prefixes end where no token of the whole text does."""
    tokenizer, torn = tokenizer_with(*FIM), 0
    encoder = Encoder(tokenizer)
    for text in CODE:
        _, (piece,) = _parts(tokenizer, text)
        form, prefix, _, _ = _told(tokenizer, piece)
        ends = {end for _, end in encoder.encodings([text], offsets=True)[0].offsets}
        torn += form == "psm" and len(prefix) not in ends
    assert torn > 5


def test_it_follows_from_seed_and_document_and_is_drawn_at_its_rate() -> None:
    tokenizer = tokenizer_with(*FIM)

    def drawn(seed: int) -> list[list[list[int]]]:
        return [
            [each.ids_N.tolist() for each in _parts(tokenizer, text, rate=0.5, seed=seed)[1]]
            for text in CODE
        ]

    first = drawn(0)
    assert first == drawn(0)
    assert first != drawn(1)
    assert 18 <= sum(map(bool, first)) <= 42


def test_a_long_document_is_infilled_piece_by_piece_within_the_context() -> None:
    tokenizer, text = tokenizer_with(*FIM), "".join(CODE)
    _, pieces = _parts(tokenizer, text, context=100)
    told = [_told(tokenizer, piece) for piece in pieces]
    assert len(pieces) > 10
    assert max(map(len, pieces)) <= 100
    assert "".join(p + m + s for _, p, m, s in told) == text
    assert sum(piece.learned_bytes for piece in pieces) == len(text.encode())


def test_a_text_that_spells_a_mark_is_refused() -> None:
    tokenizer = tokenizer_with()
    tokenizer.add_tokens(list(FIM))  # ordinary ones, as some families have them
    with pytest.raises(AssertionError, match="spells a token that marks what is to be filled in"):
        _parts(tokenizer, f"one {FIM[1]} two")


@pytest.mark.parametrize(
    "marks",
    [FIM, ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"), ("▁<PRE>", "▁<SUF>", "▁<MID>")],
)
def test_known_families_need_no_names(marks: tuple[str, ...]) -> None:
    tokenizer = tokenizer_with(*marks)
    found = _infilling(tokenizer)
    ids = tokenizer.convert_tokens_to_ids(list(marks))
    assert [found.prefix, found.suffix, found.middle] == ids


def test_others_are_refused_unless_they_are_named() -> None:
    tokenizer = tokenizer_with("<a>", "<b>", "<c>")
    with pytest.raises(Unsupported, match=r"has none that are known .* data.infill_tokens"):
        infilling_of(tokenizer, 0.5, 0, None)
    with pytest.raises(Unsupported, match="names <x>, which the base's tokenizer does not have"):
        infilling_of(tokenizer, 0.5, 0, ("<a>", "<b>", "<x>"))
    assert infilling_of(tokenizer, 0.5, 0, ("<a>", "<b>", "<c>")) is not None
    assert infilling_of(tokenizer, 0.0, 0, None) is None


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "code.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in CODE))
    return path


NAMED = {
    "objective__kind": "text",
    "data__fill_in_the_middle": 0.5,
    "data__infill_tokens": ["<|turn|>", "<|pad|>", "!"],
}


def test_training_is_infilled_and_held_out_is_in_order(tiny_base: Path, code: Path) -> None:
    setup = set_up(recipe(tiny_base, code, **NAMED))
    plain = set_up(recipe(tiny_base, code, objective__kind="text"))
    parts = [each.part for each in setup.prepared.train]
    assert len(parts) == len(plain.prepared.train)
    assert 0.25 < sum(part >= INFILLED for part in parts) / len(parts) < 0.75
    for ours, theirs in zip(setup.prepared.held_out, plain.prepared.held_out, strict=True):
        assert ours.ids_N.tolist() == theirs.ids_N.tolist()
        assert ours.learned_bytes == theirs.learned_bytes
    assert 0 < len(setup.infilled) < len(setup.held_out.judging)
    assert {each.origin for each in setup.infilled} <= {e.origin for e in setup.held_out.judging}
    lines = [*setup.prepared.ledger.lines()]
    trained = sum(x["supervised_tokens"] for x in lines if x["outcome"] == "trained")
    assert trained == int(setup.prepared.train.sites.sum())
    held_out = sum(x["supervised_tokens"] for x in lines if x["outcome"] == "held_out")
    assert held_out == int(setup.prepared.held_out.sites.sum())
    key = {"rate": 0.5, "seed": setup.recipe.engine.seed}
    assert key.items() <= setup.prepared.renderer.identity()["infilling"].items()


def test_a_run_shows_trains_and_judges_it(
    tiny_base: Path, code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "_measure", nothing_measured)
    asked = recipe(tiny_base, code, **{**NAMED, "data__fill_in_the_middle": 1.0})
    shown = show_data(asked, limit=2).rows[0]
    assert "".join(text for text, _ in shown.stretches).startswith("<|turn|>")
    run = train(asked, tmp_path / "run")
    found = run.verdict["learned"]["detail"]["infilled"]
    assert found["unit"] == "bits per byte"
    assert found["n"] == run.verdict["learned"]["n"]
    assert found["tuned"] != run.verdict["learned"]["detail"]["tuned"]
    assert "with a gap to fill" in run.report.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"data__fill_in_the_middle": 0.5}, "objective.kind is sft"),
        ({"data__infill_tokens": ["a", "b", "c"], "objective__kind": "text"}, "there are none"),
        ({**NAMED, "data__infill_tokens": ["a", "b"]}, "three tokens"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(
    tiny_base: Path, code: Path, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(RecipeError, match=said):
        recipe(tiny_base, code, **fields)
