"""Embedding runs: from rows of texts to a verdict, resumed bitwise, opened by others, and asked."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.labelling import (
    COMMON,
    WORDS,
    outputs_by_card,
    resumed_in_the_same_bits,
    save_base,
    write,
)
from tunesmith.cli.app import run as command
from tunesmith.core.errors import DataError, RecipeError, Unsupported
from tunesmith.core.files import read_json
from tunesmith.core.records import Origin
from tunesmith.recipe import Recipe, load
from tunesmith.runs.labels.ask_embed import Embedder, texts_in
from tunesmith.runs.open import Run
from tunesmith.runs.train import train

QUICK = [
    "objective.kind=embed",
    "model.dtype=float32",
    "model.device=cpu",
    "model.method=full",
    "engine.epochs=4",
    "engine.batch_size=16",
    "engine.tokens_per_micro_batch=200",
    "engine.learning_rate=0.002",
    "engine.patience=0",
    "evaluate.level=quick",
]
SAYS = [(name, word) for name, words in WORDS.items() for word in words]


def rows(count: int, form: str = "pair") -> list[dict[str, Any]]:
    """Two texts belong together where they have one telling word and one common word in common."""
    chosen, found = random.Random(0), []
    for n in range(count):
        told = [SAYS[n % 12][1], COMMON[n // 12 % 10]]
        other = [SAYS[(n + 5) % 12][1], COMMON[(n // 12 + 3) % 10]]
        texts = [
            " ".join(chosen.sample([*some, *chosen.sample(COMMON, 2)], 4))
            for some in (told, told, other)
        ]
        if form == "scored":
            near = n % 2
            found.append({"sentence1": texts[0], "sentence2": texts[2 - near], "score": near * 5})
            continue
        row = {"anchor": texts[0], "positive": texts[1]}
        found.append(row | ({"negative": texts[2]} if form == "triplet" else {}))
    return found


def _recipe(base: Path, data: str, *more: str) -> Recipe:
    return load(None, [f"model.base={base}", f"data.train={data}", *QUICK, *more])


@pytest.fixture(scope="module")
def finished(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A whole run."""
    folder = tmp_path_factory.mktemp("runs")
    data = write(folder / "rows.jsonl", rows(240))
    asked = ["engine.epochs=12", "data.validation_share=0.3", "evaluate.rows=60"]
    return train(_recipe(bert, data, *asked), folder / "run")


def test_a_run_learns_and_says_so(finished: Run) -> None:
    verdict = finished.verdict
    assert verdict["learned"]["pass"] is True, verdict["sentence"]
    assert verdict["parity"]["pass"] is True
    assert verdict["parity"]["value"] == 0.0
    assert {each["name"] for each in verdict["worth"]["detail"]["rivals"]} == {"base", "bm25"}
    totals = read_json(finished.folder.ledger)
    assert totals["rows_in"] == totals["trained"] + totals["held_out"] == 240
    assert "NDCG@10" in finished.report.read_text()


def test_it_can_be_asked(finished: Run, tmp_path: Path, capsys: Any) -> None:
    embedder = Embedder(finished)
    lines = [{"id": 1, "text": "my order is lost"}, {"id": 2, "text": "the parcel is torn"}]
    data = write(tmp_path / "texts.jsonl", lines)
    placed = texts_in(Path(data), "text")
    vectors = embedder.vectors(placed)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0)
    (near,) = embedder.nearest([(Origin("--once", 1), "my order is lost")], placed, 1)
    assert near[0].text == "my order is lost"
    assert near[0].cosine == pytest.approx(1.0)
    run, out = str(finished.path), tmp_path / "vectors.npy"
    assert command(["embed", run, "--data", data, "--out", str(out)]) == 0
    assert np.array_equal(np.load(out), vectors)
    capsys.readouterr()
    assert command(["embed", run, "--once", "lost order", "--among", data, "--count", "1"]) == 0
    assert len(json.loads(capsys.readouterr().out)["nearest"]) == 1
    for wrong in (["--data", data, "--field", "words"], ["--data", data, "--out", str(out)], []):
        assert command(["embed", run, *wrong]) == 2
    with pytest.raises(DataError, match="text is empty"):
        embedder.vectors([(Origin("--once", 1), " ")])
    with pytest.raises(DataError, match=r"data\.too_long=cut"):
        embedder.vectors([(Origin("--once", 1), "lost " * 90)])
    assert command(["label", run, "--once", "x"]) == 2
    assert "tunesmith embed" in capsys.readouterr().err
    with pytest.raises(Unsupported, match="tunesmith embed"):
        finished.chat("hello")


TEXTS = ["my order is lost", "torn"]


