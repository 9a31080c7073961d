"""What is told of a round of answers in metrics.jsonl, beside the loss."""

from __future__ import annotations

import math

import numpy as np

from tunesmith.objectives.reinforcement.advantages import without_signal
from tunesmith.runs.reinforce.experience import Experience


def figures_of(experience: Experience, success: float) -> dict[str, float]:
    """The figures of a round, by the names that they have in metrics.jsonl.

    `grade_std` is the spread of all grades; `entropy` is estimated from what was sampled, in nats a
    token of what it was drawn with; `without_signal` is the share of prompts whose answers were all
    graded alike; `success` is the grade from which an answer is one.
    """
    grades_Pn = experience.grades()
    graded = grades_Pn[~np.isnan(grades_Pn)]
    rollouts = [each.rollout for each in experience.tried]
    lengths = np.array([len(rollout.ids_N) for rollout in rollouts])
    surprise = sum(float(-rollout.log_probs_N.sum(dtype=np.float64)) for rollout in rollouts)
    found = {
        "grade": float(graded.mean()),
        "grade_std": float(graded.std()),
        "success": float((graded >= success).mean()),
        "failed_grades": float(grades_Pn.size - graded.size),
        "without_signal": float(without_signal(grades_Pn).mean()),
        "answer_tokens": float(lengths.mean()),
        "ended": float(np.mean([rollout.ended for rollout in rollouts])),
        "entropy": surprise / int(lengths.sum()),
        "answers_sampled": float(experience.drawn),
        "tokens_sampled": float(experience.drawn_tokens),
    }
    for part in sorted({name for each in experience.tried for name in each.grade.parts}):
        values = [each.grade.parts[part] for each in experience.tried if part in each.grade.parts]
        found[f"part_{part}"] = math.fsum(values) / len(values)
    return found | {f"{name}_seconds": value for name, value in experience.seconds.items()}
