"""Encoder and decoder: the library's own loss and gradients, alone and beside others; every method
trained, resumed bitwise, opened in plain transformers and PEFT; answers as the library gives them.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from peft import AutoPeftModelForSeq2SeqLM
from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig

from tests.apart import FAMILIES, SIZES, random_model, save_apart
from tests.conftest import colour_rows
from tests.support import (
    SETTINGS,
    Recorder,
    assert_near,
    gradients_of,
    loop_over,
    model_section,
    weights_of,
)
from tunesmith.core.errors import Unsupported
from tunesmith.core.records import Completion, Example, Origin, Prompt, Tokens
from tunesmith.data.pack import pack
from tunesmith.engine.checkpoints import Checkpoints
from tunesmith.engine.loop import on_device
from tunesmith.engine.optimizers import BETAS, EPSILON
from tunesmith.engine.stopping import StopRequest
from tunesmith.models.encoder_decoder import (
    WholeEncoderDecoderForward,
    choose_encoder_decoder,
)
from tunesmith.models.methods import METHODS, Tuned, attach, lacks, reopen
from tunesmith.models.open import Base, describe, open_base
from tunesmith.models.trunk import open_trunk
from tunesmith.models.trunk_store import Budget
from tunesmith.objectives.cross_entropy import CrossEntropy
from tunesmith.recipe.methods import METHODS as LINES
from tunesmith.recipe.methods import Need, reason_against
from tunesmith.runs.open import Opened
from tunesmith.runs.rendering import renderer_of, template_of

CPU = torch.device("cpu")
STEPS = replace(SETTINGS, total_steps=4, checkpoint_every=2, learning_rate=0.02)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("apart")
    return {family: save_apart(folder / family.replace(" ", "-"), family) for family in FAMILIES}


@cache
def _opened(folder: Path) -> Base:
    return open_base(describe(str(folder)), "float32", "cpu")


def _base(folder: Path) -> Base:
    """As opened afresh, and faster."""
    return copy.deepcopy(_opened(folder))


def _examples() -> list[Example]:
    turns = [row["messages"] for row in colour_rows(6)]
    return [
        Example(Origin("rows", n), Completion(asked["content"] + " Say it." * n, said["content"]))
        for n, (asked, said) in enumerate(turns)
    ]


def _opened_to_ask(base: Base) -> Opened:
    template, _ = template_of(base.described, "auto")
    return Opened(base, renderer_of(base.described, template, "plain"))


def _rows(base: Base) -> list[Tokens]:
    rendered = _opened_to_ask(base).renderer.render(_examples(), "sft", 192)
    return [part for parts in rendered for part in parts]  # type: ignore[union-attr]


def _gradients(base: Base, groups: Sequence[Sequence[Tokens]], path: object = None) -> tuple:
    base.model.zero_grad()
    total = 0.0
    for group in groups:
        batch = on_device(pack(group, share=False), CPU)
        loss = CrossEntropy().loss(path or base.forward, batch)
        loss.sum.backward()
        total += float(loss.sum.detach())
    return total, _gradients_of(base)


def _library(base: Base) -> tuple[float, dict[str, torch.Tensor]]:
    """The sum of transformers' own losses, a row at a time, made by its tokenizer alone."""
    tokenizer = AutoTokenizer.from_pretrained(base.described.location)
    base.model.zero_grad()
    total = 0.0
    for example in _examples():
        content = example.content
        assert isinstance(content, Completion)
        source = tokenizer(content.prompt, return_tensors="pt")
        labels = tokenizer(text_target=content.completion, return_tensors="pt")["input_ids"]
        loss = base.model(**source, labels=labels).loss * labels.numel()
        loss.backward()
        total += float(loss.detach())
    return total, _gradients_of(base)


def _gradients_of(base: Base) -> dict[str, torch.Tensor]:
    """Without the biases of keys: softmax is blind to them, so theirs are rounding and no more."""
    found = gradients_of(base.model)
    return {name: each for name, each in found.items() if not name.endswith("k_proj.bias")}


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_the_librarys_loss_and_gradient_alone_and_beside_others(
    bases: dict[str, Path], family: str
) -> None:
    base = _base(bases[family])
    assert base.forward.name == "encoder and decoder, padded"
    assert base.forward.linear_head is not None
    base.model.requires_grad_(True)
    rows = _rows(base)
    assert len({len(row) for row in rows}) > 3
    wanted, theirs = _library(base)
    for groups in ([rows], [[row] for row in rows]):
        total, ours = _gradients(base, groups)
        assert total == pytest.approx(wanted, abs=1e-5 * sum(row.sites for row in rows))
        assert_near(ours, theirs)
    total, ours = _gradients(base, [rows], WholeEncoderDecoderForward(base.model))
    assert total == pytest.approx(wanted, rel=1e-6)
    assert_near(ours, theirs)


