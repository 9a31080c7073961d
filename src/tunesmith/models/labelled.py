"""A body with a head that labels: what a classifier, a tagger and an embedder have in common.

The head is one linear layer over one state a sequence (or a word): a decoder's last token, which
has seen all others, or the mean over an encoder's tokens (Reimers & Gurevych 2019, §3).
"""

from __future__ import annotations

from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModel, PreTrainedModel

from tunesmith.core.batch import Batch, Pooling
from tunesmith.core.errors import ModelError
from tunesmith.core.seeds import derive
from tunesmith.models.body import Body, choose_body
from tunesmith.models.defaults import changing_defaults
from tunesmith.models.hub import reason
from tunesmith.models.open import DTYPES, Described, require_safetensors
from tunesmith.models.quantised import NONE, keep_differentiable, loading
from tunesmith.models.seeding import seeded


class LabelModel(nn.Module):
    """The FeatureModel port over a body and its head.

    Args:
        body: the model without any head.
        path: how `body` is run.
        outputs: C, what the head gives; 0 for no head, where the features are the result.
        pooling: "last", "cls", "mean", or "words" for a state at each site.
        seed: draws the head.
        odds: of two classes the head gives one number, the log-odds of the second.
        share: what sequences begin with together is computed once, where the path allows it.
    """

    def __init__(
        self,
        body: PreTrainedModel,
        path: Body,
        *,
        outputs: int,
        pooling: Pooling,
        seed: int,
        odds: bool = False,
        share: bool = False,
    ) -> None:
        super().__init__()
        self.body = body
        self.pooling: Pooling = pooling
        self.shares = share and path.shares
        self._path = path
        self._odds = odds
        config = body.config.get_text_config()
        self._dropout = nn.Dropout(_dropout_of(config))
        self.classifier: nn.Module = nn.Identity()
        if outputs:
            # Decoders have no bias there in transformers, and are saved in its form; taggers have.
            bias = pooling != "last"
            linear = nn.Linear(config.hidden_size, 1 if odds else outputs, bias=bias)
            self.classifier = linear.to(body.device, body.dtype)
            with seeded(derive(seed, "head"), body.device):
                nn.init.normal_(linear.weight, std=getattr(config, "initializer_range", 0.02))
                if linear.bias is not None:
                    nn.init.zeros_(linear.bias)

    linear_head = None
    """What is predicted is no token."""

    @property
    def path(self) -> Body:
        """How the body is run."""
        return self._path

    @property
    def name(self) -> str:
        """Of the path."""
        return self._path.name

    @property
    def reason(self) -> str:
        """Why the path is no better one, a sentence; "" where it is the best."""
        return self._path.reason

    @property
    def outputs(self) -> int:
        """C."""
        return 2 if self._odds else int(getattr(self.classifier, "out_features", 0))

    def features(self, batch: Batch) -> torch.Tensor:
        """What the head reads: (B, D), or (S, D) where words are tagged."""
        if batch.features_RD is not None:
            known: torch.Tensor = batch.features_RD
            return known
        hidden_SD = self._path.hidden_at_sites(batch)
        if self.pooling == "words":
            return hidden_SD
        shares_SD = hidden_SD.float() * batch.weights_S[:, None]
        pooled_BD = shares_SD.new_zeros(len(batch.origins), shares_SD.shape[1])
        return pooled_BD.index_add(0, batch.owner_S, shares_SD)

    def train(self, mode: bool = True) -> LabelModel:
        """Training mode, in which a frozen body drops nothing: the head reads what it will read."""
        super().train(mode)
        if not any(weight.requires_grad for weight in self.body.parameters()):
            self.body.eval()
        return self

    def head(self, features_BD: torch.Tensor) -> torch.Tensor:
        """A number for each class, (B, C): of log-odds 0 for the first and they for the second."""
        if isinstance(self.classifier, nn.Identity):
            return features_BD
        logits: torch.Tensor = self.classifier(self._dropout(features_BD.to(self.body.dtype)))
        return torch.cat([torch.zeros_like(logits), logits], 1) if self._odds else logits


def open_body(
    described: Described, dtype: str, device: str, quantize: str = NONE
) -> tuple[PreTrainedModel, Body]:
    """Load the body of any base, decoder or encoder, and prove a path through it.

    Raises ModelError if a file cannot be read, or lacks any weight of the body: transformers would
    draw that one at random. Raises Unsupported where what quantises it is not installed.
    """
    location = described.location
    require_safetensors(location)
    try:
        with changing_defaults():
            loaded: Any = AutoModel.from_pretrained(
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
    # The pooler sums up a first token for a loss of pre-training; nothing here reads it.
    missing = sorted(key for key in found["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise ModelError(
            f"The weights in {location} are incomplete: {len(missing)} are missing, the first is "
            f"{missing[0]}. Get the whole model again."
        )
    if hasattr(model, "pooler"):
        setattr(model, "pooler", None)  # noqa: B010 (typed as a module)
    keep_differentiable(model)
    model.to(torch.device(device))  # type: ignore[arg-type]  # its signature is a wrapper's
    model.eval()
    return model, choose_body(model)


def pooling_of(path: Body) -> Pooling:
    """Where a body that is run so is read by default: see the head of this file."""
    return "last" if path.causal else "mean"


def _dropout_of(config: Any) -> float:
    """What the family's own classifiers drop of the head's inputs."""
    for key in ("classifier_dropout", "seq_classif_dropout", "hidden_dropout_prob"):
        if (value := getattr(config, key, None)) is not None:
            return float(value)
    return 0.0
