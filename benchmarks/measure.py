"""Runs contenders in turns, each in a process of its own, and keeps what they report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.contenders import CONTENDERS, Contender
from benchmarks.environments import NotInstallable, python_of
from benchmarks.prepare import Prepared, prepare
from benchmarks.workers.protocol import Job
from benchmarks.workloads import Workload
from tunesmith.core.seeds import derive

ROOT = Path(__file__).resolve().parents[1]
RUN_SEED = 0
"""`engine.seed`, from which tunesmith draws its adapter."""
REWARD = Path(__file__).with_name("letters.py")
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Trial:
    """One contender in one round: seconds of each step, from the start of the process on.

    `steps` are the ends of all optimiser steps, `warm` how many of them are not measured. The
    tokens, units (what speed is counted in) and FLOPs are those of the measured steps. `reference`
    is how many seconds the base's log-probabilities of all rows took where that was done once,
    before the steps. A trial with an `error` has no figures.
    """

    contender: str
    round: int
    steps: tuple[float, ...] = ()
    losses: tuple[float, ...] = ()
    warm: int = 1
    tokens: int = 0
    flops: float = 0.0
    peak_bytes: int = 0
    note: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    error: str = ""
    units: float = 0.0
    log_p: float | None = None
    reference: float = 0.0

    @property
    def seconds(self) -> float:
        """Wall time of the measured steps."""
        return self.steps[-1] - self.steps[self.warm - 1]

    @property
    def rate(self) -> float:
        """Units a second. Tokens are those of the data, without padding, prefixes included in every
        row that has them."""
        return (self.units or self.tokens) / self.seconds

    @property
    def rate_with_reference(self) -> float:
        """The same over an epoch, with the reference pass that it needs once."""
        each = self.seconds / (len(self.steps) - self.warm)
        return self.rate * each / (each + self.reference / len(self.steps))


@dataclass(frozen=True, slots=True)
class Measured:
    """All trials of a workload, and the bfloat16 matrix rates (FLOPs per second) beside them."""

    workload: str
    threads: int
    trials: tuple[Trial, ...]
    matrix_rates: tuple[float, ...]


def measure(
    workload: Workload,
    contenders: Sequence[Contender],
    *,
    folder: Path,
    rounds: int,
    threads: int,
    tell: Tell,
) -> Measured:
    """In each round everyone runs once, one after the other, after the matrix rate was taken."""
    prepared = prepare(workload, folder / "work")
    trials: list[Trial] = []
    rates: list[float] = []
    broken: dict[str, str] = {}
    for number in range(rounds):
        rates.append(_matrix_rate(threads))
        for contender in contenders:
            if contender.name in broken:
                continue
            trial = _trial(workload, contender, prepared, folder, number, threads, tell)
            trials.append(trial)
            if trial.error:
                broken[contender.name] = trial.error
            tell(
                f"{workload.name}, round {number + 1}, {contender.title}: "
                + _told(trial, workload.unit)
            )
    return Measured(workload.name, threads, tuple(trials), tuple(rates))


def _told(trial: Trial, unit: str) -> str:
    if trial.error:
        return f"did not run: {trial.error}"
    return f"{trial.rate:.3g} {unit}/s, {trial.peak_bytes / 1e9:.1f} GB"


def _trial(
    workload: Workload,
    contender: Contender,
    prepared: Prepared,
    folder: Path,
    number: int,
    threads: int,
    tell: Tell,
) -> Trial:
    """One run of one worker. Whatever goes wrong becomes the trial's `error`."""
    blank = Trial(contender.name, number)
    try:
        python = _python(contender, folder, tell)
    except NotInstallable as error:
        return replace(blank, error=str(error))
    steps, warm = course(workload, contender)
    with TemporaryDirectory(dir=folder) as scratch:
        job = _job(workload, contender, prepared, scratch, steps, threads)
        started = time.time()
        done = _launch(python, contender.worker, job, threads)
    if done.returncode:
        return replace(blank, error=_last_words(done.stderr))
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    tokens, flops = work_of(workload, prepared, warm, steps)
    units = {"pairs": (steps - warm) * workload.batch_size, "steps": steps - warm}
    return replace(
        blank,
        steps=tuple(end - started for end in said["ends"]),
        losses=tuple(said["losses"]),
        warm=warm,
        tokens=tokens,
        flops=flops,
        peak_bytes=said["peak_bytes"],
        units=units.get(workload.unit, tokens),
        log_p=said["log_p"],
        reference=said["reference"],
        note=said["note"],
        versions=said["versions"],
    )


