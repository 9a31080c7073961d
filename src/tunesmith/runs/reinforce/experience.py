"""What a model tried and what came of it: the answers of one round, with their grades.

A round is sampled and graded once and kept in a file, which appears whole or not at all. A run that
was interrupted reads it there: the same answers have the same grades again, whoever gave them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.files import read_jsonl, write_jsonl
from tunesmith.core.records import Grade, Origin, Prompt, Rollout

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Tried:
    """One answer to a prompt.

    `advantage` is how much better it was than expected, None where it has no grade, or none to be
    held against. `reference_N` are the base's log-probabilities of its tokens in nats, `values_N`
    what a critic expected before each: None where nothing asks for them.
    """

    prompt: Prompt
    rollout: Rollout
    grade: Grade
    advantage: float | None = None
    reference_N: Floats | None = None
    values_N: Floats | None = None

    def whole(self) -> NDArray[np.int32]:
        """The ids of the prompt and the answer."""
        ids_N: NDArray[np.int32] = np.concatenate([self.prompt.ids_N, self.rollout.ids_N])
        return ids_N


@dataclass(frozen=True, slots=True)
class Experience:
    """The answers of a round, those to a prompt side by side, `answers` to each.

    `drawn` counts all answers that were sampled for it, also those to prompts that were replaced,
    and `drawn_tokens` their tokens; `seconds` are those of sampling, grading and looking back.
    """

    tried: tuple[Tried, ...]
    answers: int
    drawn: int
    drawn_tokens: int
    seconds: Mapping[str, float]

    def grades(self) -> NDArray[np.float64]:
        """By prompt and answer (P, n), NaN where there is none."""
        found = [np.nan if each.grade.value is None else each.grade.value for each in self.tried]
        return np.array(found, dtype=np.float64).reshape(-1, self.answers)


def save(experience: Experience, path: Path) -> None:
    """Write a round: a line about it, and one for each answer."""
    path.parent.mkdir(exist_ok=True)
    head = {
        "answers": experience.answers,
        "drawn": experience.drawn,
        "drawn_tokens": experience.drawn_tokens,
        "seconds": dict(experience.seconds),
    }
    write_jsonl(path, [head, *map(_to_json, experience.tried)])


def load(path: Path, prompts: Mapping[Origin, Prompt]) -> Experience:
    """Read a round that `save` wrote; `prompts` are those of the run."""
    head, *lines = read_jsonl(path)
    return Experience(tuple(_from_json(line, prompts) for line in lines), **head)


def _to_json(tried: Tried) -> dict[str, Any]:
    rollout = tried.rollout
    return {
        "origin": asdict(tried.prompt.origin),
        "text": rollout.text,
        "ended": rollout.ended,
        "grade": tried.grade.value,
        "failed": tried.grade.failed,
        "parts": dict(tried.grade.parts),
        "advantage": tried.advantage,
        "ids": rollout.ids_N.tolist(),
        "log_probs": rollout.log_probs_N.tolist(),
        "reference": _listed(tried.reference_N),
        "values": _listed(tried.values_N),
    }


def _from_json(line: Mapping[str, Any], prompts: Mapping[Origin, Prompt]) -> Tried:
    rollout = Rollout(
        ids_N=np.array(line["ids"], dtype=np.int32),
        log_probs_N=np.array(line["log_probs"], dtype=np.float32),
        ended=line["ended"],
        text=line["text"],
    )
    return Tried(
        prompt=prompts[Origin(**line["origin"])],
        rollout=rollout,
        grade=Grade(line["grade"], line["failed"], line["parts"]),
        advantage=line["advantage"],
        reference_N=_array(line["reference"]),
        values_N=_array(line["values"]),
    )


def _listed(values_N: Floats | None) -> list[float] | None:
    return None if values_N is None else values_N.tolist()


def _array(values: Sequence[float] | None) -> Floats | None:
    return None if values is None else np.array(values, dtype=np.float32)
