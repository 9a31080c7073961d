"""Image models of transformers as a trunk and a new head: ViT, ResNet, ConvNeXt, MobileNet, Swin…

The model stays transformers' own classifier of the family, whole, so that what is saved opens in
plain transformers. Its head is the last linear layer, and what that layer reads are the features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModelForImageClassification, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

from tunesmith.core.batch import ImageBatch
from tunesmith.core.errors import ModelError, Unsupported
from tunesmith.core.files import read_json
from tunesmith.core.seeds import derive
from tunesmith.models.defaults import changing_defaults
from tunesmith.models.hub import fetch, reason
from tunesmith.models.open import DTYPES, locate, require_safetensors
from tunesmith.models.seeding import seeded

PREPROCESSOR = "preprocessor_config.json"

MOST_DROPOUT = 0.2
"""Of the features while a head is trained. MobileNet's configurations say 0.8 where its paper kept
0.8 of them (Sandler et al. 2018, and its published code)."""

_DROPOUTS = ("classifier_dropout_prob", "classifier_dropout")


@dataclass(frozen=True, slots=True)
class VisionDescribed:
    """An image model before its weights are read.

    `name`, `reference` and `location` are as in `open.Described`. `width` is D, the size of its
    features, `layers` how many stages (or layers) stand one upon another; `preprocessor` is the
    content of preprocessor_config.json.
    """

    name: str
    reference: str
    location: str
    config: Any
    preprocessor: dict[str, Any]
    width: int
    layers: int


class VisionModel(nn.Module):
    """The FeatureModel port over an image classifier of transformers.

    Statistics of batch norms stay those of pre-training, unless everything begins at random: the
    few images of a step say less than the many that they were made from.

    Args:
        model: the classifier, perhaps with adapters in it.
        scale: pixels become (p · factor − mean) / deviation: the three, by channel.
        learns_statistics: batch norms are trained from scratch.
    """

    def __init__(
        self,
        model: nn.Module,
        scale: tuple[float, Sequence[float], Sequence[float]],
        *,
        learns_statistics: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self._learns_statistics = learns_statistics
        factor, mean, deviation = scale
        by_channel = torch.tensor(deviation)[:, None, None]
        self.register_buffer("_slope", factor / by_channel, persistent=False)
        offset = torch.tensor(mean)[:, None, None] / by_channel
        self.register_buffer("_offset", offset, persistent=False)

    @property
    def classifier(self) -> nn.Linear:
        """The head."""
        return head_of(self.model)

    @property
    def outputs(self) -> int:
        """C."""
        return self.classifier.out_features

    def features(self, batch: ImageBatch) -> torch.Tensor:
        """What the head reads of each image, (B, D)."""
        if batch.features_BD is not None:
            known: torch.Tensor = batch.features_BD
            return known
        assert batch.pixels_BCHW is not None
        pixels = self.get_buffer("_slope") * batch.pixels_BCHW - self.get_buffer("_offset")
        pixels = pixels.to(self.classifier.weight.dtype, memory_format=torch.channels_last)
        with _tapped(self.classifier) as found:
            self.model(pixel_values=pixels)
        return found[0]

    def head(self, features_BD: torch.Tensor) -> torch.Tensor:
        """A number for each class, (B, C)."""
        logits: torch.Tensor = self.classifier(features_BD.to(self.classifier.weight.dtype))
        return logits

    def train(self, mode: bool = True) -> VisionModel:
        """Training mode, in which the statistics of batch norms stay as they are."""
        super().train(mode)
        if not self._learns_statistics:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self


def describe_vision(name: str) -> VisionDescribed:
    """Read what an image model is, not its weights.

    Raises ModelError if it cannot be read, Unsupported if it is no image classifier.
    """
    reference = locate(name)
    location = reference if Path(reference).is_absolute() else fetch(reference)
    try:
        config = AutoConfig.from_pretrained(location, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"The base {name} could not be opened: {reason(error)}") from error
    if config.model_type not in MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES:
        raise Unsupported(
            f"{name} is a model of type {config.model_type}, for which transformers has no image "
            "classifier, and objective.kind is image. Name an image model (ViT, ResNet, ConvNeXt, "
            "MobileNet, Swin) as model.base."
        )
    path = Path(location) / PREPROCESSOR
    if not path.is_file():
        raise ModelError(
            f"{location} holds no {PREPROCESSOR}, so how its images are to be prepared is not "
            "known. Get the whole model again."
        )
    empty = _shell(config)
    layers = len(stages_of(empty))
    return VisionDescribed(
        name, reference, location, config, read_json(path), head_of(empty).in_features, layers
    )


def shell(described: VisionDescribed) -> PreTrainedModel:
    """The model without weights."""
    return _shell(described.config)


def require_size(described: VisionDescribed, height: int, width: int) -> None:
    """Raises Unsupported where images of this size do not go through the model."""
    pixels = torch.empty(1, described.config.num_channels, height, width, device="meta")
    try:
        _shell(described.config)(pixel_values=pixels)
    except (ValueError, RuntimeError) as error:
        raise Unsupported(
            f"{described.name} cannot read images of {height} × {width} pixels: {reason(error)} "
            "Leave data.image_size at auto."
        ) from error


def open_vision(
    described: VisionDescribed,
    names: Sequence[str],
    dtype: str,
    device: str,
    *,
    seed: int,
    from_scratch: bool = False,
) -> PreTrainedModel:
    """The classifier with a new head for the classes `names` (none: one number).

    Raises ModelError if a file cannot be read, or lacks any weight of the trunk.
    """
    config = _with_classes(described.config, names)
    if from_scratch:
        with seeded(derive(seed, "weights"), torch.device("cpu")):
            model = AutoModelForImageClassification.from_config(config, dtype=torch.float32)
        model = model.to(DTYPES[dtype])
    else:
        with seeded(derive(seed, "head"), torch.device("cpu")):
            model = _loaded(described.location, config, dtype)
            head = head_of(model)
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)
    return _placed(model, device)


def reopen_vision(folder: Path, dtype: str, device: str) -> PreTrainedModel:
    """A classifier saved by a run. Raises ModelError if it cannot be read or is not whole."""
    config = AutoConfig.from_pretrained(folder)
    return _placed(_loaded(str(folder), config, dtype, whole=True), device)


def head_of(model: nn.Module) -> nn.Linear:
    """The last linear layer, of which adapters may have made a copy that is trained.

    Raises Unsupported if there is none.
    """
    found = None
    for name, module in model.named_modules():
        copied = ".original_module" in name or ".lora_" in name
        if isinstance(module, nn.Linear) and not copied:
            found = module
    if found is None:
        raise Unsupported(
            f"{type(model).__name__} ends in no linear layer, so it cannot be given a new head. "
            "Choose another model.base."
        )
    return found


def stages_of(model: nn.Module) -> nn.ModuleList:
    """The stages, or layers, of the trunk: the outermost list of modules with several entries."""
    lists = [
        (name.count("."), order, module)
        for order, (name, module) in enumerate(model.named_modules())
        if isinstance(module, nn.ModuleList) and len(module) > 1
    ]
    if not lists:
        raise Unsupported(
            f"{type(model).__name__} keeps its layers in no list that could be found. Choose "
            "another model.base."
        )
    return min(lists, key=lambda each: each[:2])[2]


@contextmanager
def _tapped(layer: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Inside, what `layer` reads is kept."""
    found: list[torch.Tensor] = []
    handle = layer.register_forward_pre_hook(lambda module, inputs: found.append(inputs[0]))
    try:
        yield found
    finally:
        handle.remove()


