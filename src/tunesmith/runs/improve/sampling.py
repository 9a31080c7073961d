"""Drawing answers and having them graded, some prompts at a time, each time kept whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.files import read_jsonl, write_jsonl
from tunesmith.core.ports import Grader, RolloutSampler, Watcher
from tunesmith.core.records import Answered, Grade, Prompt
from tunesmith.core.seeds import derive
from tunesmith.runs.improve.choosing import Sampled
from tunesmith.runs.improve.wanted import Wanted

TOGETHER = 32
"""Prompts that are answered and graded at once: as much as a kill may lose."""

Answers = list[list[Sampled]]


@dataclass(frozen=True, slots=True)
class Asking:
    """A model that is asked, opened when the first answer is wanted, and the grader."""

    sampler: Callable[[], RolloutSampler]
    grader: Grader

    def drawn(
        self,
        prompts: Sequence[Prompt],
        wanted: Wanted,
        seed: int,
        folder: Path,
        watcher: Watcher,
    ) -> tuple[Answers, float]:
        """`wanted.answers` answers a prompt, and the seconds they took; kept in `folder`.

        What an answer draws follows from the seed, the place of its prompt and its own number, so
        what an interruption left in the folder is gone on with to the same answers.
        """
        folder.mkdir(parents=True, exist_ok=True)
        found: Answers = []
        seconds = 0.0
        for start in range(0, len(prompts), TOGETHER):
            path = folder / f"{start:07d}.jsonl"
            if not path.exists():
                part = prompts[start : start + TOGETHER]
                self._keep(path, part, wanted, derive(seed, start))
                done = start + len(part)
                if done * 10 // len(prompts) > start * 10 // len(prompts):
                    watcher.note(f"{done:,} of {len(prompts):,} prompts answered.")
            answers, spent = load(path, wanted.answers)
            found += answers
            seconds += spent
        return found, seconds

    def likeliest(self, prompts: Sequence[Prompt], wanted: Wanted, path: Path) -> list[Sampled]:
        """The likeliest answer to each prompt; kept in the file `path`."""
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._keep(path, prompts, Wanted(1, max_new_tokens=wanted.max_new_tokens), None)
        answers, _ = load(path, 1)
        return [answer for (answer,) in answers]

    def _keep(
        self, path: Path, prompts: Sequence[Prompt], wanted: Wanted, seed: int | None
    ) -> None:
        """Without a seed nothing is drawn: the likeliest answers are taken."""
        began = time.perf_counter()
        temperature = 0.0 if seed is None else wanted.temperature
        assert wanted.max_new_tokens is not None  # the setup has seen how much room there is
        rollouts = self.sampler().sample(
            prompts, wanted.answers, wanted.max_new_tokens, temperature, seed or 0
        )
        pairs = [(p, each) for p, some in zip(prompts, rollouts, strict=True) for each in some]
        grades = self.grader.grade(
            [Answered(p.origin, p.messages, each.text, p.reference, p.tests) for p, each in pairs]
        )
        lines = [
            _line(p, Sampled(each.text, len(each.ids_N), each.ended, grade))
            for (p, each), grade in zip(pairs, grades, strict=True)
        ]
        write_jsonl(path, [{"seconds": time.perf_counter() - began}, *lines])


def load(path: Path, answers: int) -> tuple[Answers, float]:
    """What was kept in a file, `answers` to each prompt, and the seconds it took."""
    head, *lines = read_jsonl(path)
    each = [_sampled(line) for line in lines]
    groups = [each[start : start + answers] for start in range(0, len(each), answers)]
    return groups, head["seconds"]


def told(answer: Sampled) -> dict[str, Any]:
    """An answer as a line of a file."""
    grade = answer.grade
    return {
        "text": answer.text,
        "tokens": answer.tokens,
        "ended": answer.ended,
        "reward": grade.value,
        "parts": dict(grade.parts),
        "failed": grade.failed,
    }


def _line(prompt: Prompt, answer: Sampled) -> dict[str, Any]:
    return {"origin": str(prompt.origin), **told(answer)}


def _sampled(line: Mapping[str, Any]) -> Sampled:
    grade = Grade(line["reward"], line["failed"], line["parts"])
    return Sampled(line["text"], line["tokens"], line["ended"], grade)
