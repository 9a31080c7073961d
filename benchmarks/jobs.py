"""Real jobs whose right verdict is known beforehand: a table, and an error where one is wrong.

    python -m benchmarks.jobs --data DATA --models MODELS --out build/jobs --page docs/jobs.md

Some minutes a job on one core. Jobs that are finished under `--out` are not run again, so the same
command goes on after an interruption, and writes the page again when nothing is left to do.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.jobs_data import Row, Rows, as_talk, small_talk, talk_texts, textbook
from benchmarks.jobs_list import JOBS, SMALL_TALK, TALK, Job
from benchmarks.jobs_table import Outcome, mistakes, page
from tunesmith.core.errors import DataError
from tunesmith.core.files import read_json, write_json, write_jsonl, write_text
from tunesmith.core.records import Message, Origin, Prompt
from tunesmith.data import Renderer, choose
from tunesmith.models.open import describe, open_base
from tunesmith.recipe import AUTO, load
from tunesmith.runs.open import Opened
from tunesmith.runs.train import train

TALK_FILE = "chat_val.txt"
REPLAYED, PROBED = 120, 60
LONGEST_OWN = 64
"""Tokens of an answer that the base writes itself; one that goes on longer is left out."""


def main() -> None:
    """Run what is not finished, print outcomes, write the page; exit with 1 if any is wrong."""
    asked = _arguments()
    jobs = _wanted(asked.only)
    for job in jobs:
        found = _outcome(job, asked)
        wrong = "; ".join(mistakes(job.expected, found))
        print(f"{job.name}: {found.decision}{f', WRONG: {wrong}' if wrong else ''}", flush=True)
    finished = {job.name: _read(asked.out / job.name) for job in JOBS if _is_done(asked, job)}
    if asked.page:
        done = [job for job in JOBS if job.name in finished]
        write_text(asked.page, page(done, finished))
    sys.exit(any(mistakes(job.expected, finished[job.name]) for job in jobs))


def _wanted(names: Sequence[str]) -> list[Job]:
    known = {job.name: job for job in JOBS}
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"There is no job {unknown[0]}. There are: {', '.join(known)}.")
    return [known[name] for name in names] or list(JOBS)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    parser.add_argument("--models", type=Path, required=True, help="the folder of the bases")
    parser.add_argument("--only", nargs="+", default=[], help="these jobs", metavar="NAME")
    parser.add_argument("--out", type=Path, default=Path("build/jobs"), help="where the runs go")
    parser.add_argument("--page", type=Path, help="the page to write of all finished jobs")
    return parser.parse_args()


def _is_done(asked: argparse.Namespace, job: Job) -> bool:
    return bool((asked.out / job.name / "job.json").exists())


def _outcome(job: Job, asked: argparse.Namespace) -> Outcome:
    folder: Path = asked.out / job.name
    if not _is_done(asked, job):
        folder.mkdir(parents=True, exist_ok=True)
        began = time.process_time()
        settings, rows = _settings(job, asked, folder)
        refusal = _run(settings, folder / "run")
        seconds = time.process_time() - began
        counts = {"train": len(rows[0]), "judge": len(rows[1])}
        write_json(folder / "job.json", {**counts, "seconds": seconds, "refusal": refusal})
    return _read(folder)


def _run(settings: dict[str, Any], run: Path) -> str:
    """Train, or go on with it; why it was refused, or nothing."""
    try:
        begun = run.exists()
        train(None if begun else load(None, (), settings), run, resume=begun)
    except DataError as error:
        return str(error)
    return ""


def _read(folder: Path) -> Outcome:
    verdict = folder / "run" / "verdict.json"
    found = read_json(folder / "job.json")
    return Outcome(**found, verdict=None if found["refusal"] else read_json(verdict))


def _settings(job: Job, asked: argparse.Namespace, folder: Path) -> tuple[dict[str, Any], Rows]:
    """The recipe's values, with the job's files written, and the rows of the task."""
    base = str(asked.models / job.base) if job.base == TALK else job.base
    talk = asked.models / TALK / TALK_FILE
    rows = job.make(talk if job.make is small_talk else asked.data)
    if job.base == TALK:
        rows = [as_talk(row) for row in rows[0]], [as_talk(row) for row in rows[1]]
    if job.own_answers:
        rows = _own_answers(base, rows[0], 1), _own_answers(base, rows[1], 2)
    files = {"train": rows[0], "held_out": rows[1]}
    if job.replay:
        files["replay"] = _replayed(job, asked.data, talk)
    if job.base == TALK:
        files["talk"] = talk_texts(talk, PROBED)
    paths = {name: folder / f"{name}.jsonl" for name in files}
    for name, path in paths.items():
        write_jsonl(path, files[name])
    settings = {
        **job.settings,
        "model.base": base,
        "data.train": [str(paths[name]) for name in ("train", "replay") if name in paths],
        "data.validation": str(paths["held_out"]),
        "evaluate.examples": 2,
        "evaluate.max_new_tokens": max(16, max(len(row["completion"]) for row in rows[1]) // 3),
        "data.checks": "warn",  # public data sets hold telephone numbers
    }
    if "talk" in paths:
        settings["evaluate.probes"] = [str(paths["talk"])]
    return settings, rows


def _replayed(job: Job, data: Path, talk: Path) -> list[Row]:
    """Texts of the kind that the job replays; the talking base also talks."""
    if job.replay == SMALL_TALK:
        return talk_texts(talk, REPLAYED, PROBED)
    if job.base == TALK:
        return textbook(data, REPLAYED) + talk_texts(talk, REPLAYED // 2, PROBED)
    return textbook(data, REPLAYED)


def _own_answers(base_name: str, rows: Sequence[Row], seed: int) -> list[Row]:
    """The same questions with answers that the base draws at temperature 1 and brings to an end."""
    described = describe(base_name)
    template, _ = choose(described.tokenizer, AUTO)
    spoken = bool(described.tokenizer.chat_template)
    renderer = Renderer(described.tokenizer, template, "chat" if spoken else "plain")
    opened = Opened(open_base(described, "float32", "cpu"), renderer)
    asked = [(Message("user", row["prompt"]),) for row in rows]
    prompts = [
        Prompt(Origin("questions", line), messages, renderer.ask(messages), "")
        for line, messages in enumerate(asked, 1)
    ]
    answers = opened.sampler.answer(prompts, LONGEST_OWN, 1.0, seed)
    return [
        {"prompt": row["prompt"], "completion": answer}
        for row, answer in zip(rows, answers, strict=True)
        if answer.strip() and renderer.length(answer) < LONGEST_OWN - 1
    ]


if __name__ == "__main__":
    main()
