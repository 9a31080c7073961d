"""Opens a base model: a local folder, a hub name, or `anvil`, the one inside this package.

A hub base is fetched into a folder first. Weights are read from safetensors only, and no code that
comes with a model is ever run.
"""

from __future__ import annotations

import difflib
import json
import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING
from transformers.utils import logging as transformers_logging

from tunesmith.core.errors import ModelError, Unsupported
from tunesmith.core.ports import Eyes
from tunesmith.core.seeds import derive
from tunesmith.models.defaults import changing_defaults
from tunesmith.models.encoder_decoder import AnyEncoderDecoder, choose_encoder_decoder
from tunesmith.models.forward import Forward, choose_forward
from tunesmith.models.fused import fuse
from tunesmith.models.hub import fetch, reason
from tunesmith.models.prompted import PromptedForward
from tunesmith.models.quantised import NONE, keep_differentiable, loading
from tunesmith.models.seeding import seeded
from tunesmith.models.seeing import SeeingForward, processor_of

ANVIL = "anvil"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()


@dataclass(frozen=True, slots=True)
class Described:
    """A base before its weights are read: enough to check data and to resolve `auto` values.

    `name` is as the recipe has it, `reference` what plain transformers opens it by (a hub name, or
    the path of its folder), `location` the folder that is read. `text` is the language model's own
    part of `config`: all of it, but for a base that also sees or hears.

    `processor` is transformers' own of a base whose pictures can be read, else None, and `blind`
    says why not. With `eyes` the base is opened to see.
    """

    name: str
    reference: str
    location: str
    config: PreTrainedConfig
    text: PreTrainedConfig
    tokenizer: PreTrainedTokenizerFast
    processor: Any = None
    blind: str = "it reads text only"
    eyes: Eyes | None = None

    def save_reader(self, folder: Path) -> None:
        """Write the tokenizer, and for a base that sees the processor around it."""
        if self.eyes is not None:
            self.processor.tokenizer = self.tokenizer
            self.processor.chat_template = self.tokenizer.chat_template
            self.processor.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    @property
    def context(self) -> int:
        """The longest sequence in tokens; source and target together where they are apart."""
        return self.longest * (2 if self.writes_apart else 1)

    @property
    def longest(self) -> int:
        """The most tokens that are read at once: by an encoder and a decoder so many each."""
        for key in ("max_position_embeddings", "n_positions", "max_sequence_length"):
            if value := getattr(self.text, key, None):
                return int(value)
        return min(int(self.tokenizer.model_max_length), 1 << 20)

    @property
    def writes_apart(self) -> bool:
        """Whether an encoder reads what is asked, and a decoder writes the answer."""
        return is_encoder_decoder(self.config)

    @property
    def opened_by(self) -> str:
        """The class of plain transformers that opens it; PEFT's has Peft behind Auto."""
        return str(opener_of(self).__name__)

    @property
    def decoder_start(self) -> int:
        """The id that such a decoder starts with. Raises Unsupported if none can be told."""
        if hasattr(self.tokenizer, "src_lang"):
            raise Unsupported(
                f"{self.name} is told by tokens of its own from which language to which it writes, "
                "and rows do not say that. Choose a base of the T5, mT5 or BART family."
            )
        start = getattr(self.config, "decoder_start_token_id", None)
        if start is None:
            start = _generation(self.location).get("decoder_start_token_id")
        if not isinstance(start, int):
            raise Unsupported(
                f"Nothing says with which token the decoder of {self.name} starts. Set "
                "decoder_start_token_id in its config.json (that of T5 is its padding token)."
            )
        return start

    @property
    def hidden_size(self) -> int:
        """The width of a hidden state. Raises Unsupported if the configuration has none."""
        return self._size("hidden_size")

    @property
    def layers(self) -> int:
        """How many decoder layers there are. Raises Unsupported as `hidden_size` does."""
        return self._size(_layers_key(self.config))

    @property
    def vocab_size(self) -> int:
        """How many tokens have a logit. Raises Unsupported as `hidden_size` does."""
        return self._size("vocab_size")

    def _size(self, key: str) -> int:
        value = getattr(self.text, key, None)
        if not isinstance(value, int):
            raise Unsupported(
                f"The configuration of {self.name} ({type(self.text).__name__}) has no single "
                f"{key}, so it cannot be trained here. Choose a decoder-only language model as "
                "model.base."
            )
        return value


