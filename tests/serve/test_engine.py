"""The engine: answers of many models at once, fairly, until nobody waits for them any more."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, PromptTuningConfig, get_peft_model
from transformers import AutoModelForCausalLM

from tests.serve.resident import save_run, write_recipe
from tunesmith.models.open import describe
from tunesmith.models.resident.spelling import Spelling
from tunesmith.runs.resident import Placing, Resident, Wanted
from tunesmith.serve.chat.engine import ChatEngine
from tunesmith.serve.chat.generation import Generation, Model, Piece
from tunesmith.serve.chat.turns import Ticket, Turns
from tunesmith.serve.errors import ApiError
from tunesmith.serve.settings import Limits, Settings

Engines = Callable[..., ChatEngine]


@pytest.fixture(scope="module")
def models(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """The base, three adapters of it, two that cannot share it, and a whole model."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in range(3):
        save_run(tiny_base, folder / str(seed), seed)
    save_run(tiny_base, folder / "dora", 3, use_dora=True)
    _save_prompt(tiny_base, folder / "prompt")
    whole = folder / "whole"
    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    for weight in model.parameters():
        weight.data.mul_(1.2)
    model.save_pretrained(whole / "model")
    describe(str(tiny_base)).save_reader(whole / "model")
    write_recipe(tiny_base, whole)
    names = ("0", "1", "2", "dora", "prompt", "whole")
    return {"base": Model("tiny", "tiny")} | {
        name: Model(f"ft:{name}", "tiny", "chat", folder / name) for name in names
    }


