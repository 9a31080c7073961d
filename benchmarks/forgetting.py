"""What tuning makes a base forget, and what the remedies keep: `python -m benchmarks.forgetting`.

    python -m benchmarks.forgetting --base FOLDER --data ROWS.jsonl [--talk TEXTS.jsonl]

A base without a chat template that answers small talk (`--base`) is tuned hard, at a high rate, on
another domain (`--data`, JSON lines). Three runs: without remedies; with replay of the base's own
small talk, written by `tunesmith sample`; and with `evaluate.most_forgetting`, which saves the
adapter at a lower strength. Judged are gain on held-out rows of the task, and loss on small talk:
`--talk`, or other texts of the base's own.

A remedy works if it keeps `GAIN` of the gain with at most `LOSS` of the loss. A GPT-Neo of 3.4M
weights that answers small talk, tuned on 300 school problems and judged on 64 others, with 60 real
dialogues as small talk and 300 rows of its own replayed:

| run | gain, bits per byte | of the gain | small talk | of the loss | KL, nats | verdict |
|---|---|---|---|---|---|---|
| without remedies | 5.66 (5.30 to 6.03) | 100% | 1.36 to 2.37 (+75%) | 100% | 2.75 | hold |
| replay | 5.73 (5.37 to 6.11) | 101% | 1.36 to 1.57 (+16%) | 21% | 1.21 | hold |
| strength (works) | 4.89 (4.58 to 5.19) | 86% | 1.36 to 1.45 (+7%) | 9% | 0.65 | ship |
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunesmith.core.files import read_jsonl, write_jsonl
from tunesmith.recipe import load
from tunesmith.runs.sample import Wanted, sample
from tunesmith.runs.train import train

GAIN, LOSS = 0.80, 0.20
"""What a remedy must keep of the gain, and may keep of the loss."""

OPENING = "User:"
"""What small talk begins with, where the base has no chat template."""

HARD = {
    "model.method": "lora",
    "engine.epochs": 3,
    "engine.batch_size": 8,
    "engine.learning_rate": 0.005,
    "evaluate.examples": 0,
    "evaluate.max_new_tokens": 16,
    "evaluate.rows": 64,
}
RUNS = ("without remedies", "replay", "strength")


def main() -> None:
    """Make the three runs, print the table, and say whether the remedies work."""
    asked = _arguments()
    folder = asked.out or Path(tempfile.mkdtemp(prefix="forgetting-"))
    folder.mkdir(exist_ok=True)
    files = _files(folder, asked)
    found = {name: _run(name, folder, asked, files) for name in RUNS}
    print(table(found))


def table(found: Mapping[str, Mapping[str, float]]) -> str:
    """The figures of each run, and what they are of those without remedies, as Markdown."""
    plain = found[RUNS[0]]
    lines = [
        "| run | gain, bits per byte | of the gain | small talk, bits per byte | of the loss "
        "| KL from the base, nats per token | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, each in found.items():
        gain, loss = each["gain"] / plain["gain"], each["loss"] / plain["loss"]
        works = " (works)" if name != RUNS[0] and gain >= GAIN and loss <= LOSS else ""
        lines.append(
            f"| {name}{works} | {each['gain']:.2f} ({each['gain_low']:.2f} to "
            f"{each['gain_high']:.2f}) | {gain:.0%} | {each['before']:.2f} to {each['after']:.2f} "
            f"({each['loss'] / each['before']:+.0%}) | {loss:.0%} | {each['kl']:.2f} | "
            f"{each['decision']} |"
        )
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", required=True, help="a base that answers small talk")
    parser.add_argument("--data", required=True, type=Path, help="rows of another domain")
    parser.add_argument("--talk", type=Path, help="small talk, one text a row")
    parser.add_argument("--rows", type=int, default=300, help="rows to train on")
    parser.add_argument("--replay", type=int, default=300, help="rows of small talk to replay")
    parser.add_argument("--held-out", type=int, default=96, help="rows to judge on")
    parser.add_argument("--most", type=float, default=0.10, help="evaluate.most_forgetting")
    parser.add_argument("--out", type=Path, help="where the runs go")
    return parser.parse_args()


def _files(folder: Path, asked: argparse.Namespace) -> dict[str, Path]:
    """The task's rows in two files, the probes, and the rows to replay."""
    rows = read_jsonl(asked.data)[: asked.rows + asked.held_out]
    files = {name: folder / f"{name}.jsonl" for name in ("task", "held_out", "talk", "replay")}
    write_jsonl(files["task"], rows[: asked.rows])
    write_jsonl(files["held_out"], rows[asked.rows :])
    if asked.talk is None:
        sample(asked.base, Wanted(100, 96, 1, OPENING), files["talk"])
    else:
        files["talk"] = asked.talk
    sample(asked.base, Wanted(asked.replay, 96, 2, OPENING), files["replay"])
    return files


def _run(
    name: str, folder: Path, asked: argparse.Namespace, files: Mapping[str, Path]
) -> dict[str, Any]:
    remedies: dict[str, dict[str, Any]] = {
        "replay": {"data.train": [files["task"], files["replay"]]},
        "strength": {"evaluate.most_forgetting": asked.most},
    }
    settings = {
        **HARD,
        "model.base": asked.base,
        "data.train": files["task"],
        "data.validation": files["held_out"],
        "evaluate.probes": files["talk"],
        **remedies.get(name, {}),
    }
    run = train(load(None, (), settings), folder / name.replace(" ", "-"))
    return _figures(run.verdict, str(files["talk"]))


def _figures(verdict: Mapping[str, Any], talk: str) -> dict[str, Any]:
    learned, kept = verdict["learned"], verdict["kept"]["detail"]
    (file,) = (each for path, each in kept["files"].items() if Path(path) == Path(talk).absolute())
    return {
        "gain": learned["value"],
        "gain_low": learned["low"],
        "gain_high": learned["high"],
        "before": file["base"],
        "after": file["tuned"],
        "loss": file["change"],
        "kl": kept["samples"]["kl"]["value"],
        "decision": verdict["decision"],
    }


if __name__ == "__main__":
    main()