def _loaded(location: str, config: Any, dtype: str, *, whole: bool = False) -> PreTrainedModel:
    require_safetensors(location)
    try:
        with changing_defaults():
            loaded: Any = AutoModelForImageClassification.from_pretrained(
                location,
                config=config,
                dtype=DTYPES[dtype],
                use_safetensors=True,
                trust_remote_code=False,
                ignore_mismatched_sizes=not whole,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise ModelError(f"The weights in {location} could not be read: {reason(error)}") from error
    model: PreTrainedModel
    model, found = loaded
    head = head_of(model)
    own = (
        ()
        if whole
        else {n for n, p in model.named_parameters() if any(p is h for h in head.parameters())}
    )
    missing = sorted(set(found["missing_keys"]) - set(own))
    if missing:
        raise ModelError(
            f"The weights in {location} are incomplete: {len(missing)} are missing, the first is "
            f"{missing[0]}. Get the whole model again."
        )
    return model


def _placed(model: PreTrainedModel, device: str) -> PreTrainedModel:
    """On its device, in evaluation mode."""
    model.to(torch.device(device))  # type: ignore[arg-type]  # its signature is a wrapper's
    return model.eval()


def _with_classes(config: Any, names: Sequence[str]) -> Any:
    """The configuration with these classes, and with no more dropout before the head than helps."""
    config = type(config).from_dict(config.to_dict())
    config.id2label = dict(enumerate(names or ("number",)))
    config.label2id = {name: index for index, name in config.id2label.items()}
    for key in _DROPOUTS:
        if (value := getattr(config, key, None)) is not None:
            setattr(config, key, min(float(value), MOST_DROPOUT))
    return config


def _shell(config: Any) -> PreTrainedModel:
    """The model without weights."""
    with torch.device("meta"):
        shell: PreTrainedModel = AutoModelForImageClassification.from_config(config).eval()
    return shell