def test_logits_that_are_more_than_a_linear_head_come_from_the_whole_model() -> None:
    model = random_model("bart").eval()
    with torch.no_grad():
        model.final_logits_bias += torch.randn_like(model.final_logits_bias)
    path = choose_encoder_decoder(model, model.config.decoder_start_token_id)
    assert isinstance(path, WholeEncoderDecoderForward)


def test_a_model_that_reads_rows_together_is_refused() -> None:
    model = random_model("t5").eval()

    def mixed(module: torch.nn.Module, args: object, output: object) -> object:
        output.last_hidden_state = output.last_hidden_state + output.last_hidden_state.mean(0)  # type: ignore[attr-defined]
        return output

    model.get_encoder().register_forward_hook(mixed)
    with pytest.raises(Unsupported, match="in another way alone than beside others"):
        choose_encoder_decoder(model, 0)


def test_a_model_that_shifts_targets_in_a_way_of_its_own_is_refused() -> None:
    config = AutoConfig.for_model("mbart", vocab_size=330, pad_token_id=1, **SIZES["bart"])
    model = AutoModelForSeq2SeqLM.from_config(config).eval()
    with torch.no_grad():
        model.model.shared.weight.normal_()
    with pytest.raises(Unsupported, match="shifts its targets in a way of its own"):
        choose_encoder_decoder(model, 2)


CASES = [name for name in METHODS if not {"decoder_only", "one_stack"} & {*LINES[name].needs}]


def _attached(folder: Path, case: str) -> Tuned:
    method, _, more = case.partition("/")
    layers = 1 if more == "top" or "rank" not in LINES[method].keys else 2
    init = more if more and more != "top" else "default"
    return attach(_base(folder), model_section(method=method, init=init, layers=layers), 0)


@torch.no_grad()
def _at_sites(base: Base, rows: Sequence[Tokens]) -> torch.Tensor:
    base.model.eval()
    return base.forward.head(base.forward.hidden_at_sites(on_device(pack(rows, False), CPU)))


@torch.no_grad()
def _plainly(model: torch.nn.Module, rows: Sequence[Tokens]) -> torch.Tensor:
    """Logits of a plain model, a row at a time."""
    found = []
    for row in rows:
        ids, border = torch.from_numpy(row.ids_N).long()[None], int((row.weights_N == 0).sum())
        found.append(model.eval()(input_ids=ids[:, : border - 1], labels=ids[:, border:]).logits[0])
    return torch.cat(found)


