"""Virtual tokens learned before each sequence, through PEFT: embeddings, or keys and values."""

from __future__ import annotations

from dataclasses import replace

import torch
from peft import PeftConfig, PeftModel, PrefixTuningConfig, PromptTuningConfig, get_peft_model

from tunesmith.core.errors import Unsupported
from tunesmith.core.seeds import derive
from tunesmith.models.encoder_decoder import AnyEncoderDecoder
from tunesmith.models.methods.tuned import ADAPTER, MethodSettings, Tuned
from tunesmith.models.open import Base
from tunesmith.models.prompted import PromptedForward, differs
from tunesmith.models.seeding import seeded
from tunesmith.models.seeing import SeeingForward


def prompt_tuning(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """Embeddings, begun as those of tokens drawn from the vocabulary (Lester et al. 2021, §3.2)."""
    config = PromptTuningConfig(
        num_virtual_tokens=settings.virtual_tokens,
        prompt_tuning_init="SAMPLE_VOCAB",
        task_type="CAUSAL_LM",
    )
    return _attached(base, config, seed)


def prefix_tuning(base: Base, settings: MethodSettings, seed: int) -> Tuned:
    """Keys and values, begun as those of tokens drawn from the vocabulary.

    (Li and Liang 2021, §7.4: states of real words are a far better start than random numbers.) They
    are trained themselves, without the paper's reparametrisation.
    """
    config = PrefixTuningConfig(num_virtual_tokens=settings.virtual_tokens, task_type="CAUSAL_LM")
    tuned = _attached(base, config, seed)
    assert isinstance(tuned.module, PeftModel)
    with seeded(derive(seed, "prefix"), base.model.device), torch.no_grad():
        ids = torch.randint(
            base.described.vocab_size, (1, settings.virtual_tokens), device=base.model.device
        )
        states = base.model(input_ids=ids, use_cache=True).past_key_values
        rows = [
            part[0].transpose(0, 1).flatten(1)  # (tokens, heads · width)
            for layer in states.layers
            for part in (layer.keys, layer.values)
        ]
        begun = torch.cat(rows, dim=1)
        encoder = tuned.module.prompt_encoder["default"]
        encoder.load_prompt_embeddings(begun)  # type: ignore[operator]  # PrefixEncoder's
    return tuned


def with_prompt(base: Base, module: PeftModel) -> Base:
    """The base behind the virtual tokens of `module`. Raises Unsupported if PEFT cannot put them
    before this model, or if it answers otherwise in padded rows than one row at a time."""
    # `attach` has refused a base whose decoder has an encoder beside it, and one that sees.
    assert not isinstance(base.forward, PromptedForward | AnyEncoderDecoder | SeeingForward)
    forward = PromptedForward(module, base.forward)
    try:
        wrong = differs(module, forward)
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        wrong = f"PEFT cannot put virtual tokens before it ({str(error).splitlines()[0]})"
    if wrong:
        raise Unsupported(
            f"{base.described.name} ({type(base.model).__name__}) cannot be trained by virtual "
            f"tokens: {wrong}. Use model.method=lora."
        )
    return replace(base, forward=forward, prompted=module)


def _attached(base: Base, config: PeftConfig, seed: int) -> Tuned:
    with seeded(derive(seed, "adapter"), base.model.device):
        module = get_peft_model(base.model, config, autocast_adapter_dtype=False)
    module.peft_config["default"].base_model_name_or_path = base.described.reference
    return Tuned(with_prompt(base, module), module, ADAPTER, base)
