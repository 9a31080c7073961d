"""Pictures in conversations: every form in which rows name them, and what is wrong with a row."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture
from transformers import AutoProcessor

from tests import seeing
from tunesmith.core.errors import DataError, Unsupported
from tunesmith.core.records import Chat, Example, Finding, Image, Message, Origin, Row, Tokens
from tunesmith.data import Renderer, tokenised
from tunesmith.data.formats import understand
from tunesmith.data.formats.write import chat as written
from tunesmith.data.images.eyes import ProcessorEyes
from tunesmith.data.portions import Tokenise
from tunesmith.data.quality.looks import look
from tunesmith.data.questions import question_of
from tunesmith.data.split import content_hash
from tunesmith.data.store import coded, table_of

ASKED = "What is it?"
ANSWER = {"role": "assistant", "content": "A hat."}


def _read(fields: dict[str, Any], folder: str = "data") -> Example | Finding:
    return understand(Row(Origin(f"{folder}/rows.jsonl", 7), fields))


def _row(content: Any, **beside: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}, ANSWER], **beside}


def _part(**named: Any) -> list[dict[str, Any]]:
    return [{"type": "image", **named}, {"type": "text", "text": ASKED}]


def _user(fields: dict[str, Any], folder: str = "data") -> Message:
    example = _read(fields, folder)
    assert isinstance(example, Example), example
    assert isinstance(example.content, Chat)
    return example.content.messages[0]


@pytest.mark.parametrize(
    "fields",
    [
        _row(_part(path="a.png")),
        _row(_part(image="a.png")),
        _row(_part(url="a.png")),
        _row([{"type": "image_url", "image_url": {"url": "a.png"}}, _part()[1]]),
        _row(_part(), images=["a.png"]),
        _row(f"<image>\n{ASKED}", images=["a.png"]),
        _row(f"<image>{ASKED}", images=[{"path": "a.png", "bytes": None}]),
        {
            "image": "a.png",
            "conversations": [
                {"from": "human", "value": f"<image>\n{ASKED}"},
                {"from": "gpt", "value": "A hat."},
            ],
        },
    ],
)
def test_every_form_is_the_same_message(fields: dict[str, Any]) -> None:
    wanted = Message("user", ASKED, images=(Image("a.png", "data/a.png", 0),))
    assert _user(fields) == wanted


def test_pictures_keep_their_places() -> None:
    parts = [
        {"type": "text", "text": "Is "},
        {"type": "image", "path": "a.png"},
        {"type": "text", "text": " like "},
        {"type": "image"},
        {"type": "text", "text": "?"},
        {"type": "text", "text": "Say why."},
    ]
    shown = _user(_row(parts, images=["/b.png"]))
    assert shown.content == "Is  like ?\nSay why."
    assert shown.images == (Image("a.png", "data/a.png", 3), Image("/b.png", "/b.png", 9))
    marked = _user(_row("Is <image> like\n<image>", images=["a.png", "/b.png"]))
    assert marked.content == "Is  like"
    assert [image.at for image in marked.images] == [3, 8]


@pytest.mark.parametrize(
    ("fields", "reason", "words"),
    [
        (_row(f"<image><image>{ASKED}", images=["a.png"]), "image_marks", "1 picture, and"),
        (_row(ASKED, images=["a.png", "b.png"]), "image_marks", "2 pictures, and the user's"),
        (_row(_part()), "image_marks", "without a file"),
        (_row(ASKED, images=["a.png"], image="b.png"), "image_marks", "in one of them"),
        (_row(_part(url="https://h/a.png")), "image_remote", "nothing is fetched from a network"),
        (_row(f"<image>{ASKED}", images=["s3://a.png"]), "image_remote", "picture 1: s3://a.png"),
        (_row(_part(url="data:image/png;base64,AA")), "image_name", "stands in the row itself"),
        (_row(_part(path=3)), "image_name", "message 1: part 1: a picture is named by its path"),
        (_row(f"<image>{ASKED}", images=[{"bytes": "AA"}]), "image_name", "an object without one"),
        (_row([{"type": "video"}]), "not_text", "holds video"),
        (_row(ASKED, audios=["a.wav"]), "not_text", '"audios"'),
        (
            {
                "messages": [
                    {"role": "user", "content": ASKED},
                    {**ANSWER, "content": _part(path="a")},
                ]
            },
            "image_role",
            "Message 2 (assistant)",
        ),
        ({"prompt": _part(path="a.png"), "completion": "A hat."}, "wrong_type", ""),
    ],
)
def test_what_is_wrong_is_said(fields: dict[str, Any], reason: str, words: str) -> None:
    found = _read(fields)
    assert isinstance(found, Finding)
    assert found.reason == reason, found
    assert words in found.message


def test_a_mark_without_pictures_is_a_text() -> None:
    assert _user(_row("Write <image> tags.")) == Message("user", "Write <image> tags.")


def test_the_split_knows_pictures_and_no_folder() -> None:
    here, there, other = (
        _read(_row(_part(path=path)), folder)
        for path, folder in (("a.png", "x"), ("a.png", "y"), ("b.png", "x"))
    )
    assert isinstance(here, Example)
    assert isinstance(there, Example)
    assert isinstance(other, Example)
    assert content_hash(here.content) == content_hash(there.content)
    assert content_hash(here.content) != content_hash(other.content)


def test_the_same_words_about_other_pictures_are_no_copies() -> None:
    first, second, again = (_read(_row(_part(path=path))) for path in ("a.png", "b.png", "a.png"))
    found = look([first, second, again])
    assert found.compared[0] == found.compared[2] != found.compared[1]
    assert found.records["exact"][0] == found.records["exact"][2] != found.records["exact"][1]
    assert found.records["asked"][0] != found.records["asked"][1], "they may be answered otherwise"


def test_written_rows_are_read_again(tmp_path: Path) -> None:
    example = _read(_row(f"See <image>: {ASKED}", images=["a.png"]), str(tmp_path))
    assert isinstance(example, Example)
    fields = written(example.content)
    assert fields is not None
    again = _read(json.loads(json.dumps(fields)), "elsewhere")
    assert isinstance(again, Example)
    assert isinstance(again.content, Chat)
    (image,) = again.content.messages[0].images
    assert image.path == str(tmp_path / "a.png")
    assert image.at == 4
    assert again.content.messages[0].content == f"See : {ASKED}"


def test_a_question_with_pictures_is_not_sent_without_them() -> None:
    found = question_of(Row(Origin("rows.jsonl", 1), _row(_part(path="a.png"))), {})
    assert isinstance(found, Finding)
    assert "pictures" in found.message


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> ProcessorEyes:
    base = seeing.llava(tmp_path_factory.mktemp("base") / "llava")
    return ProcessorEyes(AutoProcessor.from_pretrained(str(base)))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"cross_attention_mask": lambda text: [[1] * len(text)]},
            "makes other inputs of a picture",
        ),
        ({"input_ids": lambda text: [[0, 0]]}, "makes other inputs of a picture"),
        ({"text_replacement_offsets": lambda text: [[]]}, "does not say what stands for a picture"),
    ],
)
def test_a_processor_that_is_not_understood_is_refused(
    tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    own = AutoProcessor.from_pretrained(str(seeing.llava(tmp_path / "llava")))

    class Other:
        image_token, tokenizer = own.image_token, own.tokenizer

        def __call__(self, text: list[str], **asked: Any) -> Any:
            return own(text=text, **asked) | {k: make(text[0]) for k, make in changed.items()}

    with pytest.raises(Unsupported, match=words):
        ProcessorEyes(Other())


def _task(eyes: ProcessorEyes | None) -> Tokenise:
    return Tokenise(Renderer(seeing.tokenizer(), seeing.template("<image>"), eyes=eyes), "sft", 256)


def _rendered(eyes: ProcessorEyes | None, fields: dict[str, Any], folder: Path) -> Any:
    example = _read(fields, str(folder))
    assert isinstance(example, Example)
    task = _task(eyes)
    assert isinstance(task.renderer, Renderer)
    (parts,) = task.renderer.render([example], task.kind, task.context)
    return parts


def test_a_base_that_reads_is_shown_nothing(tmp_path: Path) -> None:
    (row,) = seeing.squares(tmp_path, 1)
    found = _rendered(None, row, tmp_path)
    assert isinstance(found, Finding)
    assert found.reason == "not_text"
    assert "Message 1 shows a picture, and the base cannot see it" in found.message


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.png", "image_missing"),
        ("text.png", "image_unreadable"),
        ("cut.png", "image_truncated"),
    ],
)
def test_bad_pictures_are_bad_rows(
    eyes: ProcessorEyes, tmp_path: Path, name: str, reason: str
) -> None:
    seeing.squares(tmp_path, 1)
    whole = (tmp_path / "pics/0-0.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("no picture")
    found = _rendered(eyes, seeing.row(name, "Red."), tmp_path)
    assert isinstance(found, Finding)
    assert found.reason == reason
    assert name in found.message
    assert found.origin is not None


def test_a_picture_that_changed_its_size_is_noticed(tmp_path: Path) -> None:
    base = seeing.idefics3(tmp_path / "base")
    eyes = ProcessorEyes(AutoProcessor.from_pretrained(str(base)))
    (row,) = seeing.squares(tmp_path, 1)
    (parts,) = _rendered(eyes, row, tmp_path)
    place = Path(parts.images[0])
    eyes.inputs(parts.ids_N, parts.images)
    Picture.new("RGB", (200, 20)).save(place)
    with pytest.raises(DataError, match="of another size than when the run read it first"):
        eyes.inputs(parts.ids_N, parts.images)
    place.unlink()
    with pytest.raises(DataError, match="There is no image file"):
        eyes.inputs(parts.ids_N, parts.images)


def test_tokens_of_pictures_are_not_kept_for_another_start(
    eyes: ProcessorEyes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By several processes; a picture that was missing may be there at the next start."""
    monkeypatch.setattr(tokenised, "LARGE", 1)
    monkeypatch.setenv("TUNESMITH_CACHE", str(tmp_path / "cache"))
    data = tmp_path / "rows.jsonl"
    data.write_text("\n".join(map(json.dumps, seeing.squares(tmp_path, 2))))
    place, away = tmp_path / "pics/0-1.png", tmp_path / "away.png"
    place.rename(away)
    before = tokenised.tokenised([str(data)], 1, _task(eyes)).store
    assert before.summary.reasons == ["image_missing"]
    away.rename(place)
    after = tokenised.tokenised([str(data)], 1, _task(eyes)).store
    assert after.summary.reasons == []
    assert after.images() == [str(tmp_path / f"pics/0-{n}.png") for n in (0, 1)]
    assert not list((tmp_path / "cache/tokens").iterdir())


