"""Vision-language bases: their processor, and the way from a batch with pictures to its sites.

Such a model is run one sequence at a time through its own forward, with the pixels of that
sequence's pictures, which are read when they are needed and then forgotten.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoProcessor, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
)

from tunesmith.core.batch import Batch, Segment
from tunesmith.core.errors import Unsupported
from tunesmith.core.ports import Eyes
from tunesmith.models.forward import (
    FullLogitsForward,
    Head,
    LinearHead,
    close,
    require_causal,
)

_FILES = ("processor_config.json", "preprocessor_config.json")

_LOOKED_AT, _PROBED = 256, 16

_REASON = (
    "Rows run one at a time through the whole model, with the pixels of their pictures. What sees "
    "is frozen; what is kept is measured on texts, without pictures."
)


def processor_of(folder: Path, config: PreTrainedConfig) -> tuple[Any, str]:
    """The processor in a model folder, and "", or None and why pictures cannot be read."""
    if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        return None, "it reads text only"
    if not any((folder / name).is_file() for name in _FILES):
        return None, f"{folder} has no {' and no '.join(_FILES)}, which say how it sees them"
    try:
        processor = AutoProcessor.from_pretrained(str(folder), trust_remote_code=False)
    except (OSError, ValueError, TypeError, AttributeError, KeyError, ImportError) as error:
        said = str(error).strip().partition("\n")[0].partition(". ")[0]
        return None, f"its processor cannot be opened here ({said})"
    if getattr(processor, "image_token", None) is None:
        return None, f"its processor ({type(processor).__name__}) has no token for a picture"
    return processor, ""


def writes_alone(config: PreTrainedConfig) -> bool:
    """Whether transformers opens such a model for texts alone, too."""
    return type(config) in MODEL_FOR_CAUSAL_LM_MAPPING


class SeeingForward:
    """A SiteModel over `model`, whose pictures `eyes` read.

    Raises Unsupported for a model whose logits are not those of its body and its head, or in which
    a token of a text attends to later ones.
    """

    name = "row by row"
    shares = False
    outputs = None
    reason = _REASON

    def __init__(self, model: PreTrainedModel, eyes: Eyes) -> None:
        self._body = model.base_model
        self._head = Head(model)
        self._eyes = eyes
        self._dtype = model.dtype
        self._prove(model)

    def hidden_at_sites(self, batch: Batch) -> torch.Tensor:
        """Last hidden states at the batch's sites, shape (S, D). Each segment is a sequence."""
        images = batch.images or ((),) * len(batch.segments)
        found = []
        for segment, paths in zip(batch.segments, images, strict=True):
            ids_N = batch.tokens_T[segment.start : segment.end]
            within = (batch.sites_S >= segment.start) & (batch.sites_S < segment.end)
            hidden_ND = self._hidden(ids_N, paths)
            found.append(hidden_ND.index_select(0, batch.sites_S[within] - segment.start))
        return torch.cat(found)

    def _hidden(self, ids_N: torch.Tensor, paths: tuple[str, ...]) -> torch.Tensor:
        given = given_to(self._eyes, ids_N, paths, self._dtype)
        output = self._body(
            input_ids=ids_N[None],
            attention_mask=torch.ones_like(ids_N)[None],
            use_cache=False,
            **given,
        )
        hidden_ND: torch.Tensor = output.last_hidden_state[0]
        return hidden_ND

    def head(self, hidden_SD: torch.Tensor) -> torch.Tensor:
        """Logits, shape (S, V)."""
        return self._head(hidden_SD)

    @property
    def linear_head(self) -> LinearHead | None:
        """Weight and bias, where the head is nothing but that linear map."""
        return self._head.parts

    @torch.no_grad()
    def _prove(self, model: PreTrainedModel) -> None:
        batch = _text(model, self._eyes)
        wanted = FullLogitsForward(model).hidden_at_sites(batch)
        require_causal(model)
        if not close(self.head(self.hidden_at_sites(batch)), wanted):
            raise Unsupported(
                f"{type(model).__name__} makes its logits of more than its last hidden states and "
                "its head, so it cannot be trained on rows with pictures. Choose another "
                "vision-language model as model.base."
            )


def _text(model: PreTrainedModel, eyes: Eyes) -> Batch:
    """A few tokens of which none stands for a picture, each a site."""
    vocabulary = min(_LOOKED_AT, int(model.config.get_text_config().vocab_size))
    ids_V = np.arange(vocabulary)
    for pictured in eyes.inputs(ids_V, ()).values():
        ids_V = ids_V[np.asarray(pictured)[0, : len(ids_V)] == 0]
    tokens_T = torch.from_numpy(ids_V[:_PROBED]).to(model.device)
    places_T = torch.arange(len(tokens_T), device=model.device)
    return Batch(
        tokens_T=tokens_T,
        positions_T=places_T,
        segments=(Segment(0, len(tokens_T)),),
        sites_S=places_T,
        targets_S=places_T,
        weights_S=torch.ones(len(tokens_T), device=model.device),
        owner_S=places_T,
        origins=(),
    )


def given_to(
    eyes: Eyes, ids_N: torch.Tensor, paths: tuple[str, ...], dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """What stands beside the ids of one sequence, on their device; real numbers in `dtype`."""
    found = eyes.inputs(ids_N.cpu().numpy(), paths)
    tensors = {name: torch.from_numpy(value).to(ids_N.device) for name, value in found.items()}
    return {
        name: value.to(dtype) if value.is_floating_point() else value
        for name, value in tensors.items()
    }
