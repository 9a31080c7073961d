"""How a model that labels, or makes vectors, is opened in plain libraries: lines of Markdown.

The code follows the form in which the model was saved. It ends in a function `outputs`, which gives
the head's outputs of texts (or of images made into pixels), or their vectors, a row each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

from tunesmith.recipe.methods import METHODS, MethodName

Json = Mapping[str, Any]

_ADAPTER = "adapter"

_POOLED = {
    "mean": ("    mask = mask[..., None]", "    pooled = (states * mask).sum(1) / mask.sum(1)"),
    "cls": ("    pooled = states[:, 0]",),
    "last": ("    pooled = states[torch.arange(len(texts)), mask.sum(1) - 1]",),
}


def opening(
    kind: str, artefact: str, base: str, naming: Json, method: MethodName
) -> tuple[str, ...]:
    """Of a run with the objective `kind`; `naming` is the content of the artefact's labels.json,
    `method` how the run trained."""
    if kind == "image":
        code = _images(artefact, base, naming)
    elif kind == "reward" and naming["pooling"] in ("last", "words"):
        code = _rewards(artefact, naming)
    elif naming["pooling"] == "words" or (naming["pooling"] == "last" and kind != "embed"):
        code = _classifier(artefact, naming)
    else:
        code = _pooled(artefact, naming)
    needed = (f"The adapter needs its base, `{base}`.",) if artefact == _ADAPTER else ()
    vectors = (_vectors(method),) if kind == "embed" else ()
    sentences = (*_meaning(kind, naming), *vectors, *needed)
    said = (text for sentence in sentences for text in ("", sentence))
    return ("```python", *code, "```", *said)


def _images(artefact: str, base: str, naming: Json) -> Iterator[str]:
    opened = "transformers.AutoModelForImageClassification.from_pretrained"
    if artefact == _ADAPTER:
        yield from ("import peft, transformers", "")
        sized = f"num_labels={_outputs(naming)}, ignore_mismatched_sizes=True"
        yield f"base = {opened}({base!r}, {sized})"
        yield f'model = peft.PeftModel.from_pretrained(base, "{artefact}").eval()'
    else:
        yield from ("import transformers", "")
        yield f'model = {opened}("{artefact}").eval()'
    yield from ("", "", "def outputs(pixel_values):", "    return model(pixel_values).logits")


def _classifier(artefact: str, naming: Json) -> Iterator[str]:
    """A text read at its last token, or its words: transformers' own classifier."""
    task = "Token" if naming["pooling"] == "words" else "Sequence"
    adapter = artefact == _ADAPTER
    library = "peft.AutoPeftModel" if adapter else "transformers.AutoModel"
    sized = f", num_labels={_outputs(naming)}" if adapter else ""
    yield from ("import peft, transformers" if adapter else "import transformers", "")
    yield f'tokenizer = transformers.AutoTokenizer.from_pretrained("{artefact}")'
    yield "tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token"
    yield f'model = {library}For{task}Classification.from_pretrained("{artefact}"{sized}).eval()'
    yield "model.config.pad_token_id = tokenizer.pad_token_id"
    yield from ("", "", "def outputs(texts):", *_given(naming))
    yield "    return model(**given).logits"


def _rewards(artefact: str, naming: Json) -> Iterator[str]:
    """Answers behind what was asked, or an answer in steps, as they were judged in training."""
    opened = list(takewhile(lambda line: not line.startswith("def"), _classifier(artefact, naming)))
    steps, plain = naming["pooling"] == "words", naming["written"] == "plain"
    yield from (["import torch", *opened] if steps else opened)
    yield from _steps(plain=plain) if steps else _answers(plain=plain)


def _steps(*, plain: bool) -> Iterator[str]:
    yield "def outputs(prompt, steps):"
    if plain:
        yield '    ids = tokenizer(prompt)["input_ids"]'
    else:
        yield '    asked = [{"role": "user", "content": prompt}]'
        yield "    text = tokenizer.apply_chat_template(asked, tokenize=False,"
        yield "                                         add_generation_prompt=True)"
        yield '    ids = tokenizer(text, add_special_tokens=False)["input_ids"]'
    yield "    ends = []"
    yield "    for step in steps:"
    yield '        ids += tokenizer(step + "\\n", add_special_tokens=False)["input_ids"]'
    yield "        ends.append(len(ids) - 1)"
    yield "    return model(input_ids=torch.tensor([ids])).logits[0, ends]"


