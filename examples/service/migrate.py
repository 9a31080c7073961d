"""Move from a hosted fine-tuning API to your own service, by the official client alone.

    export OPENAI_API_KEY=sk-...
    python examples/service/migrate.py export exported

    export OPENAI_API_KEY=ts-... OPENAI_BASE_URL=http://127.0.0.1:8000/v1
    python examples/service/migrate.py replay exported --model gpt-4o-mini-2024-07-18=small

`export` saves the files that were trained on, the results and all jobs; `replay` uploads the files
that succeeded jobs were trained on, and makes those jobs again, each on the base that `--model`
gives for its own. Both can be interrupted and begun again: nothing is fetched, uploaded or trained
twice. Weights of tuned models cannot be fetched from a hosted API, so they are trained anew.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from openai import OpenAI, OpenAIError

PURPOSES = ("fine-tune", "fine-tune-results")
ORIGIN = "migrated_from"
"""The label of a new job that names the old one."""


def export(client: OpenAI, folder: Path) -> None:
    """Save files and jobs below `folder`."""
    (folder / "files").mkdir(parents=True, exist_ok=True)
    files = [file for purpose in PURPOSES for file in client.files.list(purpose=purpose)]
    for file in files:
        path = folder / "files" / safe(file.id)
        if not path.exists():
            partial = path.with_suffix(".partial")
            partial.write_bytes(client.files.content(file.id).read())
            partial.rename(path)
            print(f"fetched {file.id}  {file.filename}  {file.bytes} bytes")
    jobs = [job.to_dict(mode="json") for job in client.fine_tuning.jobs.list(limit=100)]
    save(folder / "files.json", [file.to_dict(mode="json") for file in files])
    save(folder / "jobs.json", jobs)
    print(f"{len(files)} files and {len(jobs)} jobs are in {folder}")


def replay(client: OpenAI, folder: Path, models: Mapping[str, str]) -> None:
    """Upload the files of succeeded jobs, and make those jobs again."""
    names = {file["id"]: file["filename"] for file in load(folder / "files.json")}
    there = {file.filename: file.id for file in client.files.list(purpose="fine-tune")}
    done = {(job.metadata or {}).get(ORIGIN) for job in client.fine_tuning.jobs.list(limit=100)}
    for job in reversed(load(folder / "jobs.json")):
        if job["status"] != "succeeded" or job["id"] in done:
            continue
        if job["model"] not in models:
            print(f"left out {job['id']}: no --model {job['model']}=... says what to train it on")
            continue
        asked = request(job, models[job["model"]])
        for field in ("training_file", "validation_file"):
            if old := job.get(field):
                asked[field] = uploaded(client, folder / "files" / safe(old), names[old], there)
        made = client.fine_tuning.jobs.create(**asked)
        print(f"{job['id']} is {made.id} on {made.model}")


def uploaded(client: OpenAI, path: Path, name: str, there: dict[str, str]) -> str:
    """The new id of a file, which is uploaded where it is not there yet."""
    known = f"{path.name}-{name}"
    if known not in there:
        with path.open("rb") as content:
            there[known] = client.files.create(file=(known, content), purpose="fine-tune").id
    return there[known]


def request(job: Mapping[str, Any], model: str) -> dict[str, Any]:
    """What makes the job again: the same method, hyperparameters, seed, suffix and labels."""
    labels = dict(list((job.get("metadata") or {}).items())[:15])
    asked = {"model": model, "seed": job["seed"], "metadata": {**labels, ORIGIN: job["id"]}}
    method = without_nulls(job.get("method") or {})
    if not method:  # an older job has its hyperparameters outside
        parameters = without_nulls(job.get("hyperparameters") or {})
        method = {"type": "supervised", "supervised": {"hyperparameters": parameters}}
    parts = (job.get("fine_tuned_model") or "").split(":")
    if len(parts) == 5 and parts[3]:  # ft:{base}:{organization}:{suffix}:{id}
        asked["suffix"] = parts[3]
    return {**asked, "method": method}


def without_nulls(value: Any) -> Any:
    """What was left open is left open again."""
    if not isinstance(value, dict):
        return value
    return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}


def safe(id: str) -> str:
    """An id that becomes a file name must not lead anywhere else."""
    if not re.fullmatch(r"[\w-]+", id, re.ASCII):
        raise SystemExit(f"The API gave an id that is no file name: {id!r}")
    return id


def save(path: Path, value: Any) -> None:
    """Whole, or as it was before."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=2), encoding="utf-8")
    partial.rename(path)


def load(path: Path) -> list[dict[str, Any]]:
    """What `save` wrote."""
    records: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return records


def pairs(named: list[str]) -> Iterator[tuple[str, str]]:
    """OLD=NEW."""
    for text in named:
        old, _, new = text.partition("=")
        if not old or not new:
            raise SystemExit(f"--model {text} is not OLD=NEW")
        yield old, new


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("act", choices=["export", "replay"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", action="append", default=[], metavar="OLD=NEW")
    given = parser.parse_args()
    try:
        with OpenAI() as client:  # OPENAI_API_KEY, OPENAI_BASE_URL
            if given.act == "export":
                export(client, given.folder)
            else:
                replay(client, given.folder, dict(pairs(given.model)))
    except (OpenAIError, OSError) as error:
        sys.exit(f"{error}\nWhat was done before is kept: the same command goes on from there.")


if __name__ == "__main__":
    main()
