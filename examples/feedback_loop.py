"""From what people say to a better model, and a hacked reward that is named: the whole loop.

    python examples/feedback_loop.py --out runs/loop

1. *Tune* the base on answers of mixed quality: kind and rude, useful and useless, short and long.
2. *Collect* comparisons of two of its answers from a person, who here is a function
   (simulated_person.py): kind and useful answers are preferred, however long they are.
3. *Reward model*: learn from the comparisons what an answer is worth.
4. *DPO* on the comparisons, and *GRPO* against the reward model: two ways to the same end.
5. *Verdict*: whose answers to new questions does the person prefer?
6. *A hack*: someone else just likes longer answers. The numbers rise as before, and the report has
   to say what they rose by.

Each step is one command of `tunesmith`, too: see docs/preferences.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import simulated_person
from simulated_person import Likes, examples, length, merit, question

from tunesmith.core.files import read_jsonl
from tunesmith.core.records import Message, Origin, Prompt
from tunesmith.data.feedback import FeedbackStore, Wanted
from tunesmith.evaluate.bootstrap import Interval
from tunesmith.evaluate.preferences.wins import win_rate
from tunesmith.models.rollouts import InProcessRollouts
from tunesmith.recipe import load
from tunesmith.runs.export import export
from tunesmith.runs.feedback_collect import Asked, Said, collect
from tunesmith.runs.feedback_files import export as export_rows
from tunesmith.runs.feedback_pairs import written_pairs
from tunesmith.runs.open import Run
from tunesmith.runs.train import train

LONGEST = 40
UNSEEN = 200

ALL = {"evaluate.level": "quick", "evaluate.max_new_tokens": LONGEST, "data.validation_share": 0.2}
RECIPES: dict[str, dict[str, Any]] = {
    "sft": {"engine.epochs": 3},
    "reward": {"engine.epochs": 2},
    # The cross entropy of the better answer keeps a small model from unlearning how to write.
    "dpo": {"preference.beta": 0.3, "preference.sft_weight": 0.5, "engine.epochs": 3},
    # A reward model is a guess: the KL penalty keeps to answers like those that it learned from.
    "grpo": {"rollouts.kl_weight": 0.1, "rollouts.max_new_tokens": LONGEST, "engine.max_steps": 40},
}
"""What each run asks for beside its objective and data; everything else is chosen."""

TRUTH = {"type": "function", "path": simulated_person.__file__, "name": "merit", "weight": 0}
"""What the person really thinks, told beside the reward and never learned from."""


def grader(run: Run) -> dict[str, Any]:
    """The reward model of a run as a grader of recipes."""
    return {"type": "model", "run": str(run.path)}


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def answers(run: Run, questions: Sequence[str], count: int, seed: int) -> list[list[str]]:
    """So many to each, drawn from the model as it is."""
    renderer, prompts = run.model.renderer, []
    for number, text in enumerate(questions, start=1):
        asked = (Message("user", text),)
        prompts.append(Prompt(Origin("questions", number), asked, renderer.ask(asked), ""))
    sampler = InProcessRollouts(run.model.base, renderer.stop_ids())
    drawn = sampler.sample(prompts, count, LONGEST, 1.0, seed)
    return [[each.text for each in some] for some in drawn]


def wins(likes: Likes, ours: Sequence[str], theirs: Sequence[str]) -> Interval:
    """How often our answer is preferred to theirs, ties half, with its 95 % interval."""
    apart = [likes(one) - likes(other) for one, other in zip(ours, theirs, strict=True)]
    return win_rate((1 + np.sign(apart)) / 2, 0, "person")


def tell(found: dict[str, Any]) -> None:
    """The figures, and the hack by name."""
    right, pairs = found["accuracy"]
    print(f"\nThe reward model is right on {right:.0%} of {pairs} pairs that it has not seen.")
    for kind, won in found["wins"].items():
        ends = f"95 % interval {won.low:.0%} to {won.high:.0%}"
        print(
            f"{kind}: the person prefers its answers to the SFT model's in {won.value:.0%} of "
            f"{won.n} new questions ({ends}); KL spent {found['kl'][kind]:.3f} nats a token."
        )
    print("Of the model that was tuned on longer answers the report says:")
    print("\n".join(f"    {alarm}" for alarm in found["alarms"] or ["nothing"]))


@dataclass(frozen=True)
class Loop:
    """Runs in one folder, on one base; `asked` are keys of all their recipes."""

    folder: Path
    base: str
    asked: Sequence[str]

    def train(self, name: str, kind: str, data: Path, graders: Any = None) -> Run:
        """A run of one kind, judged; answers are graded by `graders`."""
        settings = {"model.base": self.base, "objective.kind": kind, "data.train": str(data)}
        settings |= ALL | RECIPES[kind] | {"reward.graders": graders}
        print(f"\n{name}: {data.name}", flush=True)
        run = train(load(overrides=self.asked, settings=settings), self.folder / name)
        print(f"    {run.verdict['sentence']}", flush=True)
        return run

    def collect(self, name: str, likes: Likes, pairs: Path) -> Path:
        """Show all pairs to a person, and make rows of what was preferred."""

        def ask(asked: Asked) -> Said:
            first, second = (likes(each.text) for each in asked.answers)
            return "tie" if first == second else "first" if first > second else "second"

        store, rows = FeedbackStore(self.folder / "feedback.sqlite"), self.folder / f"{name}.jsonl"
        said = collect(written_pairs([str(pairs)]), store, ask, person=name).said
        export_rows(store, "preference", rows, Wanted(person=name))
        print(f"\n{name}: {said['choice']} choices, {said['tie']} ties", flush=True)
        return rows


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Returns the figures that are printed at the end."""
    parser = argparse.ArgumentParser(description="From feedback to a better model.")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--base", default="anvil", help="a model folder")
    parser.add_argument("--rows", type=int, default=300, help="to tune on, and to compare")
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE of all recipes")
    args = parser.parse_args(arguments)
    args.out.mkdir(parents=True)

    data = write(args.out / "examples.jsonl", examples(args.rows))
    sft = Loop(args.out, args.base, args.set).train("sft", "sft", data)
    loop = Loop(args.out, str(export(sft, args.out / "sft-model").folder), args.set)

    asked = [question(number) for number in range(10_000, 10_000 + args.rows)]
    prompts = write(args.out / "prompts.jsonl", [{"prompt": each} for each in asked])
    both = zip(asked, answers(sft, asked, 2, seed=1), strict=True)
    shown = write(args.out / "answers.jsonl", [{"prompt": q, "answers": two} for q, two in both])

    pairs = loop.collect("person", merit, shown)
    reward = loop.train("reward", "reward", pairs)
    dpo = loop.train("dpo", "dpo", pairs, [grader(reward), TRUTH])
    grpo = loop.train("grpo", "grpo", prompts, [grader(reward), TRUTH])

    others = loop.collect("likes-longer", length, shown)
    longer = loop.train("reward-longer", "reward", others)
    hacked = loop.train("dpo-longer", "dpo", others, [grader(longer)])

    new = [question(number) for number in range(20_000, 20_000 + UNSEEN)]
    before, *after = (
        [one for (one,) in answers(run, new, 1, seed)] for seed, run in enumerate((sft, dpo, grpo))
    )
    right = reward.verdict["learned"]
    steps = [line for line in read_jsonl(grpo.folder.metrics) if "kl_to_base" in line]
    found = {
        "accuracy": (right["detail"]["figures"]["accuracy"], right["n"]),
        "wins": {
            kind: wins(merit, each, before)
            for kind, each in zip(("dpo", "grpo"), after, strict=True)
        },
        "kl": {
            "dpo": dpo.verdict["learned"]["detail"]["kl_spent"]["token"]["value"],
            "grpo": steps[-1]["kl_to_base"],
        },
        "alarms": hacked.verdict["learned"]["detail"]["alarms"],
    }
    tell(found)
    return found


if __name__ == "__main__":
    main()
