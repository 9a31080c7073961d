"""Fine-tune a chat model on one page: plain torch, transformers and peft. There is no magic.

    python examples/flat.py --base src/tunesmith/models/anvil \
        --data examples/support/conversations.jsonl --out runs/flat

The data is JSON lines, each {"messages": [{"role": ..., "content": ...}, ...]}. The adapter is
written to --out in PEFT's own format. Four ideas carry the page:

1. A model is trained exactly as it will be asked. The chat template's *generation prompt* is the
   text that stands before each answer when the model is used, so it is the training prefix, too.
   Nothing is found by searching for marker strings.
2. A *site* is a position whose next token belongs to an answer. Only sites are scored: the model
   learns to answer and not to ask.
3. Losses are *summed*, and divided *once* per update by the number of sites. Eight rows one by one
   then teach what eight rows at once would.
4. Every tenth row is *held out* and never trained on. Its loss, before and after, says whether
   anything was learned that carries over.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer

HELD_OUT_EVERY = 10

Row = tuple[torch.Tensor, torch.Tensor]  # token ids (N), and the positions that are sites (S)


def read(path: Path) -> list[list[dict[str, str]]]:
    """The conversations of a JSON-lines file."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line)["messages"] for line in lines if line.strip()]


def pieces(messages: Sequence[dict[str, str]], tokenizer: Any) -> list[tuple[str, bool]]:
    """The rendered conversation, cut where answers begin and end: (text, is it an answer?)."""

    def render(count: int, prompt: bool = False) -> str:
        return tokenizer.apply_chat_template(
            messages[:count], tokenize=False, add_generation_prompt=prompt
        )

    found, text, done = [], render(len(messages)), 0
    for i, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prompt, answered = render(i, prompt=True), render(i + 1).rstrip()
        if not text.startswith(prompt) or not text.startswith(answered):
            raise SystemExit("This chat template rewrites earlier turns, so it cannot be learned.")
        found.append((text[done : len(prompt)], False))
        found.append((text[len(prompt) : len(answered)], True))
        done = len(answered)
    return found


def encode(messages: Sequence[dict[str, str]], tokenizer: Any) -> Row:
    """Token ids, and the sites: the positions just before each token of an answer."""
    ids: list[int] = []
    sites: list[int] = []
    for text, learned in pieces(messages, tokenizer):
        new = tokenizer.encode(text, add_special_tokens=False)
        if learned:
            sites += range(len(ids) - 1, len(ids) - 1 + len(new))
        ids += new
    return torch.tensor(ids), torch.tensor(sites)


def loss_sum(model: torch.nn.Module, row: Row) -> torch.Tensor:
    """The sum, in nats, of what the answers' tokens cost. Logits are made at the sites only."""
    ids_N, sites_S = row
    logits_SV = model(input_ids=ids_N[None], logits_to_keep=sites_S, use_cache=False).logits[0]
    return cross_entropy(logits_SV.float(), ids_N[sites_S + 1], reduction="sum")


@torch.no_grad()
def mean_loss(model: torch.nn.Module, rows: Sequence[Row]) -> float:
    """Nats per learned token over some rows, without changing the model."""
    model.eval()
    total = sum(float(loss_sum(model, row)) for row in rows)
    return total / sum(len(sites_S) for _, sites_S in rows)


def train(model: torch.nn.Module, rows: Sequence[Row], args: argparse.Namespace) -> None:
    """Passes over the rows in a new order each; one update for every `batch` rows."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=args.learning_rate, weight_decay=0.0)
    steps = args.epochs * math.ceil(len(rows) / args.batch)
    # A short climb while Adam's averages settle, then half a cosine down to zero.
    warmup = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warmup, 0.5 + 0.5 * math.cos(math.pi * step / steps)),
    )
    model.train()
    for epoch in range(args.epochs):
        order = random.Random(args.seed + epoch).sample(range(len(rows)), len(rows))
        total, count = 0.0, 0
        for start in range(0, len(order), args.batch):
            batch = [rows[i] for i in order[start : start + args.batch]]
            sites = sum(len(sites_S) for _, sites_S in batch)
            for row in batch:
                loss = loss_sum(model, row)
                (loss / sites).backward()  # gradients add up: the sum, divided by the true count
                total += float(loss.detach())
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            count += sites
        print(f"epoch {epoch + 1} of {args.epochs}: training loss {total / count:.4f}", flush=True)


def answer(model: Any, tokenizer: Any, messages: Sequence[dict[str, str]]) -> str:
    """The likeliest answer to a conversation, asked with the prefix it was trained on."""
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
    model.eval()
    made = model.generate(**ids, max_new_tokens=128, do_sample=False)
    return tokenizer.decode(made[0, ids["input_ids"].shape[1] :], skip_special_tokens=True).strip()


def main(arguments: Sequence[str] | None = None) -> tuple[float, float]:
    """Returns the held-out loss before and after, in nats per learned token."""
    parser = argparse.ArgumentParser(description="Fine-tune a chat model with LoRA on one page.")
    parser.add_argument("--base", required=True, help="a model folder with a chat template")
    parser.add_argument("--data", type=Path, required=True, help="JSON lines of messages")
    parser.add_argument("--out", type=Path, required=True, help="where the adapter goes")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8, help="rows per update")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)

    torch.manual_seed(args.seed)
    tokenizer = AutoTokenizer.from_pretrained(args.base)
    base = AutoModelForCausalLM.from_pretrained(args.base, dtype=torch.float32)
    conversations = read(args.data)
    rows = [encode(messages, tokenizer) for messages in conversations]
    held_out = rows[::HELD_OUT_EVERY]
    trained = [row for i, row in enumerate(rows) if i % HELD_OUT_EVERY]
    print(f"{len(rows)} rows: {len(trained)} to train on, {len(held_out)} held out.")

    # Each linear layer W gets A and B of low rank: W x + (alpha / rank) B A x. Only they learn.
    lora = LoraConfig(
        r=args.rank, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    model = get_peft_model(base, lora)
    before = mean_loss(model, held_out)
    train(model, trained, args)
    after = mean_loss(model, held_out)

    model.save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)
    asked = [message for message in conversations[0] if message["role"] != "assistant"][:1]
    print(f"\nHeld-out question: {asked[0]['content']}\n{answer(model, tokenizer, asked)}\n")
    print(f"Held-out loss {before:.4f} before, {after:.4f} after, in nats per learned token.")
    print(f"The adapter is in {args.out}.")
    return before, after


if __name__ == "__main__":
    main()
