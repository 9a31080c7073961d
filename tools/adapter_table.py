"""Write docs/adapters.md: what can be trained of a base, from the lines that refusals come from.

Usage: python -m tools.adapter_table [--out FILE]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_args

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForSeq2SeqLM,
    PreTrainedModel,
)

from tunesmith.models.methods import lacks
from tunesmith.recipe.kinds import ObjectiveKind
from tunesmith.recipe.methods import INITS, LEFT_OUT, METHODS, NEEDS, Method, unfit

PAGE = Path(__file__).parents[1] / "docs" / "adapters.md"

_WRITERS = ("llama", "mistral", "qwen2", "qwen3", "gemma3_text", "phi3", "gpt2", "gpt_neox", "opt")
_READERS = ("bert", "roberta", "distilbert", "deberta-v2", "modernbert", "llama", "gpt2")
_APART = ("t5", "mt5", "bart")
_SEERS = ("vit", "swin", "convnext", "resnet", "mobilenet_v2")
FAMILIES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "models that write (`sft`, `text`)": (AutoModelForCausalLM, _WRITERS),
    "models of an encoder and a decoder (`sft`)": (AutoModelForSeq2SeqLM, _APART),
    "models that label texts or make vectors (`classify`, `tag`, `embed`)": (AutoModel, _READERS),
    "models that label images (`image`)": (AutoModelForImageClassification, _SEERS),
}
"""The class of transformers that opens each, and some of its architectures."""

_OBJECTIVES: dict[Any, ObjectiveKind] = {
    AutoModelForCausalLM: "sft",
    AutoModelForSeq2SeqLM: "sft",
    AutoModel: "classify",
    AutoModelForImageClassification: "image",
}

_HEAD = """\
# What is trained: methods and adapters

`model.method` says what of the base is trained. Made by `python -m tools.adapter_table` from
`recipe/methods.py`, the lines that the recipe's refusals and default learning rates are made from;
a test keeps this page true. Adapters are PEFT's and open in plain transformers and PEFT.

`tests/models/test_battery.py` runs every method on every kind of model: models that write of five
families, encoders and decoders that label texts and words and make vectors, and image models with
attention and with convolutions. It trains, its loss falls, a resumed run ends in the same bits,
what it saved gives the same numbers in plain transformers and PEFT, and again once merged.
`tests/models/test_encoder_decoder.py` does so for models of an encoder and a decoder.

| `model.method` | what is trained | source | saves | keys | learning rate |
|---|---|---|---|---|---|
"""

_RATES = """
The learning rate is the default: a multiple of full tuning's (5e-5 · (2000 / width)^0.781), or a
rate of its own. "ours" is a rule of thumb of this project.

| `model.method` | merges | rows | strength | layers computed again | 4 bits | base must have |
|---|---|---|---|---|---|---|
"""

_NOTES = """
- **merges**: into the base, which then answers equally.
- **rows**: laid end to end, with prefixes they share computed once; or padded, each behind its own
  virtual tokens. Virtual tokens take room in the context: `data.context` is shorter by so many.
- **strength**: all between base and tuned can be saved, so gain and forgetting are measured at
  several strengths, and `evaluate.most_forgetting` chooses one.
- **layers computed again**: whether `engine.activation_checkpointing` goes with it.
- **4 bits**: whether it stands on a base held in 4 bits (`model.quantize: nf4`; see
  [quantisation.md](quantisation.md)).

## Which kinds of model

By `objective.kind`. A model that labels has a head of its own, which every method trains with it.

{kinds}
## How LoRA begins

`model.init`, for `{owners}`:

| `model.init` | the matrices begin as | source | saved as |
|---|---|---|---|
"""

_START = """
The base's own weights stay as they are in all of them. Where the papers take the start out of the
frozen weights, here a frozen adapter of the opposite sign takes it off: the same function, with no
weight rounded anew. What is saved is the difference, an ordinary LoRA of twice the rank.

## Which bases

