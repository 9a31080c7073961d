"""The benchmark's command on a tiny model with ours alone, and what its figures are made from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import measure, workloads
from benchmarks.contenders import CONTENDERS
from benchmarks.measure import Measured, Trial
from benchmarks.prepare import Prepared, prepare
from benchmarks.statistics import agree, disagreements, lines
from benchmarks.workers import ours
from benchmarks.workers.protocol import Job

TINY = replace(
    workloads.STANDARD,
    shape=workloads.Shape(hidden=32, layers=2, heads=2, kv_heads=1, mlp=64, vocabulary=4096),
    rows=8,
    lengths=(20, 40),
    prefix=12,
    batch_size=4,
    rank=2,
    steps=2,
)


def trial(contender: str, seconds: float, losses: tuple[float, ...], number: int = 0) -> Trial:
    """Two steps of which the second took so long."""
    return Trial(
        contender, number, (5.0, 5.0 + seconds), losses, tokens=100, flops=1e9, peak_bytes=10
    )


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    return prepare(TINY, tmp_path)


def test_rows_are_as_long_as_asked_for(prepared: Prepared) -> None:
    low, high = TINY.lengths
    assert all(low <= length - TINY.prefix <= high for length in prepared.lengths)
    examples = json.loads(prepared.tokens.read_text())
    assert len({tuple(example["input_ids"][: TINY.prefix]) for example in examples}) == 1
    share = sum(prepared.sites) / (sum(prepared.lengths) - TINY.prefix * TINY.rows)
    assert 0.3 < share < 0.5  # the frame of the turns is not learned


def test_the_command_writes_the_whole_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def in_this_process(python: Path, worker: str, job: Job, threads: int) -> object:
        assert worker == "ours"
        report = ours.work(job)
        report.print("torch")
        said = capsys.readouterr().out
        return measure.subprocess.CompletedProcess([], 0, stdout=said, stderr="")

    monkeypatch.setattr(measure, "_launch", in_this_process)
    monkeypatch.setattr(measure, "_matrix_rate", lambda threads: 1e9)
    monkeypatch.setattr(command, "WORKLOADS", {"standard": TINY})
    monkeypatch.setattr(command, "KEPT", tmp_path)
    assert command.main(["standard", "--quick", "--peers"]) == 0
    page = (tmp_path / "quick" / "RESULTS.md").read_text()
    assert "| tunesmith |" in page
    assert "| TRL" not in page
    line, small = lines(command.kept_sections(tmp_path / "quick")[0].measured)
    assert line.first_loss == pytest.approx(8.3, abs=0.2)  # log of the vocabulary
    assert small.first_loss == pytest.approx(line.first_loss, abs=1e-3)
    assert not list(tmp_path.glob("quick/tmp*"))


def test_necessary_work_counts_a_shared_prefix_once() -> None:
    files = Path(), Path(), Path()
    prepared = Prepared(*files, lengths=(30,) * 8, sites=(5,) * 8)
    tokens, flops = measure.work_of(TINY, prepared, warm=1, steps=2)
    shape = TINY.shape
    assert tokens == 4 * 30
    body = 4 * shape.layers * shape.layer * (4 * 30 - 3 * 12)
    assert flops == body + 4 * shape.head * 4 * 5


def test_a_loss_that_differs_is_told() -> None:
    trials = (
        trial("ours", 1.0, (8.0, 7.9)),
        trial("litgpt", 4.0, (8.0, 7.9)),
        trial("trl", 8.0, (8.1, 7.9)),
    )
    measured = Measured("standard", 1, trials, (2e9,))
    assert disagreements(measured) == ["trl"]
    assert [line.slower for line in lines(measured)] == [1.0, 4.0, 8.0]
    assert lines(measured)[0].share == 0.5


def test_ratios_are_taken_within_a_round() -> None:
    slow_machine, fast_machine = (1.0, 3.0), (0.1, 0.3)
    trials = tuple(
        trial(name, seconds, (8.0, 7.9), number)
        for number, pair in enumerate((slow_machine, fast_machine, fast_machine))
        for name, seconds in zip(("ours", "litgpt"), pair, strict=True)
    )
    found = lines(Measured("standard", 1, trials, (1e9, 1e10, 1e10)))
    assert found[1].slower == pytest.approx(3.0)
    assert found[1].rate == pytest.approx(100 / 0.3)


PAIRS = replace(TINY, objective="dpo", answers=(5, 9), dtype="float32", rows=4, batch_size=2)
ASKED = replace(PAIRS, objective="grpo", answers=(6, 6), group=3, kl_weight=0.1)


def test_pairs_are_as_long_as_asked_for(tmp_path: Path) -> None:
    prepared = prepare(PAIRS, tmp_path)
    pairs = json.loads(prepared.tokens.read_text())
    assert [len(pair["prompt"]) for pair in pairs] == list(prepared.lengths)
    answers = [pair[which] for pair in pairs for which in ("chosen", "rejected")]
    assert all(5 <= len(answer) - 1 <= 9 for answer in answers)  # and the token that ends it
    assert len({answer[-1] for answer in answers}) == 1
    assert len({tuple(answer) for answer in answers}) == len(answers)


@pytest.mark.parametrize("workload", [PAIRS, ASKED], ids=lambda each: each.objective)
def test_ours_does_the_work(workload: workloads.Workload, tmp_path: Path) -> None:
    prepared = prepare(workload, tmp_path)
    job = measure._job(workload, CONTENDERS["ours"], prepared, str(tmp_path), 2, 1)
    report = ours.work(job)
    assert len(report.ends) == len(report.losses) == 2
    if workload.objective == "grpo":
        assert all(0 < grade < 1 for grade in report.losses)
        return
    assert report.losses[0] == pytest.approx(0.6931, abs=1e-3)  # as good as the reference
    assert report.reference > 0
    assert report.log_p is not None
    sites = prepared.sites[0] / 2
    assert report.log_p == pytest.approx(-8.3 * sites, rel=0.5)


def test_necessary_work_of_answers() -> None:
    files = Path(), Path(), Path()
    body, head = PAIRS.shape.layers * PAIRS.shape.layer, PAIRS.shape.head
    prepared = Prepared(*files, lengths=(30,) * 4, sites=(16,) * 4)
    tokens, flops = measure.work_of(PAIRS, prepared, warm=1, steps=2)
    assert tokens == 2 * (2 * 30 + 16)
    assert flops == 4 * (body * 2 * (30 + 16) + head * 2 * 16)
    tokens, flops = measure.work_of(ASKED, prepared, warm=1, steps=2)
    assert tokens == 2 * 3 * (30 + 6)
    assert flops == 8 * (body * 2 * (30 + 3 * 6) + head * 2 * 3 * 6)


def test_losses_of_pairs_must_agree_in_every_step() -> None:
    mine = replace(trial("ours", 1.0, (0.6931, 0.6900)), log_p=-500.0)
    alike = replace(mine, losses=(0.6931, 0.6905))
    assert agree(alike, mine, PAIRS)
    assert not agree(replace(alike, log_p=-501.0), mine, PAIRS)
    assert not agree(replace(mine, losses=(0.6931, 0.6915)), mine, PAIRS)
    assert agree(replace(mine, losses=(0.8, 0.6)), mine, ASKED)  # grades, each of its own answers


def test_an_epoch_counts_the_reference_pass_once() -> None:
    some = replace(trial("ours", 4.0, (0.69, 0.69)), units=8.0, reference=4.0)
    assert some.rate == 2.0
    assert some.rate_with_reference == pytest.approx(8 / (4 + 4 / 2))
