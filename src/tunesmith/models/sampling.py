"""Lets a model answer prompts, many at a time, with transformers' own generation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast

from tunesmith.core.records import Prompt


class ModelSampler:
    """Batches prompts of like length; pads on the left; stops each answer at its end token."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        stop_ids: Sequence[int],
        context: int,
        batch_size: int = 16,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._stop_ids = list(stop_ids)
        self._context = context
        self._batch_size = batch_size

    def answer(
        self,
        prompts: Sequence[Prompt],
        max_new_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> list[str]:
        """One answer a prompt, in order. Temperature 0 takes the likeliest token each time.

        A prompt that leaves less than `max_new_tokens` of the context gets a shorter answer.
        """
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i].ids_N))
        answers = [""] * len(prompts)
        torch.manual_seed(seed)
        for start in range(0, len(order), self._batch_size):
            chosen = order[start : start + self._batch_size]
            rows = [torch.from_numpy(prompts[i].ids_N).long() for i in chosen]
            texts = self._generate(rows, max_new_tokens, temperature)
            for i, text in zip(chosen, texts, strict=True):
                answers[i] = text
        return answers

    @torch.no_grad()
    def _generate(
        self, rows: list[torch.Tensor], max_new_tokens: int, temperature: float
    ) -> list[str]:
        longest = max(len(row) for row in rows)
        pad = self._stop_ids[0]
        ids = torch.full((len(rows), longest), pad)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, longest - len(row) :] = row
            mask[i, longest - len(row) :] = 1
        self._model.eval()
        output = self._model.generate(  # type: ignore[operator]  # hidden by nn.Module
            input_ids=ids.to(self._model.device),
            attention_mask=mask.to(self._model.device),
            generation_config=GenerationConfig(
                max_new_tokens=max(1, min(max_new_tokens, self._context - longest)),
                do_sample=temperature > 0,
                temperature=temperature or None,
                eos_token_id=self._stop_ids,
                pad_token_id=pad,
                use_cache=True,
            ),
        )
        return [self._text(answer) for answer in output[:, longest:].tolist()]

    def _text(self, ids: list[int]) -> str:
        end = next((i for i, token in enumerate(ids) if token in self._stop_ids), len(ids))
        return str(self._tokenizer.decode(ids[:end], skip_special_tokens=True))
