"""From a recipe to everything a run needs before its weights are loaded. Writes nothing.

All that a user can get wrong is found here: files, rows, the base, keys that contradict each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from tunesmith.core.errors import DataError, RecipeError, Unsupported
from tunesmith.core.records import Example, Finding, Prompt, Tokens
from tunesmith.data import Prepared, Renderer, prepare
from tunesmith.data.canaries import make_canaries
from tunesmith.data.contexts import share_saved
from tunesmith.data.digests import digest
from tunesmith.data.formats import detect
from tunesmith.data.images.decode import animated
from tunesmith.data.infill import infilling_of
from tunesmith.data.sources import at_revision, expand, read
from tunesmith.engine.libraries import require as require_optimizer
from tunesmith.evaluate.measure import Checker, Grading
from tunesmith.evaluate.probes import general
from tunesmith.models.open import Described
from tunesmith.models.quantised import require_quantiser
from tunesmith.models.teacher import describe_teacher
from tunesmith.recipe import AUTO, Facts, Recipe, Resolved, recalled_rows, resolve
from tunesmith.recipe.methods import METHODS
from tunesmith.runs.environment import fast_bfloat16
from tunesmith.runs.eyes import described_base, reads_alone
from tunesmith.runs.findings import require_checked
from tunesmith.runs.graded_files import grader_files
from tunesmith.runs.grading import graded_by, require_metrics, with_metrics
from tunesmith.runs.heldout import HeldOut, divide, spread
from tunesmith.runs.opinion import require_judge
from tunesmith.runs.rendering import left_out, renderer_of, require_going_on, template_of


@dataclass(frozen=True, slots=True)
class Setup:
    """A recipe without `auto`, and the data, template and base it speaks of.

    `check` looks at each answer, and `grading` is what the verdict says of it. `inputs` are the
    SHA-256 of every file that decides what the run becomes, `warnings` what the
    checks of the data's texts have to say, `instruction` what the base is told where it is helped
    instead of trained ("" for nothing), `trained_prompts` some training rows as questions;
    `teacher` is the model that is learned from, None for none, `infilled` documents that judge,
    told out of order; `templated` says that the base brought a chat template of its own.
    """

    resolved: Resolved
    described: Described
    renderer: Renderer
    prepared: Prepared
    held_out: HeldOut
    probes: list[Tokens]
    templated: bool
    check: Checker
    grading: Grading
    inputs: dict[str, str]
    warnings: tuple[str, ...]
    instruction: str
    trained_prompts: list[Prompt]
    teacher: Described | None = None
    infilled: Sequence[Tokens] = ()

    @property
    def recipe(self) -> Recipe:
        """The resolved recipe."""
        return self.resolved.recipe


@dataclass(frozen=True, slots=True)
class Reader:
    """How rows are read for a base, chosen before any row is: what `read_data` reads with.

    `bare` are the facts without the data, `reason` is why this template was chosen. `trained`
    renders rows of the data, which may be infilled, `renderer` all others.
    """

    described: Described
    renderer: Renderer
    trained: Renderer
    context: int
    bare: Facts
    template: str
    reason: str


def reader_of(recipe: Recipe, *, sees: bool = True) -> Reader:
    """Describe the base and choose template and context; `sees` is whether it may see pictures.

    Raises ModelError, RecipeError or Unsupported, each with what to do.
    """
    described = described_base(recipe.model.base, sees=sees)
    if recipe.objective.kind == "text":
        require_going_on(described, "objective.kind=text")
    template, reason = template_of(described, recipe.data.template)
    room = _room(recipe, described)
    bare = replace(facts_of(described), max_context=room)
    check_device(recipe)
    early = early_choices(recipe, bare, 1).recipe.data
    context = int(early.context)
    if context > room:
        raise Unsupported(
            f"data.context is {context} tokens, but {described.name} reads at most {room}"
            f"{_taken(described.context - room)}. Set data.context to that or less."
        )
    renderer = renderer_of(described, template, early.completion_as)
    data, tokenizer = recipe.data, described.tokenizer
    infilling = infilling_of(
        tokenizer, data.fill_in_the_middle, recipe.engine.seed, data.infill_tokens
    )
    trained = renderer_of(described, template, early.completion_as, infilling)
    return Reader(described, renderer, trained, context, bare, template, reason)


def _room(recipe: Recipe, described: Described) -> int:
    """The longest sequence in tokens beside those that the method learns. Raises Unsupported."""
    model = recipe.model
    learned = model.virtual_tokens if "virtual_tokens" in METHODS[model.method].keys else 0
    if learned > described.context // 2:
        raise Unsupported(
            f"model.virtual_tokens is {learned}, more than half of the {described.context} tokens "
            f"that {described.name} reads. Set it to {described.context // 2} or less."
        )
    return described.context - learned


def _taken(learned: int) -> str:
    return f" behind {learned} virtual ones" if learned else ""


def read_data(recipe: Recipe, reader: Reader) -> tuple[Prepared, Resolved]:
    """The rows, read, checked, rendered and split; and the recipe, without `auto`.

    Raises DataError or RecipeError, each with what to do.
    """

    def share(rows: int) -> float:
        return float(early_choices(recipe, reader.bare, rows).recipe.data.validation_share)

    recipe.data.require_train()
    prepared = prepare(
        recipe.data,  # type: ignore[arg-type]  # require_train has seen that files are named
        recipe.objective.kind,
        reader.trained,
        reader.context,
        share,
    )
    if recipe.data.canaries:
        prepared = _planted(prepared, recipe, reader)
    return prepared, _resolve(recipe, reader.bare, prepared, reader.reason)


def _planted(prepared: Prepared, recipe: Recipe, reader: Reader) -> Prepared:
    """With secrets in the form of the first training row. Raises RecipeError where none can be."""
    (first,) = prepared.examples(prepared.train.rows[:1])
    canaries = make_canaries(
        recipe.data.canaries,
        recipe.engine.seed,
        recipe.objective.kind,
        reader.renderer,
        reader.context,
        first.content,
    )
    return replace(prepared, canaries=tuple(canaries))


def set_up(recipe: Recipe) -> Setup:
    """Read, check, render and split the data, and choose every `auto`.

    Raises DataError, ModelError, RecipeError or Unsupported, each with what to do.
    """
    recipe.data.require_train()
    if recipe.engine.optimizer != AUTO:
        require_optimizer(recipe.engine.optimizer)
    recipe = pinned(recipe)
    reader = reader_of(recipe)
    described, renderer = reader.described, reader.renderer
    teacher = _teacher(recipe, reader)
    prepared, resolved = read_data(recipe, reader)
    if reads_alone(described) and not prepared.images:
        reader = reader_of(recipe, sees=False)
        described, renderer = reader.described, reader.renderer
        prepared, resolved = read_data(recipe, reader)
    # Saved with the result, so that serving renders as training did.
    described.tokenizer.chat_template = reader.template
    most = resolved.recipe.evaluate.rows
    held_out = divide(prepared.held_out, prepared.prompts, most)
    require_metrics(recipe, held_out.prompts)
    require_judge(recipe.judge)
    if recipe.judge.url is not None and prepared.images:
        raise RecipeError(
            "judge.url names a model that is asked about answers, and is sent no pictures; rows of "
            "the data have some. Leave the section judge out."
        )
    graded = graded_by(recipe, held_out.prompts)
    templated = reader.bare.has_chat_template
    probe_files = expand(recipe.evaluate.probes or ())
    return Setup(
        resolved=with_metrics(resolved, graded.grading),
        described=described,
        renderer=renderer,
        prepared=prepared,
        held_out=held_out,
        probes=probe_tokens(recipe, renderer, reader.context, templated or described.writes_apart),
        templated=templated,
        check=graded.grader,
        grading=graded.grading,
        instruction=instruction_of(recipe),
        trained_prompts=_asked_again(resolved.recipe, prepared),
        teacher=teacher,
        infilled=_infilled(prepared, held_out),
        inputs=prepared.files
        | {path: digest(Path(path)) for path in prepared.images}
        | _hashes(recipe, [described, *([teacher] if teacher else [])], probe_files.files),
        warnings=(
            *filter(None, [left_out(described)]),
            *(found.message for found in probe_files.findings),
            *require_checked(recipe.data.checks, prepared.report),
            *([moving] if (moving := animated(prepared.images)) else []),
        ),
    )


def _infilled(prepared: Prepared, held_out: HeldOut) -> Sequence[Tokens]:
    """The rows that judge, as far as training would have infilled them."""
    found = prepared.infilled
    return found.at(np.flatnonzero(np.isin(found.rows, held_out.rows)))


def _teacher(recipe: Recipe, reader: Reader) -> Described | None:
    name = recipe.objective.teacher
    if name is not None and reader.described.eyes is not None:
        raise Unsupported(
            f"objective.teacher is {name}, and {reader.described.name} sees: what a teacher makes "
            "of pictures is not learned of in this version. Leave objective.teacher out."
        )
    return None if name is None else describe_teacher(name, reader.described, reader.context)


def _asked_again(recipe: Recipe, prepared: Prepared) -> list[Prompt]:
    """Evenly spread training rows of the first epoch, as questions."""
    count = recalled_rows(recipe.evaluate.level, recipe.evaluate.rows)
    seen = prepared.seen_first(recipe.engine.seed, in_order=not recipe.data.shuffle)
    return prepared.prompts(spread(np.unique(seen.rows).tolist(), count))


def pinned(recipe: Recipe) -> Recipe:
    """The recipe with the revision of each data set of the hub, so that it can be repeated."""
    data, evaluate = recipe.data, recipe.evaluate
    train = tuple(
        at_revision(source)
        if isinstance(source, str)
        else source.model_copy(update={"path": at_revision(source.path)})
        for source in data.train or ()
    )
    validation = None if data.validation is None else at_revision(data.validation)
    probes = None if evaluate.probes is None else tuple(map(at_revision, evaluate.probes))
    return recipe.model_copy(
        update={
            "data": data.model_copy(update={"train": train, "validation": validation}),
            "evaluate": evaluate.model_copy(update={"probes": probes}),
        }
    )


def _hashes(
    recipe: Recipe, models: Sequence[Described], probe_files: Sequence[str]
) -> dict[str, str]:
    """SHA-256 of the files beside the data that decide what a run becomes."""
    evaluate = recipe.evaluate
    judge = recipe.judge
    named = (recipe.data.template, evaluate.check, evaluate.prompt, judge.rubric, judge.labels)
    paths = [Path(path) for path in (*named, *probe_files) if path not in (None, AUTO)]
    for folder in (Path(described.location) for described in models):
        for pattern in ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"):
            paths += sorted(folder.glob(pattern))
    paths += grader_files(recipe.reward)
    return {str(path): digest(path) for path in paths}


def instruction_of(recipe: Recipe) -> str:
    """The text of evaluate.prompt, "" for none. Raises RecipeError for one without a text."""
    path = recipe.evaluate.prompt
    if path is None:
        return ""
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"evaluate.prompt names {path}, which cannot be read as UTF-8 text ({error}). Give the "
            "path of a text file with --set evaluate.prompt=FILE."
        ) from error
    if not text:
        raise RecipeError(
            f"evaluate.prompt names {path}, which is empty. Write into it what you would tell the "
            "base, or leave evaluate.prompt out."
        )
    return text


def render_all(
    renderer: Renderer, examples: Sequence[Example], kind: str, context: int
) -> list[Tokens]:
    """Tokens of examples that must all be usable. Raises DataError naming the first that is not."""
    tokens: list[Tokens] = []
    for parts in renderer.render(examples, "text" if kind == "text" else "sft", context):
        if isinstance(parts, Finding):
            raise DataError(f"{parts.origin}: {parts.message}")
        for part in parts:
            if len(part) > context:
                raise DataError(
                    f"{part.origin}: the row has {len(part)} tokens, but the context is {context}. "
                    "Shorten it, or leave it out."
                )
        tokens += parts
    return tokens


def read_examples(paths: Sequence[str], mapping: Mapping[str, str] | None = None) -> list[Example]:
    """The rows of data files, understood. Raises DataError naming the first that is not."""
    rows = detect(read(paths), mapping or {}).rows
    for row in rows:
        if isinstance(row, Finding):
            raise DataError(f"{row.origin}: {row.message}")
    return [row for row in rows if isinstance(row, Example)]


def probe_tokens(recipe: Recipe, renderer: Renderer, context: int, templated: bool) -> list[Tokens]:
    """The general probes, and the user's own, scored as the objective would train them.

    `templated`: the base knows a chat template, or answers apart from what it reads, so that the
    questions among our probes are asked. Those of ours that the template or the context cannot hold
    are left out: nobody could mend them.

    Raises:
        DataError: a probe of the user's cannot be used.
    """
    ours = renderer.render(general(chat=templated), "sft", context)
    whole = [parts for parts in ours if not isinstance(parts, Finding)]
    tokens = [part for parts in whole for part in parts if max(map(len, parts)) <= context]
    if recipe.evaluate.probes is not None:
        mine = read_examples(_distinct(expand(recipe.evaluate.probes).files), recipe.data.mapping)
        tokens += render_all(renderer, mine, recipe.objective.kind, context)
    return tokens


def _distinct(files: Sequence[str]) -> list[str]:
    """Each file once, though a folder and a pattern may both lead to it."""
    return list({Path(file).resolve(): file for file in files}.values())


def early_choices(recipe: Recipe, bare: Facts, rows: int) -> Resolved:
    """The choices that do not depend on the length of the rows."""
    return resolve(recipe, replace(bare, examples=rows))


def _resolve(recipe: Recipe, bare: Facts, prepared: Prepared, template_reason: str) -> Resolved:
    """All choices, now that the rows are counted and measured.

    Rows of a validation file do not count: no choice may depend on how many there are.
    """
    held_out = None if recipe.data.validation is not None else prepared.held_out
    trainable = [prepared.train] if held_out is None else [prepared.train, held_out]
    rows = sum(len(np.unique(sequences.rows)) for sequences in trainable)
    in_epoch, in_training = (
        prepared.mix.epoch_size,
        prepared.mix.per_epoch(prepared.trained_on.lengths),
    )
    facts = replace(
        bare,
        examples=rows,
        mean_tokens=sum(int(sequences.lengths.sum()) for sequences in trainable) / rows,
        sequences=in_epoch,
        mean_sequence=in_training / in_epoch,
        together_saves=_together_saves(recipe, prepared.train, bool(prepared.images)),
    )
    resolved = resolve(recipe, facts)
    reasons = dict(resolved.reasons)
    if "data.template" in reasons:
        reasons["data.template"] = template_reason
    if prepared.trains_completions():
        return Resolved(resolved.recipe, reasons)
    # The key says how the tuned model is asked, too: chats were learned, so it is asked by chat.
    reasons["data.completion_as"] = "the data holds no prompt/completion rows"
    data = resolved.recipe.data.model_copy(update={"completion_as": "chat"})
    return Resolved(resolved.recipe.model_copy(update={"data": data}), reasons)


def _together_saves(recipe: Recipe, train: Sequence[Tokens], pictured: bool) -> float:
    """Where the recipe leaves it open: the batch size is not chosen yet, and 16 is usual."""
    if recipe.data.together != AUTO or pictured:
        return 0.0
    return share_saved(train, 16 if recipe.engine.batch_size == AUTO else recipe.engine.batch_size)


def facts_of(described: Described) -> Facts:
    """Model and machine; the data are not known yet."""
    return Facts(
        hidden_size=described.hidden_size,
        layers=described.layers,
        max_context=described.context,
        examples=1,
        mean_tokens=1.0,
        sequences=1,
        mean_sequence=1.0,
        device="cuda" if torch.cuda.is_available() else "cpu",
        fast_bfloat16=fast_bfloat16(),
        has_chat_template=bool(described.tokenizer.chat_template),
    )


def check_device(recipe: Recipe) -> None:
    """Raises Unsupported where the device that is asked for is not there, or what quantises."""
    require_quantiser(recipe.model.quantize)
    if recipe.model.device == "cuda" and not torch.cuda.is_available():
        raise Unsupported(
            "model.device is cuda, but PyTorch finds no CUDA device on this machine. Leave it at "
            "auto, or set it to cpu."
        )
