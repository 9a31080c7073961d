"""Three jobs from the official client: intents of customers, preferred answers, labelled images.

    tunesmith serve                                # and a key: tunesmith keys create
    export OPENAI_BASE_URL=http://127.0.0.1:8000/v1 OPENAI_API_KEY=ts-...
    python three_jobs.py                           # --pictures FOLDER --vision MODEL for the third

The first two are what code for a hosted service looks like. The third is this server's own method,
any recipe of it, and the folder of images, one folder for each class, goes as one .zip file.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openai

HERE = Path(__file__).parent
ENDED = ("succeeded", "failed", "cancelled")


def intents(client: openai.OpenAI, model: str) -> str:
    """Questions of customers and the intent of each, as conversations; returns the tuned model."""
    file = client.files.create(file=HERE / "intents.jsonl", purpose="fine-tune")
    client.files.wait_for_processing(file.id)
    job = client.fine_tuning.jobs.create(
        model=model,
        training_file=file.id,
        suffix="intents",
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}},
    )
    return finished(client, job.id)


def preferences(client: openai.OpenAI, model: str) -> str:
    """Pairs of a better and a worse answer; returns the tuned model."""
    file = client.files.create(file=HERE / "pairs.jsonl", purpose="fine-tune")
    numbers: Any = {"beta": 0.2, "n_epochs": 1}
    job = client.fine_tuning.jobs.create(
        model=model,
        training_file=file.id,
        suffix="polite",
        method={"type": "dpo", "dpo": {"hyperparameters": numbers}},
    )
    return finished(client, job.id)


def pictures(client: openai.OpenAI, model: str, folder: Path, **engine: Any) -> str:
    """Images in folders named as their classes; returns the tuned model."""
    with tempfile.TemporaryDirectory() as room:
        packed = Path(shutil.make_archive(f"{room}/pictures", "zip", folder))
        file = client.files.create(file=packed, purpose="user_data")
    recipe: Mapping[str, Any] = {"objective": {"kind": "image"}, "engine": engine}
    own: Any = {"type": "tunesmith", "tunesmith": {"recipe": recipe}}
    job = client.fine_tuning.jobs.create(
        model=model, training_file=file.id, suffix="pictures", method=own
    )
    return finished(client, job.id)


def finished(client: openai.OpenAI, job: str) -> str:
    """Wait for a job, and tell what happens; its model, or the reason why there is none."""
    told: set[str] = set()
    while True:
        state = client.fine_tuning.jobs.retrieve(job)
        for event in reversed([*client.fine_tuning.jobs.list_events(job)]):
            if event.id not in told:
                told.add(event.id)
                print(event.message)
        if state.status in ENDED:
            break
        time.sleep(0.5)
    if state.fine_tuned_model is None:
        said = state.error.message if state.error else state.status
        raise SystemExit(f"The job {job} made no model: {said}")
    return state.fine_tuned_model


def results(client: openai.OpenAI, model: str) -> str:
    """What was measured step by step, as CSV, of the job that made this model."""
    jobs = client.fine_tuning.jobs.list()
    job = next(each for each in jobs if each.fine_tuned_model == model)
    return client.files.content(job.result_files[0]).text


def main() -> None:
    """All three, and a question to the first."""
    parser = argparse.ArgumentParser(description="Three jobs from the official client.")
    parser.add_argument("--model", default="anvil")
    parser.add_argument("--pictures", type=Path, help="a folder with a folder for each class")
    parser.add_argument("--vision", help="the server's name of an image model")
    given = parser.parse_args()
    client = openai.OpenAI()
    tuned = intents(client, given.model)
    print(results(client, tuned))
    question: Any = [{"role": "user", "content": "My card was stolen!"}]
    answer = client.chat.completions.create(model=tuned, messages=question, max_tokens=16)
    print(answer.choices[0].message.content)
    print(preferences(client, given.model))
    if given.pictures and given.vision:
        print(pictures(client, given.vision, given.pictures))


if __name__ == "__main__":
    main()