def test_eyes_go_to_other_processes(eyes: ProcessorEyes, tmp_path: Path) -> None:
    seeing.squares(tmp_path, 1)
    shown = [str(tmp_path / "pics/0-0.png")]
    eyes.written("<image>", shown)
    assert pickle.loads(pickle.dumps(eyes)).written("<image>", shown) == "<image>" * 16


def test_a_template_that_drops_pictures_is_refused(eyes: ProcessorEyes, tmp_path: Path) -> None:
    (row,) = seeing.squares(tmp_path, 1)
    example = _read(row, str(tmp_path))
    assert isinstance(example, Example)
    renderer = Renderer(seeing.tokenizer(), seeing.template(""), eyes=eyes)
    (found,) = renderer.render([example], "sft", 256)
    assert isinstance(found, Finding)
    assert found.message.startswith("The chat template writes 0 of the marks <image> for the 1 ")


def test_a_store_holds_labels_and_pictures_apart() -> None:
    rows = [
        Tokens(Origin("a", 1), *_ids(), 0, labels=("x",), images=()),
        Tokens(Origin("a", 2), *_ids(), 0, labels=("y", "x"), images=("p.png", "q.png")),
    ]
    records, _, names = table_of(list(enumerate(rows)))
    assert names == ["x", "y", "x", "p.png", "q.png"]
    assert records["first_label"].tolist() == [0, 1]
    assert records["images"].tolist() == [0, 2]
    assert len(coded(names)[1]) == 4


def _ids() -> tuple[Any, Any]:
    return np.zeros(2, np.int32), np.ones(2, np.float32)
