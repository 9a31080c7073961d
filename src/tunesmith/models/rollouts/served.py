"""Rollouts from a vLLM server, which samples from the adapter as it stands.

What is asked is vLLM's own: `/v1/completions` with token ids for a prompt, and for each answer the
ids that were drawn and their log-probabilities; `/v1/load_lora_adapter` and its counterpart
`unload_lora_adapter` between steps. The server must be started so that it takes adapters:

    VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve BASE --enable-lora --max-lora-rank RANK \
        --logprobs-mode processed_logprobs

The last option is needed for temperatures other than 1: without it vLLM gives log-probabilities as
they were before the temperature. `ServedRollouts` looks whether it does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import PreTrainedTokenizerFast

from tunesmith.core.records import Prompt, Rollout
from tunesmith.core.seeds import derive
from tunesmith.models.endpoint import Endpoint
from tunesmith.models.sampling import room_for

if TYPE_CHECKING:
    import openai

_ID = "token_id:"
"""What vLLM writes before a token's id where it is asked for ids."""

_SEEDS = 1 << 31
_SURE = -1e-4
_START = "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve BASE --enable-lora --max-lora-rank RANK"

_PLAIN = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""Said in each request: vLLM fills in from the base's own settings of generation what is left open,
and answers are to come from the model's distribution, changed by the temperature alone."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """One request: answers to one prompt."""

    prompt: Prompt
    answers: int
    tokens: int
    temperature: float
    seed: int


