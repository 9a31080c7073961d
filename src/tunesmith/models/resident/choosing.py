"""Which token comes next in each row, by that row's own settings.

Logits are changed in this order: what a grammar forbids, biases, penalties

    z_v − presence · [n_v > 0] − frequency · n_v       n_v: how often v was written in the answer

temperature, and the nucleus: the smallest set of likeliest tokens with p of the probability
(Holtzman et al. 2020, §3.1). A token is drawn as in `rollouts.choose`, by one uniform number of the
row's own, so it does not depend on the company. Log-probabilities are those of the logits as the
model gave them, at temperature 1.

Shape legend: R rows, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from tunesmith.models.rollouts.choose import choose

_NUCLEUS = 256
"""Tokens among which a nucleus is looked for first: to sort a whole vocabulary takes longer than
all else."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How the tokens of one answer are chosen. `bias` is added to logits, by token id."""

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    bias: Mapping[int, float] = field(default_factory=dict)
    presence: float = 0.0
    frequency: float = 0.0

    @property
    def edits(self) -> bool:
        """Whether it changes logits one by one."""
        return bool(self.bias) or self.penalises

    @property
    def penalises(self) -> bool:
        """Whether what was written becomes less likely."""
        return self.presence != 0 or self.frequency != 0


class Edits:
    """What is added to the logits of one row."""

    def __init__(self, choice: Choice, vocabulary: int, device: torch.device) -> None:
        self._choice = choice
        self._counts_V = torch.zeros(vocabulary, device=device)
        known = {token: by for token, by in choice.bias.items() if 0 <= token < vocabulary}
        self._ids = torch.tensor(list(known), dtype=torch.long, device=device)
        self._by = torch.tensor(list(known.values()), dtype=torch.float32, device=device)

    def wrote(self, token: int) -> None:
        """Count a token."""
        self._counts_V[token] += 1

    def apply(self, logits_V: torch.Tensor) -> None:
        """Change one row in place."""
        logits_V.index_add_(0, self._ids, self._by)
        if self._choice.penalises:
            logits_V.sub_(self._counts_V, alpha=self._choice.frequency)
            logits_V.sub_((self._counts_V > 0).float(), alpha=self._choice.presence)


class Choosing:
    """The settings of all rows, as vectors; made again when rows join or leave."""

    def __init__(self, rows: Sequence[Choice], device: torch.device) -> None:
        heats = torch.tensor([each.temperature for each in rows], device=device)
        self._greedy_R = heats == 0
        self._heat_R = torch.where(self._greedy_R, 1.0, heats)
        self._all_greedy = bool(self._greedy_R.all())
        nuclei = [n for n, each in enumerate(rows) if each.top_p < 1 and each.temperature > 0]
        self._nuclei = torch.tensor(nuclei, dtype=torch.long, device=device)
        self._top_p = torch.tensor([rows[n].top_p for n in nuclei], device=device)

    def __call__(self, logits_RV: torch.Tensor, uniform_R: torch.Tensor) -> torch.Tensor:
        """The next token of each row. `logits_RV` is float32, and may be changed."""
        if self._all_greedy:
            return logits_RV.argmax(-1)
        likeliest_R = logits_RV.argmax(-1)
        logits_RV.div_(self._heat_R[:, None])
        if len(self._nuclei):
            logits_RV[self._nuclei] = nucleus(logits_RV[self._nuclei], self._top_p)
        drawn_R, _ = choose(logits_RV, 1.0, uniform_R)
        return torch.where(self._greedy_R, likeliest_R, drawn_R)


def nucleus(logits_RV: torch.Tensor, top_p_R: torch.Tensor) -> torch.Tensor:
    """Logits with −inf for what lies outside of each row's nucleus."""
    total_R = torch.logsumexp(logits_RV, -1)
    size = min(_NUCLEUS, logits_RV.shape[1])
    best_Rk = logits_RV.topk(size).values
    shares_Rk = (best_Rk - total_R[:, None]).exp()
    if bool((shares_Rk.sum(-1) < top_p_R).any()):
        best_Rk = logits_RV.sort(-1, descending=True).values
        shares_Rk = (best_Rk - total_R[:, None]).exp()
    before_Rk = shares_Rk.cumsum(-1) - shares_Rk
    inside_Rk = before_Rk < top_p_R[:, None]
    inside_Rk[:, 0] = True
    least_R = best_Rk.gather(1, inside_Rk.sum(-1, keepdim=True) - 1)
    return logits_RV.masked_fill(logits_RV < least_R, -torch.inf)


def uniforms(seed: int, tokens: int) -> np.ndarray:
    """What an answer of this seed draws, in [0, 1): (tokens), float32. Of fewer the same, cut."""
    key = np.random.SeedSequence(seed % (1 << 64)).generate_state(2, np.uint64)
    return np.random.Generator(np.random.Philox(key=key)).random(tokens, dtype=np.float32)
