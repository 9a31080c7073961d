"""Runs on rows with pictures: learned from what is seen, resumed bitwise, asked, and bad input."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor, LlavaProcessor

from tests import seeing
from tests.support import recipe
from tunesmith.cli.app import run as command
from tunesmith.core.errors import DataError, RecipeError, RunFolderError, Unsupported
from tunesmith.core.files import read_json, read_jsonl
from tunesmith.core.ports import Silent
from tunesmith.core.records import Image, Message
from tunesmith.runs.evaluate import evaluate
from tunesmith.runs.figures import figures_of
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.open import Run
from tunesmith.runs.setup import set_up
from tunesmith.runs.train import train


def _written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return seeing.llava(tmp_path_factory.mktemp("bases") / "llava")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 rows with a picture, and two without, in "rows.jsonl"; 12 others in "held.jsonl"."""
    folder = tmp_path_factory.mktemp("data")
    texts = [
        {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}
        for asked, said in (("Which square?", "It is red."), ("Say so.", "It is blue."))
    ]
    _written(folder / "rows.jsonl", [*seeing.squares(folder, 30), *texts])
    _written(folder / "held.jsonl", seeing.squares(folder, 12, seed=1))
    return folder


@pytest.fixture(scope="module")
def finished(base: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A whole run from the command line."""
    out = tmp_path_factory.mktemp("runs") / "run"
    given = {
        "data.validation": data / "held.jsonl",
        "model.dtype": "float32",
        "model.method": "full",
        "engine.batch_size": 8,
        "engine.learning_rate": 0.01,
        "engine.epochs": 14,
        "engine.validate_every": 28,
        "evaluate.level": "quick",
        "evaluate.max_new_tokens": 8,
    }
    settings = [word for key, value in given.items() for word in ("--set", f"{key}={value}")]
    words = ["train", "--base", str(base), "--data", str(data / "rows.jsonl"), "--out", str(out)]
    assert command([*words, *settings]) == 0
    return Run(RunFolder(out))


def test_the_loss_falls_to_next_to_nothing(finished: Run) -> None:
    losses = [line["loss"] for line in read_jsonl(finished.folder.metrics) if "loss" in line]
    assert losses[0] > 5
    assert losses[-1] < 0.3, "of the rows without a picture two answers to nothing seen remain"


def test_answers_follow_the_picture_and_not_the_words(finished: Run, tmp_path: Path) -> None:
    """The question is always the same: without the picture one answer in three could be right."""
    random = np.random.default_rng(7)
    for number, colour in enumerate(list(seeing.COLOURS) * 4):
        path = str(tmp_path / f"{number}.png")
        seeing.square(random, colour).save(path)
        asked = Message("user", seeing.QUESTION, images=(Image(path, path, 0),))
        assert finished.chat([asked], max_new_tokens=8) == f"It is {colour}."


def test_the_verdict_knows_the_pictures(finished: Run) -> None:
    verdict = finished.verdict
    assert verdict["learned"]["pass"] is True
    assert verdict["parity"]["pass"] is True
    assert verdict["kept"]["value"] is not None, "measured on texts, through the language model"
    side = read_json(finished.folder.measured)["tuned"]
    right = [each["answer"] == each["reference"] for each in side["answers"]]
    assert right
    assert all(right)
    plan = read_json(finished.folder.plan)
    assert "frozen" in plan["paths"]["forward"]
    assert "without pictures" in plan["paths"]["forward"]
    page = finished.report.read_text()
    assert "without pictures" in page
    assert re.search(r"picture: pics/1-\d+\.png", page), "each sample says what was shown"


def test_the_saved_model_is_transformers_own(finished: Run, data: Path) -> None:
    """Plain transformers answers a held-out row as the run did."""
    processor = AutoProcessor.from_pretrained(str(finished.artefact))
    model = AutoModelForImageTextToText.from_pretrained(str(finished.artefact)).eval()
    row = json.loads((data / "held.jsonl").read_text().splitlines()[0])
    given = processor.apply_chat_template(
        list(seeing.with_pictures(row, data))[:1],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    written = model.generate(**given, max_new_tokens=8, do_sample=False)
    answer = processor.decode(written[0, given["input_ids"].shape[1] :], skip_special_tokens=True)
    assert answer == row["messages"][1]["content"][0]["text"]


def test_the_card_opens_it_in_plain_libraries(finished: Run, monkeypatch: Any) -> None:
    monkeypatch.chdir(finished.path)
    (code,) = re.findall(r"```python\n(.*?)```", finished.folder.card.read_text(), re.DOTALL)
    found: dict[str, Any] = {}
    exec(code, found)
    assert type(found["model"]).__name__ == "LlavaForConditionalGeneration"
    assert type(found["processor"]).__name__ == "LlavaProcessor"


def test_it_is_asked_from_the_command_line(
    finished: Run, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = ["--image", str(data / "pics/1-1.png")]
    assert command(["chat", str(finished.path), "--once", seeing.QUESTION, *shown]) == 0
    assert capsys.readouterr().out == "It is green.\n"
    assert command(["chat", str(finished.path), "--once", "?", "--image", "none.png"]) == 2
    assert "There is no image file none.png" in capsys.readouterr().err
    assert command(["chat", str(finished.path), *shown]) == 2


def test_it_is_evaluated_on_other_rows(finished: Run, tmp_path: Path) -> None:
    rows = seeing.squares(tmp_path, 4, seed=2)
    found = evaluate(finished, _written(tmp_path / "new.jsonl", rows), only_rows=True)
    assert found["learned"]["value"] > 1
    bad = _written(tmp_path / "bad.jsonl", [*rows, seeing.row("none.png", "It is red.")])
    with pytest.raises(DataError, match=r"bad\.jsonl:5: There is no image file .*none\.png"):
        evaluate(finished, bad, only_rows=True)


@pytest.mark.parametrize("method", ["head", "lora"])
def test_a_resumed_run_is_an_unbroken_one(
    base: Path, data: Path, tmp_path: Path, method: str
) -> None:
    asked = recipe(
        base, data / "rows.jsonl", model__method=method, evaluate__level="none", engine__max_steps=6
    )
    whole = train(asked, tmp_path / "whole")

    class Stopped(Silent):
        def step(self, report: Any) -> None:
            if report.step == 5:
                raise KeyboardInterrupt

    with pytest.raises(BaseException, match="Stopped"):
        train(asked, tmp_path / "broken", watcher=Stopped())
    broken = train(None, tmp_path / "broken", resume=True)
    for file in whole.artefact.glob("*.safetensors"):
        ours, theirs = load_file(file), load_file(broken.artefact / file.name)
        assert all(torch.equal(ours[name], theirs[name]) for name in ours | theirs)


def test_another_picture_is_another_run(base: Path, tmp_path: Path) -> None:
    data = _written(tmp_path / "rows.jsonl", seeing.squares(tmp_path, 12))

    class Stopped(Silent):
        def step(self, report: Any) -> None:
            raise KeyboardInterrupt

    asked = recipe(base, data, evaluate__level="none", engine__checkpoint_every=1)
    with pytest.raises(BaseException, match="Stopped"):
        train(asked, tmp_path / "run", watcher=Stopped())
    Picture.new("RGB", (28, 28)).save(tmp_path / "pics/0-3.png")
    with pytest.raises(RunFolderError, match=r"0-3\.png changed since the run"):
        train(None, tmp_path / "run", resume=True)


def test_rows_about_one_picture_stay_on_one_side(base: Path, tmp_path: Path) -> None:
    rows = seeing.squares(tmp_path, 20)
    asked = [seeing.row(f"pics/0-{n}.png", "It is so.", f"Is it {n}?") for n in range(20)]
    data = _written(tmp_path / "rows.jsonl", [*rows, *asked])
    prepared = set_up(recipe(base, data, data__validation_share=0.3)).prepared
    sides = [
        {image for row in side for image in row.images}
        for side in (prepared.train, prepared.held_out)
    ]
    assert all(sides)
    assert not sides[0] & sides[1]


def test_bad_rows_are_named_and_accounted_for(base: Path, data: Path, tmp_path: Path) -> None:
    long = [{"type": "image", "path": str(data / "pics/0-0.png")}] * 20
    bad = [
        seeing.row("none.png", "It is red."),
        {
            "messages": [{"role": "user", "content": "<image><image>?"}, _ANSWER],
            "images": ["a.png"],
        },
        {"messages": [{"role": "user", "content": long}, _ANSWER]},
    ]
    good = [json.loads(line) for line in (data / "rows.jsonl").read_text().splitlines()]
    mixed = _written(data / "mixed.jsonl", [*bad, *good])
    with pytest.raises(DataError, match=r"mixed\.jsonl:1: There is no image file .*none\.png"):
        set_up(recipe(base, mixed))
    given = {"data__bad_rows": "drop", "data__most_dropped": 0.5}
    prepared = set_up(recipe(base, mixed, **given)).prepared
    dropped = prepared.ledger.totals()["dropped"]
    assert dropped == {"image_missing": 1, "image_marks": 1, "too_long": 1}
    assert prepared.ledger.totals()["rows_in"] == len(bad) + len(good)


_ANSWER = {"role": "assistant", "content": "It is red."}


def test_a_base_that_reads_refuses_pictures(tiny_base: Path, data: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl:1: Message 1 shows a picture.*reads text"):
        set_up(recipe(tiny_base, data / "rows.jsonl"))


def test_a_base_without_its_processor_says_what_is_missing(tmp_path: Path, data: Path) -> None:
    base = seeing.llava(tmp_path / "blind")
    (base / "processor_config.json").unlink()
    with pytest.raises(DataError, match=r"no processor_config\.json and no preprocessor_config"):
        set_up(recipe(base, data / "rows.jsonl"))


def test_a_processor_of_another_make_says_what_it_lacks(
    base: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(LlavaProcessor, "replace_image_token")
    with pytest.raises(DataError, match=r"rows\.jsonl:1: .*LlavaProcessor\) does not say what"):
        set_up(recipe(base, data / "rows.jsonl"))


def test_what_cannot_go_with_pictures_is_refused(base: Path, data: Path) -> None:
    rows = data / "rows.jsonl"
    with pytest.raises(DataError, match="learns every token, a picture's too"):
        set_up(recipe(base, rows, objective__kind="text"))
    with pytest.raises(Unsupported, match="what a teacher makes of pictures"):
        set_up(recipe(base, rows, objective__teacher=str(base)))
    judge = {"judge__url": "http://127.0.0.1:9/v1", "judge__model": "m"}
    with pytest.raises(RecipeError, match="is sent no pictures"):
        set_up(recipe(base, rows, **judge))


def test_equal_tokens_of_other_pictures_are_no_shared_prefix(base: Path, tmp_path: Path) -> None:
    """Left open, rows that begin alike come into one step, where that saves; here it saves none."""
    begins = [chr(ord("a") + number) * 90 for number in range(8)]
    rows = seeing.squares(tmp_path, 48)
    for number, row in enumerate(rows):
        row["messages"][0]["content"].insert(0, {"type": "text", "text": begins[number % 8]})
    setup = set_up(recipe(base, _written(tmp_path / "rows.jsonl", rows)))
    assert setup.recipe.data.together is False
    figures = figures_of(setup.prepared, setup.recipe)
    assert figures.prefix is None
    assert figures.computed == figures.tokens


def test_a_moving_picture_is_seen_by_its_first_frame(base: Path, tmp_path: Path) -> None:
    rows = seeing.squares(tmp_path, 8)
    first, second = (Picture.open(tmp_path / f"pics/0-{n}.png") for n in (0, 1))
    first.save(tmp_path / "moving.gif", save_all=True, append_images=[second])
    rows[0] = seeing.row("moving.gif", "It is red.")
    setup = set_up(recipe(base, _written(tmp_path / "rows.jsonl", rows)))
    assert any("1 image is animated" in sentence for sentence in setup.warnings)


def test_texts_alone_are_read_by_the_packed_path(tmp_path: Path, data: Path) -> None:
    """Where transformers has a form of the base that only reads, nothing runs row by row."""
    base = seeing.gemma3(tmp_path / "gemma3")
    texts = [{"messages": [{"role": "user", "content": f"Say {n}."}, _ANSWER]} for n in range(12)]
    setup = set_up(recipe(base, _written(tmp_path / "texts.jsonl", texts)))
    assert setup.described.eyes is None
    assert set_up(recipe(base, data / "rows.jsonl")).described.eyes is not None