def _answers(*, plain: bool) -> Iterator[str]:
    if plain:
        yield "def outputs(texts):  # each a prompt with its answer"
        yield "    texts = [text + tokenizer.eos_token for text in texts]"
    else:
        yield "def outputs(conversations):  # each a list of messages, the answer last"
        yield "    texts = [tokenizer.apply_chat_template(each, tokenize=False).rstrip()"
        yield "             for each in conversations]"
    special = "" if plain else "add_special_tokens=False, "
    yield f'    given = tokenizer(texts, {special}padding=True, padding_side="right",'
    yield '                      return_token_type_ids=False, return_tensors="pt")'
    yield "    return model(**given).logits"


def _pooled(artefact: str, naming: Json) -> Iterator[str]:
    """The body, what is taken of its states, and the head or vectors of length 1."""
    headless = naming["problem"] == "similarity"
    adapter = artefact == _ADAPTER
    yield "import peft, torch, transformers" if adapter else "import torch, transformers"
    if not headless:
        yield "from safetensors.torch import load_file"
    yield ""
    yield f'tokenizer = transformers.AutoTokenizer.from_pretrained("{artefact}")'
    # PEFT's own class: transformers alone reads only some kinds of adapters (`methods.alone`).
    opened = "peft.AutoPeftModelForFeatureExtraction" if adapter else "transformers.AutoModel"
    yield f'model = {opened}.from_pretrained("{artefact}").eval()'
    if not headless:
        yield f'head = load_file("{artefact}/2_Dense/model.safetensors")'
    yield from ("", "", "def outputs(texts):", *_given(naming))
    yield '    states, mask = model(**given).last_hidden_state, given["attention_mask"]'
    yield from _POOLED[naming["pooling"]]
    if headless:
        yield "    return torch.nn.functional.normalize(pooled, dim=1)"
    else:
        yield '    return pooled @ head["linear.weight"].T + head["linear.bias"]'


def _given(naming: Json) -> Iterator[str]:
    split = ", is_split_into_words=True" if naming["pooling"] == "words" else ""
    cut = f", truncation=True, max_length={naming['cut']}" if naming["cut"] else ""
    yield from ("    given = tokenizer(", '        texts, padding=True, padding_side="right",')
    yield f'        return_token_type_ids=False, return_tensors="pt"{split}{cut},'
    yield "    )"


def _vectors(method: MethodName) -> str:
    """Whether sentence-transformers, which has transformers open an adapter, opens it."""
    if METHODS[method].alone:
        return "sentence-transformers opens it, too."
    return (
        "sentence-transformers cannot read this kind of adapter: merge it into its base first, by "
        "`model.merge_and_unload()`."
    )


def _outputs(naming: Json) -> int:
    return 1 if naming.get("odds") else len(naming["names"]) or 1


def _meaning(kind: str, naming: Json) -> Iterator[str]:
    """What is to be made of the outputs."""
    problem, warmth = naming["problem"], f"{naming['temperature']:.6g}"
    if kind == "image":
        yield "Images are prepared as `preprocessor_config.json` beside the weights says."
    if problem == "preference":
        yield (
            "The output is the reward of an answer. Of two answers to one prompt, the sigmoid of "
            f"the difference of their rewards, divided by {warmth}, is the probability that people "
            "prefer the first; a reward by itself means nothing."
        )
    elif naming.get("odds"):
        names, what = naming["names"], "a step" if naming["pooling"] == "words" else "an answer"
        yield (
            f"The probability that {what} is {names[1]} is the sigmoid of its output divided by "
            f"{warmth}; else it is {names[0]}."
        )
    elif problem == "similarity":
        yield "The product of two vectors is their likeness."
    elif problem == "regression":
        yield (f"The number is the output times {naming['scale']!r} plus {naming['mean']!r}.")
    elif problem == "multi_label":
        yield f"The probability of each label is the sigmoid of its output divided by {warmth}."
    else:
        yield f"Probabilities are the softmax of the outputs divided by {warmth}."
    if problem == "tags":
        yield (
            f"A word's tag is read at its {naming['word_at']} token; words end at "
            + ("spaces." if naming["word_break"] == "space" else "spaces and punctuation.")
        )
    if naming["threshold"]:
        yield f"Below a probability of {naming['threshold']:.6g} it names no label."
