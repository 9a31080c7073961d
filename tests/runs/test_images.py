"""Image runs: from folders to a verdict, resumed bitwise, asked afterwards; and bad input."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.imaging import COLOURS, SIDE, folders, picture, save_vision
from tests.labelling import outputs_by_card, resumed_in_the_same_bits
from tunesmith.cli.app import run as command
from tunesmith.core.errors import DataError, RecipeError, Unsupported
from tunesmith.core.files import read_json, read_jsonl, write_jsonl
from tunesmith.core.records import Origin
from tunesmith.models.vision import VisionModel
from tunesmith.recipe import Recipe, load
from tunesmith.runs.asking import open_labeller
from tunesmith.runs.foresee import foresee
from tunesmith.runs.images import setup as image_setup
from tunesmith.runs.images.setup import set_up_images
from tunesmith.runs.open import Run
from tunesmith.runs.train import train

QUICK = [
    "objective.kind=image",
    "model.dtype=float32",
    "model.device=cpu",
    "model.method=full",
    "engine.epochs=4",
    "engine.batch_size=8",
    "engine.learning_rate=0.003",
]


def _recipe(base: Path, data: Path, *more: str) -> Recipe:
    return load(None, [f"model.base={base}", f"data.train={data}", *QUICK, *more])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_vision(tmp_path_factory.mktemp("bases") / "net", "mobilenet_v2")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folders(tmp_path_factory.mktemp("data") / "colours", 24)


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A whole run, with the same model trained from random weights beside it."""
    folder = tmp_path_factory.mktemp("runs")
    vit = save_vision(folder / "vit", "vit")
    return train(_recipe(vit, data, "evaluate.level=full"), folder / "run")


def test_a_run_learns_and_says_so(finished: Run) -> None:
    verdict = finished.verdict
    assert verdict["learned"]["pass"] is True
    assert verdict["learned"]["detail"]["figures"]["accuracy"] > 0.9
    assert verdict["parity"]["pass"] is True
    assert verdict["parity"]["value"] == 0.0
    names = {each["name"] for each in verdict["worth"]["detail"]["rivals"]}
    assert names == {"nearest", "linear", "scratch"}
    totals = read_json(finished.folder.ledger)
    assert totals["rows_in"] == totals["trained"] + totals["held_out"] == 72
    plan = read_json(finished.folder.plan)
    assert plan["unit"] == "images"
    assert plan["predicted"]["tokens"] == plan["measured"]["tokens"] == 4 * totals["trained"]


def test_the_report_shows_small_pictures_and_loads_nothing(finished: Run) -> None:
    page = finished.report.read_text()
    assert page.count('src="data:image/jpeg;base64,') >= 3
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert len(page) < 1_000_000


def test_it_can_be_asked(finished: Run, tmp_path: Path, capsys: Any) -> None:
    for name, colour in COLOURS.items():
        picture(colour, 99).save(tmp_path / f"{name}.jpg")
    labeller = open_labeller(finished)
    named = [
        (Origin(str(tmp_path / "rows.jsonl"), n + 1), f"{c}.jpg") for n, c in enumerate(COLOURS)
    ]
    assert [answer.labels for answer in labeller.label(named)] == [(name,) for name in COLOURS]
    assert command(["label", str(finished.path), "--once", str(tmp_path / "red.jpg")]) == 0
    assert json.loads(capsys.readouterr().out)["labels"] == ["red"]
    write_jsonl(tmp_path / "rows.jsonl", [{"image": "blue.jpg"}, {"image": "none.jpg"}])
    assert command(["label", str(finished.path), "--data", str(tmp_path / "rows.jsonl")]) == 2
    assert re.search(r"rows\.jsonl:2.*There is no\s+image", capsys.readouterr().err, re.DOTALL)


@pytest.mark.parametrize(("family", "method"), [("mobilenet_v2", "full"), ("vit", "lora")])
def test_a_resumed_run_is_an_unbroken_one(
    data: Path, tmp_path: Path, family: str, method: str
) -> None:
    base = save_vision(tmp_path / "base", family)
    more = (f"model.method={method}", "engine.epochs=2", "engine.checkpoint_every=4")
    recipe = _recipe(base, data, *more, "data.augment=strong", "evaluate.level=none")
    _, broken = resumed_in_the_same_bits(recipe, tmp_path, step=9)
    assert outputs_by_card(broken)(torch.zeros(1, 3, SIDE, SIDE)).shape == (1, len(COLOURS))


