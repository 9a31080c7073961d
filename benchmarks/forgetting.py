"""What tuning makes a base forget, and what the remedies keep: `python -m benchmarks.forgetting`.

    python -m benchmarks.forgetting --base FOLDER --data ROWS.jsonl [--talk TEXTS.jsonl] [--out OUT]

A base without a chat template that answers small talk (`--base`) is tuned hard, at a high rate, on
another domain (`--data`, JSON lines): with LoRA, and in full. Beside each method without remedies
stand replay of the base's own small talk, written by `tunesmith sample`; `objective.kl_to_base`;
both; `engine.decay_to_base`; and `evaluate.most_forgetting`, which saves the model at a lower
strength. Judged are gain on held-out rows of the task, and loss on small talk: `--talk`, or other
texts of the base's own. A call with the same `--out` goes on with the runs that are not finished.

A remedy works if it keeps `GAIN` of its method's gain with at most `LOSS` of its loss. A GPT-Neo of
3.4M weights that answers small talk, tuned on 96 school problems and judged on 32 others, with 40
real dialogues as small talk and 150 rows of its own replayed:

| run | gain, bits per byte | of the gain | small talk | of the loss | verdict |
|---|---|---|---|---|---|
| LoRA without remedies | 4.91 (4.52 to 5.30) | 100% | 1.37 to 2.73 (+99%) | 100% | hold |
| LoRA, replay (works) | 5.19 (4.79 to 5.60) | 106% | 1.37 to 1.58 (+15%) | 15% | hold |
| LoRA, KL | 4.74 (4.37 to 5.12) | 96% | 1.37 to 1.92 (+40%) | 41% | hold |
| LoRA, replay and KL (works) | 4.96 (4.57 to 5.34) | 101% | 1.37 to 1.47 (+7%) | 7% | hold |
| LoRA, strength (works) | 4.37 (4.06 to 4.69) | 89% | 1.37 to 1.45 (+5%) | 6% | ship |
| full without remedies | 4.14 (3.75 to 4.53) | 100% | 1.37 to 3.35 (+144%) | 100% | hold |
| full, decay to the base | 5.04 (4.66 to 5.42) | 122% | 1.37 to 1.88 (+37%) | 26% | hold |
| full, strength | 2.10 (1.93 to 2.27) | 51% | 1.37 to 1.36 (-1%) | -0% | ship |

KL works where the base's texts are replayed; on the task's rows alone it more than halves the loss.
Decay takes a strong pull: at 20 instead of 100 the same run lost 110 % and gained 106 %. What full
tuning at this rate learned lies far from the base, so between the two little is kept without loss.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.core.files import read_jsonl, write_jsonl
from tunesmith.recipe import load
from tunesmith.runs.open import open_run
from tunesmith.runs.sample import Wanted, sample
from tunesmith.runs.train import train

GAIN, LOSS = 0.80, 0.20
"""What a remedy must keep of the gain, and may keep of the loss."""

OPENING = "User:"
"""What small talk begins with, where the base has no chat template."""

HARD = {
    "engine.epochs": 3,
    "engine.batch_size": 8,
    "engine.validate_every": 12,
    "evaluate.level": "quick",
    "evaluate.examples": 0,
    "evaluate.max_new_tokens": 16,
    "evaluate.rows": 64,
}
RATES = {"lora": 0.005, "full": 0.002}
"""Several times what is usual for a model of this size."""

KL, DECAY = 0.5, 100.0
"""`objective.kl_to_base`, and `engine.decay_to_base` of full tuning."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """One run: what is trained, whether the base's texts are replayed, and what else is set."""

    method: str
    replays: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_plain(self) -> bool:
        """Whether nothing is done against forgetting."""
        return not (self.replays or self.settings)


def remedies(most: float) -> dict[str, Remedy]:
    """The runs by name; `most` is what `evaluate.most_forgetting` allows."""
    kl, strength = {"objective.kl_to_base": KL}, {"evaluate.most_forgetting": most}
    return {
        "LoRA without remedies": Remedy("lora"),
        "LoRA, replay": Remedy("lora", True),
        "LoRA, KL": Remedy("lora", False, kl),
        "LoRA, replay and KL": Remedy("lora", True, kl),
        "LoRA, strength": Remedy("lora", False, strength),
        "full without remedies": Remedy("full"),
        "full, decay to the base": Remedy("full", False, {"engine.decay_to_base": DECAY}),
        "full, strength": Remedy("full", False, strength),
    }


