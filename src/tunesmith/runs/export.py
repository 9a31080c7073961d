"""The act `export`: the tuned model of a run as a plain model folder, proved equal to it.

What was trained beside a base is folded into its weights in float32, and what was written is read
back and compared before its folder appears. So it can be the base of another run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.errors import InputError, RunFolderError, Unsupported
from tunesmith.core.files import require_new, whole_folder, write_json
from tunesmith.core.ports import Silent, Watcher
from tunesmith.core.records import Tokens
from tunesmith.models.merging import merge_adapters
from tunesmith.models.methods import ADAPTER
from tunesmith.models.open import DTYPES, Base, open_base
from tunesmith.models.quantised import NONE
from tunesmith.recipe import REINFORCED, Recipe
from tunesmith.recipe.methods import METHODS
from tunesmith.runs.artefacts import damage
from tunesmith.runs.export_proof import Difference, Said, difference, said
from tunesmith.runs.eyes import described_base
from tunesmith.runs.finished import content_of, verdict_of
from tunesmith.runs.heldout import whole_rows
from tunesmith.runs.open import Opened, Run, device_here, open_artefact
from tunesmith.runs.setup import probe_tokens, set_up
from tunesmith.runs.writing import require_writing

HELD_OUT = 64
"""Rows of the run that are compared, beside the general probes."""

TOLERANCES = {"float32": 1e-4, "bfloat16": 0.02}
"""Nats by which a token's log-probability may differ on average, by the type that is written.

Sums in another order move it by some 1e-6. Weights rounded to bfloat16 (8 bits) move it by about
1e-2, as bfloat16 does wherever it serves a model; a lost or doubled matrix by 1e-1 and more.
"""

RECORD = "export.json"
"""Beside the weights: what they were made from, and how near they are to it."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A plain model folder, the type of its weights, and how far it is from the run's model."""

    folder: Path
    dtype: str
    difference: Difference


def export(
    run: Run, out: Path, *, dtype: str | None = None, watcher: Watcher | None = None
) -> Exported:
    """Write the tuned model of a finished run to the new folder `out`, with tokenizer and template.

    Plain transformers opens it, and so does `model.base`. The weights have the type `dtype`, by
    default the run's. Takes the memory of the model in float32.

    Raises:
        Unsupported: such a model cannot be merged, or would not be the same.
        RunFolderError: the run is not finished, or not what was judged.
        DataError, StorageError: `out` exists or cannot be written.
    """
    watcher, recipe = watcher or Silent(), run.recipe
    verdict_of(run.folder)
    _require_mergeable(run)
    require_new(out, "the exported model")
    _require_whole(run)
    kind = dtype or recipe.model.dtype
    watcher.stage("source", f"open {run.artefact} in float32")
    source = open_artefact(run.artefact, recipe)
    rows = _rows(run, source, watcher)
    wanted = _said_in_float32(source.base, rows, recipe)
    watcher.stage("merge", f"write {out} in {kind}, and read it back")
    merge_adapters(source.base.model)
    with whole_folder(out) as draft:
        merged: Any = source.base.model  # `to` is typed by transformers for devices alone
        merged.to(DTYPES[kind]).save_pretrained(str(draft))
        source.base.described.save_reader(draft)
        del source, merged  # its memory is wanted for what was written
        written = open_base(described_base(str(draft)), kind, device_here(recipe))
        found = difference(wanted, _said_in_float32(written, rows, recipe), len(rows))
        _require_equal(found, kind, run)
        write_json(draft / RECORD, _record(run, kind, found))
    return Exported(out, kind, found)


def _require_mergeable(run: Run) -> None:
    """Raises Unsupported for a run whose model is no plain folder, however it is written."""
    recipe = run.recipe
    require_writing(recipe, "export")
    method = recipe.model.method
    if METHODS[method].saves == ADAPTER and not METHODS[method].merges:
        raise Unsupported(
            f"{run.path} was trained with model.method={method}, which learned what stands before "
            "each sequence: no weight of the base can hold that, so it cannot be merged. Use the "
            "adapter as it is, or train with model.method=lora."
        )
    if recipe.model.quantize != NONE:
        raise Unsupported(
            f"{run.path} was trained beside a base held in 4 bits "
            f"(model.quantize={recipe.model.quantize}), and merged into the weights that base was "
            "made from it would answer as another model; the report of the run says by how much. "
            "Use the adapter on the base in 4 bits, or train with model.quantize=none."
        )


def _require_whole(run: Run) -> None:
    """Raises RunFolderError where the saved weights are not those that were judged."""
    recorded = content_of(run.folder.hashes) if run.folder.hashes.exists() else None
    if wrong := damage(run.artefact, recorded):
        raise RunFolderError(
            f"{run.path} cannot be exported: its {run.artefact.name} {wrong}. Put it back as it "
            "was, or train again."
        )


def _rows(run: Run, source: Opened, watcher: Watcher) -> list[Tokens]:
    """Held-out rows of the run and the general probes; the probes alone where there are none."""
    if run.recipe.objective.kind not in REINFORCED:  # whose rows have no answers
        try:
            setup = set_up(run.recipe)
            if not run.folder.changed_inputs(setup.inputs):
                return [*whole_rows(setup.held_out.judging, HELD_OUT), *setup.probes]
        except InputError:
            pass
        watcher.note("The data of the run is not what it was: only general probes are compared.")
    described = source.base.described
    chats = bool(described.tokenizer.chat_template) or described.writes_apart
    bare = run.recipe.model_copy(
        update={"evaluate": run.recipe.evaluate.model_copy(update={"probes": None})}
    )
    return probe_tokens(bare, source.renderer, source.base.context, chats)


def _said_in_float32(base: Base, rows: Sequence[Tokens], recipe: Recipe) -> Said:
    """What its weights say when nothing but they is rounded; the model stays in float32."""
    base.model.float()
    return said(base, rows, recipe.engine.tokens_per_micro_batch)


def _require_equal(found: Difference, dtype: str, run: Run) -> None:
    """Raises Unsupported where what was written is further from its source than its type allows."""
    if found.mean <= TOLERANCES[dtype]:
        return
    instead = " Write it with --dtype float32." if dtype == "bfloat16" else " Use it where it is."
    raise Unsupported(
        f"{run.path} was not exported, because in {dtype} it is not the same model: "
        f"{found.summary}; {TOLERANCES[dtype]:g} nats on average are allowed.{instead}"
    )


def _record(run: Run, dtype: str, found: Difference) -> dict[str, Any]:
    """The content of export.json."""
    model = run.recipe.model
    return {
        "run": str(run.path.absolute()),
        "base": model.base,
        "method": model.method,
        "objective": run.recipe.objective.kind,
        "dtype": dtype,
        "difference": {**asdict(found), "allowed_mean": TOLERANCES[dtype], "unit": "nats"},
    }
