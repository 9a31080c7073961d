"""Each kind of model as the battery runs it: tiny bases, rows, and who opens what was saved.

A subject is a base prepared by a method. `outputs` is what it says of the battery's rows; `again`
what a fresh copy of it says, opened by us, and `elsewhere` by plain transformers and PEFT.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch.nn.functional import normalize
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
)

from tests import imaging, labelling
from tests.conftest import make_tokenizer
from tests.shapes import sharp
from tests.support import examples, model_section
from tunesmith.core.batch import Batch, ImageBatch
from tunesmith.core.ports import Batches, Objective, Revision
from tunesmith.core.records import Example, Label, Origin, Pair, Preference, Tagged, Tokens
from tunesmith.data import Renderer, choose
from tunesmith.data.classes import Targets
from tunesmith.data.labelled import LabelRenderer
from tunesmith.data.lay import Layer
from tunesmith.data.loader import PackedBatches
from tunesmith.data.pack import pack
from tunesmith.data.rewards import RewardRenderer
from tunesmith.engine.loop import on_device
from tunesmith.models.classifier_form import reads_onwards
from tunesmith.models.label_artefact import Naming, save_labelled
from tunesmith.models.labelled import LabelModel, open_body, pooling_of
from tunesmith.models.methods import ADAPTER, attach, reopen
from tunesmith.models.open import Base, describe, open_base
from tunesmith.models.vision import VisionModel, describe_vision, open_vision, reopen_vision
from tunesmith.models.vision_methods import attach_vision, reopen_vision_adapter, save_vision
from tunesmith.objectives import OBJECTIVES, Penalised
from tunesmith.objectives.embeddings import Embeddings
from tunesmith.objectives.labels import Labels
from tunesmith.objectives.rewards import BradleyTerry
from tunesmith.recipe import ModelSection, load
from tunesmith.recipe.methods import METHODS as LINES
from tunesmith.runs.labels.tuned import open_labelled

Tensor = torch.Tensor
CPU = torch.device("cpu")

WIDTH: dict[str, Any] = {
    "vocab_size": 330,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
GROUPED = WIDTH | {"num_key_value_heads": 2}
WRITERS: dict[str, dict[str, Any]] = {
    "llama": GROUPED,
    "gpt2": {"vocab_size": 330, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    | {"bos_token_id": 0, "eos_token_id": 2},
    "gpt_neox": WIDTH,
    "mistral": GROUPED | {"sliding_window": 16},
    "qwen2": GROUPED,
}
IDS = torch.arange(3, 40)[None]


@dataclass(frozen=True)
class Subject:
    """See the head of this file. `elsewhere` gives one answer, and a second where it merged."""

    module: torch.nn.Module
    forward: Any
    objective: Objective
    batches: Batches
    artefact: str
    factors: Mapping[str, float]
    outputs: Callable[[], Tensor]
    save: Callable[[Path], None]
    again: Callable[[Path], Tensor]
    elsewhere: Callable[[Path], Iterator[Tensor]]
    wanted_elsewhere: Callable[[], Tensor]
    revision: Callable[[int], Revision] | None = None


@dataclass(frozen=True)
class Kind:
    """A kind of objective: its families of bases, how one is made, and prepared by a case."""

    families: tuple[str, ...]
    made: Callable[[Path, str], Path]
    subject: Callable[[Path, str], Subject]


def section_of(case: str, layers: int) -> ModelSection:
    """The resolved model section of a case, "method" or "method/init".

    Adapters stand in all layers, but for rslora's, which stand in the top one.
    """
    method, _, init = case.partition("/")
    count = layers if "rank" in LINES[method].keys and method != "rslora" else 1
    return model_section(
        method=method, init=init or "default", virtual_tokens=5, layers=count, rank=4
    )


def _both(plain: Any, folder: Path, ask: Callable[[Any], Tensor]) -> Iterator[Tensor]:
    """What `plain` says with the adapter in `folder`, and merged where that can be."""
    opened = PeftModel.from_pretrained(copy.deepcopy(plain), folder)
    yield ask(opened)
    if hasattr(opened.base_model, "merge_and_unload"):
        yield ask(opened.merge_and_unload())


class _OneStep:
    """The same micro-batch at each step."""

    steps_per_epoch = 1
    tokens_per_micro_batch = 10_000

    def __init__(self, batch: Batch | ImageBatch) -> None:
        self._batch = batch

    def step(self, epoch: int, index: int) -> list[Batch | ImageBatch]:
        return [self._batch]

    def within(self, tokens_per_micro_batch: int) -> _OneStep:
        return self


# Models that write.


def _writer(folder: Path, family: str) -> Path:
    sharp(family, WRITERS[family], scale=4).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@cache
def opened_writer(folder: Path) -> Base:
    """A base, which is copied before it is used."""
    return open_base(describe(str(folder)), "float32", "cpu")


@torch.no_grad()
def at_sites(base: Base) -> Tensor:
    """The logits of the battery's rows."""
    batch = on_device(pack(_written(), base.forward.shares), CPU)
    return base.forward.head(base.forward.hidden_at_sites(batch))


