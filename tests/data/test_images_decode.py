"""Every kind of image file, good and bad."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.imaging import picture
from tunesmith.core.records import Example, Finding, ImageLabel, Origin
from tunesmith.data.images.decode import decoded, frames
from tunesmith.data.images.render import ImageRenderer
from tunesmith.data.refusals import Refused

RED = (200, 30, 20)


def _written(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def _cut(folder: Path, ending: str) -> str:
    whole = folder / f"whole{ending}"
    picture(RED, 0, (200, 160)).save(whole)
    return _written(folder / f"cut{ending}", whole.read_bytes()[:-400])


BAD: dict[str, Callable[[Path], str]] = {
    "image_missing": lambda folder: str(folder / "none.png"),
    "image_empty": lambda folder: _written(folder / "empty.jpg", b""),
    "image_unreadable": lambda folder: _written(folder / "text.jpg", b"this is no image" * 9),
    "image_truncated": lambda folder: _cut(folder, ".jpg"),
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_image_is_refused_by_name_and_reason(tmp_path: Path, reason: str) -> None:
    path = BAD[reason](tmp_path)
    with pytest.raises(Refused) as refused:
        decoded(path)
    assert refused.value.reason == reason
    assert path in str(refused.value)
    assert str(refused.value).endswith(".")


def test_a_png_cut_short_is_not_half_used(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"cut short|cannot be decoded"):
        decoded(_cut(tmp_path, ".png"))


def test_a_huge_image_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "huge.png"
    Image.new("1", (20_000, 6_000)).save(path)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was unpacked"))
    with pytest.raises(Refused, match="20000 × 6000 pixels, more than the 100,000,000") as refused:
        decoded(str(path))
    assert refused.value.reason == "image_too_large"


def test_pillows_own_limit_is_a_sentence_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(RED, 0).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(Refused, match="more than the"):
        decoded(str(tmp_path / "a.png"))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "YCbCr", "HSV"])
def test_every_mode_becomes_red_green_and_blue(tmp_path: Path, mode: str) -> None:
    grey = Image.new("RGB", (9, 7), (128, 128, 128))
    if mode == "I;16":
        image = Image.fromarray(np.full((7, 9), 128 * 257, np.uint16))
    else:
        image = grey.quantize(4) if mode == "P" else grey.convert(mode)
    path = tmp_path / ("a.png" if mode not in ("CMYK", "YCbCr", "HSV") else "a.tif")
    (image.convert("RGB") if mode == "HSV" else image).save(path)
    found = decoded(str(path))
    assert (found.mode, found.size) == ("RGB", (9, 7))
    if mode != "1":
        assert np.abs(np.asarray(found).astype(int) - 128).max() <= 2


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "a.png")
    assert decoded(str(tmp_path / "a.png")).getpixel((0, 0)) == (255, 255, 255)


def test_a_photograph_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter
    picture(RED, 0, (30, 20)).save(tmp_path / "a.jpg", exif=exif)
    assert decoded(str(tmp_path / "a.jpg")).size == (20, 30)


def test_of_a_moving_image_the_first_frame_is_seen(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert decoded(str(tmp_path / "a.gif")).getpixel((0, 0)) == (255, 0, 0)
    assert frames(str(tmp_path / "a.gif")) == 2


def test_rows_name_their_images_from_their_own_folder(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    picture(RED, 0, (1, 1)).save(tmp_path / "photos" / "one.png")
    rows = str(tmp_path / "rows.jsonl")
    named = [ImageLabel("photos/one.png", "a"), ImageLabel("photos/two.png", "a")]
    examples = [Example(Origin(rows, n + 1), each) for n, each in enumerate(named)]
    good, bad = ImageRenderer().render(examples, "image", 2)
    assert not isinstance(good, Finding), "an image of one pixel is an image"
    assert good[0].labels == ("a",)
    assert isinstance(bad, Finding)
    assert bad.reason == "image_missing"
    assert str(tmp_path / "photos" / "two.png") in bad.message
