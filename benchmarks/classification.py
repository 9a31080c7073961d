"""Intents of short questions: `python -m benchmarks.classification DATA BASE [--few 10] [--peer]`.

    python -m benchmarks.classification banking77 minilm --out build/intents --peer

DATA holds `train.csv` and `test.csv` with the fields text and category (banking77: 77 intents);
BASE is the folder of an encoder. A run trains on `train.csv` as any user's would, and is then asked
for every row of `test.csv`, which it has never seen: accuracy, and how far its probabilities are
off (expected calibration error). Beside it stands logistic regression on the frozen base's means,
at the best of three strengths for the test rows, which favours it; with --peer also the plain
transformers Trainer with the same pooling, rate, batch and passes, from a random head.

--few N takes the first N rows of each class instead of all; --set KEY=VALUE is for our run alone.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.files import read_json, write_jsonl
from tunesmith.core.records import Origin
from tunesmith.evaluate.labels.calibration import calibration_error, reliability
from tunesmith.recipe import load
from tunesmith.runs.labels.ask import Labeller
from tunesmith.runs.train import train

STRENGTHS = (1.0, 10.0, 100.0)
BATCH = 32

Rows = list[tuple[str, str]]
"""Text and class."""


def main() -> None:
    """Train, ask, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("base", type=Path)
    parser.add_argument("--out", type=Path, default=Path("build/classification"))
    parser.add_argument("--few", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--only-ours", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args()
    rows = first_of_each(read(asked.data / "train.csv"), asked.few)
    test = read(asked.data / "test.csv")
    print("| | accuracy | calibration error | seconds |\n|---|---|---|---|")
    if not asked.only_ours:
        beside = frozen(asked.base, rows, test)
        print(_line("logistic regression, frozen base", *beside), flush=True)
    print(_line("Tunesmith", *ours(asked, rows, test)), flush=True)
    if asked.peer:
        print(_line("transformers Trainer", *trainer(asked, rows, test)), flush=True)


def read(path: Path) -> Rows:
    """The rows of a CSV file."""
    with open(path, encoding="utf-8", newline="") as file:
        return [(row["text"], row["category"]) for row in csv.DictReader(file)]


def first_of_each(rows: Rows, few: int) -> Rows:
    """The first `few` rows of each class; all for 0."""
    counts: defaultdict[str, int] = defaultdict(int)
    found = []
    for text, name in rows:
        counts[name] += 1
        if not few or counts[name] <= few:
            found.append((text, name))
    return found


def ours(asked: argparse.Namespace, rows: Rows, test: Rows) -> tuple[float, float, float]:
    """Accuracy, calibration error and training seconds of a run."""
    data = asked.out / "rows.jsonl"
    asked.out.mkdir(parents=True, exist_ok=True)
    write_jsonl(data, [{"text": text, "label": name} for text, name in rows])
    settings = {"learning_rate": asked.rate, "batch_size": BATCH, "epochs": asked.epochs}
    recipe = load(
        None,
        [
            f"model.base={asked.base}",
            f"data.train={data}",
            "objective.kind=classify",
            "model.method=full",
            *(f"engine.{key}={value}" for key, value in settings.items()),
            f"engine.seed={asked.seed}",
            *asked.set,
        ],
    )
    run = train(recipe, asked.out / "run")
    answers = Labeller(run).label([(Origin("test.csv", n + 2), t) for n, (t, _) in enumerate(test)])
    right = np.array(
        [each.labels[0] == name for each, (_, name) in zip(answers, test, strict=True)]
    )
    sure = np.array([each.sure for each in answers], dtype=float)
    seconds = read_json(run.folder.plan)["measured"]["training_seconds"]
    return float(right.mean()), calibration_error(reliability(sure, right)), seconds


def frozen(base: Path, rows: Rows, test: Rows) -> tuple[float, float, float]:
    """The same of logistic regression on means of the frozen base's states."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import normalize

    began = time.perf_counter()
    known, unseen = (normalize(means(base, [text for text, _ in some])) for some in (rows, test))
    wanted = np.array([name for _, name in test])
    best = (0.0, 1.0)
    for strength in STRENGTHS:
        learner = LogisticRegression(C=strength, max_iter=1000)
        learner.fit(known, [name for _, name in rows])
        chances = learner.predict_proba(unseen)
        right = learner.classes_[chances.argmax(1)] == wanted
        error = calibration_error(reliability(chances.max(1), right))
        best = max(best, (float(right.mean()), error))
    return *best, time.perf_counter() - began


def means(base: Path, texts: list[str]) -> np.ndarray:
    """The mean state of each text, by plain transformers."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(base), AutoModel.from_pretrained(base).eval()
    found = []
    for start in range(0, len(texts), 64):
        given = tokenizer(texts[start : start + 64], padding=True, return_tensors="pt")
        with torch.inference_mode():
            states = model(**given).last_hidden_state
        mask = given["attention_mask"][..., None]
        found.append(((states * mask).sum(1) / mask.sum(1)).numpy())
    return np.concatenate(found)


def trainer(asked: argparse.Namespace, rows: Rows, test: Rows) -> tuple[float, float, float]:
    """The same of transformers' own Trainer: the same head on the same mean of the states."""
    import torch
    from torch import nn
    from transformers import (
        AutoModel,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
    )

    names = sorted({name for _, name in rows})
    tokenizer = AutoTokenizer.from_pretrained(asked.base)
    torch.manual_seed(asked.seed)
    body = AutoModel.from_pretrained(asked.base)

    class Classifier(nn.Module):
        """The body, the mean over its tokens, dropout, and a linear head at random."""

        def __init__(self) -> None:
            super().__init__()
            self.body, self.dropout = body, nn.Dropout(0.1)
            self.head = nn.Linear(body.config.hidden_size, len(names))
            nn.init.normal_(self.head.weight, std=body.config.initializer_range)
            nn.init.zeros_(self.head.bias)

        def forward(self, labels: Any = None, **given: Any) -> tuple[Any, Any]:
            """Loss and logits, as the Trainer reads them."""
            states = self.body(**given).last_hidden_state
            mask = given["attention_mask"][..., None]
            logits = self.head(self.dropout((states * mask).sum(1) / mask.sum(1)))
            return nn.functional.cross_entropy(logits, labels), logits

    def encoded(some: Rows) -> list[dict[str, Any]]:
        return [{**tokenizer(text), "labels": names.index(name)} for text, name in some]

    arguments = TrainingArguments(
        output_dir=str(asked.out / "trainer"),
        learning_rate=asked.rate,
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=64,
        num_train_epochs=asked.epochs,
        lr_scheduler_type="cosine",
        warmup_steps=0.05,  # below 1: the share of all steps
        weight_decay=0.01,
        save_strategy="no",
        report_to=[],
        seed=asked.seed,
        remove_unused_columns=False,
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
    )
    made = Trainer(
        model=Classifier(),
        args=arguments,
        train_dataset=encoded(rows),
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    began = time.perf_counter()
    made.train()
    seconds = time.perf_counter() - began
    found = made.predict(encoded(test))  # type: ignore[arg-type]
    logits = np.asarray(found.predictions, dtype=float)
    chances = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    right = chances.argmax(1) == np.asarray(found.label_ids)
    return (
        float(right.mean()),
        calibration_error(reliability(chances.max(1), right)),
        seconds,
    )


def _line(name: str, accuracy: float, error: float, seconds: float) -> str:
    return f"| {name} | {accuracy:.4f} | {error:.3f} | {seconds:,.0f} |"


if __name__ == "__main__":
    main()
