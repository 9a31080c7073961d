"""The command: `python -m benchmarks.preferences DATA [--out build/preferences] [--page FILE]`.

Does a model that learned what people prefer answer better than one that was shown the better
answers alone? The embedded base is tuned on the better answers, and goes on from there in two ways:
DPO on the pairs that people judged, and DPO on pairs of its own answers, which a reward model put
in order (`tunesmith improve`). The judge is another reward model, made from pairs that nothing else
was made from. DATA is the folder of public data sets; `preference_rows` says how they are dealt.

What is finished in --out is not made again. Writes benchmarks/PREFERENCES.md; half an hour on one
core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.preference_duel import Duels, Judges
from benchmarks.preference_page import page
from benchmarks.preference_rows import DEMO, HARMLESS, Corpus, deal, read_pairs
from tunesmith.core.files import read_json, write_json, write_text
from tunesmith.recipe import load
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.improve.act import improve
from tunesmith.runs.improve.folder import ImproveFolder
from tunesmith.runs.improve.wanted import Wanted
from tunesmith.runs.train import train

PAGE = Path(__file__).with_name("PREFERENCES.md")

Settings = dict[str, Any]

WANTED = Wanted(answers=8, keep=2, rounds=1, at_least=None)
"""Of 8 answers to a prompt the best is held against the worst, the second against the last but
one."""

DPO: Settings = {"objective.kind": "dpo", "engine.batch_size": 16}
PEOPLE: Settings = DPO | {"engine.learning_rate": 5e-4, "preference.beta": 0.1}
OWN: Settings = DPO | {"engine.learning_rate": 1e-3, "preference.beta": 0.1}
REWARD: Settings = {
    "model.base": "anvil",
    "model.method": "head",
    "objective.kind": "reward",
    "engine.epochs": 1,
    "engine.learning_rate": 1e-4,
}
"""The linear reward that a head begins as, and hardly more."""


@dataclass(frozen=True, slots=True)
class Bench:
    """All that is made of one file of pairs, in one folder."""

    corpus: Corpus
    folder: Path

    def found(self, data: Path) -> Settings:
        """The figures, from what is there or is made now."""
        result = self.folder / "found.json"
        if not result.exists():
            write_json(result, self._found(deal(self.corpus, data, self.folder / "rows")))
        return dict(read_json(result))

    def _found(self, rows: dict[str, int]) -> Settings:
        tuned = self._run("sft", self._tuning())
        reward, judge = (self._run(name, REWARD | self._data(name)) for name in ("reward", "judge"))
        base = {"model.base": str(tuned / "model"), "engine.epochs": self.corpus.epochs}
        people = self._run("people", PEOPLE | base | self._data("practice"))
        own = self._improved(OWN | base | self._data("prompts"), reward)
        pairs = read_pairs(self._rows("test"))
        judges = Judges(reward, judge)
        duels = Duels(tuned, pairs, judges, self.corpus.answer, self.corpus.drawn)
        return {
            "title": self.corpus.title,
            "rows": rows,
            "drawn": self.corpus.drawn,
            "agreement": duels.agreement(),
            "ways": {"own": duels.against(own, "own"), "people": duels.against(people, "people")},
            "right": judges.right(pairs),
            "held_out_pairs": read_json(people / "verdict.json")["learned"]["detail"]["pairs"],
        }

    def _rows(self, name: str) -> Path:
        return self.folder / "rows" / f"{name}.jsonl"

    def _tuning(self) -> Settings:
        return {
            "model.base": "anvil",
            "model.method": "full",
            "engine.epochs": self.corpus.epochs,
            "data.train": str(self._rows("chosen")),
            "data.validation_share": 0.05,
            "data.checks": "off",
            "evaluate.level": "none",
        }

    def _data(self, name: str) -> Settings:
        return {
            "data.train": str(self._rows(name)),
            "data.validation": str(self._rows("dev")),
            "data.checks": "off",
            "evaluate.level": "quick",
            "engine.validate_every": 1000,
        }

    def _run(self, name: str, settings: Settings) -> Path:
        """A run: found finished, taken up where it was left, or made."""
        path = self.folder / name
        if not RunFolder(path).verdict.exists():
            print(f"{self.corpus.name}: {name}", file=sys.stderr, flush=True)
            begun = RunFolder(path).recipe.exists()
            train(None if begun else load(None, (), settings), path, resume=begun)
        return path

    def _improved(self, settings: Settings, reward: Path) -> Path:
        """The run that learned pairs of the model's own answers."""
        folder = ImproveFolder(self.folder / "own")
        print(f"{self.corpus.name}: own", file=sys.stderr, flush=True)
        graders = {"reward.graders": [{"type": "model", "run": str(reward)}]}
        wanted = replace(WANTED, max_new_tokens=self.corpus.answer)
        improve(load(None, (), settings | graders), wanted, folder.path)
        return folder.round(1).run.path


def main(arguments: Sequence[str] | None = None) -> int:
    """Make what is missing, judge, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preferences", description=__doc__)
    parser.add_argument("data", type=Path, help="the folder of public data sets")
    parser.add_argument("--out", type=Path, default=Path("build/preferences"))
    parser.add_argument("--page", type=Path, default=PAGE, help="file to write")
    asked = parser.parse_args(arguments)
    found = [
        Bench(corpus, asked.out / corpus.name).found(asked.data) for corpus in (HARMLESS, DEMO)
    ]
    write_text(asked.page, page(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