@dataclass(frozen=True, slots=True)
class Base:
    """An open base. `model` is on its device, in evaluation mode.

    `prompted` is the model behind virtual tokens, where a method puts them before each sequence.
    """

    described: Described
    model: PreTrainedModel
    forward: Forward | PromptedForward | AnyEncoderDecoder | SeeingForward
    prompted: PeftModel | None = None

    @property
    def sees(self) -> bool:
        """Whether it is shown pictures."""
        return isinstance(self.forward, SeeingForward)

    @property
    def context(self) -> int:
        """The longest sequence in tokens: virtual ones before it take room, too."""
        taken = self.forward.virtual_tokens if isinstance(self.forward, PromptedForward) else 0
        return self.described.context - taken


def locate(name: str) -> str:
    """Where the base `name` lies: a folder on disk, or a hub name as it is.

    Raises ModelError for a path that does not exist or is not a model folder.
    """
    if name == ANVIL:
        return str(files("tunesmith.models") / "anvil")
    path = Path(os.path.expanduser(name))
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(
                f"{name} is not a model folder: it has no config.json. A model folder holds "
                "config.json, tokenizer.json and *.safetensors."
            )
        return str(path.resolve())
    looks_local = path.exists() or name.startswith((".", "/", "~")) or name.count("/") != 1
    if looks_local or path.parent.is_dir():
        raise ModelError(_no_such_base(name, path))
    return name


def describe(name: str, tokenizer_folder: Path | None = None) -> Described:
    """Read configuration and tokenizer of a base, not its weights. Raises ModelError.

    A hub base is fetched with its weights, so that the folder is the same from the first use on.
    The tokenizer is the base's own, or the one in `tokenizer_folder` (an adapter brings its own).
    """
    reference = locate(name)
    location = reference if Path(reference).is_absolute() else fetch(reference)
    try:
        config = AutoConfig.from_pretrained(location, trust_remote_code=False)
        text = config.get_text_config()
        tokenizer = AutoTokenizer.from_pretrained(
            tokenizer_folder or location, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, json.JSONDecodeError) as error:
        raise ModelError(f"The base {name} could not be opened: {reason(error)}") from error
    if saved := getattr(config, "quantization_config", None):
        method = saved.get("quant_method") if isinstance(saved, dict) else saved
        raise ModelError(
            f"The base {name} was saved with quantised weights ({method}), which cannot be trained "
            "beside. Name the model that it was made from; model.quantize=nf4 holds that in 4 bits."
        )
    if not tokenizer.is_fast:
        raise ModelError(
            f"The base {name} has no tokenizer.json (a fast tokenizer), which is needed."
        )
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    processor, blind = processor_of(tokenizer_folder or Path(location), config)
    if processor is not None and not tokenizer.chat_template:
        tokenizer.chat_template = (
            processor.chat_template
        )  # older folders keep it beside the pixels'
    return Described(name, reference, location, config, text, tokenizer, processor, blind)


def open_base(
    described: Described,
    dtype: str,
    device: str,
    *,
    quantize: str = NONE,
    from_scratch_seed: int | None = None,
) -> Base:
    """Load the weights (or draw random ones) and prove a forward path.

    Raises ModelError, and Unsupported where what quantises them is not installed, or for a base
    that reads and writes apart or sees, of which that was not proved.
    """
    if quantize != NONE and (described.writes_apart or described.eyes is not None):
        has = "an encoder and a decoder" if described.writes_apart else "a part that sees"
        raise Unsupported(
            f"model.quantize={quantize} is for bases that read and write text in one, and "
            f"{described.name} has {has}. Set model.quantize=none."
        )
    if from_scratch_seed is not None:
        with seeded(derive(from_scratch_seed, "weights"), torch.device("cpu")):
            model = opener_of(described).from_config(described.config, dtype=torch.float32)
        model = model.to(DTYPES[dtype])
    else:
        opener = opener_of(described)
        model = load_weights(described.location, dtype, quantize, device, opener)
    model = model.to(device).eval()
    fuse(model)
    if described.writes_apart:
        return Base(described, model, choose_encoder_decoder(model, described.decoder_start))
    if described.eyes is not None:
        return Base(described, model, SeeingForward(model, described.eyes))
    return Base(described, model, choose_forward(model))