@pytest.mark.filterwarnings("ignore:Unsupported layer type", "ignore:.*is_gradient_checkpointing")
@pytest.mark.parametrize(
    ("family", "case"),
    [
        *(("t5", case) for case in [*CASES, "lora/pissa", "lora/top"]),
        *(("bart", case) for case in ("full", "last_layers", "head", "bias", "lora")),
    ],
)
def test_every_method_trains_resumes_and_opens_elsewhere(
    bases: dict[str, Path], tmp_path: Path, family: str, case: str
) -> None:
    if need := lacks(_opened(bases[family]).model, case.partition("/")[0]):  # type: ignore[arg-type]
        assert (family, case) in {("t5", "bias")}
        with pytest.raises(Unsupported) as caught:
            _attached(bases[family], case)
        assert f"so model.method={case} cannot train it" in str(caught.value)
        assert need
        return
    tuned, told = _attached(bases[family], case), Recorder()
    rows = _rows(tuned.base)
    factors = replace(STEPS, rate_factors=tuned.rate_factors)
    loop_over(tuned, rows, tmp_path / "run", factors, watcher=told).run(StopRequest())
    assert told.losses[-1] < told.losses[0]

    resumed = _attached(bases[family], case)
    loop = loop_over(resumed, rows, tmp_path / "run", factors)
    loop.resume(Checkpoints(tmp_path / "run", 2).load(2))
    loop.run(StopRequest())
    ours, theirs = weights_of(tuned.module), weights_of(resumed.module)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)

    tuned.module.eval()
    tuned.save(tmp_path / "out")
    wanted = _at_sites(tuned.base, rows)
    assert not torch.allclose(wanted, _at_sites(_opened(bases[family]), rows), atol=1e-3)
    if tuned.artefact == "model":
        again = open_base(describe(str(tmp_path / "out")), "float32", "cpu")
        plain = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out")
    else:
        again = reopen(_base(bases[family]), tmp_path / "out")
        plain = AutoPeftModelForSeq2SeqLM.from_pretrained(tmp_path / "out")
        assert plain.peft_config["default"].task_type == "SEQ_2_SEQ_LM"
    torch.testing.assert_close(_at_sites(again, rows), wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(_plainly(plain, rows), wanted, atol=1e-4, rtol=1e-4)
    if tuned.artefact == "adapter":
        merged = plain.merge_and_unload()
        torch.testing.assert_close(_plainly(merged, rows), wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", ["t5", "bart"])
@pytest.mark.parametrize("method", ["lora", "last_layers"])
def test_late_layers_are_the_decoders(bases: dict[str, Path], family: str, method: str) -> None:
    tuned = attach(_base(bases[family]), model_section(method=method, layers=1), 0)
    names = {name for name, weight in tuned.module.named_parameters() if weight.requires_grad}
    assert names
    stack = "decoder.block.1." if family == "t5" else "decoder.layers.1."
    after = "decoder.final_layer_norm"
    assert all(stack in name or after in name for name in names)
    assert (family == "t5" and method == "last_layers") == any(after in name for name in names)


@pytest.mark.parametrize("method", ["lora", "last_layers", "head"])
def test_a_frozen_encoder_is_run_in_every_epoch_and_said_to_be(
    bases: dict[str, Path], tmp_path: Path, method: str
) -> None:
    layers = 2 if method == "lora" else 1
    tuned = attach(_base(bases["bart"]), model_section(method=method, layers=layers), 0)
    trunk = open_trunk(tuned.base, tokens=99, sites=9, budget=Budget(1 << 30, 1 << 30, tmp_path))
    assert trunk.forward is None
    assert ("has an encoder beside its decoder, which is not cut" in trunk.note) == (layers == 1)


def test_the_losses_are_those_of_a_plain_loop(bases: dict[str, Path], tmp_path: Path) -> None:
    """Rows padded by the library's tokenizer, its own loss, AdamW of torch: the same steps."""
    tuned, told = _attached(bases["t5 untied"], "full"), Recorder()
    rows = _rows(tuned.base)
    settings = replace(STEPS, schedule="constant", warmup=0.0, weight_decay=0.0, clip=1e9)
    loop_over(tuned, rows, tmp_path / "run", settings, watcher=told).run(StopRequest())
    model = AutoModelForSeq2SeqLM.from_pretrained(bases["t5 untied"]).train()
    tokenizer = AutoTokenizer.from_pretrained(bases["t5 untied"], padding_side="right")
    asked = [each.content for each in _examples()]
    source = tokenizer([each.prompt for each in asked], padding=True, return_tensors="pt")  # type: ignore[union-attr]
    answers = [each.completion for each in asked]  # type: ignore[union-attr]
    target = tokenizer(text_target=answers, padding=True, return_tensors="pt")
    labels = target["input_ids"].masked_fill(target["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=BETAS, eps=EPSILON, weight_decay=0.0
    )
    losses = []
    for _ in range(settings.total_steps):
        loss = model(**source, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert told.losses == pytest.approx(losses, rel=1e-5)


@pytest.mark.parametrize(
    ("method", "need"),
    [
        ("prompt_tuning", "decoder_only"),
        ("prefix_tuning", "decoder_only"),
        ("adalora", "one_stack"),
    ],
)
def test_what_is_for_one_stack_is_refused(bases: dict[str, Path], method: str, need: Need) -> None:
    with pytest.raises(Unsupported) as caught:
        attach(_base(bases["t5"]), model_section(method=method, virtual_tokens=4), 0)
    name = f"{bases['t5']} (T5ForConditionalGeneration)"
    wanted = reason_against(method, "default", need, name)  # type: ignore[arg-type]
    assert str(caught.value) == wanted
    assert wanted.endswith("Use model.method=lora.")


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_answers_are_those_of_plain_generation(tmp_path: Path, family: str) -> None:
    """Questions of several lengths at once, each answered as the library answers it alone."""
    model = random_model(family)
    head = model.get_output_embeddings()
    head.weight = torch.nn.Parameter(torch.randn_like(head.weight))  # tied, it repeats itself
    model.save_pretrained(save_apart(tmp_path, family))
    opened = _opened_to_ask(open_base(describe(str(tmp_path)), "float32", "cpu"))
    tokenizer = opened.base.described.tokenizer
    prompts = [opened.renderer.prompt(example) for example in _examples()]
    given = opened.sampler.answer([each for each in prompts if each], 6)
    assert len(set(given)) > 1
    plain = AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval()
    plain.generation_config = GenerationConfig(
        decoder_start_token_id=plain.config.decoder_start_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    for example, answer in zip(_examples(), given, strict=True):
        asked = tokenizer(example.content.prompt, return_tensors="pt")  # type: ignore[union-attr]
        ids = plain.generate(**asked, max_new_tokens=6, do_sample=False)[0]
        assert tokenizer.decode(ids, skip_special_tokens=True) == answer


def test_a_decoder_writes_no_further_than_it_reads(bases: dict[str, Path]) -> None:
    """BART has learned positions: one more than there are would be an error of the library."""
    opened = _opened_to_ask(_base(bases["bart"]))
    prompt = opened.renderer.prompt(_examples()[0])
    assert isinstance(prompt, Prompt)
    with torch.no_grad():
        opened.base.model.get_output_embeddings().weight[opened.renderer.stop_ids()[0]] = 0
    assert opened.sampler.answer([prompt], 500)
