"""Rollouts from the model that is trained, in this process, with a decode loop of our own.

A prompt is computed once for all of its answers, those of many prompts are written side by side,
a token a step, and an answer that has ended soon takes no more room. What is computed at a step is
the body for the newest tokens and the head for them, nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from tunesmith.core.errors import NonFiniteLoss
from tunesmith.core.records import Prompt, Rollout
from tunesmith.models.open import Base
from tunesmith.models.rollouts.choose import choose, uniforms
from tunesmith.models.rollouts.decoding import begin
from tunesmith.models.rollouts.rounds import Asked, cost_of, rounds
from tunesmith.models.sampling import room_for

_ROWS = 8
"""Rows are dropped so many at a time: that copies all others, and libraries make code, and keep it,
for each number of rows that they meet."""

MEMORY = 2 << 30
"""Bytes that answers written side by side may take, unless a single one takes more."""


class InProcessRollouts:
    """A RolloutSampler over an open base, as it stands: with the adapter that is active in it.

    Equal weights, arguments and seed give equal rollouts to the last bit, on one machine with as
    many threads (on CUDA, where its kernels are deterministic). The random numbers of an answer
    follow from the seed, the place of its prompt and its own number alone; its logits are those of
    any other company to within rounding, so that now and then another token may come of them.
    """

    def __init__(self, base: Base, stop_ids: Sequence[int], memory: int = MEMORY) -> None:
        self._base = base
        self._stop_ids = list(stop_ids)
        self._cost = cost_of(base, memory)
        self._module = base.prompted or base.model

    def sample(
        self,
        prompts: Sequence[Prompt],
        answers: int,
        max_new_tokens: int,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> list[list[Rollout]]:
        """See RolloutSampler. At temperature 0 all answers to a prompt are the same, the likeliest,
        and log-probabilities are those of temperature 1.

        A prompt that leaves less than `max_new_tokens` of the context gets shorter answers. Raises
        DataError for one that leaves nothing, NonFiniteLoss if logits are no numbers.
        """
        drawn = 1 if temperature == 0 else answers
        rooms = [min(max_new_tokens, room_for(p, self._base.context)) for p in prompts]
        found: dict[tuple[int, int], Rollout] = {}
        training = self._module.training
        self._module.eval()
        try:
            with torch.no_grad():
                for asked in rounds(prompts, rooms, drawn, self._cost):
                    rows = self._draw(asked, temperature, seed)
                    found.update(zip(asked.rows, rows, strict=True))
        finally:
            self._module.train(training)
        return [[found[i, j % drawn] for j in range(answers)] for i in range(len(prompts))]

    def _draw(self, asked: Asked, temperature: float, seed: int) -> list[Rollout]:
        """The answers of one round, in the order of its rows."""
        device = self._base.model.device
        uniform_RN = np.stack([uniforms(seed, *row, asked.room) for row in asked.rows])
        ids_RN, log_probs_RN = self._decode(
            [torch.from_numpy(ids).long().to(device) for ids in asked.prompts],
            torch.tensor(asked.owner_R, device=device),
            torch.from_numpy(uniform_RN).to(device),
            temperature,
        )
        written = zip(ids_RN.cpu().numpy(), log_probs_RN.cpu().numpy(), strict=True)
        rollouts = [self._rollout(*row) for row in written]
        for rollout, origin in zip(rollouts, asked.origins, strict=True):
            if not np.isfinite(rollout.log_probs_N).all():
                raise NonFiniteLoss(
                    f"{origin}: while this prompt was answered the model gave logits that are not "
                    "finite, so there is nothing to draw from. Lower engine.learning_rate, or go "
                    "back to an earlier checkpoint."
                )
        return rollouts

    def _decode(
        self,
        prompts: list[torch.Tensor],
        owner_R: torch.Tensor,
        uniform_RN: torch.Tensor,
        temperature: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and log-probabilities (R, N); what stands behind an answer's end is noise."""
        stop_ids = torch.tensor(self._stop_ids, device=owner_R.device)
        ids_RN = torch.zeros(uniform_RN.shape, dtype=torch.long, device=owner_R.device)
        log_probs_RN = torch.zeros_like(uniform_RN)
        rows = torch.arange(len(owner_R), device=owner_R.device)
        live = torch.ones_like(rows, dtype=torch.bool)
        under_way = begin(self._base, prompts, owner_R)
        for place in range(uniform_RN.shape[1]):
            drawn, likely = choose(under_way.logits_RV, temperature, uniform_RN[rows, place])
            ids_RN[rows, place], log_probs_RN[rows, place] = drawn, likely
            live = live & ~torch.isin(drawn, stop_ids)
            left = int(live.sum())
            if not left or place + 1 == uniform_RN.shape[1]:
                break
            if (fewer := -(-left // _ROWS) * _ROWS) < len(rows):
                # Those under way, and as many of the others as fill them up.
                kept = live.int().argsort(descending=True, stable=True)[:fewer].sort().values
                under_way.keep(kept)
                rows, live, drawn = rows[kept], live[kept], drawn[kept]
            under_way.step(drawn)
        return ids_RN, log_probs_RN

    def _rollout(self, ids_N: np.ndarray, log_probs_N: np.ndarray) -> Rollout:
        stops = np.isin(ids_N, self._stop_ids).nonzero()[0]
        ended = len(stops) > 0
        end = int(stops[0]) + 1 if ended else len(ids_N)
        said = ids_N[: end - ended].tolist()
        return Rollout(
            ids_N=ids_N[:end].astype(np.int32),
            log_probs_N=log_probs_N[:end],
            ended=ended,
            text=str(self._base.described.tokenizer.decode(said, skip_special_tokens=True)),
        )
