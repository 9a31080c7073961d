"""Padded rows behind virtual tokens (prompt and prefix tuning): each row has its own copy of them.

Rows cannot be laid end to end, since each begins with the virtual tokens. They are padded on the
right, so that those stand directly before the first token of a row, as PEFT and a served model have
them; `differs` shows it.
"""

from __future__ import annotations

from typing import Any

import torch
from peft import PeftModel

from tunesmith.core.batch import Batch
from tunesmith.models.forward import Forward, FullLogitsForward, LinearHead, close, probe
from tunesmith.models.grid import Grid


class PromptedForward:
    """A SiteModel through `inner`'s model with `module`'s virtual tokens before each row."""

    name = "padded, behind virtual tokens"
    shares = False
    outputs = None

    def __init__(self, module: PeftModel, inner: Forward) -> None:
        self.reason = "Rows are padded: each begins with the virtual tokens."
        self._module = module
        self._inner = inner
        model: Any = module.get_base_model()
        self._whole = isinstance(inner, FullLogitsForward)
        self._part = model if self._whole else model.base_model
        self._embedded = module.active_peft_config.peft_type.value == "PROMPT_TUNING"
        self.virtual_tokens = int(module.active_peft_config.num_virtual_tokens)

    def hidden_at_sites(self, batch: Batch) -> torch.Tensor:
        """Last hidden states at the batch's sites, shape (S, D); logits where the model's head is
        more than a linear layer."""
        grid = Grid(batch)
        tokens = grid.spread(batch.tokens_T)
        rows = len(tokens)
        learned = torch.ones(rows, self.virtual_tokens, dtype=torch.long, device=tokens.device)
        output = self._part(
            **self._input(tokens),
            attention_mask=torch.cat([learned, grid.mask.long()], dim=1),
            use_cache=False,
        )
        states = output.logits if self._whole else output.last_hidden_state
        return grid.at_sites(states[:, -tokens.shape[1] :])

    def begun(self, tokens_BN: torch.Tensor) -> Any:
        """transformers' own output for rows of one length: logits, and a cache to go on from."""
        tokens = tokens_BN.shape[1] + self.virtual_tokens
        model: Any = self._module.get_base_model()
        return model(
            **self._input(tokens_BN),
            attention_mask=tokens_BN.new_ones(len(tokens_BN), tokens),
            use_cache=True,
        )

    def _input(self, tokens: torch.Tensor) -> dict[str, Any]:
        prompt = self._module.get_prompt(len(tokens))
        if not self._embedded:
            return {"input_ids": tokens, "past_key_values": prompt}
        embeddings: Any = self._module.word_embeddings
        embedded = embeddings(tokens)
        return {"inputs_embeds": torch.cat([prompt.to(embedded.dtype), embedded], dim=1)}

    def head(self, hidden_SD: torch.Tensor) -> torch.Tensor:
        """Logits, shape (S, V)."""
        return self._inner.head(hidden_SD)

    @property
    def linear_head(self) -> LinearHead | None:
        """Weight and bias, where the head is nothing but that linear map."""
        return self._inner.linear_head


@torch.no_grad()
def differs(module: PeftModel, forward: PromptedForward) -> str:
    """What sets `forward` apart from PEFT's own on rows of several lengths; empty if nothing does.

    PEFT gets one row at a time, so that nothing is padded there.
    """
    batch = probe(module.get_base_model())  # type: ignore[arg-type]  # a transformers model
    training = module.training
    module.eval()
    try:
        given = forward.head(forward.hidden_at_sites(batch))
        for row in Grid(batch).paths:
            ids = batch.tokens_T[row][None]
            wanted = module(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
            if not close(given[row], wanted[-len(row) :]):
                return "in padded rows it does not give the logits that PEFT gives row by row"
    finally:
        module.train(training)
    return ""
