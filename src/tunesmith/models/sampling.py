"""Lets a model answer prompts, many at a time, with transformers' own generation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import torch
from peft import PeftModel
from torch.nn.utils.rnn import pad_sequence
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast

from tunesmith.core.errors import DataError
from tunesmith.core.ports import Eyes
from tunesmith.core.records import Prompt
from tunesmith.models.seeding import seeded
from tunesmith.models.seeing import given_to


class ModelSampler:
    """Batches prompts of like length; pads on the left; stops each answer at its end token."""

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        tokenizer: PreTrainedTokenizerFast,
        stop_ids: Sequence[int],
        context: int,
        batch_size: int = 16,
        eyes: Eyes | None = None,
    ) -> None:
        """`model` may be a transformers model, or PEFT's around one with virtual tokens before each
        sequence: its prompts are then never padded, for the padding would stand between the two.
        With `eyes` prompts are asked one at a time, with their pictures."""
        self._model = model
        self._tokenizer = tokenizer
        self._stop_ids = list(stop_ids)
        self._context = context
        self._batch_size = batch_size if eyes is None else 1
        self._eyes = eyes

    def answer(
        self,
        prompts: Sequence[Prompt],
        max_new_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> list[str]:
        """One answer a prompt, in order. Temperature 0 takes the likeliest token each time.

        A higher one draws from the model's own distribution, sharpened or flattened by it and by
        nothing else. A prompt that leaves less than `max_new_tokens` of the context gets a shorter
        answer, and only that prompt. Raises DataError for one that leaves nothing.
        """
        rooms = [min(max_new_tokens, self._room(prompt)) for prompt in prompts]
        answers = [""] * len(prompts)
        with seeded(seed, self._model.device), plain_decoding(self._model):
            for room, chosen in self._batches(prompts, rooms):
                rows = [torch.from_numpy(prompts[i].ids_N).long() for i in chosen]
                texts = self._generate(rows, room, temperature, prompts[chosen[0]].images)
                for i, text in zip(chosen, texts, strict=True):
                    answers[i] = text
        return answers

    def _room(self, prompt: Prompt) -> int:
        return room_for(prompt, self._context)

    def _batches(
        self, prompts: Sequence[Prompt], rooms: Sequence[int]
    ) -> Iterator[tuple[int, list[int]]]:
        """Indices of prompts of like length whose answers may be equally long, and how long."""
        pads = not isinstance(self._model, PeftModel)
        order = sorted(range(len(prompts)), key=lambda i: (rooms[i], len(prompts[i].ids_N)))
        for (room, _), group in groupby(
            order, key=lambda i: (rooms[i], 0 if pads else len(prompts[i].ids_N))
        ):
            alike = list(group)
            for start in range(0, len(alike), self._batch_size):
                yield room, alike[start : start + self._batch_size]

    @torch.no_grad()
    def _generate(
        self,
        rows: list[torch.Tensor],
        max_new_tokens: int,
        temperature: float,
        images: tuple[str, ...],
    ) -> list[str]:
        """`images` are those of the one row of a batch, where there are any."""
        longest = max(len(row) for row in rows)
        pad = self._stop_ids[0]
        ids = torch.full((len(rows), longest), pad)
        mask = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, longest - len(row) :] = row
            mask[i, longest - len(row) :] = 1
        self._model.eval()
        eyes, device, dtype = self._eyes, self._model.device, self._model.dtype
        seen = {} if eyes is None else given_to(eyes, rows[0].to(device), images, dtype)
        output = self._model.generate(  # type: ignore[operator]  # hidden by nn.Module
            input_ids=ids.to(self._model.device),
            attention_mask=mask.to(self._model.device),
            **seen,
            generation_config=self._settings(max_new_tokens, temperature),
        )
        return [self._text(answer) for answer in output[:, longest:].tolist()]

    def _settings(self, max_new_tokens: int, temperature: float, **more: int) -> GenerationConfig:
        return GenerationConfig(
            max_new_tokens=max_new_tokens,
            **_choice(temperature),
            eos_token_id=self._stop_ids,
            pad_token_id=self._stop_ids[0],
            use_cache=True,
            **more,
        )

    def _text(self, ids: list[int]) -> str:
        end = next((i for i, token in enumerate(ids) if token in self._stop_ids), len(ids))
        return str(self._tokenizer.decode(ids[:end], skip_special_tokens=True))


def room_for(prompt: Prompt, context: int) -> int:
    """How many tokens of the context are left for an answer. Raises DataError if none is."""
    room = context - len(prompt.ids_N)
    if room < 1:
        raise DataError(
            f"{prompt.origin}: the question has {len(prompt.ids_N)} tokens, and the model reads "
            f"at most {context}: there is no room for an answer. Shorten it, or leave the row out."
        )
    return room


class SourceSampler(ModelSampler):
    """For an encoder and a decoder: a prompt is the source, and last what the decoder starts with.

    Sources are padded on the right, as in training. `context` is what each of the two reads.
    """

    def _room(self, prompt: Prompt) -> int:
        """What the decoder has room for. Raises DataError for a source that is too long."""
        length = len(prompt.ids_N) - 1
        if length > self._context:
            raise DataError(
                f"{prompt.origin}: the question has {length} tokens, and the model reads at most "
                f"{self._context}. Shorten it, or leave the row out."
            )
        return self._context - 1

    @torch.no_grad()
    def _generate(
        self,
        rows: list[torch.Tensor],
        max_new_tokens: int,
        temperature: float,
        images: tuple[str, ...],
    ) -> list[str]:
        device, start = self._model.device, int(rows[0][-1])
        sources = [row[:-1] for row in rows]
        mask = pad_sequence([torch.ones_like(source) for source in sources], batch_first=True)
        self._model.eval()
        output = self._model.generate(  # type: ignore[operator]  # hidden by nn.Module
            input_ids=pad_sequence(sources, batch_first=True).to(device),
            attention_mask=mask.to(device),
            generation_config=self._settings(
                max_new_tokens, temperature, decoder_start_token_id=start
            ),
        )
        return [self._text(answer) for answer in output[:, 1:].tolist()]


def _choice(temperature: float) -> dict[str, Any]:
    """How a token is chosen. `top_k` is said because transformers' own default is 50."""
    if temperature == 0:
        return {"do_sample": False}
    return {"do_sample": True, "temperature": temperature, "top_k": 0}


@contextmanager
def plain_decoding(model: PreTrainedModel | PeftModel) -> Iterator[None]:
    """Takes the base's generation settings away for a while.

    transformers fills in from them whatever a call leaves open: penalties for repetition,
    suppressed tokens, cuts of the distribution. Answers are to show what the weights say. The
    settings come back, so that a saved model still has them.
    """
    # PEFT's own way asks the model inside it.
    inner: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    settings = inner.generation_config
    inner.generation_config = GenerationConfig()
    try:
        yield
    finally:
        inner.generation_config = settings
