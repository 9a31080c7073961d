"""A skill learned from grades alone: `python -m benchmarks.reinforcement [--out build/grades]`.

The embedded base is asked for three things in many ways, and is to answer in a form that it does
not keep to: three lines, each a dash and one word, no word twice. Nobody shows it such an answer; a
verifier of three regular expressions grades what it tries. Held-out prompts, never learned from,
say how often it succeeds, at the temperature that it learns at.

The same prompts and the same verifier teach it in three ways: GRPO, PPO, and rejection sampling
(sample, keep what the verifier accepts, tune on it, again), each beside the tokens that it sampled
and the seconds that it took, of this machine and of the processor. Writes
benchmarks/REINFORCEMENT.md.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import describe as describe_machine
from tunesmith.core.files import read_jsonl, write_jsonl, write_text
from tunesmith.core.records import Prompt
from tunesmith.models.open import describe, open_base
from tunesmith.models.rollouts import InProcessRollouts
from tunesmith.recipe import Recipe, load
from tunesmith.runs.reinforce.collect import answered
from tunesmith.runs.reinforce.exam import Examiner, success_share
from tunesmith.runs.reinforce.setup import set_up_reinforced
from tunesmith.runs.rewards import open_reward
from tunesmith.runs.train import train

PAGE = Path(__file__).with_name("REINFORCEMENT.md")

_PAGE = """\
# A skill learned from grades alone

Made by `python -m benchmarks.reinforcement --steps {steps} --rounds {rounds}`: all rows in one
run, on {machine}.

The embedded base is to answer requests for three things in three lines, each a dash and one word,
no word twice; three regular expressions grade what it tries. *Base* and *tuned* are the shares of
{held_out} held-out prompts answered so, at temperature 1, before and after; the last column
follows some of them while the model learns (for rejection sampling all of them, after each round).
*To 80 %* is how many tokens had been sampled when that column first reached it.

{table}
"""
_HEAD = (
    "| | base | tuned | tokens sampled | to 80 % | seconds | processor | held-out success |",
    "|---|---|---|---|---|---|---|---|",
)

ANSWERS, LONGEST, HELD_OUT = 8, 24, 60
SUCCESS = 0.8
"""Held-out success by which methods are compared: what it takes to get there."""

_THINGS = (
    *("animals", "foods", "cities", "colours", "tools", "fruits", "birds", "trees", "rooms"),
    *("names", "games", "flowers", "drinks", "clothes", "books", "jobs", "sports", "rivers"),
    *("songs", "toys"),
)
_ASKED = (
    *("Write a list of three {}.", "Give me a list with three {}.", "List three {} with dashes."),
    *("I need three {}, one a line.", "Make a short list of {}.", "Name three {}."),
    *("Put three {} into a list with dashes.", "Please write down three {}."),
    *("Which {} do you know? List three.", "Tell me three {}."),
)
_WORD = "[a-z]+"
GRADERS: tuple[dict[str, Any], ...] = (
    {"type": "regex", "name": "dashes", "pattern": r"- \S.*(\n- \S.*)*", "weight": 0.2},
    {"type": "regex", "name": "three_lines", "pattern": r"[^\n]+(\n[^\n]+){2}", "weight": 0.2},
    {
        "type": "regex",
        "name": "form",
        "pattern": rf"- ({_WORD})\n- (?!\1\n)({_WORD})\n- (?!(\1|\2)$){_WORD}",
        "weight": 0.6,
    },
)


@dataclass(frozen=True, slots=True)
class Result:
    """One way to the skill: shares of held-out prompts answered right, and what it cost.

    `curve` is (tokens sampled, success) while it learned.
    """

    name: str
    base: float
    tuned: float
    tokens: int
    seconds: float
    processor: float
    curve: tuple[tuple[int, float], ...]

    def line(self) -> str:
        """A row of the table."""
        reached = next((str(tokens) for tokens, share in self.curve if share >= SUCCESS), "-")
        curve = " ".join(f"{share:.0%}" for _, share in self.curve)
        return (
            f"| {self.name} | {self.base:.0%} | {self.tuned:.0%} | {self.tokens:,} | {reached} | "
            f"{self.seconds:.0f} | {self.processor:.0f} | {curve} |"
        )


def main() -> None:
    """Learn in each way, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("build/grades"))
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=["grpo", "ppo", "rejection"])
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    prompts, held_out = write_prompts(asked.out)
    lines = list(_HEAD)
    print("\n".join(lines))
    for name in asked.only:
        lines.append(_learned(name, asked, _settings(prompts, held_out)).line())
        print(lines[-1], flush=True)
    page = _PAGE.format(
        steps=asked.steps,
        rounds=asked.rounds,
        machine=describe_machine(),
        held_out=HELD_OUT,
        table="\n".join(lines),
    )
    write_text(PAGE, page)


def _learned(name: str, asked: argparse.Namespace, common: dict[str, Any]) -> Result:
    if name == "rejection":
        return rejected(asked.out / name, common, asked.rounds)
    return reinforced(name, asked.out / name, common, asked.steps)


