"""Zero-shot prompting as a way to label: what plain transformers finds likeliest."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.labelling import QUICK, rows, save_base, write
from tunesmith.core.records import Origin
from tunesmith.evaluate.labels.measured import Rival
from tunesmith.models.open import describe
from tunesmith.recipe import load
from tunesmith.runs.labels import prompted
from tunesmith.runs.labels.prompted import Question, ask_base, promptable
from tunesmith.runs.labels.setup import LabelSetup, set_up_labels
from tunesmith.runs.train import train

CHAT = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random decoder."""
    return save_base(tmp_path_factory.mktemp("bases") / "llama", "llama")


def _setup(base: Path, folder: Path, *more: str) -> LabelSetup:
    data = write(folder / "rows.jsonl", rows(90))
    settings = [f"model.base={base}", f"data.train={data}", "objective.kind=classify", *QUICK]
    return set_up_labels(load(None, [*settings, *more]))


def test_it_says_what_plain_transformers_finds_likeliest(llama: Path, tmp_path: Path) -> None:
    setup = _setup(llama, tmp_path)
    found = ask_base(setup)
    assert isinstance(found, Rival)
    assert [row.origin for row in found.rows] == [r.origin for r in setup.held_out.judging]
    tokenizer = AutoTokenizer.from_pretrained(llama)
    model = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32).eval()
    question = Question(setup.described, setup.targets.names)

    def chance(text: str) -> list[float]:
        logs = []
        for name, row in zip(
            setup.targets.names, question.about(text, found.rows[0].origin), strict=True
        ):
            answer = tokenizer(f" {name}", add_special_tokens=False)["input_ids"]
            ids = torch.tensor(row.ids_N[None].astype("int64"))
            with torch.inference_mode():
                logs_TV = model(ids).logits[0].log_softmax(-1)
            assert ids[0, -len(answer) :].tolist() == answer
            places = range(ids.shape[1] - len(answer), ids.shape[1])
            logs.append(sum(float(logs_TV[place - 1, ids[0, place]]) for place in places))
        return logs

    nothing = chance("N/A")
    examples = {each.origin: each for each in setup.prepared.examples(range(90))}
    for row in found.rows:
        content = examples[row.origin].content
        gains = [a - b for a, b in zip(chance(content.text), nothing, strict=True)]
        assert row.said == (setup.targets.names[gains.index(max(gains))],)


def test_a_chat_model_is_asked_in_its_template(llama: Path) -> None:
    described = describe(str(llama))
    described.tokenizer.chat_template = CHAT
    row, _ = Question(described, ("late", "lost")).about("parcel", Origin("rows", 1))
    words = "Which label fits the text: late, lost?\n\nText: "
    pieces = (f"<user>{words}", "parcel", "\n\nAnswer with the label alone.<assistant>", "late")
    wanted = [described.tokenizer(each, add_special_tokens=False)["input_ids"] for each in pieces]
    assert row.ids_N.tolist() == [id for ids in wanted for id in ids]


def test_a_long_text_is_cut_so_that_the_answer_has_room(llama: Path) -> None:
    described = describe(str(llama))
    question = Question(described, ("late", "lost"))
    long = " ".join(["parcel"] * 500)
    for row in question.about(long, Origin("rows", 1)):
        assert len(row.ids_N) <= described.context
        assert row.weights_N[-1] == 1


def test_a_base_is_asked_about_as_many_rows_as_the_tokens_allow(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = _setup(llama, tmp_path)
    monkeypatch.setattr(prompted, "LEAST_ROWS", 2)
    each = Question(setup.described, setup.targets.names).tokens(10, shares=True)
    monkeypatch.setattr(prompted, "MOST_TOKENS", 4 * each)
    found = ask_base(setup)
    assert isinstance(found, Rival)
    assert 2 <= len(found.rows) < len(setup.held_out.judging)
    monkeypatch.setattr(prompted, "MOST_TOKENS", 10)
    said = ask_base(setup)
    assert isinstance(said, str)
    assert "was not asked" in said


def test_where_nothing_is_shared_each_answer_costs_the_whole_question(llama: Path) -> None:
    question = Question(describe(str(llama)), ("late", "lost", "broken"))
    assert question.tokens(100, shares=False) > 2.5 * question.tokens(100, shares=True)


def test_only_a_base_that_writes_is_asked_for_one_label(
    llama: Path, bert: Path, tmp_path: Path
) -> None:
    assert promptable(_setup(llama, tmp_path))
    assert not promptable(_setup(bert, tmp_path))


def test_the_verdict_holds_the_model_against_the_prompted_base(
    llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the base was asked about some of the rows alone."""
    setup = _setup(llama, tmp_path, "engine.epochs=1")
    each = Question(setup.described, setup.targets.names).tokens(10, shares=True)
    monkeypatch.setattr(prompted, "LEAST_ROWS", 2)
    monkeypatch.setattr(prompted, "MOST_TOKENS", 5 * each)
    run = train(setup.recipe, tmp_path / "run")
    rivals = {each["name"]: each for each in run.verdict["worth"]["detail"]["rivals"]}
    assert rivals["zero_shot"]["n"] < rivals["linear"]["n"]
    assert "asked by a prompt" in run.report.read_text()
