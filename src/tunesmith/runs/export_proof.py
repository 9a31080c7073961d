"""Whether two models say the same: every learned token of some rows, in float32."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import log_softmax

from tunesmith.core.records import Tokens
from tunesmith.data.pack import pack, within_budget
from tunesmith.engine.loop import on_device
from tunesmith.models.open import Base

_SITES = 1024
"""Sites whose logits are held at once."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a model holds of the N learned tokens of some rows: the log-probability of each (nats,
    float32), and the token it would have written in its place."""

    logp_N: torch.Tensor
    likeliest_N: torch.Tensor


@dataclass(frozen=True, slots=True)
class Difference:
    """Two models on the same `tokens` tokens of `rows` rows: the `mean` and the `largest` absolute
    difference of a token's log-probability (nats), and the share of tokens in whose place the
    other model would have written another (`other`)."""

    rows: int
    tokens: int
    mean: float
    largest: float
    other: float

    @property
    def summary(self) -> str:
        """A clause."""
        return (
            f"over {self.tokens:,} tokens of {self.rows:,} rows log-probabilities differ by "
            f"{self.mean:.2g} nats on average and {self.largest:.2g} at most, and the likeliest "
            f"token is another at {self.other:.2%}"
        )


@torch.inference_mode()
def said(base: Base, rows: Sequence[Tokens], tokens_per_batch: int) -> Said:
    """What the model in `base`, as it stands, holds of `rows`, in their order."""
    base.model.eval()
    parts = list(_parts(base, rows, tokens_per_batch))
    logp, likeliest = zip(*parts, strict=True)
    return Said(torch.cat(logp), torch.cat(likeliest))


def difference(left: Said, right: Said, rows: int) -> Difference:
    """Between what two models hold of the same rows."""
    apart_N = (left.logp_N - right.logp_N).abs().double()
    other_N = (left.likeliest_N != right.likeliest_N).double()
    return Difference(
        rows=rows,
        tokens=len(apart_N),
        mean=float(apart_N.mean()),
        largest=float(apart_N.max()),
        other=float(other_N.mean()),
    )


def _parts(
    base: Base, rows: Sequence[Tokens], tokens_per_batch: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Of each chunk of sites. No prefix is shared, so that their order is the same for all."""
    for run in within_budget(rows, tokens_per_batch, False):
        batch = on_device(pack([rows[i] for i in run], False), base.model.device)
        hidden_SD = base.forward.hidden_at_sites(batch)
        for hidden, targets in zip(
            hidden_SD.split(_SITES), batch.targets_S.split(_SITES), strict=True
        ):
            logp_SV = log_softmax(base.forward.head(hidden).float(), dim=-1)
            logp = logp_SV.gather(1, targets[:, None])[:, 0]
            yield logp.cpu(), logp_SV.argmax(dim=1).cpu()
