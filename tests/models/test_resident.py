"""Answers of many adapters written side by side are those of each adapter alone."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, PreTrainedModel

from tests.conftest import make_tokenizer
from tests.shapes import SHAPES, tiny
from tunesmith.core.errors import ModelError
from tunesmith.models.forward import FullLogitsForward, PackedForward, choose_forward
from tunesmith.models.fused import fuse
from tunesmith.models.open import Base, describe, open_base
from tunesmith.models.resident.bank import Bank
from tunesmith.models.resident.choosing import Choice
from tunesmith.models.resident.decoders import Batched, OneByOne
from tunesmith.models.resident.kept import form_of
from tunesmith.models.resident.lora import alone, read_lora
from tunesmith.models.resident.prefixes import Prefixes
from tunesmith.models.resident.row import Row, Wanted
from tunesmith.models.resident.spelling import Spelling
from tunesmith.models.resident.writer import Writer

KINDS = {
    "small": LoraConfig(r=2, lora_alpha=8, target_modules=["q_proj", "v_proj"]),
    "odd": LoraConfig(r=3, lora_alpha=5, use_rslora=True, target_modules="all-linear"),
    "wide": LoraConfig(r=4, lora_alpha=8, target_modules="all-linear"),
    "upper": LoraConfig(r=4, lora_alpha=4, target_modules=["up_proj"], layers_to_transform=[1]),
    "late": LoraConfig(r=4, lora_alpha=8, target_modules=["o_proj", "down_proj"]),
    "more": LoraConfig(r=3, lora_alpha=9, target_modules=["gate_proj", "k_proj"]),
}


@pytest.fixture(scope="module")
def spelling(tiny_base: Path) -> Spelling:
    described = describe(str(tiny_base))
    return Spelling(described.tokenizer, described.vocab_size, (1,))


@pytest.fixture(scope="module")
def adapters(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One of each kind, with random weights, as PEFT saves it."""
    folder = tmp_path_factory.mktemp("adapters")
    for seed, (name, config) in enumerate(KINDS.items()):
        _save(tiny_base, folder / name, config, seed)
    return {name: folder / name for name in KINDS}