def _save_prompt(base: Path, folder: Path) -> None:
    """Virtual tokens before each prompt."""
    torch.manual_seed(4)
    config = PromptTuningConfig(num_virtual_tokens=8, task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    model.save_pretrained(str(folder / "adapter"), save_embedding_layers=False)
    write_recipe(base, folder)
    describe(str(base)).save_reader(folder / "adapter")


@pytest.fixture
def engine(tiny_base: Path, tmp_path: Path) -> Iterator[Engines]:
    """Makes engines, and closes them."""
    made = []

    def make(**changes: Any) -> ChatEngine:
        settings = Settings(home=tmp_path, bases={"tiny": str(tiny_base)}, **changes)
        made.append(ChatEngine(settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


def _asked(model: Model, *ids: int, **more: Any) -> Generation:
    settings: dict[str, Any] = {"max_new_tokens": 12, "temperature": 0.0}
    return Generation(model, ids or (5, 6, 7), **(settings | more))


async def _all(engine: ChatEngine, asked: Generation) -> list[Piece]:
    return [piece async for piece in engine.generate(asked)]


async def _text(engine: ChatEngine, asked: Generation) -> str:
    return "".join(piece.text for piece in await _all(engine, asked))


def test_all_kinds_of_models_answer_as_each_would_alone(
    engine: Engines, models: dict[str, Model], tiny_base: Path
) -> None:
    """Adapters share their base; what cannot has one of its own; the whole model is one."""

    async def ask() -> list[list[Piece]]:
        one = engine(resident_bases=5)
        found = await asyncio.gather(*(_all(one, _asked(model)) for model in models.values()))
        counts = one.counts()
        assert (counts.adapters, counts.answers, counts.failures) == (3, len(models), 0)
        assert counts.written_tokens == sum(p.tokens for pieces in found for p in pieces)
        return found

    spelling = Placing().find(str(tiny_base)).spelling
    for name, pieces in zip(models, asyncio.run(ask()), strict=True):
        plain: Any = AutoModelForCausalLM.from_pretrained(_weights(models[name], tiny_base))
        if name not in ("base", "whole"):
            folder = models[name].folder
            assert folder is not None
            plain = PeftModel.from_pretrained(plain, folder / "adapter")
        raw = b"".join(spelling.raw[id] for id in _greedy(plain.eval(), spelling))
        said = raw.decode("utf-8", "replace").rstrip("\ufffd")
        assert "".join(piece.text for piece in pieces) == said, name
        assert pieces[-1].finish in ("stop", "length")
        assert pieces[-1].prompt_tokens == 3


@torch.no_grad()
def _greedy(plain: Any, spelling: Spelling) -> list[int]:
    """The answer by plain transformers and PEFT, computed anew for each token."""
    ids = [5, 6, 7]
    while len(ids) < 15 and ids[-1] not in spelling.stop_ids:
        given = torch.tensor([ids])
        logits = plain(input_ids=given, attention_mask=torch.ones_like(given)).logits
        ids.append(int(logits[0, -1].argmax()))
    return ids[3:]


def _weights(model: Model, base: Path) -> Path:
    whole = model.folder is not None and (model.folder / "model").is_dir()
    return model.folder / "model" if whole and model.folder is not None else base


def test_more_adapters_and_bases_than_fit_take_turns(
    engine: Engines, models: dict[str, Model]
) -> None:
    one = engine(resident_adapters=1, resident_bases=1)
    alone = engine(resident_bases=5)

    async def ask() -> None:
        together = await asyncio.gather(
            *(_text(one, _asked(model, key=str(n))) for model in models.values() for n in range(2))
        )
        expected = [await _text(alone, _asked(model)) for model in models.values()]
        assert together == [text for text in expected for _ in range(2)]
        counts = one.counts()
        assert counts.bases == 1

    asyncio.run(ask())


def test_the_answer_ends_when_nobody_waits_for_it(
    engine: Engines, models: dict[str, Model]
) -> None:
    one = engine()

    async def ask() -> None:
        long = _asked(models["base"], max_new_tokens=400, logit_bias={1: -100.0})
        async with aclosing(one.generate(long)) as pieces:
            await anext(pieces)
        counts = one.counts()
        await _until(lambda: _under_way(one) == 0)
        assert counts.answers == 0

    asyncio.run(ask())


def _under_way(engine: ChatEngine) -> int:
    counts = engine.counts()
    return counts.under_way + counts.waiting


async def _until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not true():
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


def test_too_many_that_wait_are_refused_and_the_others_answered(
    engine: Engines, models: dict[str, Model]
) -> None:
    one = engine(batch_size=1, limits=Limits(waiting_answers=3))

    async def ask() -> list[Any]:
        await _text(one, _asked(models["base"]))
        asked = (_text(one, _asked(models["base"], max_new_tokens=40)) for _ in range(12))
        return await asyncio.gather(*asked, return_exceptions=True)

    found = asyncio.run(ask())
    refused = [each for each in found if isinstance(each, ApiError)]
    assert {(each.status, each.code) for each in refused} == {(429, "queue_full")}
    assert len({each for each in found if isinstance(each, str)}) == 1
    assert 3 <= len(found) - len(refused) < 12


def test_what_cannot_be_written_is_refused_by_sentence(
    engine: Engines, models: dict[str, Model], tiny_base: Path, tmp_path: Path
) -> None:
    one = engine()

    async def refused(asked: Generation) -> ApiError:
        with pytest.raises(ApiError) as error:
            await _all(one, asked)
        return error.value

    base = models["base"]
    behind = models["prompt"]
    reads = describe(str(tiny_base)).context
    full = asyncio.run(refused(_asked(behind, *[5] * (reads - 8))))
    assert full.code == "context_length_exceeded"
    long = asyncio.run(refused(_asked(base, *range(2, 200), *range(2, 200), *range(2, 200))))
    assert (long.status, long.code) == (400, "context_length_exceeded")
    schema = asyncio.run(refused(_asked(base, schema={"not": {}})))
    assert (schema.status, schema.message[-12:]) == (400, "simplify it.")
    gone = Model("ft:gone", "tiny", "chat", tmp_path / "gone")
    assert asyncio.run(refused(_asked(gone))).status == 503
    other = save_run(tiny_base, tmp_path / "other")
    (other / "recipe.yaml").write_text(
        (other / "recipe.yaml").read_text().replace(str(tiny_base), "anvil")
    )
    wrong = asyncio.run(refused(_asked(Model("ft:other", "tiny", "chat", other))))
    assert str(tmp_path) not in wrong.message


def test_an_adapter_that_was_damaged_fails_alone(
    engine: Engines, models: dict[str, Model], tiny_base: Path, tmp_path: Path
) -> None:
    folder = save_run(tiny_base, tmp_path / "damaged", r=4)
    one = engine()

    async def ask() -> tuple[Any, ...]:
        damaged = Model("ft:damaged", "tiny", "chat", folder)
        await _text(one, _asked(models["base"]))
        one_more = save_run(tiny_base, tmp_path / "wide", r=8)
        narrow = folder / "adapter" / "adapter_model.safetensors"
        weights = one_more / "adapter" / "adapter_model.safetensors"
        narrow.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
        asked = (_text(one, _asked(each)) for each in (damaged, models["0"]))
        return tuple(await asyncio.gather(*asked, return_exceptions=True))

    failed, answered = asyncio.run(ask())
    assert isinstance(failed, ApiError)
    assert isinstance(answered, str)


def test_adapters_that_nobody_waits_for_any_more_do_not_stay(
    tiny_base: Path, models: dict[str, Model]
) -> None:
    resident = Resident(Placing().find(str(tiny_base)), 1)
    with ThreadPoolExecutor(1) as pool:
        for name in ("0", "1", "2"):
            folder = models[name].folder
            assert folder is not None
            read = threading.Event()
            resident.ready(folder / "adapter", pool, read.set)
            assert read.wait(10)
    assert len(resident._loads) == 1


def test_what_fails_while_an_answer_is_begun_fails_alone(
    engine: Engines, models: dict[str, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = engine()
    ready = Resident.ready

    def fails(self: Resident, adapter: Path | None, *more: Any) -> bool:
        if adapter is not None:
            raise OSError("the disk")
        return ready(self, adapter, *more)

    monkeypatch.setattr(Resident, "ready", fails)

    async def ask() -> list[Any]:
        asked = [_asked(models["base"], max_new_tokens=60), _asked(models["0"])]
        return await asyncio.gather(*(_text(one, each) for each in asked), return_exceptions=True)

    answered, failed = asyncio.run(ask())
    assert isinstance(answered, str)
    assert isinstance(failed, ApiError)
    assert "could not be opened" in failed.message


def test_closing_tells_all_who_wait(engine: Engines, models: dict[str, Model]) -> None:
    one = engine(batch_size=1)

    async def ask() -> list[Any]:
        long = _asked(models["base"], max_new_tokens=400, logit_bias={1: -100.0})
        tasks = [asyncio.create_task(_text(one, long)) for _ in range(3)]
        await _until(lambda: _under_way(one) == 3)
        await asyncio.to_thread(one.close)
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(ask())
    assert {each.status for each in found if isinstance(each, ApiError)} == {503}
    assert len(found) == 3


def _ticket(key: str, placed: Any = None) -> Ticket:
    wanted: Wanted = None  # type: ignore[assignment]  # never begun
    return Ticket(key, placed, wanted)


def _in_loop(act: Callable[[], None]) -> None:
    async def run() -> None:
        act()

    asyncio.run(run())


def test_one_key_fills_no_queue_for_the_others() -> None:
    def act() -> None:
        turns = Turns(4)
        for _ in range(4):
            turns.add(_ticket("a"))
        for _ in range(2):
            turns.add(_ticket("b"))
        for key in ("a", "b"):
            with pytest.raises(ApiError) as refused:
                turns.add(_ticket(key))
            assert refused.value.code == "queue_full"

    _in_loop(act)


def test_the_key_with_the_fewest_under_way_is_next() -> None:
    def act() -> None:
        turns = Turns(10)
        crowd = [_ticket("a") for _ in range(5)]
        late = [_ticket("b"), _ticket("c")]
        for ticket in (*crowd, *late):
            turns.add(ticket)
        order = [ticket.key for ticket in turns.in_turn()]
        assert order == ["a", "b", "c", "a", "a", "a", "a"]
        turns.begin(crowd[0])
        turns.begin(crowd[1])
        assert [ticket.key for ticket in turns.in_turn()][:3] == ["b", "c", "a"]
        turns.begin(late[0])
        turns.end(crowd[0])
        turns.end(crowd[1])
        assert len(turns) == 4
        assert next(turns.in_turn()).key in ("a", "c")

    _in_loop(act)
