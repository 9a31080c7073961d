"""Opens a base model: a local folder, a hub name, or `anvil`, the one inside this package.

Weights are read from safetensors only, and no code that comes with a model is ever run.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from tunesmith.core.errors import ModelError, Unsupported
from tunesmith.core.seeds import derive
from tunesmith.models import attention
from tunesmith.models.forward import Forward, choose_forward

ANVIL = "anvil"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()


@dataclass(frozen=True, slots=True)
class Described:
    """A base before its weights are read: enough to check data and to resolve `auto` values."""

    name: str
    location: str
    config: PreTrainedConfig
    tokenizer: PreTrainedTokenizerFast

    @property
    def context(self) -> int:
        """The longest sequence in tokens."""
        for key in ("max_position_embeddings", "n_positions", "max_sequence_length"):
            if value := getattr(self.config, key, None):
                return int(value)
        return min(int(self.tokenizer.model_max_length), 1 << 20)


@dataclass(frozen=True, slots=True)
class Base:
    """An open base. `model` is on its device, in evaluation mode."""

    described: Described
    model: PreTrainedModel
    forward: Forward


def locate(name: str) -> str:
    """Where the base `name` lies: a folder on disk, or a hub name as it is.

    Raises ModelError for a path that does not exist or is not a model folder.
    """
    if name == ANVIL:
        return str(files("tunesmith.models") / "anvil")
    path = Path(name).expanduser()
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

    The tokenizer is the base's own, or the one in `tokenizer_folder` (an adapter brings its own).
    """
    location = locate(name)
    try:
        config = AutoConfig.from_pretrained(location, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(
            tokenizer_folder or location, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, json.JSONDecodeError) as error:
        raise ModelError(f"The base {name} could not be opened: {_first_line(error)}") from error
    if not tokenizer.is_fast:
        raise ModelError(
            f"The base {name} has no tokenizer.json (a fast tokenizer), which is needed."
        )
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    return Described(name, location, config, tokenizer)


def open_base(
    described: Described, dtype: str, device: str, *, from_scratch_seed: int | None = None
) -> Base:
    """Load the weights (or draw random ones) and prove a forward path. Raises ModelError."""
    if from_scratch_seed is not None:
        torch.manual_seed(derive(from_scratch_seed, "weights"))
        model = AutoModelForCausalLM.from_config(described.config, dtype=torch.float32)
        model = model.to(DTYPES[dtype])
    else:
        model = load_weights(described.location, dtype)
    model = model.to(device).eval()
    _use_segments(model)
    return Base(described, model, choose_forward(model))


def load_weights(location: str, dtype: str) -> PreTrainedModel:
    """A causal language model from safetensors, on the CPU. Raises ModelError."""
    try:
        return AutoModelForCausalLM.from_pretrained(
            location, dtype=DTYPES[dtype], use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        if list(Path(location).glob("*.bin")):
            raise ModelError(
                f"{location} holds its weights as pickle files (*.bin), which can run code when "
                "opened and are refused. Convert them to safetensors first."
            ) from error
        raise ModelError(
            f"The weights in {location} could not be read: {_first_line(error)}"
        ) from error


def compile_layers(model: PreTrainedModel) -> None:
    """Compile each decoder layer in place (regional compilation; one graph serves all layers)."""
    for layer in decoder_layers(model):
        layer.compile()


def decoder_layers(model: PreTrainedModel) -> torch.nn.ModuleList:
    """The stack of decoder layers, bottom first. Raises Unsupported if the model has none."""
    count = model.config.num_hidden_layers
    for module in model.base_model.children():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return module
    raise Unsupported(
        f"{type(model).__name__} keeps its layers in no list that could be found, so some of them "
        "cannot be trained alone. Use model.method lora or full."
    )


def _use_segments(model: PreTrainedModel) -> None:
    """Switch to our attention where the model's class goes through the interface."""
    try:
        model.set_attn_implementation(attention.NAME)
    except (ValueError, ImportError):
        return


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


def _first_line(error: BaseException) -> Any:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
