"""A labelling model on disk, in the form that plain libraries of its family open.

A decoder is saved as transformers' own sequence classifier, whose head `score` reads the last
token: `AutoModelForSequenceClassification` opens it, or PEFT with task type SEQ_CLS for an adapter.
An encoder that is read by the mean of its tokens is saved as sentence-transformers has it: body,
pooling, and a dense layer for the head. So is any body without a head, whose vectors then get
length 1. A tagger of words is saved as transformers' own token classifier, which
`AutoModelForTokenClassification` opens, or PEFT with task type TOKEN_CLS. `labels.json` beside them
is ours: what the outputs are called, and how sure they are to be taken.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from peft import (
    LoraConfig,
    PeftConfig,
    PeftModel,
    TaskType,
    get_peft_model,
    set_peft_model_state_dict,
)
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel

from tunesmith.core.batch import Pooling
from tunesmith.core.errors import ModelError
from tunesmith.core.files import read_json, write_json
from tunesmith.models.classifier_form import HEADS, classifier_shell
from tunesmith.models.fused import fuse_lora
from tunesmith.models.labelled import LabelModel
from tunesmith.models.methods.small import any_norm
from tunesmith.models.methods.starts import save_adapter
from tunesmith.models.open import Described

LABELS = "labels.json"
_ADAPTER = "adapter_model.safetensors"
_INNER = "base_model.model."
"""Before the names of an adapter's weights that belong to a layer: all but what layers share."""
_DENSE = "2_Dense"
_POOLING = "1_Pooling"
_NORMALIZE = "2_Normalize"
PROBLEMS: dict[str, Any] = {
    "single_label": "single_label_classification",
    "multi_label": "multi_label_classification",
    "regression": "regression",
}


@dataclass(frozen=True, slots=True)
class Naming:
    """What the outputs of a head stand for.

    `temperature` divides the logits before they become probabilities; below `threshold` no class is
    named (0 always names one). A regression's output times `scale` plus `mean` is the number. A
    word is tagged at its `word_at` token, "first" or "last", and `word_break` says where the words
    of the training rows ended: at a "space", or at "punctuation", too. For the problem `similarity`
    there is no head: a vector stands for a text; for `preference` the output is a reward, of which
    only differences mean anything. Of a longer text than `cut` tokens so many are read; 0 refuses
    one that is longer than the model's context. `odds` says that one number, the log-odds of the
    second of two names, is all that the head gives. `written` is how answers that are judged
    stand behind their prompts where both are texts: as a "chat", or "plain".
    """

    problem: str
    names: tuple[str, ...]
    pooling: Pooling
    mean: float = 0.0
    scale: float = 1.0
    temperature: float = 1.0
    threshold: float = 0.0
    word_at: str = ""
    word_break: str = ""
    cut: int = 0
    odds: bool = False
    written: str = ""

    @property
    def outputs(self) -> int:
        """C, log-odds as two; 0 without a head."""
        return 0 if self.problem == "similarity" else len(self.names) or 1

    def save(self, folder: Path) -> None:
        """Write `labels.json`."""
        write_json(folder / LABELS, asdict(self))

    @classmethod
    def load(cls, folder: Path) -> Naming:
        """Read it again. Raises ModelError where there is none."""
        if not (folder / LABELS).is_file():
            raise ModelError(f"{folder} holds no {LABELS}, so what its outputs mean is not known.")
        value = read_json(folder / LABELS)
        return cls(**{**value, "names": tuple(value["names"])})


def save_labelled(
    model: LabelModel,
    adapter: PeftModel | None,
    described: Described,
    naming: Naming,
    folder: Path,
) -> None:
    """Write weights, tokenizer and names; `adapter` is the wrapped body where only that is saved.

    Raises Unsupported for a decoder of which transformers knows no classifier.
    """
    headless = isinstance(model.classifier, nn.Identity)
    classifier = not headless and naming.pooling in ("last", "words")
    if adapter is not None:
        save_adapter(adapter, folder)
        if classifier:
            _as_classifier_adapter(model, folder)
    elif classifier:
        _as_classifier(model, described, naming).save_pretrained(str(folder))
    else:
        model.body.save_pretrained(str(folder))
    if not classifier:
        _as_sentence_model(model, naming, folder)
    naming.save(folder)
    tokenizer = described.tokenizer
    if headless and tokenizer.pad_token is None:  # without it plain libraries ask one at a time
        tokenizer = deepcopy(tokenizer)
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(folder)


def load_head(model: LabelModel, folder: Path) -> None:
    """Put the saved head on a freshly opened body. Raises ModelError if it is not there."""
    if isinstance(model.classifier, nn.Identity):
        return
    found = _saved_head(folder)
    with torch.no_grad():
        for name, value in model.classifier.named_parameters():
            if name not in found or found[name].shape != value.shape:
                raise ModelError(f"{folder} holds no head of the right size. Get it whole again.")
            value.copy_(found[name])


