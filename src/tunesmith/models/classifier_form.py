"""Which of transformers' own classifiers a body and a linear head can be saved as.

A text is labelled by `AutoModelForSequenceClassification`, words by
`AutoModelForTokenClassification`; the head is the one linear layer beside the body, `score` or
`classifier` by family. A family whose head is more than that is refused, for what was trained could
not be opened by it.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import nn
from transformers import (
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from tunesmith.core.errors import Unsupported

HEADS = ("score", "classifier")
"""The names of a head in transformers' classifiers."""


def classifier_shell(config: PreTrainedConfig, *, words: bool) -> tuple[PreTrainedModel, str]:
    """The family's classifier of words, or of a text by its last token, without weights; and the
    name of its head.

    Raises Unsupported where transformers knows none.
    """
    kind: Any = AutoModelForTokenClassification if words else AutoModelForSequenceClassification
    family = type(config).__name__.removesuffix("Config")
    try:
        with torch.device("meta"):
            shell: PreTrainedModel = kind.from_config(config)
    except ValueError as error:
        raise Unsupported(_no_classifier(family, words=words)) from error
    beside = {
        name: child
        for name, child in shell.named_children()
        if name != shell.base_model_prefix and any(True for _ in child.parameters())
    }
    name, head = next(iter(beside.items()), ("", None))
    if len(beside) != 1 or name not in HEADS[: 2 if words else 1] or type(head) is not nn.Linear:
        raise Unsupported(_no_classifier(family, words=words))
    return shell, name


def require_classifier(config: PreTrainedConfig, *, words: bool) -> None:
    """Raises Unsupported for a family of which transformers knows no such classifier."""
    classifier_shell(deepcopy(config), words=words)


def reads_onwards(config: PreTrainedConfig) -> bool:
    """Whether a token of this family sees only earlier ones: no masked language model is built on
    it."""
    decoder = bool(getattr(config, "is_decoder", False))
    return decoder or type(config) not in MODEL_FOR_MASKED_LM_MAPPING


def _no_classifier(family: str, *, words: bool) -> str:
    if words:
        return (
            f"transformers knows no classifier of words with one linear layer over {family}, so "
            "what was trained could not be opened elsewhere. Choose another model.base: families "
            "like Bert, Roberta, DistilBert, Llama, Qwen2 and GPT2 have one."
        )
    return (
        f"transformers knows no classifier over the last token of {family}, so what was trained "
        "could not be opened elsewhere. Set model.pooling=mean, or choose another model.base."
    )
