"""A home of the service with many adapters of the base inside this package, and a key."""

from __future__ import annotations

import time
from pathlib import Path

import torch
import yaml
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from tunesmith.models.open import ANVIL, describe
from tunesmith.serve.home import opened
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.keys import Keys
from tunesmith.serve.store.tables import ModelRow

_RECIPE = {
    "model": {"base": ANVIL, "method": "lora", "dtype": "bfloat16", "device": "cpu"},
    "objective": {"kind": "sft"},
}
_NOISE = 0.02
"""Deviation of B: enough that each adapter answers otherwise than the base and than the others."""


def names(adapters: int) -> list[str]:
    """By which they are asked for."""
    return [f"ft:{ANVIL}:tunesmith:load:{number}" for number in range(adapters)]


def make_home(home: Path, adapters: int, rank: int) -> str:
    """Make it; returns the key."""
    settings = Settings(home=home, workers=0)
    with opened(settings) as database:
        key, row = Keys(database).create("load")
        with database.write() as session:
            for number, name in enumerate(names(adapters)):
                folder = home / "jobs" / f"load-{number}"
                _save(folder, number, rank)
                made = ModelRow(
                    id=name,
                    project_id=row.project_id,
                    job_id=f"ftjob-load{number}",
                    base=ANVIL,
                    kind="chat",
                    folder=str(folder.relative_to(home)),
                    created_at=int(time.time()),
                )
                session.add(made)
    return key


def _save(folder: Path, seed: int, rank: int) -> None:
    """A run folder with an adapter of random numbers: to serve it costs what a trained one does."""
    described = describe(ANVIL)
    model = AutoModelForCausalLM.from_pretrained(described.location, dtype=torch.bfloat16)
    torch.manual_seed(seed)
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    adapted = get_peft_model(model, config, autocast_adapter_dtype=False)
    for name, weight in adapted.named_parameters():
        if ".lora_B." in name:
            weight.data.normal_(0, _NOISE)
    adapted.save_pretrained(str(folder / "adapter"), save_embedding_layers=False)
    described.save_reader(folder / "adapter")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(_RECIPE), encoding="utf-8")
