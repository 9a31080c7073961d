"""Measures how fast answers to learn from are drawn, against `generate` of transformers.

    python -m benchmarks.rollouts BASE [--dtype bfloat16] [--answers 16] [--prompts 4] ...
    python -m benchmarks.rollouts standard     a Llama of 135 M parameters with random weights

Both draw at temperature 1 from the whole distribution, answers that never end before their last
token, to the same prompts, taking turns in one process; the fastest of a few rounds counts. Theirs
is called as TRL does: each prompt as many times as it has answers, padded on the left. Ours gives
the log-probability of each token, too, which TRL computes in a pass of its own.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from benchmarks.prepare import make_base
from benchmarks.workloads import STANDARD
from tunesmith.core.records import Origin, Prompt
from tunesmith.models.open import DTYPES, Base, describe, open_base
from tunesmith.models.rollouts import InProcessRollouts

_NEVER = (-1,)


def prompts_of(count: int, lengths: tuple[int, int], vocabulary: int) -> list[Prompt]:
    """Random tokens, of lengths that lie evenly between the two."""
    draw = np.random.default_rng(0)
    sizes = np.linspace(*lengths, count).astype(int)
    rows = [draw.integers(0, vocabulary, size).astype(np.int32) for size in sizes]
    return [Prompt(Origin("random", n + 1), (), ids_N, "") for n, ids_N in enumerate(rows)]


def theirs(
    model: PreTrainedModel, prompts: Sequence[Prompt], answers: int, tokens: int
) -> Callable[[], object]:
    """transformers' generation of the same work."""
    longest = max(len(prompt.ids_N) for prompt in prompts)
    ids = torch.zeros(len(prompts), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt.ids_N) :] = torch.from_numpy(prompt.ids_N).long()
        mask[row, longest - len(prompt.ids_N) :] = 1
    settings = GenerationConfig(
        max_new_tokens=tokens, do_sample=True, top_k=0, eos_token_id=None, pad_token_id=0
    )
    model.generation_config = GenerationConfig()
    given = [part.repeat_interleave(answers, 0).to(model.device) for part in (ids, mask)]

    @torch.no_grad()
    def draw() -> object:
        return model.generate(  # type: ignore[operator]  # hidden by nn.Module
            input_ids=given[0], attention_mask=given[1], generation_config=settings
        )

    return draw


def measure(base: Base, arguments: argparse.Namespace) -> dict[str, float]:
    """Tokens a second of both; equal work, in turns."""
    prompts = prompts_of(arguments.prompts, arguments.lengths, base.described.vocab_size)
    ours = InProcessRollouts(base, _NEVER)
    plain = AutoModelForCausalLM.from_pretrained(
        base.described.location, dtype=DTYPES[arguments.dtype]
    )
    work: dict[str, Callable[[], object]] = {
        "ours": lambda: ours.sample(prompts, arguments.answers, arguments.tokens),
        "transformers": theirs(
            plain.to(arguments.device).eval(), prompts, arguments.answers, arguments.tokens
        ),
    }
    fastest = dict.fromkeys(work, float("inf"))
    for _ in range(arguments.rounds):
        for name, draw in work.items():
            began = time.perf_counter()
            draw()
            fastest[name] = min(fastest[name], time.perf_counter() - began)
    drawn = arguments.prompts * arguments.answers * arguments.tokens
    return {name: drawn / seconds for name, seconds in fastest.items()}


def main() -> None:
    """See the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base")
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--lengths", type=int, nargs=2, default=(50, 180))
    parser.add_argument("--answers", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        name = arguments.base
        if name == STANDARD.name:
            name = str(make_base(STANDARD.shape, Path(folder), STANDARD.seed))
        base = open_base(describe(name), arguments.dtype, arguments.device)
        speeds = measure(base, arguments)
    low, high = arguments.lengths
    ours, others = speeds["ours"], speeds["transformers"]
    print(
        f"{arguments.base} ({arguments.dtype}, {torch.get_num_threads()} threads), "
        f"{arguments.prompts} prompts of {low} to {high} tokens, {arguments.answers} answers of "
        f"{arguments.tokens}: ours {ours:.0f} tokens/s, transformers {others:.0f} tokens/s, "
        f"ratio {ours / others:.2f}"
    )


if __name__ == "__main__":
    main()
