"""Which ways of computing a run takes, and why: for the screen, plan.json and the report."""

from __future__ import annotations

from tunesmith.models.fused import fused_parts
from tunesmith.models.methods import Tuned
from tunesmith.models.open import Base
from tunesmith.models.quantised import is_quantised, weight_bytes, weight_count
from tunesmith.runs.assembly import remembers
from tunesmith.runs.fitting import gigabytes
from tunesmith.runs.setup import Setup
from tunesmith.runs.workload import Workload


def paths_of(setup: Setup, tuned: Tuned, work: Workload, steps_per_epoch: int) -> dict[str, str]:
    """A sentence for each choice: forward pass, head, fused parts, prefixes, checkpointing."""
    forward = tuned.base.forward
    paths = {"forward": forward.reason or "The forward pass is packed: no padding is computed."}
    if forward.outputs is None:
        plain = forward.linear_head is not None
        paths["head"] = "The vocabulary head runs at learned tokens only, a chunk at a time" + (
            "." if plain else ", through the model's own code."
        )
    parts = fused_parts(tuned.module)
    paths["fused"] = f"Fused: {parts}." if parts else "No part of this model runs fused."
    if forward.shares:
        saved = _saved(setup, work, steps_per_epoch)
        if saved >= 0.005:
            paths["prefixes"] = f"Shared prefixes, computed once, save {saved:.0%} of the tokens."
    if is_quantised(tuned.base.model):
        paths["weights"] = _packed(tuned)
    if setup.recipe.engine.activation_checkpointing:
        paths["activations"] = "Each layer is computed again in the backward pass."
    if remembers(setup.recipe) and tuned.start:
        paths["base"] = _beside(setup, tuned.start.bytes)
    if tuned.teacher:
        paths["teacher"] = _taught(setup, tuned.teacher)
    return paths


def _packed(tuned: Tuned) -> str:
    """What the base takes in 4 bits, and would take otherwise."""
    frozen = [weight for weight in tuned.module.parameters() if not weight.requires_grad]
    whole = weight_count(frozen) * tuned.base.model.dtype.itemsize
    packed = weight_bytes(frozen)
    return (
        f"The base's linear layers are held in 4 bits: its weights take {gigabytes(packed)}, "
        f"{packed / whole:.0%} of what they would."
    )


def _taught(setup: Setup, teacher: Base) -> str:
    """What the teacher does and holds."""
    held = gigabytes(sum(weight.nbytes for weight in teacher.model.parameters()))
    asked = setup.recipe.objective
    does = (
        f"is run beside the model, {teacher.forward.name}, forward only"
        if asked.teacher_weight
        else "is only compared with"
    )
    return f"The teacher {teacher.described.name} {does}; its weights take {held}."


def _beside(setup: Setup, held: int) -> str:
    """What is held of the base, and what for."""
    asked = {
        "the base is run beside the model": setup.recipe.objective.kl_to_base,
        "weights are pulled to the base": setup.recipe.engine.decay_to_base,
    }
    said = " and ".join(what for what, value in asked.items() if value)
    kept = f"its own of the trained weights take {gigabytes(held)}"
    return f"{said[0].upper()}{said[1:]}; {kept}."


def _saved(setup: Setup, work: Workload, steps_per_epoch: int) -> float:
    """The share of the rows' tokens that is not computed."""
    in_rows = float(setup.prepared.trained_on.lengths.sum()) * work.steps / steps_per_epoch
    return max(0.0, 1 - work.tokens / in_rows)
