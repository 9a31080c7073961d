"""LitGPT: its models, checkpoint conversion, chunked loss and optimiser, in its own loop's order.

The steps are those of `litgpt.finetune.lora.fit` and `litgpt.finetune.full.fit`, without what they
do between steps (validation, generation, checkpoints). A micro-batch is one example, which is
LitGPT's default and its fastest setting on a CPU: nothing is padded. Its loss is then the mean of
the examples' means, a little different from the mean over all supervised tokens.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from lightning import Fabric
from litgpt import lora
from litgpt.model import GPT, Config
from litgpt.scripts.convert_hf_checkpoint import copy_weights_hf_llama
from litgpt.utils import chunked_cross_entropy, instantiate_torch_optimizer
from safetensors.torch import load_file

from benchmarks.workers.protocol import Job, Report, batches, read_job

HEAD_CHUNK = 128  # what finetune.lora.fit passes


def shape(base: Path) -> dict[str, Any]:
    """LitGPT's words for the Llama configuration in `base`."""
    config = json.loads((base / "config.json").read_text())
    return {
        "name": "benchmark",
        "block_size": config["max_position_embeddings"],
        "vocab_size": config["vocab_size"],
        "padded_vocab_size": config["vocab_size"],
        "n_layer": config["num_hidden_layers"],
        "n_embd": config["hidden_size"],
        "n_head": config["num_attention_heads"],
        "n_query_groups": config["num_key_value_heads"],
        "intermediate_size": config["intermediate_size"],
        "norm_eps": config["rms_norm_eps"],
        "rope_base": int(config["rope_parameters"]["rope_theta"]),
        "rotary_percentage": 1.0,
        "parallel_residual": False,
        "bias": False,
        "norm_class_name": "RMSNorm",
        "mlp_class_name": "LLaMAMLP",
    }


def build(job: Job, fabric: Fabric) -> torch.nn.Module:
    """The base in bfloat16 with what the method trains."""
    words = shape(Path(job.base))
    if job.method == "lora":
        sites = ("query", "key", "value", "projection", "mlp")
        adapters = {f"lora_{site}": True for site in sites}
        words |= {"lora_r": job.rank, "lora_alpha": job.alpha, **adapters}
    config = lora.Config(**words) if job.method == "lora" else Config(**words)
    with fabric.init_module(empty_init=False):
        model = lora.GPT(config) if job.method == "lora" else GPT(config)
    weights: dict[str, torch.Tensor] = {}
    found = load_file(str(Path(job.base) / "model.safetensors"))
    copy_weights_hf_llama(config, {}, weights, found)
    model.load_state_dict(weights, strict=False)
    select(model, job)
    return fabric.setup_module(model)


def select(model: torch.nn.Module, job: Job) -> None:
    """Freeze what the method does not train. Head and embedding are apart unless tied here."""
    if job.method == "lora":
        lora.mark_only_lora_as_trainable(model)
        return
    if job.method != "head":
        model.transformer.wte.weight = model.lm_head.weight  # as LitGPT's pretraining ties them
    if job.method == "full":
        return
    model.requires_grad_(False)
    top = (*model.transformer.h[-job.layers :], model.transformer.ln_f)
    for module in (model.lm_head,) if job.method == "head" else top:
        module.requires_grad_(True)


def loss_of(model: torch.nn.Module, example: dict[str, list[int]]) -> torch.Tensor:
    """The mean over the supervised tokens of one example."""
    ids, labels = (torch.tensor([example[key]]) for key in ("input_ids", "labels"))
    logits = model(ids, lm_head_chunk_size=HEAD_CHUNK)
    # Shifted, so that output n predicts token n + 1.
    logits[-1] = logits[-1][..., :-1, :]
    return chunked_cross_entropy(logits, labels[..., 1:])


def work(job: Job) -> Report:
    """The training loop."""
    report = Report()
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-true")
    model = build(job, fabric)
    model.train()
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    options = {"lr": job.learning_rate, "weight_decay": 0.0}
    adamw = instantiate_torch_optimizer("AdamW", trained, **options)
    optimizer = fabric.setup_optimizers(adamw)
    for examples in batches(job):
        total = 0.0
        for example in examples:
            loss = loss_of(model, example) / len(examples)
            fabric.backward(loss)
            total += loss.item()
        optimizer.step()
        optimizer.zero_grad()
        report.step(total)
    return report


if __name__ == "__main__":
    work(read_job()).print("litgpt", "lightning", "torch")
