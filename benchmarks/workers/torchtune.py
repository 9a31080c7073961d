"""torchtune: its builders, LoRA modules, packed dataset, chunked loss, as its recipes use them.

The steps are those of `lora_finetune_single_device` and `full_finetune_single_device`. The examples
of each step are packed by themselves, so that the effective batch is the same for everyone.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torchtune import training
from torchtune.data import padded_collate_packed
from torchtune.datasets import PackedDataset
from torchtune.models.convert_weights import hf_to_tune
from torchtune.models.llama2 import llama2, lora_llama2
from torchtune.modules import TiedLinear, TransformerDecoder
from torchtune.modules.loss import CEWithChunkedOutputLoss
from torchtune.modules.peft import get_adapter_params, set_trainable_params

from benchmarks.workers.protocol import Job, Report, batches, read_job

ATTENTION = ["q_proj", "k_proj", "v_proj", "output_proj"]
PACK = (
    1024  # tokens; on a CPU shorter packs were slower, longer ones waste time on masked attention
)


def shape(base: Path) -> dict[str, Any]:
    """torchtune's words for the Llama configuration in `base`."""
    config = json.loads((base / "config.json").read_text())
    return {
        "vocab_size": config["vocab_size"],
        "num_layers": config["num_hidden_layers"],
        "num_heads": config["num_attention_heads"],
        "num_kv_heads": config["num_key_value_heads"],
        "embed_dim": config["hidden_size"],
        "intermediate_dim": config["intermediate_size"],
        "max_seq_len": 16384,  # of the positions' table; a pack may be longer than the context
        "norm_eps": config["rms_norm_eps"],
    }


def build(job: Job) -> TransformerDecoder:
    """The base in bfloat16 with what the method trains, its head tied to the embedding."""
    words = shape(Path(job.base))
    with training.set_default_dtype(torch.bfloat16):
        if job.method == "lora":
            rank = {"lora_rank": job.rank, "lora_alpha": float(job.alpha)}
            model = lora_llama2(ATTENTION, apply_lora_to_mlp=True, **words, **rank)
        else:
            model = llama2(**words)
    found = load_file(str(Path(job.base) / "model.safetensors"))
    heads = {"num_heads": words["num_heads"], "num_kv_heads": words["num_kv_heads"]}
    model.load_state_dict(hf_to_tune(found, **heads, dim=words["embed_dim"]), strict=False)
    select(model, job)
    return model


def select(model: TransformerDecoder, job: Job) -> None:
    """Tie the head, which the builders do not, and freeze what the method does not train."""
    if job.method == "head":
        model.output.weight.data.copy_(model.tok_embeddings.weight.data)
    else:
        del model.output  # a module's place cannot be taken by a function
        model.output = TiedLinear(model.tok_embeddings)
    if job.method == "lora":
        set_trainable_params(model, get_adapter_params(model))
    if job.method in ("last_layers", "head"):
        model.requires_grad_(False)
        top = (*model.layers[-job.layers :], model.norm)
        for module in (model.output,) if job.method == "head" else top:
            module.requires_grad_(True)


def packs(examples: list[dict[str, list[int]]]) -> list[dict[str, torch.Tensor]]:
    """The examples of a step as packs of about `PACK` tokens, each as little padded as they fit."""
    rows = [{"tokens": e["input_ids"], "labels": e["labels"]} for e in examples]
    lengths = [len(row["tokens"]) for row in rows]
    count = max(1, sum(lengths) // PACK)
    room = max(*lengths, -(-sum(lengths) // count))
    while len(found := PackedDataset(rows, max_seq_len=room)) > count:
        room += 8
    return [padded_collate_packed([pack]) for pack in found]


def loss_of(model: TransformerDecoder, batch: dict[str, torch.Tensor], loss: Any) -> torch.Tensor:
    """The mean over supervised tokens; labels shifted as the recipes do."""
    labels = batch.pop("labels")
    none = torch.full((labels.shape[0], 1), loss.ignore_index)
    return loss(model(**batch), torch.hstack((labels[..., 1:], none)))


def work(job: Job) -> Report:
    """The training loop: packs are weighed by their supervised tokens and divided once."""
    logging.disable(logging.INFO)
    report = Report()
    model, loss = build(job), CEWithChunkedOutputLoss()
    model.set_num_output_chunks(loss.num_output_chunks)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=job.learning_rate, weight_decay=0.0, fused=True)
    for examples in batches(job):
        supervised, total = 0, 0.0
        for batch in packs(examples):
            count = int((batch["labels"] != loss.ignore_index).sum())
            current = loss_of(model, batch, loss) * count
            current.backward()
            supervised, total = supervised + count, total + current.item()
        training.scale_grads(model, torch.tensor(1 / supervised))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        report.step(total / supervised)
    return report


if __name__ == "__main__":
    work(read_job()).print("torchtune", "torchao", "torch")