def _save(base: Path, folder: Path, config: LoraConfig, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    adapted = get_peft_model(_plain(base), config)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(0, 0.3)
    adapted.save_pretrained(str(folder), save_embedding_layers=False)
    return folder


def _plain(base: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()


def _prompts(count: int, longest: int = 40, vocabulary: int = 300) -> list[tuple[int, ...]]:
    draw = torch.Generator().manual_seed(7)
    lengths = torch.randint(1, longest, (count,), generator=draw).tolist()
    return [tuple(torch.randint(2, vocabulary, (n,), generator=draw).tolist()) for n in lengths]


def _batched(base: Base, bank: Bank, portion: int = 64, prefix_bytes: int = 0) -> Batched:
    assert isinstance(base.forward, PackedForward)
    form = form_of(base.forward, torch.device("cpu"))
    return Batched(base.forward, bank, form, Prefixes(prefix_bytes), portion)


@torch.no_grad()
def _told(decoder: Batched | OneByOne) -> list[tuple[Row, torch.Tensor]]:
    """Each row's next logits, of a step."""
    found = [each for each in (decoder.write(), decoder.read()) if each is not None]
    return [pair for rows, logits_RV in found for pair in zip(rows, logits_RV, strict=True)]


@torch.no_grad()
def _expected(model: PreTrainedModel | PeftModel, row: Row) -> torch.Tensor:
    """The same by plain transformers and PEFT, from the beginning."""
    logits_V: torch.Tensor = model(input_ids=torch.tensor([row.ids])).logits[0, -1]
    return logits_V


def test_logits_and_tokens_are_those_of_each_adapter_alone_in_plain_peft(
    tiny_base: Path, spelling: Spelling, adapters: dict[str, Path]
) -> None:
    """Ranks, scales and targets differ; prompts are read in portions; rows join late; one adapter
    has many rows, the others few."""
    base = open_base(describe(str(tiny_base)), "float32", "cpu")
    bank = Bank(base.model, 8)
    for name, folder in adapters.items():
        assert bank.put(name, read_lora(folder, base.model))
    decoder = _batched(base, bank)
    asked = [*adapters, None, *["wide"] * 18]
    wanted = [
        Wanted(prompt, 90, spelling, adapter=name)
        for name, prompt in zip(asked, _prompts(len(asked)), strict=True)
    ]
    alone = {name: PeftModel.from_pretrained(_plain(tiny_base), adapters[name]) for name in KINDS}
    plain = _plain(tiny_base)
    late = [Row(each, torch.device("cpu")) for each in wanted]
    for row in late[:12]:
        decoder.join(row)
    checked = 0
    for step in range(34):
        if step == 6:
            for row in late[12:]:
                decoder.join(row)
        for row, logits_V in _told(decoder):
            if step % 4 == 0 or step > 31:
                model = plain if row.wanted.adapter is None else alone[row.wanted.adapter]
                expected = _expected(model, row)
                torch.testing.assert_close(logits_V, expected, atol=1e-5, rtol=1e-5)
                checked += 1
            row.ids.append(int(logits_V.argmax()))
    assert checked > 150
    assert {len(row.ids) > 64 for row in late} == {True, False}  # some have changed shelves


@pytest.mark.parametrize("family", SHAPES)
def test_every_family_writes_as_its_own_code_does(
    tiny_base: Path, family: str, tmp_path: Path
) -> None:
    """Windows, capped scores, grouped heads; an adapter on layers that keep weights turned."""
    model = tiny(family)
    fuse(model)
    base = Base(describe(str(tiny_base)), model, choose_forward(model))
    targets = ["c_attn"] if family == "gpt2" else "all-linear"
    turned = family == "gpt2"
    config = LoraConfig(r=2, target_modules=targets, fan_in_fan_out=turned)
    adapted = get_peft_model(tiny(family), config)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(0, 0.2)
    adapted.save_pretrained(str(tmp_path), save_embedding_layers=False)
    bank = Bank(base.model, 1)
    bank.put("one", read_lora(tmp_path, base.model))
    decoder = _batched(base, bank, portion=8)
    spelling = Spelling(make_tokenizer(), 97, (1,))
    for name, prompt in zip(("one", None, "one"), _prompts(3, 20, 97), strict=True):
        decoder.join(Row(Wanted(prompt, 9, spelling, adapter=name), torch.device("cpu")))
    for _ in range(9):
        for row, logits_V in _told(decoder):
            plain = nullcontext() if row.wanted.adapter else adapted.disable_adapter()
            with plain:
                expected = _expected(adapted.eval(), row)
            torch.testing.assert_close(logits_V, expected, atol=2e-4, rtol=1e-3)
            row.ids.append(int(logits_V.argmax()))


def _written(writer: Writer, wanted: Sequence[Wanted]) -> list[list[int]]:
    """The ids of answers that are written side by side."""
    rows = [writer.join(each) for each in wanted]
    while writer.rows:
        writer.step()
    return [row.ids[len(row.wanted.prompt) :] for row in rows]


def _writer(tiny_base: Path, adapters: dict[str, Path], **settings: int) -> Writer:
    base = open_base(describe(str(tiny_base)), "float32", "cpu")
    writer = Writer(base, adapters=8, **settings)
    for name, folder in adapters.items():
        writer.bank.put(name, read_lora(folder, base.model))
    return writer


def test_an_answer_does_not_depend_on_its_company(
    tiny_base: Path, spelling: Spelling, adapters: dict[str, Path]
) -> None:
    writer = _writer(tiny_base, adapters, prefix_bytes=0)
    wanted = [
        Wanted(prompt, 4 + n, spelling, Choice(top_p=0.9, seed=n), adapter=name)
        for n, (name, prompt) in enumerate(zip(KINDS, _prompts(len(KINDS)), strict=True))
    ]
    together = _written(writer, wanted)
    assert together == [_written(writer, [each])[0] for each in reversed(wanted)][::-1]
    assert len({tuple(ids[:4]) for ids in together}) == len(together)


def test_a_known_beginning_is_not_computed_again_and_is_each_adapters_own(
    tiny_base: Path, spelling: Spelling, adapters: dict[str, Path]
) -> None:
    writer = _writer(tiny_base, adapters)
    system = tuple(range(5, 75))
    cold = _writer(tiny_base, adapters, prefix_bytes=0)
    for adapter in ("wide", "odd", None):
        for end in ((80, 81), (82,)):
            asked = Wanted((*system, *end), 6, spelling, Choice(temperature=0), adapter=adapter)
            row = writer.join(asked)
            while writer.rows:
                writer.step()
            assert row.cached == (64 if end == (82,) else 0)
            assert row.ids[len(asked.prompt) :] == _written(cold, [asked])[0]


def test_a_known_beginning_is_shared_with_nobody_else(tiny_base: Path, spelling: Spelling) -> None:
    writer = _writer(tiny_base, {})
    cached = []
    for whose in ("one", "one", "two"):
        row = writer.join(Wanted(tuple(range(5, 75)), 2, spelling, whose=whose))
        while writer.rows:
            writer.step()
        cached.append(row.cached)
    assert cached == [0, 64, 0]


def test_a_beginning_that_is_being_read_is_waited_for(
    tiny_base: Path, spelling: Spelling, adapters: dict[str, Path]
) -> None:
    """Of prompts that come at once, too, the common beginning is computed once an adapter."""
    writer = _writer(tiny_base, adapters, portion=256)
    system = tuple(range(5, 75))
    asked = [
        Wanted((*system, n), 3, spelling, Choice(temperature=0), adapter=adapter)
        for adapter in ("wide", None)
        for n in (80, 81, 82)
    ]
    rows = [writer.join(each) for each in asked]
    while writer.rows:
        writer.step()
    assert [row.cached for row in rows] == [0, 64, 64, 0, 64, 64]


def test_beginnings_stay_within_their_bytes_and_the_oldest_goes_first(
    tiny_base: Path, spelling: Spelling
) -> None:
    writer = _writer(tiny_base, {}, prefix_bytes=1)
    one = Wanted(tuple(range(5, 75)), 1, spelling)
    _written(writer, [one])
    assert writer.prefixes.bytes == 0
    writer = _writer(tiny_base, {})
    _written(writer, [one])
    room = writer.prefixes.bytes
    writer = _writer(tiny_base, {}, prefix_bytes=room)
    other = Wanted(tuple(range(105, 175)), 1, spelling)
    cached = []
    for asked in (one, other, other, one):
        row = writer.join(asked)
        while writer.rows:
            writer.step()
        cached.append(row.cached)
        assert writer.prefixes.bytes <= room
    assert cached == [0, 0, 64, 0]


def test_adapters_in_use_stay_and_of_the_others_the_one_used_least_recently_goes(
    tiny_base: Path, spelling: Spelling, adapters: dict[str, Path]
) -> None:
    base = open_base(describe(str(tiny_base)), "float32", "cpu")
    writer = Writer(base, adapters=2)
    loras = {name: read_lora(folder, base.model) for name, folder in adapters.items()}
    assert writer.bank.put("wide", loras["wide"])
    assert writer.bank.put("odd", loras["odd"])
    rows = [writer.join(Wanted((5, 6), 9, spelling, adapter=name)) for name in ("odd", "wide")]
    assert not writer.bank.put("late", loras["late"])
    for row in rows:
        writer.leave(row)
    size = writer.bank.bytes
    assert writer.bank.put("late", loras["late"])
    assert [name in writer.bank for name in ("wide", "odd", "late")] == [True, False, True]
    assert writer.bank.bytes == size  # in the other's place
    # What stood there before is gone: this one has nothing for most layers.
    wanted = Wanted((5, 6, 7), 8, spelling, Choice(temperature=0), adapter="late")
    alone = _written(_writer(tiny_base, adapters), [wanted])
    assert _written(writer, [wanted]) == alone


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (LoraConfig(r=2, use_dora=True, target_modules=["q_proj"]), "DoRA"),
        (LoraConfig(r=2, bias="all", target_modules=["q_proj"]), "biases"),
        (LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["lm_head"]), "whole layers"),
        (LoraConfig(r=2, target_modules=["q_proj", "lm_head"]), "below the head"),
        (LoraConfig(r=2, target_modules=["embed_tokens"]), "below the head"),
    ],
)
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings")
def test_what_is_more_than_a_sum_is_not_added(
    tiny_base: Path, tmp_path: Path, config: LoraConfig, reason: str
) -> None:
    assert reason in alone(_save(tiny_base, tmp_path, config))


def test_an_adapter_of_another_model_or_not_whole_is_refused(
    tiny_base: Path, tmp_path: Path, adapters: dict[str, Path]
) -> None:
    with pytest.raises(ModelError, match="does not fit its base"):
        read_lora(adapters["wide"], tiny("llama"))
    assert alone(adapters["wide"]) == ""
    damaged = tmp_path / "damaged"
    shutil.copytree(adapters["wide"], damaged)
    weights = damaged / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match="cannot be read"):
        alone(damaged)


def test_a_model_that_does_not_call_our_attention_writes_row_by_row(spelling: Spelling) -> None:
    model = tiny("llama")
    plain = tiny("llama")
    base = Base(None, model, FullLogitsForward(model))  # type: ignore[arg-type]  # not read
    wanted = [Wanted(ids, 5, spelling, Choice(temperature=0)) for ids in _prompts(3, 20, 97)]
    found = _written(Writer(base), wanted)
    for asked, ids in zip(wanted, found, strict=True):
        prompt = torch.tensor([asked.prompt])
        full = plain.generate(prompt, max_new_tokens=5, do_sample=False, eos_token_id=1)
        assert [each for each in full[0, len(asked.prompt) :].tolist() if each != 1] == ids