def is_encoder_decoder(config: PreTrainedConfig) -> bool:
    """Whether transformers has a model of this configuration that reads text and writes text."""
    known = type(config) in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING
    return known and bool(config.is_encoder_decoder)


def opener_of(described: Described) -> Any:
    """The class of transformers by which a base is opened, by how it reads and writes."""
    if described.eyes is not None:
        return AutoModelForImageTextToText
    return AutoModelForSeq2SeqLM if described.writes_apart else AutoModelForCausalLM


def _generation(location: str) -> dict[str, Any]:
    """The base's own settings of generation, {} where it has none that can be read."""
    path = Path(location) / "generation_config.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def load_weights(
    location: str,
    dtype: str,
    quantize: str = NONE,
    device: str = "cpu",
    opener: Any = AutoModelForCausalLM,
) -> PreTrainedModel:
    """A model that writes from the safetensors in the folder `location`.

    It is on the CPU; a quantised one on `device`, where it was made.

    Raises ModelError if a file cannot be read, or lacks any weight of the model: transformers
    would draw that one at random. Raises Unsupported where what quantises it is not installed.
    """
    require_safetensors(location)
    try:
        with changing_defaults():
            loaded: Any = opener.from_pretrained(
                location,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                **loading(DTYPES[dtype], quantize, device),
            )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise ModelError(f"The weights in {location} could not be read: {reason(error)}") from error
    model: PreTrainedModel
    model, found = loaded
    if missing := sorted(found["missing_keys"]):
        raise ModelError(
            f"The weights in {location} are incomplete: {len(missing)} are missing, the first is "
            f"{missing[0]}. Get the whole model again."
        )
    keep_differentiable(model)
    return model


def require_safetensors(location: str) -> None:
    """Raises ModelError for a folder without weights that can be opened safely."""
    if not list(Path(location).glob("*.safetensors")):
        raise ModelError(
            f"There is no model.safetensors, whole or in parts, in {location}. Weights kept as "
            "pickle files (*.bin) can run code when opened and are refused: convert them to "
            "safetensors first."
        )


def text_body(model: PreTrainedModel) -> torch.nn.Module:
    """The model without its head, and without what sees or hears."""
    composite = model.config.get_text_config() is not model.config
    return model.get_decoder() if composite else model.base_model


def upper_body(model: PreTrainedModel) -> torch.nn.Module:
    """What the top layers stand in: the text body, or its decoder where that stands apart."""
    return model.get_decoder() if is_encoder_decoder(model.config) else text_body(model)


def decoder_layers(model: PreTrainedModel) -> torch.nn.ModuleList:
    """The stack of decoder layers, bottom first. Raises Unsupported if the model has none."""
    count = getattr(model.config.get_text_config(), _layers_key(model.config), None)
    body = upper_body(model)
    inside = (module for child in body.children() for module in child.children())
    for module in (*body.children(), *inside):  # an encoder's stack stands one deeper
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return module
    raise Unsupported(
        f"{type(model).__name__} keeps its layers in no list that could be found, so some of them "
        "cannot be trained alone. Use model.method lora or full."
    )


def _layers_key(config: PreTrainedConfig) -> str:
    """Under what name a configuration has the number of its decoder's layers."""
    text = config.get_text_config()
    apart = ("num_decoder_layers", "decoder_layers") if is_encoder_decoder(config) else ()
    return next((key for key in apart if getattr(text, key, None)), "num_hidden_layers")


def _no_such_base(name: str, path: Path) -> str:
    siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, [*siblings, ANVIL], n=1)
    hint = (
        f" Did you mean {path.parent / close[0] if close[0] != ANVIL else ANVIL}?" if close else ""
    )
    return (
        f"There is no base model {name}.{hint} Name a model folder, a hub model as owner/name, "
        f"or {ANVIL} (the one that comes with Tunesmith)."
    )
