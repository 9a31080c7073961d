"""Training some of the base's own weights, or all. What is saved is a whole model."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel

from tunesmith.core.errors import Unsupported
from tunesmith.models.methods.tuned import MODEL, MethodSettings, Tuned
from tunesmith.models.open import (
    Base,
    decoder_layers,
    is_encoder_decoder,
    text_body,
    upper_body,
)


def full(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """Every weight; of a base that sees, every one of its language model."""
    base.model.requires_grad_(not base.sees)
    if base.sees:
        for module in (text_body(base.model), base.model.get_output_embeddings()):
            module.requires_grad_(True)
    return Tuned(base, base.model, MODEL, base)


def last_layers(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """The top k decoder layers and what follows them up to the head (the final norm)."""
    layers = decoder_layers(base.model)
    first = first_of_top(base, layers, settings.layers, "use model.method full")
    base.model.requires_grad_(False)
    after = _behind(upper_body(base.model), layers)
    for module in [*layers[first:], *after]:
        module.requires_grad_(True)
    return Tuned(base, base.model, MODEL, base)


def head(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """The output embedding, untied from the input embedding where the base shares one matrix.

    The final norm stays: its gain is a scale of the head's columns, which the head learns anyway,
    and with the whole body frozen its output need be computed only once.
    """
    model = base.model
    output = model.get_output_embeddings()
    assert isinstance(output, nn.Linear)
    model.requires_grad_(False)
    if output.weight is model.get_input_embeddings().weight:
        _untie(model, output)
    output.requires_grad_(True)
    return Tuned(base, model, MODEL, base)


def bias(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """Every bias vector, those of norms included (BitFit, Ben Zaken et al. 2022, §3)."""
    base.model.requires_grad_(False)
    for name, weight in base.model.named_parameters():
        if is_bias(name):
            weight.requires_grad_(True)
    return Tuned(base, base.model, MODEL, base)


def is_bias(name: str) -> bool:
    """Whether the parameter of this name is a bias vector."""
    return name.rpartition(".")[2] == "bias"


def _behind(body: nn.Module, layers: nn.ModuleList) -> list[nn.Module]:
    """What follows the stack of layers; an encoder's stack stands one deeper.

    BART names the norm of its embeddings behind its layers, and runs it before them.
    """
    inner = next((each for each in body.children() if layers in list(each.children())), None)
    found = []
    for parent, mark in ((inner, layers), (body, inner or layers)):
        children = [] if parent is None else list(parent.named_children())
        places = [place for place, (_, module) in enumerate(children) if module is mark]
        behind = [each for place in places for each in children[place + 1 :]]
        found += [module for name, module in behind if "embed" not in name]
    return found


def first_of_top(base: Base, layers: nn.ModuleList, count: int, otherwise: str) -> int:
    """The index of the first of the top `count` layers. Raises Unsupported if there are fewer."""
    if count > len(layers):
        raise Unsupported(
            f"model.layers is {count}, but {base.described.name} has {len(layers)}. Ask for "
            f"fewer, or {otherwise}."
        )
    return len(layers) - count


def _untie(model: PreTrainedModel, output: nn.Linear) -> None:
    """Give the head a matrix of its own; a saved model says so and opens with both."""
    output.weight = nn.Parameter(output.weight.detach().clone())
    if is_encoder_decoder(model.config):
        # What it says stays: encoder and decoder share their embeddings still, and a head that is
        # saved with other values than theirs is opened with them.
        own = {name for name, weight in model.named_parameters() if weight is output.weight}
        tied = model.all_tied_weights_keys
        model.all_tied_weights_keys = {k: v for k, v in tied.items() if k not in own}
        return
    for config in (model.config, model.config.get_text_config()):
        config.tie_word_embeddings = False
    model.all_tied_weights_keys = {}  # what transformers would tie again