Read from a model of each architecture (as `transformers` makes it by default), as a run does
before it begins. A run also proves that virtual tokens give PEFT's logits before it takes them.
"""

_REFUSED = """
Where it says no, the run is refused with the reason:

"""

_LEFT_OUT = """
## Left out

"""


def page() -> str:
    """The whole of docs/adapters.md."""
    owners = ", ".join(name for name, each in METHODS.items() if "init" in each.keys)
    return "".join(
        [
            _HEAD,
            *(_row(f"`{name}`", *_trained(each)) for name, each in METHODS.items()),
            _RATES,
            *(_row(f"`{name}`", *_used(each)) for name, each in METHODS.items()),
            _NOTES.format(owners=owners, kinds="".join(_kinds())),
            *(
                _row(f"`{name}`", each.begins, each.source, _saved(each.moves))
                for name, each in INITS.items()
            ),
            _START,
            *(line for title in FAMILIES for line in _bases(title)),
            _REFUSED,
            *(f"- no ({place}): the base {NEEDS[need][1]}\n" for place, need in _numbered()),
            _LEFT_OUT,
            *(f"- {sentence}\n" for sentence in LEFT_OUT.values()),
        ]
    )


def _trained(method: Method) -> tuple[str, ...]:
    rate = f"{method.rate:g}" if method.own_rate else f"{method.rate:g} ×"
    keys = ", ".join(f"`{key}`" for key in method.keys)
    return method.trains, method.source, method.saves, keys, f"{rate} ({method.rate_source})"


def _used(method: Method) -> tuple[str, ...]:
    merges = "is the model" if method.saves == "model" else _yes(method.merges)
    rows = "end to end" if method.packs else "padded"
    needs = "; ".join(NEEDS[need][0] for need in method.needs)
    flags = (method.strength, method.recomputes, method.quantised)
    return merges, rows, *map(_yes, flags), needs


def _saved(moves: bool) -> str:
    return "LoRA of twice the rank" if moves else "LoRA"


def _kinds() -> list[str]:
    """A row a method, a column a kind; then the refusals."""
    kinds = get_args(ObjectiveKind)
    refused = {m: [unfit(m, kind) for kind in kinds] for m in METHODS}
    first = {name: next(filter(None, each)) for name, each in refused.items() if any(each)}
    numbers = {name: place for place, name in enumerate(first, start=1)}
    lines = [_row("", *(f"`{kind}`" for kind in kinds)), _row(*["---"] * (len(kinds) + 1))]
    for name, each in refused.items():
        lines.append(_row(f"`{name}`", *(f"no ({numbers[name]})" if no else "yes" for no in each)))
    return [*lines, "\n", *(f"- no ({numbers[name]}): {text}\n" for name, text in first.items())]


def _bases(title: str) -> list[str]:
    """Under a title a row a method and init, a column a family."""
    form, families = FAMILIES[title]
    numbers = {need: place for place, need in _numbered()}
    models = {family: _empty(form, family) for family in families}
    lines = [f"\nOf {title}:\n\n", _row("", *models), _row(*["---"] * (len(models) + 1))]
    kind: ObjectiveKind = _OBJECTIVES[form]
    wanted: list[tuple[Any, Any]] = [(each, "default") for each in METHODS if not unfit(each, kind)]
    wanted += [("lora", init) for init, each in INITS.items() if each.needs]
    for method, init in wanted:
        found = [lacks(model, method, init) for model in models.values()]
        cells = ["yes" if need is None else f"no ({numbers[need]})" for need in found]
        named = f"`{method}`" if init == "default" else f"`{method}`, init `{init}`"
        lines.append(_row(named, *cells))
    return lines


def _numbered() -> list[tuple[int, Any]]:
    return list(enumerate(NEEDS, start=1))


def _empty(form: Any, family: str) -> PreTrainedModel:
    """A model of the family without numbers in it."""
    with torch.device("meta"):
        model: PreTrainedModel = form.from_config(AutoConfig.for_model(family))
    return model


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def main() -> None:
    """Parse the arguments and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=PAGE, help="file to write")
    args = parser.parse_args()
    args.out.write_text(page(), encoding="utf-8")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
