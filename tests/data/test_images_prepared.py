"""Images as their base sees them, kept, varied, and laid in batches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.mobilenet_v2.image_processing_pil_mobilenet_v2 import (
    MobileNetV2ImageProcessorPil,
)
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from tests.imaging import COLOURS, picture
from tunesmith.core.errors import ModelError
from tunesmith.core.files import sha256
from tunesmith.core.records import Origin, Tokens
from tunesmith.data.classes import Targets
from tunesmith.data.images import pixels
from tunesmith.data.images.batches import Gallery, ImageBatches
from tunesmith.data.images.pixels import Pixels, prepared_pixels
from tunesmith.data.images.preparation import Preparation
from tunesmith.data.images.views import STRENGTHS, view
from tunesmith.models.vision import VisionModel

PROCESSORS: dict[str, Any] = {
    "shortest edge, middle": lambda: MobileNetV2ImageProcessorPil(
        size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32}
    ),
    "squeezed": lambda: ViTImageProcessorPil(size={"height": 32, "width": 32}),
    "share of the edge": lambda: ConvNextImageProcessorPil(
        size={"shortest_edge": 32}, crop_pct=0.875
    ),
}
SIZES = [(48, 40), (40, 48), (33, 200), (301, 35), (32, 32), (1, 1), (640, 480)]


def _photograph(size: tuple[int, int]) -> Image.Image:
    """Smooth and rough parts, so that a shift of one pixel would be seen."""
    width, height = size
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    waves = np.stack([np.sin(9 * x + 3 * y), np.cos(14 * y), x * y], axis=-1)
    return Image.fromarray((127 + 120 * waves / np.abs(waves).max()).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("kind", PROCESSORS)
@pytest.mark.parametrize("size", SIZES)
def test_it_is_what_the_librarys_processor_makes(kind: str, size: tuple[int, int]) -> None:
    processor, image = PROCESSORS[kind](), _photograph(size)
    wanted = torch.as_tensor(processor(image, return_tensors="pt")["pixel_values"][0])
    prepared = Preparation.of(processor.to_dict(), "here")
    seen = prepared.middle(prepared.resized(image))
    scale = VisionModel(torch.nn.Linear(1, 1), (prepared.factor, prepared.mean, prepared.deviation))
    pixels_CHW = torch.from_numpy(seen.copy()).permute(2, 0, 1)
    ours = scale.get_buffer("_slope") * pixels_CHW - scale.get_buffer("_offset")
    assert ours.shape == wanted.shape
    deviation = torch.tensor(prepared.deviation)[:, None, None]
    assert ((ours - wanted) * deviation).abs().max() <= 1 / 255 + 1e-6


def test_what_is_written_prepares_alike() -> None:
    for make in PROCESSORS.values():
        config = make().to_dict()
        at = Preparation.of(config, "here").at(24)
        assert Preparation.of(at.written(config), "here") == at
        assert (at.height, at.width) == (24, 24)


def test_a_size_that_is_not_told_is_a_sentence() -> None:
    with pytest.raises(ModelError, match="does not say to which size"):
        Preparation.of({"do_resize": False}, "preprocessor_config.json")
    with pytest.raises(ModelError, match="shorter edge is 20"):
        Preparation.of({"size": 20, "crop_size": 32, "do_center_crop": True}, "here")


PREPARED = Preparation(8, 8, 10, 2, 1 / 255, (0.5,) * 3, (0.5,) * 3)


def _saved(folder: Path, count: int) -> list[str]:
    paths = [str(folder / f"{n}.png") for n in range(count)]
    for number, path in enumerate(paths):
        picture(COLOURS["red"], number, (20 + number, 16)).save(path)
    return paths


def test_many_images_are_kept_on_disk_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = _saved(tmp_path, 5)
    digests = [sha256(Path(path)) for path in paths]
    held = prepared_pixels(paths, digests, PREPARED)
    monkeypatch.setattr(pixels, "IN_MEMORY", 0)
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    kept = prepared_pixels(paths, digests, PREPARED)
    monkeypatch.setattr(pixels, "decoded", lambda path: pytest.fail("decoded again"))
    again = prepared_pixels(paths, digests, PREPARED)
    for number in range(5):
        assert np.array_equal(kept.image(number), held.image(number))
        assert np.array_equal(again.image(number), held.image(number))
    with pytest.raises(BaseException, match="decoded again"):
        prepared_pixels(paths, [*digests[1:], "another"], PREPARED)


def test_a_damaged_entry_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = _saved(tmp_path, 3)
    monkeypatch.setattr(pixels, "IN_MEMORY", 0)
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    first = [prepared_pixels(paths, ["a", "b", "c"], PREPARED).image(n).copy() for n in range(3)]
    (entry,) = (tmp_path / "cache" / "images").iterdir()
    (entry / "pixels").write_bytes(b"cut short")
    again = prepared_pixels(paths, ["a", "b", "c"], PREPARED)
    assert all(np.array_equal(again.image(n), first[n]) for n in range(3))


def _batches(**how: Any) -> ImageBatches:
    images = [np.asarray(picture(COLOURS["green"], n, (15, 10))) for n in range(6)]
    rows = [
        Tokens(
            Origin("a", n + 1), np.zeros(1, np.int32), np.zeros(1, np.float32), 0, 0, (str(n % 2),)
        )
        for n in range(6)
    ]
    numbers = {row.origin: n for n, row in enumerate(rows)}
    gallery = Gallery(Pixels.of(images), numbers, PREPARED)
    targets = Targets("single_label", ("0", "1"))
    given = {"batch_size": 4, "per_micro_batch": 4, "seed": 0, "augment": "strong"} | how
    return ImageBatches(rows, gallery, targets, **given)


def test_an_epoch_sees_each_image_once_and_varied_each_time() -> None:
    batches = _batches()
    assert batches.steps_per_epoch == 2
    (first,), (second,) = batches.step(0, 0), batches.step(0, 1)
    assert len({*first.origins, *second.origins}) == 6
    (again,) = batches.step(0, 0)
    assert np.array_equal(first.pixels_BCHW, again.pixels_BCHW), "a function of seed, epoch, index"
    seen = dict(zip(first.origins, first.pixels_BCHW, strict=True))
    (later,) = batches.step(1, 0)
    shared = [n for n, origin in enumerate(later.origins) if origin in seen]
    assert shared
    for number in shared:
        assert not np.array_equal(later.pixels_BCHW[number], seen[later.origins[number]])


def test_smaller_micro_batches_hold_the_same_variations() -> None:
    (whole,) = _batches().step(3, 0)
    parts = _batches().within(1).step(3, 0)
    assert len(parts) == 4
    assert np.array_equal(np.concatenate([part.pixels_BCHW for part in parts]), whole.pixels_BCHW)
    assert [part.tokens for part in parts] == [1] * 4


def test_known_features_are_laid_in_place_of_images() -> None:
    known_RD = np.arange(12, dtype=np.float32).reshape(6, 2)
    (batch,) = _batches(features_RD=known_RD).step(0, 0)
    assert batch.pixels_BCHW is None
    places = [origin.line - 1 for origin in batch.origins]
    assert np.array_equal(batch.features_BD, known_RD[places])


def test_a_view_is_of_the_asked_size_and_stays_near() -> None:
    pixels_HWC = np.full((10, 15, 3), 100, np.uint8)
    for seed in range(20):
        seen = view(pixels_HWC, (8, 8), STRENGTHS["light"], np.random.default_rng(seed))
        assert seen.shape == (8, 8, 3)
        assert 85 <= seen.min() <= seen.max() <= 115


def test_the_json_of_a_preparation_names_all_that_pixels_follow_from() -> None:
    assert json.dumps(PREPARED.identity()) != json.dumps(PREPARED.at(9).identity())