def _placed(texts: list[str]) -> list[tuple[Origin, str]]:
    return [(Origin("texts", n + 1), text) for n, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("family", "method"), [("bert", "full"), ("bert", "lora"), ("llama", "full"), ("gpt2", "lora")]
)
def test_plain_libraries_make_the_same_vectors(tmp_path: Path, family: str, method: str) -> None:
    base = save_base(tmp_path / family, family)
    data = write(tmp_path / "rows.jsonl", rows(60, "triplet"))
    more = [f"model.method={method}", "engine.max_steps=3", "engine.epochs=auto"]
    run = train(_recipe(base, data, *more, "evaluate.level=none"), tmp_path / "run")
    ours = Embedder(run).vectors(_placed(TEXTS))
    plain = outputs_by_card(run)(TEXTS).numpy()
    assert np.abs(ours - plain).max() < 1e-5
    library = pytest.importorskip("sentence_transformers")
    theirs = library.SentenceTransformer(str(run.artefact), device="cpu").encode(TEXTS)
    assert np.abs(ours - theirs).max() < 1e-5


def test_a_resumed_run_is_an_unbroken_one(tmp_path: Path) -> None:
    base = save_base(tmp_path / "bert", "bert")
    config = json.loads((base / "config.json").read_text()) | {"hidden_dropout_prob": 0.2}
    (base / "config.json").write_text(json.dumps(config))
    data = write(tmp_path / "rows.jsonl", rows(80))
    recipe = _recipe(base, data, "engine.checkpoint_every=2", "engine.epochs=2")
    whole, broken = resumed_in_the_same_bits(recipe, tmp_path)
    assert whole.verdict["learned"]["value"] == broken.verdict["learned"]["value"]


def test_scored_pairs_are_ranked(bert: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "rows.jsonl", rows(120, "scored"))
    run = train(_recipe(bert, data, "engine.epochs=6"), tmp_path / "run")
    learned = run.verdict["learned"]
    assert "Spearman" in learned["detail"]["summary"]
    assert learned["detail"]["figures"]["tuned"]["Spearman's rho"] > 0.3
    assert [each["name"] for each in run.verdict["worth"]["detail"]["rivals"]] == ["base", "words"]


def test_a_long_text_is_cut_where_that_is_asked_for(bert: Path, tmp_path: Path) -> None:
    lines = [*rows(40), {"anchor": "lost order", "positive": "lost " * 30 + "order"}]
    data = write(tmp_path / "rows.jsonl", lines)
    short = ["data.context=12", "engine.max_steps=2", "engine.epochs=auto"]
    with pytest.raises(DataError, match=r"rows.jsonl:41"):
        train(_recipe(bert, data, *short), tmp_path / "refused")
    run = train(_recipe(bert, data, *short, "data.too_long=cut"), tmp_path / "run")
    assert run.verdict["parity"]["pass"] is True
    assert read_json(run.artefact / "sentence_bert_config.json")["max_seq_length"] == 12
    long, cut = "lost " * 30, "lost " * 10
    vectors = Embedder(run).vectors(_placed([long, cut]))
    assert np.allclose(vectors[0], vectors[1])


def test_a_row_may_have_no_text_of_its_own(bert: Path, tmp_path: Path) -> None:
    """Its anchor is one row's and its positive another's."""
    lines = rows(60)
    held_out = [{"anchor": f"torn {n}", "positive": f"lost {n}"} for n in range(20)]
    held_out.append({"anchor": "my parcel", "positive": "lost 3"})
    held_out.append({"anchor": "my parcel", "positive": "is gone"})
    held_out.append({"anchor": "torn 3", "positive": "is gone"})
    data, other = (
        write(tmp_path / name, some) for name, some in (("a.jsonl", lines), ("b.jsonl", held_out))
    )
    asked = [f"data.validation={other}", "engine.max_steps=1", "engine.epochs=auto"]
    run = train(_recipe(bert, data, *asked), tmp_path / "run")
    assert run.verdict["parity"]["pass"] is True


def test_what_does_not_fit_is_refused(bert: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "rows.jsonl", [*rows(30), *rows(30, "scored")])
    with pytest.raises(DataError, match="runs of their own"):
        train(_recipe(bert, data), tmp_path / "mixed")
    for wrong, says in (
        ("model.method=head", "objective.kind=embed has none"),
        ("model.method=prefix_tuning", "objective.kind=embed trains one that does not"),
        ("objective.kl_to_base=0.5", "objective.kind=embed"),
    ):
        with pytest.raises(RecipeError, match=says):
            _recipe(bert, data, wrong)
    with pytest.raises(RecipeError, match=r"is for objective\.kind=embed"):
        load(None, ["objective.symmetric=true"])
