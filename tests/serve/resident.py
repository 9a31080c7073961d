"""Tuned models to be asked, as jobs leave them: run folders with adapters of random weights."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from tunesmith.models.open import describe


def save_run(
    base: Path, folder: Path, seed: int = 0, dtype: str = "float32", **lora: object
) -> Path:
    """A run folder over `base`; `lora` goes to PEFT's configuration."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    adapted = get_peft_model(model, LoraConfig(**(settings | lora)))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(0, 0.3)
    adapted.save_pretrained(str(folder / "adapter"), save_embedding_layers=False)
    write_recipe(base, folder, dtype)
    describe(str(base)).save_reader(folder / "adapter")
    return folder


def write_recipe(base: Path, folder: Path, dtype: str = "float32") -> None:
    """As much of a run's recipe as those who open it read."""
    recipe = {
        "model": {"base": str(base), "method": "lora", "dtype": dtype, "device": "cpu"},
        "objective": {"kind": "sft"},
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