def test_the_head_alone_sees_each_image_once(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    forward = VisionModel.features

    def counted(self: VisionModel, batch: Any) -> Any:
        seen.append(0 if batch.features_BD is not None else len(batch.origins))
        return forward(self, batch)

    monkeypatch.setattr(VisionModel, "features", counted)
    run = train(_recipe(base, data, "model.method=head", "engine.epochs=9"), tmp_path / "run")
    trained = read_json(run.folder.ledger)["trained"]
    again = len(read_json(run.folder.measured)["held_out"]) + len(
        read_json(run.folder.measured)["trained"]
    )
    assert sum(seen) == 72 + again, "once, and once more by the model that was saved"
    assert trained * 9 == read_json(run.folder.plan)["measured"]["tokens"]
    assert run.verdict["parity"]["pass"] is True


def test_the_plan_of_the_head_counts_the_trunk(base: Path, data: Path) -> None:
    plan = foresee(_recipe(base, data, "model.method=head"))
    assert plan.predicted.trunk > plan.predicted.steps / 100
    assert "for what is frozen, once, and" in plan.in_short()
    assert foresee(_recipe(base, data)).predicted.trunk == 0


def test_where_lora_cannot_stand_the_default_trains_the_whole(base: Path, data: Path) -> None:
    asked = [f"model.base={base}", f"data.train={data}", "objective.kind=image"]
    setup = set_up_images(load(None, asked))
    assert setup.recipe.model.method == "full"
    assert "cannot stand on the convolutions" in setup.resolved.reasons["model.method"]
    assert any(said.startswith("model.method=full: none was named") for said in setup.warnings)
    for named in ("model.method=lora", "model.rank=4"):
        with pytest.raises(Unsupported, match=r"for their stride.*Use model\.method=last_layers"):
            set_up_images(load(None, [*asked, named]))


def test_rare_classes_may_count_as_much(base: Path, data: Path, tmp_path: Path) -> None:
    setup = set_up_images(_recipe(base, data, "objective.class_weights=balanced"))
    from tunesmith.runs.labels.batches import objective_of

    weights_C = objective_of(setup)._weights_C
    assert weights_C is not None
    assert weights_C.tolist() == pytest.approx([1.0] * 3, rel=0.3)


def test_a_plan_is_made_without_a_run(base: Path, data: Path) -> None:
    plan = foresee(_recipe(base, data))
    assert plan.predicted.tokens > 0
    assert "images" in plan.in_short()


def _spoilt(root: Path) -> dict[str, Path]:
    """One bad image of each sort, by its reason in the ledger."""
    folder = root / "red"
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.png").write_bytes(b"no image at all" * 10)
    picture(COLOURS["red"], 0, (200, 200)).save(folder / "whole.jpg")
    (folder / "cut.jpg").write_bytes((folder / "whole.jpg").read_bytes()[:-500])
    Image.new("1", (20_000, 6_000)).save(folder / "huge.png")
    return {
        "image_empty": folder / "empty.jpg",
        "image_unreadable": folder / "text.png",
        "image_truncated": folder / "cut.jpg",
        "image_too_large": folder / "huge.png",
    }


def test_bad_images_stop_a_run_or_are_accounted_for(base: Path, tmp_path: Path) -> None:
    root = folders(tmp_path / "data", 12)
    bad = _spoilt(root)
    with pytest.raises(DataError) as refused:
        set_up_images(_recipe(base, root))
    assert str(min(bad.values())) in str(refused.value)
    for reason in bad:
        assert f"{reason} 1" in str(refused.value)
    run = train(
        _recipe(
            base,
            root,
            "data.bad_rows=drop",
            "data.most_dropped=0.2",
            "engine.epochs=1",
            "evaluate.level=none",
        ),
        tmp_path / "run",
    )
    dropped = read_json(run.folder.ledger)["dropped"]
    assert dropped == dict.fromkeys(bad, 1)
    lines = [each for each in read_jsonl(run.folder.ledger_rows) if each["outcome"] == "dropped"]
    assert {each["origin"].rpartition(":")[0] for each in lines} == set(map(str, bad.values()))


def test_odd_images_are_trained_on(base: Path, tmp_path: Path) -> None:
    root = folders(tmp_path / "data", 8)
    red = picture(COLOURS["red"], 5)
    red.convert("CMYK").save(root / "red" / "cmyk.jpg")
    Image.fromarray(torch.full((9, 9), 40_000).numpy().astype("uint16")).save(
        root / "red" / "sixteen.png"
    )
    picture(COLOURS["red"], 6, (1, 1)).save(root / "red" / "point.png")
    red.save(root / "red" / "moving.gif", save_all=True, append_images=[red.rotate(90)])
    setup = set_up_images(_recipe(base, root))
    assert setup.prepared.ledger.totals()["dropped"] == {}
    said = " ".join(setup.warnings)
    assert "1 image is animated, of which the first frame alone is seen" in said
    assert "moving.gif" in said


def test_labels_that_differ_in_case_only_are_told(base: Path, tmp_path: Path) -> None:
    rows = folders(tmp_path / "data", 9)
    (tmp_path / "other" / "Red").mkdir(parents=True)
    for n in range(5):
        picture(COLOURS["red"], 500 + n).save(tmp_path / "other" / "Red" / f"{n}.png")
    recipe = load(None, [f"model.base={base}", *QUICK])
    files = (str(rows), str(tmp_path / "other"))
    data = recipe.data.model_copy(update={"train": files})
    setup = set_up_images(recipe.model_copy(update={"data": data}))
    assert any("'Red' and 'red' differ only in case" in said for said in setup.warnings)


def test_a_class_of_one_image_is_learned_and_not_judged(base: Path, tmp_path: Path) -> None:
    root = folders(tmp_path / "data", 9)
    (root / "grey").mkdir()
    picture((120, 120, 120), 1).save(root / "grey" / "one.png")
    setup = set_up_images(_recipe(base, root))
    assert "grey" in setup.targets.names
    assert not any("grey" in row.labels for row in setup.prepared.held_out)


def test_a_label_that_training_never_saw_is_named(base: Path, tmp_path: Path) -> None:
    root, held = folders(tmp_path / "data", 6), folders(tmp_path / "held", 3, seed=50)
    (held / "gren").mkdir()
    picture(COLOURS["green"], 77).save(held / "gren" / "a.png")
    with pytest.raises(DataError, match="No training row has the label 'gren'") as refused:
        set_up_images(_recipe(base, root, f"data.validation={held}"))
    assert "Did you mean 'green'?" in str(refused.value)


def test_an_image_on_both_sides_is_refused(base: Path, tmp_path: Path) -> None:
    root, held = folders(tmp_path / "data", 6), folders(tmp_path / "held", 3, seed=50)
    copy = held / "red" / "copy.png"
    copy.write_bytes((root / "red" / "002.png").read_bytes())
    with pytest.raises(DataError, match=r"copy\.png is held out, and .*002\.png"):
        set_up_images(_recipe(base, root, f"data.validation={held}"))


def test_an_image_that_changes_while_it_is_read_is_named(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folders(tmp_path / "data", 6)

    def overwritten(path: Path) -> str:
        path.write_bytes(b"no image any more")
        return path.name

    monkeypatch.setattr(image_setup, "digest", overwritten)
    with pytest.raises(DataError, match=r"\.png is no image that can be read"):
        set_up_images(_recipe(base, root))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("model.method=prompt_tuning", "or are images, where nothing can stand before each"),
        ("data.canaries=3", "plants secrets in texts"),
        ("engine.activation_checkpointing=true", "images_per_micro_batch"),
    ],
)
def test_what_images_cannot_have_is_refused(base: Path, setting: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        load(None, [*QUICK, setting])


def test_the_head_varies_nothing_and_texts_have_no_size() -> None:
    with pytest.raises(RecipeError, match="computes what the frozen base makes of each image once"):
        load(None, ["objective.kind=image", "model.method=head", "data.augment=light"])
    with pytest.raises(RecipeError, match=r"data\.image_size=160 is for images"):
        load(None, ["data.image_size=160"])