def write_prompts(folder: Path) -> tuple[Path, Path]:
    """The prompts to learn from and those held out, in files."""
    rows = [{"prompt": form.format(thing)} for form in _ASKED for thing in _THINGS]
    random.Random(0).shuffle(rows)
    paths = folder / "prompts.jsonl", folder / "held_out.jsonl"
    write_jsonl(paths[0], rows[HELD_OUT:])
    write_jsonl(paths[1], rows[:HELD_OUT])
    return paths


def _settings(prompts: Path, held_out: Path) -> dict[str, Any]:
    return {
        "model.base": "anvil",
        "model.method": "full",
        "model.dtype": "float32",
        "data.train": str(prompts),
        "data.validation": str(held_out),
        "reward.graders": [{**grader, "whole": True} for grader in GRADERS],
        "rollouts.answers": ANSWERS,
        "rollouts.max_new_tokens": LONGEST,
        "rollouts.held_out_temperature": 1.0,
        "engine.batch_size": 8,
        "engine.learning_rate": 2e-4,
        "engine.validate_every": 10,
        "evaluate.level": "quick",
    }


def reinforced(name: str, out: Path, common: dict[str, Any], steps: int) -> Result:
    """A run of ours with the objective `name`."""
    settings = {"objective.kind": name, "engine.max_steps": steps}
    processor = time.process_time()
    run = train(load(None, (), common | settings), out)
    lines = read_jsonl(out / "metrics.jsonl")
    success = run.verdict["learned"]["detail"]["success"]
    return Result(
        name=name,
        base=success["base"],
        tuned=success["tuned"],
        tokens=sum(int(line.get("tokens_sampled", 0)) for line in lines),
        seconds=sum(line.get("seconds", 0.0) for line in lines),
        processor=time.process_time() - processor,
        curve=tuple(_curve(lines)),
    )


def _curve(lines: Sequence[dict[str, Any]]) -> Iterator[tuple[int, float]]:
    tokens = 0
    for line in lines:
        tokens += int(line.get("tokens_sampled", 0))
        if "held_out_success" in line:
            yield tokens, line["held_out_success"]


def rejected(out: Path, common: dict[str, Any], rounds: int) -> Result:
    """Rejection sampling: each round samples from the model of the last and tunes it."""
    recipe = load(None, (), common | {"objective.kind": "grpo"})
    setup, reward = set_up_reinforced(recipe), open_reward(recipe.reward)
    examiner = Examiner(reward, LONGEST, 1.0, 0)
    base, tokens, curve = "anvil", 0, []
    began, processor, seconds = time.perf_counter(), time.process_time(), 0.0
    for number in range(rounds + 1):
        sampler = _sampler(base, setup.renderer.stop_ids())
        seconds += time.perf_counter() - began
        share = success_share(examiner.ask(sampler, setup.held_out.prompts), 1.0)
        curve.append((tokens, share))
        if number == rounds:
            break
        began = time.perf_counter()
        kept, sampled = _accepted(sampler, setup.prompts, reward, number)
        tokens += sampled
        rows = out / f"accepted-{number}.jsonl"
        rows.parent.mkdir(parents=True, exist_ok=True)
        write_jsonl(rows, kept)
        base = str(train(_tuning(recipe, rows, base), out / f"round-{number}").path / "model")
    return Result(
        "rejection sampling",
        curve[0][1],
        curve[-1][1],
        tokens,
        seconds,
        time.process_time() - processor,
        tuple(curve),
    )


def _sampler(base: str, stop_ids: Sequence[int]) -> InProcessRollouts:
    return InProcessRollouts(open_base(describe(base), "float32", "cpu"), stop_ids)


def _accepted(
    sampler: InProcessRollouts, prompts: Sequence[Prompt], reward: Any, number: int
) -> tuple[list[dict[str, str]], int]:
    """What the verifier accepts of several answers to each prompt, each once, as rows; and the
    tokens of all of them."""
    found = sampler.sample(prompts, 2 * ANSWERS, LONGEST, 1.0, seed=number)
    pairs = [(prompt, each) for prompt, some in zip(prompts, found, strict=True) for each in some]
    grades = reward.grade([answered(*pair) for pair in pairs])
    kept = {
        (prompt.messages[-1].content, each.text)
        for (prompt, each), grade in zip(pairs, grades, strict=True)
        if grade.value == 1.0
    }
    rows = [{"prompt": asked, "completion": said} for asked, said in sorted(kept)]
    return rows, sum(len(each.ids_N) for _, each in pairs)


def _tuning(recipe: Recipe, rows: Path, base: str) -> Recipe:
    """A plain tuning on the accepted answers."""
    settings = {
        "model.base": base,
        "model.method": "full",
        "model.dtype": "float32",
        "data.train": str(rows),
        "data.bad_rows": "drop",
        "engine.epochs": 3,
        "engine.batch_size": 16,
        "engine.learning_rate": 2e-4,
        "evaluate.level": "none",
    }
    return load(None, (), settings)


if __name__ == "__main__":
    main()
