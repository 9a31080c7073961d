"""Answers drawn to be learned from, with the log-probability of each token: the RolloutSampler.

`in_process` draws them from the model that is trained; `served` asks a vLLM server for them.
"""

from __future__ import annotations

from tunesmith.models.rollouts.in_process import InProcessRollouts
from tunesmith.models.rollouts.served import ServedRollouts

__all__ = ["InProcessRollouts", "ServedRollouts"]