def course(workload: Workload, contender: Contender) -> tuple[int, int]:
    """How many steps a contender makes, and how many of them are warm-up."""
    if workload.later_epochs and contender.environment is None:
        return 3 * workload.steps_per_epoch, workload.steps_per_epoch
    return workload.steps, 1


def work_of(workload: Workload, prepared: Prepared, warm: int, steps: int) -> tuple[int, float]:
    """Tokens of the data in the steps after `warm`, and the FLOPs that their gradients need.

    A parameter that is passed through costs 2 FLOPs a token forward and 2 for the gradient of its
    input; 2 more if it is trained, though a trained head alone needs no gradient of its input. The
    head counts at supervised tokens only, a shared prefix once a step, the frozen layers below
    trained ones not at all. Attention is not counted. Of pairs the prompt counts once, and the
    reference pass not. Of prompts to be answered all answers count as long as they may be: 2 FLOPs
    to sample a token, 4 to learn it, 2 more for the base's view of it.
    """
    if workload.objective != "sft":
        return _work_of_answers(workload, prepared, warm, steps)
    shape, method = workload.shape, workload.method
    layers = {"last_layers": workload.layers, "head": 0}.get(method, shape.layers)
    body = (4 if method == "lora" else 6) * layers * shape.layer
    head = (6 if method == "full" else 4) * shape.head
    tokens, flops = 0, 0.0
    for step in range(warm, steps):
        first = step * workload.batch_size
        rows = [(first + n) % workload.rows for n in range(workload.batch_size)]
        length = sum(prepared.lengths[row] for row in rows)
        tokens += length
        once = length - (len(rows) - 1) * workload.prefix
        flops += body * once + head * sum(prepared.sites[row] for row in rows)
    return tokens, flops


def _work_of_answers(
    workload: Workload, prepared: Prepared, warm: int, steps: int
) -> tuple[int, float]:
    """Of pairs, or of prompts and the answers that are sampled to them."""
    shape, sampled = workload.shape, workload.objective == "grpo"
    rows = [row % workload.rows for row in range(*(n * workload.batch_size for n in (warm, steps)))]
    prompts = sum(prepared.lengths[row] for row in rows)
    answers = sum(prepared.sites[row] for row in rows)
    copies = 2
    if sampled:
        copies, answers = workload.group, len(rows) * workload.group * workload.answers[1]
    each = 4 + 2 * sampled + 2 * bool(workload.kl_weight)
    body = each * shape.layers * shape.layer * (prompts + answers)
    return copies * prompts + answers, body + each * shape.head * answers


def _job(
    workload: Workload,
    contender: Contender,
    prepared: Prepared,
    scratch: str,
    steps: int,
    threads: int,
) -> Job:
    return Job(
        base=str(prepared.base),
        rows=str(prepared.rows),
        tokens=str(prepared.tokens),
        scratch=scratch,
        method=workload.method,
        rank=workload.rank,
        alpha=workload.alpha,
        layers=workload.layers,
        steps=steps,
        batch_size=workload.batch_size,
        learning_rate=workload.learning_rate,
        threads=threads,
        options=contender.options,
        objective=workload.objective,
        dtype=workload.dtype,
        group=workload.group,
        new_tokens=workload.answers[1],
        kl_weight=workload.kl_weight,
        reward=str(REWARD),
        adapter_seed=derive(RUN_SEED, "adapter"),
    )


def _python(contender: Contender, folder: Path, tell: Tell) -> Path:
    if contender.environment is None:
        return Path(sys.executable)
    return python_of(contender.environment, ENVIRONMENTS, tell)


ENVIRONMENTS = ROOT / "build" / "bench" / "environments"


def _launch(python: Path, worker: str, job: Job, threads: int) -> subprocess.CompletedProcess[str]:
    """A worker as a process that finds nothing on any network."""
    path = Path(job.scratch) / "job.json"
    job.save(path)
    return _run([str(python), "-m", f"benchmarks.workers.{worker}", str(path)], threads)


def _matrix_rate(threads: int) -> float:
    command = [sys.executable, "-m", "benchmarks.workers.matrix_rate", str(threads)]
    done = _run(command, threads)
    done.check_returncode()
    return float(json.loads(done.stdout)["flops"])


def _run(command: list[str], threads: int) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def _last_words(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it ended without a word"


def chosen(workload: Workload, peers: Sequence[str] | None) -> list[Contender]:
    """The contenders of a workload: ours always, and the named peers (None is all of them)."""
    return [
        CONTENDERS[name]
        for name in workload.contenders
        if peers is None or CONTENDERS[name].environment is None or name in peers
    ]