def _saved_head(folder: Path) -> dict[str, torch.Tensor]:
    """The head's weight, and bias where there is one."""
    if (folder / _DENSE).is_dir():
        dense = load_file(folder / _DENSE / "model.safetensors")
        return {name.removeprefix("linear."): value for name, value in dense.items()}
    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (not a mapping)
                layer, _, parameter = name.rpartition(".")
                if layer.rpartition(".")[2] in HEADS:
                    found[parameter] = tensors.get_tensor(name)
    return found


def _as_classifier(model: LabelModel, described: Described, naming: Naming) -> PreTrainedModel:
    """The body and the head in transformers' classifier of the family, sharing their weights."""
    config = model.body.config
    config.problem_type = PROBLEMS.get("multi_label" if naming.odds else naming.problem)
    config.id2label = dict(enumerate(naming.names[naming.odds :] or ("number",)))
    config.label2id = {name: index for index, name in config.id2label.items()}
    if config.pad_token_id is None:  # by it the classifier knows where a padded row ends
        tokenizer = described.tokenizer
        padding = tokenizer.pad_token_id
        config.pad_token_id = tokenizer.eos_token_id if padding is None else padding
    shell, head = classifier_shell(config, words=naming.pooling == "words")
    setattr(shell, shell.base_model_prefix, model.body)
    setattr(shell, head, model.classifier)
    return shell


def _as_classifier_adapter(model: LabelModel, folder: Path) -> None:
    """An adapter of the body as one of the whole classifier, with the head in it."""
    prefix = type(model.body).base_model_prefix
    saved = load_file(folder / _ADAPTER)
    renamed = {
        f"{_INNER}{prefix}.{name.removeprefix(_INNER)}" if name.startswith(_INNER) else name: value
        for name, value in saved.items()
    }
    words = model.pooling == "words"
    head = classifier_shell(deepcopy(model.body.config), words=words)[1]
    for name, value in model.classifier.named_parameters():
        renamed[f"{_INNER}{head}.{name}"] = value.detach().cpu().contiguous()
    save_file(renamed, folder / _ADAPTER, metadata={"format": "pt"})
    config: dict[str, Any] = read_json(folder / "adapter_config.json")
    config |= {"task_type": "TOKEN_CLS" if words else "SEQ_CLS", "modules_to_save": [head]}
    write_json(folder / "adapter_config.json", config)


def reopen_adapter(body: PreTrainedModel, folder: Path) -> None:
    """Put a saved adapter on a freshly opened body."""
    config = PeftConfig.from_pretrained(str(folder))
    weights = load_file(folder / _ADAPTER)
    if str(config.task_type).endswith("_CLS"):
        weights = _of_the_body(weights)
        config.task_type, config.modules_to_save = TaskType.FEATURE_EXTRACTION, None
    config.inference_mode = True
    if isinstance(config, LoraConfig):
        fuse_lora(config, body)  # what is served computes as what was trained, to the last bit
    with any_norm():
        wrapped = get_peft_model(body, config, autocast_adapter_dtype=False)
    found: Any = set_peft_model_state_dict(wrapped, weights)
    if found.unexpected_keys:
        raise ModelError(f"The adapter in {folder} is of another base. Name its base again.")
    wrapped.eval()


def _of_the_body(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A classifier's adapter under the names that it has in the body alone, without the head."""
    found = {}
    for name, value in weights.items():
        first, _, rest = name.removeprefix(_INNER).partition(".")
        if not name.startswith(_INNER):
            found[name] = value
        elif first not in HEADS:
            found[f"{_INNER}{rest}"] = value
    return found


def _as_sentence_model(model: LabelModel, naming: Naming, folder: Path) -> None:
    """Pooling and head beside the body, as sentence-transformers reads them."""
    headless = isinstance(model.classifier, nn.Identity)
    modules = {
        "": "Transformer",
        _POOLING: "Pooling",
        **({_NORMALIZE: "Normalize"} if headless else {_DENSE: "Dense"}),
    }
    write_json(
        folder / "modules.json",
        [
            {
                "idx": index,
                "name": str(index),
                "path": path,
                "type": f"sentence_transformers.models.{kind}",
            }
            for index, (path, kind) in enumerate(modules.items())
        ],
    )
    width = int(model.body.config.get_text_config().hidden_size)
    (folder / _POOLING).mkdir(exist_ok=True)
    write_json(
        folder / _POOLING / "config.json",
        {
            "word_embedding_dimension": width,
            "pooling_mode_cls_token": naming.pooling == "cls",
            "pooling_mode_mean_tokens": naming.pooling == "mean",
            "pooling_mode_lasttoken": naming.pooling == "last",
        },
    )
    read = {"max_seq_length": naming.cut} if naming.cut else {}
    write_json(folder / "sentence_bert_config.json", {**read, "do_lower_case": False})
    if headless:
        (folder / _NORMALIZE).mkdir(exist_ok=True)
    if isinstance(model.classifier, nn.Linear):
        (folder / _DENSE).mkdir(exist_ok=True)
        head = {f"linear.{k}": v.detach().cpu() for k, v in model.classifier.named_parameters()}
        save_file(head, folder / _DENSE / "model.safetensors")
        write_json(
            folder / _DENSE / "config.json",
            {
                "in_features": width,
                "out_features": model.classifier.out_features,
                "bias": True,
                "activation_function": "torch.nn.modules.linear.Identity",
            },
        )