def main() -> None:
    """Make the runs, print the table, and say whether the remedies work."""
    asked = _arguments()
    folder = asked.out or Path(tempfile.mkdtemp(prefix="forgetting-"))
    folder.mkdir(parents=True, exist_ok=True)
    files = _files(folder, asked)
    runs = remedies(asked.most)
    found = {name: _run(name, runs[name], folder, asked.base, files) for name in runs}
    print(table(runs, found))


def table(runs: Mapping[str, Remedy], found: Mapping[str, Mapping[str, float]]) -> str:
    """The figures of each run, and what they are of its method's without remedies, as Markdown."""
    plain = {runs[name].method: each for name, each in found.items() if runs[name].is_plain}
    lines = [
        "| run | gain, bits per byte | of the gain | small talk, bits per byte | of the loss "
        "| verdict |",
        "|---|---|---|---|---|---|",
    ]
    for name, each in found.items():
        against = plain[runs[name].method]
        gain, loss = each["gain"] / against["gain"], each["loss"] / against["loss"]
        works = " (works)" if each is not against and gain >= GAIN and loss <= LOSS else ""
        lines.append(
            f"| {name}{works} | {each['gain']:.2f} ({each['gain_low']:.2f} to "
            f"{each['gain_high']:.2f}) | {gain:.0%} | {each['before']:.2f} to {each['after']:.2f} "
            f"({each['loss'] / each['before']:+.0%}) | {loss:.0%} | {each['decision']} |"
        )
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", required=True, help="a base that answers small talk")
    parser.add_argument("--data", required=True, type=Path, help="rows of another domain")
    parser.add_argument("--talk", type=Path, help="small talk, one text a row")
    parser.add_argument("--rows", type=int, default=96, help="rows to train on")
    parser.add_argument("--replay", type=int, default=150, help="rows of small talk to replay")
    parser.add_argument("--held-out", type=int, default=48, help="rows to choose and judge on")
    parser.add_argument("--most", type=float, default=0.10, help="evaluate.most_forgetting")
    parser.add_argument("--out", type=Path, help="where the runs go")
    return parser.parse_args()


def _files(folder: Path, asked: argparse.Namespace) -> dict[str, Path]:
    """The task's rows in two files, the probes, and the rows to replay.

    What the base wrote for an earlier call in the same folder is taken again.
    """
    rows = read_jsonl(asked.data)[: asked.rows + asked.held_out]
    files = {name: folder / f"{name}.jsonl" for name in ("task", "held_out", "talk", "replay")}
    write_jsonl(files["task"], rows[: asked.rows])
    write_jsonl(files["held_out"], rows[asked.rows :])
    wanted = {"talk": (100, 1), "replay": (asked.replay, 2)}
    if asked.talk is not None:
        files["talk"] = asked.talk
        del wanted["talk"]
    for name, (count, seed) in wanted.items():
        if not files[name].exists():
            sample(asked.base, Wanted(count, 96, seed, OPENING), files[name])
    return files


def _run(
    name: str, remedy: Remedy, folder: Path, base: str, files: Mapping[str, Path]
) -> dict[str, Any]:
    """A run that an earlier call in the same folder has finished is opened."""
    out = folder / name.replace(", ", "-").replace(" ", "-")
    if (out / "verdict.json").exists():
        return _figures(open_run(out).verdict, str(files["talk"]))
    replayed = [files["replay"]] if remedy.replays else []
    settings = {
        **HARD,
        "model.base": base,
        "model.method": remedy.method,
        "engine.learning_rate": RATES[remedy.method],
        "data.train": [files["task"], *replayed],
        "data.validation": files["held_out"],
        "evaluate.probes": files["talk"],
        **remedy.settings,
    }
    run = train(load(None, (), settings), out)
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
        "decision": verdict["decision"],
    }


if __name__ == "__main__":
    main()