@torch.no_grad()
def _logits(model: torch.nn.Module) -> Tensor:
    logits: Tensor = model.eval()(input_ids=IDS, attention_mask=torch.ones_like(IDS)).logits
    return logits[:, -IDS.shape[1] :]


def _written() -> list[Tokens]:
    return examples(6, vocabulary=330)


@cache
def _plain_writer(folder: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(folder)


def written(folder: Path, case: str) -> Subject:
    """A base that writes."""
    tuned = attach(copy.deepcopy(opened_writer(folder)), section_of(case, 2), 0)
    learned = OBJECTIVES["sft"]()

    def again(saved: Path) -> Tensor:
        if tuned.artefact == ADAPTER:
            return at_sites(reopen(copy.deepcopy(opened_writer(folder)), saved))
        return at_sites(open_base(describe(str(saved)), "float32", "cpu"))

    def elsewhere(saved: Path) -> Iterator[Tensor]:
        if tuned.artefact == ADAPTER:
            yield from _both(_plain_writer(folder), saved, _logits)
        else:
            yield _logits(AutoModelForCausalLM.from_pretrained(saved))

    return Subject(
        tuned.module,
        tuned.base.forward,
        Penalised(learned, tuned.penalty) if tuned.penalty else learned,
        _packed(_written(), share=tuned.base.forward.shares),
        tuned.artefact,
        tuned.rate_factors,
        outputs=lambda: at_sites(tuned.base),
        save=tuned.save,
        again=again,
        elsewhere=elsewhere,
        wanted_elsewhere=lambda: _logits(tuned.module),
        revision=tuned.revision,
    )


def _packed(rows: list[Tokens], **how: Any) -> PackedBatches:
    return PackedBatches(rows, batch_size=8, tokens_per_micro_batch=10_000, seed=3, **how)


# Models that label texts and words, and make vectors of texts.


@cache
def _body(folder: Path) -> tuple[Any, Any, Any]:
    described = describe(str(folder))
    return described, *open_body(described, "float32", "cpu")


@cache
def _labelled_rows(folder: Path, kind: str) -> list[Tokens]:
    """Rows of the kind as the base in `folder` reads them."""
    described = describe(str(folder))
    renderer: Any = LabelRenderer(described.tokenizer, last=reads_onwards(described.config))
    if kind == "reward":
        template, _ = choose(described.tokenizer, "auto")
        renderer = RewardRenderer(Renderer(described.tokenizer, template), 0)
    texts = labelling.rows(8)
    contents: dict[str, list[Any]] = {
        "classify": [Label(row["text"], (row["label"],)) for row in texts],
        "tag": [Tagged(tuple(row["tokens"]), tuple(row["tags"])) for row in labelling.tagged(8)],
        "embed": [Pair(a["text"], b["text"]) for a, b in zip(texts, texts[3:], strict=False)],
        "reward": [
            Preference(COMMON, good["text"], bad["text"])
            for good, bad in product(texts[::3], texts[1::3])
        ],
    }
    made = [Example(Origin("rows", n + 1), each) for n, each in enumerate(contents[kind])]
    return [part for parts in renderer.render(made, kind, 64) for part in parts]


def labelled(kind: str) -> Callable[[Path, str], Subject]:
    """How a base is prepared for a kind that labels texts or words, or makes vectors."""

    def prepared(folder: Path, case: str) -> Subject:
        return _labelled(kind, folder, case)

    return prepared


def _labelled(kind: str, folder: Path, case: str) -> Subject:
    described, body, path = copy.deepcopy(_body(folder))
    rows = _labelled_rows(folder, kind)
    targets = _targets(kind, rows)
    pooling = "words" if kind == "tag" else pooling_of(path)
    model = LabelModel(
        body, path, outputs=targets.outputs, pooling=pooling, seed=1, share=kind == "reward"
    )
    adapter, factors = None, {}
    if case == "head":
        body.requires_grad_(False)
    else:
        attached = attach(Base(described, body, path), section_of(case, 2), 0)  # type: ignore[arg-type]
        adapter = attached.module if attached.artefact == ADAPTER else None
        factors = attached.factors_in(model)
    model.classifier.requires_grad_(True)
    naming = Naming(targets.task, targets.names, pooling)
    losses: dict[str, Any] = {
        "classify": Labels("single_label"),
        "tag": Labels("single_label", words=True),
        "embed": Embeddings(0.05),
        "reward": BradleyTerry(),
    }

    def again(saved: Path) -> Tensor:
        settings = [f"model.base={folder}", "model.dtype=float32", "model.device=cpu"]
        return said(open_labelled(saved, load(None, settings))[1], rows)

    def elsewhere(saved: Path) -> Iterator[Tensor]:
        yield from _plain_labels(kind, folder, saved, model, rows)

    return Subject(
        model,
        model,
        losses[kind],
        _OneStep(Layer(pooling, targets)(rows, model.shares)),
        "model" if adapter is None else ADAPTER,
        factors,
        outputs=lambda: said(model, rows),
        save=lambda target: save_labelled(model, adapter, described, naming, target),
        again=again,
        elsewhere=elsewhere,
        wanted_elsewhere=lambda: said(model, rows),
    )


def _targets(kind: str, rows: list[Tokens]) -> Targets:
    if kind == "reward":
        return Targets("preference", ())
    if kind == "tag":
        return Targets.tags(rows)
    return Targets.found(rows, "similarity" if kind == "embed" else "auto")


@torch.no_grad()
def said(model: Any, rows: list[Tokens]) -> Tensor:
    """What the head gives for each row, or word; for vectors their directions."""
    model.eval()
    found: Tensor = model.head(model.features(on_device(Layer(model.pooling, None)(rows), CPU)))
    return found if model.outputs else normalize(found)


def _plain_labels(
    kind: str, folder: Path, saved: Path, model: LabelModel, rows: list[Tokens]
) -> Iterator[Tensor]:
    """What plain libraries say: the classifier of the family, or body, pooling and dense layer."""
    form: Any = AutoModel
    if kind == "tag":
        form = AutoModelForTokenClassification
    elif kind in ("classify", "reward") and model.pooling == "last":
        form = AutoModelForSequenceClassification

    def ask(plain: Any) -> Tensor:
        return _asked(plain, model, saved, rows)

    if (saved / "adapter_config.json").is_file():
        count = {} if form is AutoModel else {"num_labels": model.outputs}
        plain = form.from_pretrained(folder, **count)
        plain.config.pad_token_id = 0
        if hasattr(plain, "pooler"):
            plain.pooler = None
        yield from _both(plain, saved, ask)
    else:
        yield ask(form.from_pretrained(saved))


@torch.no_grad()
def _asked(plain: Any, model: LabelModel, saved: Path, rows: list[Tokens]) -> Tensor:
    """The rows as plain transformers takes them: padded on the right to one length."""
    longest = max(map(len, rows))
    ids_BN = torch.zeros(len(rows), longest, dtype=torch.long)
    mask_BN = torch.zeros(len(rows), longest, dtype=torch.long)
    for place, row in enumerate(rows):
        ids_BN[place, : len(row)] = torch.tensor(row.ids_N.tolist())
        mask_BN[place, : len(row)] = 1
    given = plain.eval()(input_ids=ids_BN, attention_mask=mask_BN)
    if "logits" in given:
        if model.pooling != "words":
            return given.logits
        at = [torch.tensor(row.weights_N.nonzero()[0]) for row in rows]
        return torch.cat([given.logits[place, each] for place, each in enumerate(at)])
    states_BND = given.last_hidden_state
    if model.pooling == "last":
        pooled_BD = states_BND[torch.arange(len(rows)), mask_BN.sum(1) - 1]
    else:
        pooled_BD = (states_BND * mask_BN[..., None]).sum(1) / mask_BN.sum(1, keepdim=True)
    if not model.outputs:
        return normalize(pooled_BD)
    dense = load_file(saved / "2_Dense" / "model.safetensors")
    return pooled_BD @ dense["linear.weight"].T + dense["linear.bias"]


# Models that label images.

SCALE = (1 / 255, (0.5,) * 3, (0.5,) * 3)
CLASSES = ("cat", "dog", "owl")


def _images() -> ImageBatch:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (4, 3, imaging.SIDE, imaging.SIDE), dtype=np.uint8)
    return ImageBatch(pixels, tuple(Origin("a", n + 1) for n in range(4)), np.arange(4) % 3)


