"""What can be trained of a base: one line a method, and all that is to know of it without torch.

`models/` builds them, under the same names; the recipe's refusals, the default learning rates and
docs/adapters.md are made from these lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from tunesmith.recipe.fields import Words
from tunesmith.recipe.kinds import LABELS, ObjectiveKind

MethodName = Literal[
    "full",
    "last_layers",
    "head",
    "bias",
    "norm",
    "lora",
    "rslora",
    "dora",
    "lora_plus",
    "adalora",
    "vera",
    "oft",
    "ia3",
    "prompt_tuning",
    "prefix_tuning",
]
InitName = Literal["default", "gaussian", "orthogonal", "pissa", "olora"]
Need = Literal[
    "head",
    "biases",
    "linear_only",
    "ia3_targets",
    "linear_layers",
    "no_convolutions",
    "plain_convolutions",
    "decoder_only",
    "one_stack",
]


@dataclass(frozen=True, slots=True)
class Method:
    """One way to train a base.

    `trains` says what, `source` where it was proposed. `saves` is "adapter" (PEFT's format) or
    "model" (a whole model folder). `keys` are the keys of the recipe's model section that it reads.
    `rate` is its learning rate as a multiple of full tuning's, or where `own_rate` the rate itself,
    whatever the width; `rate_source` says who found it.

    `needs`: what a base must have, else it is refused. `merges`: the adapter can be merged into the
    base, which then answers equally. `packs`: rows are laid end to end and share their prefixes;
    else each is a padded row. `strength`: anything between the base and what was trained can be
    saved, which the frontier of gain and forgetting asks for. `matrices`: hidden matrices are
    trained, which an optimiser for them alone needs. `decays`: weight decay is on by default.
    `recomputes`: layers may be computed again in the backward pass, which drops what stands before
    a sequence in them. `labels`: it also trains a model that labels (objective.kind=classify,
    tag or image), beside its head, or makes vectors (embed); see `unfit`. `alone`: transformers
    opens what is saved without a class of PEFT's, as sentence-transformers asks it to.
    `quantised`: PEFT puts it on a base whose linear layers are held in 4 bits
    (model.quantize=nf4). `revises`: it sets some of its weights itself after each update.
    """

    trains: str
    source: str
    saves: Literal["adapter", "model"]
    rate: float
    rate_source: str
    keys: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    own_rate: bool = False
    merges: bool = True
    packs: bool = True
    strength: bool = False
    matrices: bool = False
    decays: bool = False
    recomputes: bool = True
    labels: bool = False
    alone: bool = True
    quantised: bool = False
    revises: bool = False


_REGRET = "Schulman et al. 2025, LoRA Without Regret"
_LORA_KEYS = ("rank", "alpha", "dropout", "layers")

METHODS: dict[MethodName, Method] = {
    "full": Method(
        "every weight",
        "",
        "model",
        1,
        _REGRET,
        merges=False,
        strength=True,
        matrices=True,
        decays=True,
        labels=True,
    ),
    "last_layers": Method(
        "the top layers, and the norm above them",
        "Lee, Tang and Lin 2019",
        "model",
        2,
        "ours",
        keys=("layers",),
        merges=False,
        strength=True,
        matrices=True,
        decays=True,
        labels=True,
    ),
    "head": Method(
        "the output embedding",
        "",
        "model",
        10,
        "ours",
        needs=("head",),
        merges=False,
        strength=True,
        decays=True,
        labels=True,
    ),
    "bias": Method(
        "every bias vector",
        "BitFit, Ben Zaken, Goldberg and Ravfogel 2022",
        "model",
        10,
        "ours",
        needs=("biases",),
        merges=False,
        strength=True,
        labels=True,
    ),
    "norm": Method(
        "the gain (and bias) of every norm",
        "Zhao et al. 2024, Tuning LayerNorm in Attention",
        "adapter",
        10,
        "ours",
        labels=True,
        quantised=True,
    ),
    "lora": Method(
        "a product of two low-rank matrices beside each linear layer",
        "Hu et al. 2022",
        "adapter",
        10,
        _REGRET,
        keys=(*_LORA_KEYS, "init"),
        needs=("plain_convolutions",),
        strength=True,
        matrices=True,
        labels=True,
        quantised=True,
    ),
    "rslora": Method(
        "as lora, scaled by alpha / √rank, which a high rank needs to learn more than a low one",
        "rsLoRA, Kalajdzievski 2023",
        "adapter",
        10,
        _REGRET,
        keys=(*_LORA_KEYS, "init"),
        needs=("plain_convolutions",),
        strength=True,
        matrices=True,
        labels=True,
        quantised=True,
    ),
    "dora": Method(
        "as lora, and the length of each row of the weight apart from its direction",
        "DoRA, Liu et al. 2024",
        "adapter",
        10,
        "ours: as LoRA",
        keys=_LORA_KEYS,
        needs=("plain_convolutions",),
        matrices=True,
        labels=True,
        alone=False,
        quantised=True,
    ),
    "lora_plus": Method(
        "as lora, B at `rate_ratio` times the learning rate of A",
        "LoRA+, Hayou, Ghosh and Yu 2024",
        "adapter",
        2.5,
        "ours: at a ratio of 16 the geometric mean of both rates is LoRA's",
        keys=(*_LORA_KEYS, "init", "rate_ratio"),
        needs=("plain_convolutions",),
        strength=True,
        matrices=True,
        labels=True,
        quantised=True,
    ),
    "adalora": Method(
        "as lora, by singular values, of which a third is set to zero while training, in the "
        "layers where they matter least; `rank` is what is left of them on average",
        "AdaLoRA, Zhang et al. 2023",
        "adapter",
        1e-2,
        "ours",
        keys=_LORA_KEYS,
        needs=("one_stack",),
        own_rate=True,
        revises=True,
        quantised=True,
    ),
    "vera": Method(
        "two vectors a layer, which scale random low-rank matrices that all layers share",
        "VeRA, Kopiczko, Blankevoort and Asano 2024",
        "adapter",
        100,
        "Kopiczko et al. 2024: ten times LoRA's",
        keys=("rank", "dropout"),
        needs=("linear_layers",),
        labels=True,
        alone=False,
    ),
    "oft": Method(
        "a rotation of each linear layer's input, block by block",
        "OFT, Qiu et al. 2023",
        "adapter",
        10,
        "ours",
        keys=("rank",),
        needs=("linear_only", "no_convolutions"),
        labels=True,
    ),
    "ia3": Method(
        "a factor for each key, each value and each inner state of the feed-forward layers",
        "(IA)³, Liu et al. 2022",
        "adapter",
        3e-3,
        "Liu et al. 2022",
        needs=("ia3_targets",),
        own_rate=True,
        labels=True,
    ),
    "prompt_tuning": Method(
        "the embeddings of `virtual_tokens` tokens before each sequence",
        "Lester, Al-Rfou and Constant 2021",
        "adapter",
        3e-2,
        "ours",
        keys=("virtual_tokens",),
        needs=("decoder_only",),
        own_rate=True,
        merges=False,
        packs=False,
        quantised=True,
    ),
    "prefix_tuning": Method(
        "keys and values of `virtual_tokens` tokens before each sequence, in every layer",
        "Li and Liang 2021",
        "adapter",
        3e-2,
        "ours",
        keys=("virtual_tokens",),
        needs=("decoder_only",),
        own_rate=True,
        merges=False,
        packs=False,
        recomputes=False,
        quantised=True,
    ),
}


@dataclass(frozen=True, slots=True)
class Init:
    """How LoRA's matrices begin. `moves` says that their product is not zero then: what is added is
    the difference from it, so that the base's own weights stay."""

    begins: str
    source: str
    moves: bool = False
    needs: tuple[Need, ...] = ()


INITS: dict[InitName, Init] = {
    "default": Init("A uniform, B zero", "Hu et al. 2022"),
    "gaussian": Init("A normal with deviation 1 / rank, B zero", "Hu et al. 2022, §4.1"),
    "orthogonal": Init(
        "A and B from the odd and the even rows of one orthogonal matrix, so that their product is "
        "zero; the rank must be even",
        "PEFT",
        needs=("no_convolutions",),
    ),
    "pissa": Init(
        "the largest singular vectors of the weight",
        "PiSSA, Meng, Wang and Zhang 2024",
        moves=True,
        needs=("no_convolutions",),
    ),
    "olora": Init(
        "the first columns of Q and rows of R of the weight's QR decomposition",
        "OLoRA, Büyükakyüz 2024",
        moves=True,
        needs=("linear_only", "no_convolutions"),
    ),
}

NEEDS: dict[Need, tuple[str, str]] = {
    "head": ("a linear head", "has no linear head that could be trained alone"),
    "biases": ("bias vectors", "has no bias vectors"),
    "linear_only": (
        "plain linear layers",
        "keeps its linear layers the other way round (Conv1D), which this cannot read",
    ),
    "ia3_targets": (
        "an architecture whose keys, values and feed-forward layers PEFT knows",
        "is of an architecture whose keys, values and feed-forward layers PEFT does not know",
    ),
    "linear_layers": ("linear layers below its head", "has no linear layers below its head"),
    "no_convolutions": (
        "no convolutions to adapt",
        "has convolutions, whose weights and states are no matrices",
    ),
    "plain_convolutions": (
        "convolutions that its code does not ask for their stride",
        "has code that asks its convolutions for their stride, which PEFT's adapters do not have",
    ),
    "decoder_only": (
        "no encoder beside its decoder",
        "has an encoder beside its decoder, and virtual tokens stand before one sequence only",
    ),
    "one_stack": (
        "no encoder beside its decoder",
        "has an encoder beside its decoder, and PEFT's way to weigh layers was not proved on both",
    ),
}
"""What a base must have, in a few words, and what is said of one that has not."""

LEFT_OUT: dict[str, str] = {
    "qlora": "model.method=qlora is LoRA on a base that is held in 4 bits. Use model.method=lora "
    "with model.quantize=nf4.",
    "eva": "model.init=eva draws its start from the data, and adapters are made before any is "
    "computed. Use model.init=pissa, which draws it from the weights.",
    "loftq": "model.init=loftq begins with what a base in 4 bits has lost, and PEFT's adds it "
    "alpha / rank times. Use model.init=default with model.quantize=nf4.",
}
"""Names that a user may know and that are refused, each with what would work instead."""


def _not_left_out(value: Any) -> Any:
    """Raises PydanticCustomError for a name that is refused with a sentence of its own."""
    if isinstance(value, str) and value in LEFT_OUT:
        raise PydanticCustomError("contradiction", "{sentence}", {"sentence": LEFT_OUT[value]})
    return value


KnownMethod = Annotated[MethodName, BeforeValidator(_not_left_out), Words(get_args(MethodName))]
KnownInit = Annotated[InitName, BeforeValidator(_not_left_out), Words(get_args(InitName))]


def owners(key: str) -> tuple[MethodName, ...]:
    """The methods that read a key of the model section."""
    return tuple(name for name in METHODS if key in METHODS[name].keys)


def unfit(method: MethodName, kind: ObjectiveKind) -> str:
    """The sentence for a method that trains no model of this kind of objective; "" if it does."""
    asked, line = f"model.method={method}", METHODS[method]
    if kind not in LABELS:
        return ""
    if kind == "embed" and "head" in line.needs:
        return (
            f"{asked} trains a head, and objective.kind=embed has none: what a text is told by is "
            "the body's own states. Set model.method=lora, full or last_layers."
        )
    if line.labels:
        return ""
    if not line.packs:
        return (
            f"{asked} learns what stands before each row of a model that writes, and "
            f"objective.kind={kind} trains one that does not: its rows lie end to end or are "
            "images, where nothing can stand before each. Set model.method=ia3 or vera, which "
            "train as few numbers, or lora."
        )
    return (
        f"{asked} is for models that write, and objective.kind={kind} trains one that labels. Set "
        "model.method=lora."
    )


def reason_against(
    method: MethodName,
    init: InitName,
    need: Need,
    base: str,
    able: Sequence[MethodName] = tuple(METHODS),
) -> str:
    """The sentence for a base that lacks what a method, or its init, needs; `able` can train it."""
    asked = f"model.method={method}"
    others = [name for name in able if need not in METHODS[name].needs and name != "full"]
    instead = f"model.method={'lora' if 'lora' in others else others[0]}"
    if need not in METHODS[method].needs:
        fitting = next((n for n in INITS if INITS[n].moves and need not in INITS[n].needs), None)
        asked, instead = f"model.init={init}", f"model.init={fitting or 'default'}"
    return f"{base} {NEEDS[need][1]}, so {asked} cannot train it. Use {instead}."


def needs_of(method: MethodName, init: InitName) -> tuple[Need, ...]:
    """What a base must have for a method and its init."""
    return (*METHODS[method].needs, *(INITS[init].needs if "init" in METHODS[method].keys else ()))
