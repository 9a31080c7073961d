"""Judgements collected from a person that is a program, kept at once, and written as rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.bases import byte_level, save_llama
from tunesmith.core.errors import DataError, Interrupted, ModelError
from tunesmith.core.files import read_jsonl
from tunesmith.data.feedback import Answer, Choice, Edit, FeedbackStore, Wanted
from tunesmith.data.questions import Question
from tunesmith.runs.answering import Sampling, open_answerer
from tunesmith.runs.feedback_collect import Asked, Corrected, Said, collect
from tunesmith.runs.feedback_files import export, judgements_in
from tunesmith.runs.feedback_pairs import Pairs, drawn_pairs, written_pairs

PAIRS = [
    {"prompt": f"question {n}", "answers": [f"short {n}", f"much longer {n}"]} for n in range(6)
]


@pytest.fixture
def store(tmp_path: Path) -> FeedbackStore:
    return FeedbackStore(tmp_path / "feedback.sqlite")


def written(path: Path, rows: Sequence[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def pairs(tmp_path: Path) -> Pairs:
    return written_pairs([written(tmp_path / "pairs.jsonl", PAIRS)])


class Person:
    """Prefers the longer answer; says what is in `says` first."""

    def __init__(self, *says: Any) -> None:
        self.says = list(says)
        self.asked: list[Asked] = []

    def __call__(self, asked: Asked) -> Said:
        self.asked.append(asked)
        if self.says:
            said = self.says.pop(0)
            if isinstance(said, BaseException):
                raise said
            return said  # type: ignore[no-any-return]
        first, second = asked.answers
        return "first" if len(first.text) > len(second.text) else "second"


class Parrot:
    """Answers with its name and the number, always so in the second question."""

    def __init__(self, model: str) -> None:
        self.model, self.version = model, "1"
        self.answered = 0

    def answer(self, question: Question, number: int) -> Answer:
        self.answered += 1
        said = question[-1].content
        if said == "too long":
            raise DataError("there is no room for an answer.")
        return Answer("same" if said == "same" else f"{self.model} {number}", self.model, "1")


def test_a_person_with_a_taste_is_heard(pairs: Pairs, store: FeedbackStore, tmp_path: Path) -> None:
    collected = collect(pairs, store, person := Person(), person="ann")
    assert (collected.kept, collected.left, collected.known) == (6, 0, 0)
    out = tmp_path / "pairs-out.jsonl"
    done = export(store, "preference", out)
    assert (done.rows, done.read, done.used, done.left_out.total()) == (6, 6, 6, 0)
    assert all("longer" in row["chosen"] for row in read_jsonl(out))
    # Neither answer is always first, and the same seed puts them in the same order.
    orders = [asked.answers[0].text.startswith("short") for asked in person.asked]
    assert 0 < sum(orders) < len(orders)
    collect(pairs, store, again := Person(), person="bob")
    assert [asked.answers for asked in again.asked] == [asked.answers for asked in person.asked]


def test_a_sitting_goes_on_where_it_was_left(pairs: Pairs, store: FeedbackStore) -> None:
    first = collect(pairs, store, Person("tie", "skip", "first", "quit"), person="ann")
    assert (first.kept, first.skipped, first.left) == (2, 1, 4)
    with pytest.raises(Interrupted, match=r"kept in .*feedback.sqlite \(1 judgement\)"):
        collect(pairs, store, Person("second", KeyboardInterrupt()), person="ann")
    last = collect(pairs, store, person := Person(), person="ann")
    assert (last.known, last.kept, last.left, len(person.asked)) == (3, 3, 0, 3)
    assert collect(pairs, store, Person("quit"), person="bob").known == 0


def test_a_correction_is_kept_and_the_pair_still_asked_about(
    pairs: Pairs, store: FeedbackStore
) -> None:
    said = collect(pairs, store, Person(Corrected(1, "right"), "quit")).said
    assert said == {"edit": 1}
    (kept,) = store
    assert isinstance(kept.judgement, Edit)
    assert collect(pairs, store, person := Person()).known == 0
    assert kept.judgement == Edit(person.asked[0].answers[1], "right")


def test_models_answer_once_each_or_one_of_them_twice(tmp_path: Path, store: FeedbackStore) -> None:
    rows = [
        {"prompt": "one"},
        {"prompt": "same"},
        {"prompt": "too long"},
        {"prompt": "one"},
        {"text": "x"},
    ]
    prompts = written(tmp_path / "prompts.jsonl", rows)
    tuned, base = Parrot("tuned"), Parrot("base")
    pairs = drawn_pairs([prompts], lambda: [tuned, base])  # type: ignore[list-item]
    collected = collect(pairs, store, person := Person(), person="ann")
    assert {answer.text for answer in person.asked[0].answers} == {"tuned 0", "base 1"}
    assert (collected.kept, collected.left) == (1, 0)
    assert pairs.left_out == {"duplicate": 1, "no_question": 1, "same_answer": 1, "unanswerable": 1}
    assert any(sentence.startswith(f"{prompts}:3: there is no room") for sentence in pairs.first)
    # The same models are not asked again for the same prompt; one of them alone is another pair.
    before = tuned.answered
    again = drawn_pairs([prompts], lambda: [base, tuned])  # type: ignore[list-item]
    assert collect(again, store, Person(), person="ann").known == 1
    assert tuned.answered == before + 1  # "same" is still open
    alone = drawn_pairs([prompts], lambda: [tuned])  # type: ignore[list-item]
    assert collect(alone, store, person := Person(), person="ann").kept == 1
    assert {answer.text for answer in person.asked[0].answers} == {"tuned 0", "tuned 1"}


def test_no_model_is_opened_where_nothing_is_asked(tmp_path: Path) -> None:
    prompts = written(tmp_path / "documents.jsonl", [{"text": "x"}])
    with pytest.raises(DataError, match=r"nothing to ask about \(no_question 1\)"):
        drawn_pairs([prompts], lambda: pytest.fail("opened"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import PreTrainedTokenizerFast

    bytewise = byte_level([], 258, ["<s>", "</s>"])
    reader = PreTrainedTokenizerFast(tokenizer_object=bytewise, bos_token="<s>", eos_token="</s>")
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    return save_llama(
        tmp_path_factory.mktemp("base"),
        reader,
        num_attention_heads=2,
        max_position_embeddings=128,
        **sizes,
    )


def test_a_model_answers_with_its_provenance_and_again_the_same(
    base: Path, store: FeedbackStore, tmp_path: Path
) -> None:
    opened = open_answerer(str(base), base, Sampling(0.9, 6, 3))
    prompts = written(tmp_path / "prompts.jsonl", [{"prompt": "hi"}, {"prompt": "h" * 200}])
    pairs = drawn_pairs([prompts], lambda: [opened])
    collect(pairs, store, Person(), person="ann")
    (kept,) = store.feedback(Wanted(model=str(base)))
    assert isinstance(kept.judgement, Choice)
    assert [*pairs.left_out] == ["unanswerable"]
    for answer in kept.answers:
        drawn = json.loads(answer.sampling)
        assert len(answer.version) == 16
        assert (drawn["temperature"], drawn["max_new_tokens"]) == (0.9, 6)
        assert opened.opened.chat(kept.prompt, **drawn) == answer.text  # type: ignore[arg-type]
    with pytest.raises(ModelError):
        open_answerer(str(tmp_path), tmp_path, Sampling(0.9, 6, 3))


def test_files_are_added_whole_or_not_at_all(tmp_path: Path, store: FeedbackStore) -> None:
    good = {"prompt": "x", "answer": "a", "liked": True}
    path = written(
        tmp_path / "rows.jsonl", [good, {**good, "person": "bob"}, {**good, "liked": False}]
    )
    found = judgements_in([path], "ann")
    assert [each.person for each in found] == ["ann", "bob", "ann"]
    assert [store.add_all(found), store.add_all(judgements_in([path], "ann"))] == [3, 0]
    bad = written(tmp_path / "bad.jsonl", [good, *[{**good, "liked": "so so"}] * 12])
    with pytest.raises(DataError) as refused:
        judgements_in([bad])
    lines = str(refused.value).splitlines()
    assert lines[0] == "Nothing was added, for 12 rows are no judgement:"
    assert lines[1].startswith(f'{bad}:2: "liked" must be true or false')
    assert lines[-1] == "and 2 more"


def test_an_export_accounts_for_every_judgement(tmp_path: Path, store: FeedbackStore) -> None:
    lines = [
        {"prompt": "x", "answer": "a", "liked": True, "person": "ann", "time": "2026-05-01"},
        {"prompt": "x", "answer": "a", "liked": False, "person": "bob", "time": "2026-05-02"},
        {"prompt": "x", "answer": "b", "corrected": "c", "person": "bob", "time": "2026-05-03"},
    ]
    store.add_all(judgements_in([written(tmp_path / "rows.jsonl", lines)]))
    out = tmp_path / "out.jsonl"
    done = export(store, "rating", out, Wanted(since="2026-05-02"))
    assert (done.rows, done.read, done.used, done.left_out) == (3, 3, 2, {"not_asked_for": 1})
    with pytest.raises(DataError, match="exists already"):
        export(store, "rating", out)
    with pytest.raises(
        DataError, match=r"No row of the form preference .* 1 rating \(a rating comp"
    ):
        export(store, "preference", tmp_path / "none.jsonl", Wanted(person="ann"))
    assert not (tmp_path / "none.jsonl").exists()
