"""The update rules that other libraries have, imported when a recipe asks for them.

Each is an extra: where it is missing, the error says what to install.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from torch.optim import Optimizer

from tunesmith.core.libraries import require_library
from tunesmith.recipe.optimizers import RULES

Rule = Callable[..., Optimizer]


def require(key: str) -> None:
    """See that the library of this optimiser is there, without importing it.

    Raises Unsupported with what to install, or where the library would fetch code.
    """
    rule = RULES[key]
    if rule.extra is not None:
        asked = f"engine.optimizer={key}"
        require_library(asked, rule.library, rule.extra, "engine.optimizer=adamw")


def adamw_8bit() -> Rule:
    """bitsandbytes' AdamW with states in 8 bits."""
    rule: Rule = _imported("adamw_8bit", "bitsandbytes.optim").AdamW8bit
    return rule


def lion() -> Rule:
    """Lion of pytorch-optimizer."""
    rule: Rule = _imported("lion", "pytorch_optimizer.optimizer.lion").Lion
    return rule


def schedule_free() -> Rule:
    """AdamW of the authors of schedule-free learning."""
    rule: Rule = _imported("schedule_free", "schedulefree").AdamWScheduleFree
    return rule


def galore() -> tuple[Rule, Callable[..., Any]]:
    """GaLore of pytorch-optimizer, and what projects its gradients."""
    rule: Rule = _imported("galore", "pytorch_optimizer.optimizer.galore").GaLore
    utils = _imported("galore", "pytorch_optimizer.optimizer.utils.galore")
    return rule, utils.GaLoreProjector


def _imported(key: str, module: str) -> Any:
    require(key)
    return import_module(module)