@cache
def _seeing(folder: Path) -> tuple[Any, Any]:
    described = describe_vision(str(folder))
    return described, open_vision(described, CLASSES, "float32", "cpu", seed=0)


def seen(folder: Path, case: str) -> Subject:
    """A base that labels images."""
    described, opened = _seeing(folder)
    section = section_of(case, described.layers)
    tuned = attach_vision(copy.deepcopy(opened), described, section, 0)
    model = VisionModel(tuned.module, SCALE)

    def again(saved: Path) -> Tensor:
        if tuned.artefact != ADAPTER:
            return _labels(VisionModel(reopen_vision(saved, "float32", "cpu"), SCALE))
        base = open_vision(described, CLASSES, "float32", "cpu", seed=5)
        return _labels(VisionModel(reopen_vision_adapter(base, saved), SCALE))

    def elsewhere(saved: Path) -> Iterator[Tensor]:
        kind: Any = AutoModelForImageClassification
        if tuned.artefact != ADAPTER:
            yield _plain_image_logits(kind.from_pretrained(saved))
            return
        plain = kind.from_pretrained(folder, num_labels=3, ignore_mismatched_sizes=True)
        yield from _both(plain, saved, _plain_image_logits)

    return Subject(
        model,
        model,
        Labels("single_label"),
        _OneStep(_images()),
        tuned.artefact,
        tuned.factors_in(model),
        outputs=lambda: _labels(model),
        save=lambda target: save_vision(tuned.module, "single_label_classification", {}, target),
        again=again,
        elsewhere=elsewhere,
        wanted_elsewhere=lambda: _labels(model),
    )


@torch.no_grad()
def _labels(model: VisionModel) -> Tensor:
    model.eval()
    return model.head(model.features(on_device(_images(), CPU)))


@torch.no_grad()
def _plain_image_logits(plain: Any) -> Tensor:
    pixels = (on_device(_images(), CPU).pixels_BCHW / 255 - 0.5) / 0.5
    logits: Tensor = plain.eval()(pixel_values=pixels).logits
    return logits


COMMON = " ".join(labelling.COMMON * 2)
"""A prompt that is long enough to be worth sharing."""

_READ = ("bert", "llama")
KINDS: dict[str, Kind] = {
    "sft": Kind(tuple(WRITERS), _writer, written),
    **{
        kind: Kind(_READ, labelling.save_base, labelled(kind))
        for kind in ("classify", "tag", "embed")
    },
    "reward": Kind(("llama",), labelling.save_base, labelled("reward")),
    "image": Kind(("vit", "resnet"), imaging.save_vision, seen),
}