class ServedRollouts:
    """A RolloutSampler over a vLLM server. `load` shows it each new adapter.

    A request that meets a full, slow or failing server is repeated with growing waits, as the
    endpoint says. Equal seeds give equal answers as far as the server keeps that promise.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        tokenizer: PreTrainedTokenizerFast,
        stop_ids: Sequence[int],
        context: int,
    ) -> None:
        """`endpoint` names the base as the server knows it; `context` is the longest sequence."""
        self._endpoint = endpoint
        self._tokenizer = tokenizer
        self._stop_ids = list(stop_ids)
        self._context = context
        self._loaded: str | None = None
        self._scaled = False

    def load(self, folder: Path) -> None:
        """Sample from the adapter in `folder` from now on, which the server must be able to read
        under the same path.

        Each state of an adapter has a name of its own, so nothing that the server keeps of another
        (it keeps what it computed of prompts) is taken for it. Raises EndpointError.
        """
        weights = hashlib.sha256((folder / "adapter_model.safetensors").read_bytes()).hexdigest()
        name = f"tunesmith-{weights[:16]}"
        if name == self._loaded:
            return
        self._once(lambda client, _: self._load(client, name, folder.resolve()), "word of success")
        if self._loaded is not None:
            self._once(lambda client, _: self._post(client, "unload", self._loaded), "success")
        self._loaded = name

    def sample(
        self,
        prompts: Sequence[Prompt],
        answers: int,
        max_new_tokens: int,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> list[list[Rollout]]:
        """See RolloutSampler; temperature 0 and a full context are as in `InProcessRollouts`.

        Raises EndpointError if an answer is not to be had, or is not what was asked for; DataError
        for a prompt that leaves no room.
        """
        drawn = 1 if temperature == 0 else answers
        wishes = [
            _Wish(
                prompt,
                drawn,
                min(max_new_tokens, room_for(prompt, self._context)),
                temperature,
                derive(seed, "rollout", place) % _SEEDS,
            )
            for place, prompt in enumerate(prompts)
        ]
        if wishes and temperature not in (0.0, 1.0):
            self._require_scaled(wishes[0])
        found = dict(
            self._endpoint.each(wishes, self._answers, "completion with log-probabilities")
        )
        return [[found[i][j % drawn] for j in range(answers)] for i in range(len(prompts))]

    def _answers(self, client: openai.OpenAI, wish: _Wish) -> list[Rollout]:
        choices = self._completion(client, wish, _PLAIN).choices
        if len(choices) != wish.answers:
            raise ValueError("so many answers were not asked for")
        return [self._rollout(each, wish) for each in sorted(choices, key=lambda one: one.index)]

    def _completion(self, client: openai.OpenAI, wish: _Wish, more: dict[str, float]) -> Any:
        return client.completions.create(
            model=self._loaded or self._endpoint.model,
            prompt=wish.prompt.ids_N.tolist(),
            n=wish.answers,
            max_tokens=wish.tokens,
            temperature=wish.temperature,
            top_p=1.0,
            frequency_penalty=0.0,
            presence_penalty=0.0,
            seed=wish.seed,
            logprobs=0,
            extra_headers=self._endpoint.headers(),
            extra_body={
                **more,
                "stop_token_ids": self._stop_ids,
                "ignore_eos": True,  # the run's own stop ids alone end an answer
                "return_tokens_as_token_ids": True,
            },
        )

    def _rollout(self, choice: Any, wish: _Wish) -> Rollout:
        """Raises ValueError (and its like) for what is no answer to `wish`."""
        ids = [_id_of(token) for token in choice.logprobs.tokens]
        log_probs_N = np.array(choice.logprobs.token_logprobs, dtype=np.float32)
        ended = bool(ids) and ids[-1] in self._stop_ids
        said = ids[:-1] if ended else ids
        whole = ended or len(ids) == wish.tokens
        if not whole or len(ids) > wish.tokens or any(token in self._stop_ids for token in said):
            raise ValueError("the answer ends where it should not")
        if log_probs_N.shape != (len(ids),) or not np.isfinite(log_probs_N).all():
            raise ValueError("a token has no log-probability")
        text = str(self._tokenizer.decode(said, skip_special_tokens=True))
        return Rollout(np.array(ids, dtype=np.int32), log_probs_N, ended, text)

    def _require_scaled(self, wish: _Wish) -> None:
        """Raises EndpointError where log-probabilities are not those of what is drawn from.

        Where only the likeliest token may be drawn its probability is 1, unless it is told as it
        was before that.
        """
        if self._scaled:
            return
        first = replace(wish, answers=1, tokens=1, temperature=1.0)
        likeliest = {**_PLAIN, "top_k": 1}

        def log_prob(client: openai.OpenAI, _: None) -> float:
            choice = self._completion(client, first, likeliest).choices[0]
            return float(choice.logprobs.token_logprobs[0])

        if self._once(log_prob, "completion with log-probabilities") < _SURE:
            raise self._endpoint.error(
                "gives log-probabilities as they are before the temperature, so what is drawn at "
                f"temperature {wish.temperature:g} cannot be learned from. Start it with "
                "--logprobs-mode processed_logprobs, or sample at temperature 1"
            )
        self._scaled = True

    def _load(self, client: openai.OpenAI, name: str, folder: Path) -> None:
        known = client.models.list(extra_headers=self._endpoint.headers())
        if any(model.id == name for model in known.data):
            return  # before an interruption
        self._post(client, "load", name, lora_path=str(folder))

    def _post(self, client: openai.OpenAI, act: str, name: str | None, **more: str) -> None:
        import openai

        try:
            client.post(
                f"/{act}_lora_adapter",
                cast_to=str,
                body={"lora_name": name, **more},
                options={"headers": self._endpoint.headers()},
            )
        except openai.NotFoundError as error:
            raise self._endpoint.error(
                f"does not {act} adapters while it runs ({self._endpoint.said(error)}). Start it "
                f"as {_START}"
            ) from None
        except openai.BadRequestError as error:
            raise self._endpoint.error(
                f"could not {act} the adapter {name} ({self._endpoint.said(error)}). See that it "
                "reads the run's folder under the same path, and that --max-lora-rank is no less "
                "than model.rank"
            ) from None

    def _once(self, ask: Any, wanted: str) -> Any:
        [(_, heard)] = self._endpoint.each([None], ask, wanted)
        return heard


def _id_of(token: str) -> int:
    if not token.startswith(_ID):
        raise ValueError("no token id")
    return int(token.removeprefix(_ID))
