"""Put a pre-trained Anvil into the package, with its card.

Usage: python -m tools.anvil.package --model RUN/model --corpus DIR --out src/tunesmith/models/anvil

Reads the corpus folder of tools.anvil.corpus and tools.anvil.baselines (heldout.jsonl,
baselines.json, corpus.json), measures the model on the held-out text, and writes weights,
tokenizer and CARD.md.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from tools.anvil.corpus import row_text
from tunesmith.core.records import Origin, Score, Tokens
from tunesmith.data.documents import pieces
from tunesmith.data.encode import Encoder
from tunesmith.models.open import Base, describe, load_weights, open_base
from tunesmith.runs.scoring import ModelScorer

SOURCES = ("books", "textbooks", "dialogues", "total")
CARD = """\
# Anvil

The base model inside Tunesmith: small enough to ship and to tune on a laptop in minutes, real
enough to show what tuning gains and costs. It is no assistant and knows little.

- Shape: Llama, {weights:,} weights (bfloat16, {megabytes:.1f} MB), width {width}, {layers} layers,
  context {context} tokens, byte-level BPE of {vocabulary:,} entries, digits one by one.
- Chat: `<|turn|>role`, newline, content, `<|end|>`; roles system, user, assistant, tool.
- Licence: Apache-2.0 for these weights. Made by this project from the texts below.

## What it was trained on

{history}

| source | licence of the text | tokens in the corpus |
|---|---|---|
| classic books, published before 1930 | public domain | {books:,} |
| six OpenStax textbooks | CC BY 4.0, (c) OpenStax, Rice University | {textbooks:,} |
| schema-guided service dialogues, as chats | CC BY-SA 4.0, Google | {dialogues:,} |
| drills written for this project: repeat, pick out, spell, list | Apache-2.0 | {drills:,} |

## What it reaches

Bits per UTF-8 byte on held-out text (whole books, whole textbook modules and whole dialogues that
were not trained on; the dialogues share their schemas with trained ones, so they are easier).

| held-out text | bytes | Anvil | byte 5-gram | xz -9 |
|---|---|---|---|---|
{table}

{definition}

## How to make it again

    python -m tools.anvil.tokenizer --shared ../shared/data --out build/anvil
    python -m tools.anvil.corpus    --shared ../shared/data --out build/anvil
    python -m tools.anvil.base      --out build/anvil
    tunesmith train recipes/anvil.yaml --out runs/anvil
    python -m tools.anvil.baselines --out build/anvil --rendered
    python -m tools.anvil.package   --model runs/anvil/model --corpus build/anvil --history "..." \\
                                    --out src/tunesmith/models/anvil
"""


def heldout_tokens(path: Path, tokenizer: PreTrainedTokenizerBase) -> dict[str, list[Tokens]]:
    """The held-out rows by source, as text whose every token is scored."""
    encoder = Encoder(tokenizer)
    found: dict[str, list[Tokens]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        row = json.loads(line)
        text = row_text(row)
        (encoding,) = encoder.encodings([text], offsets=True)
        parts = pieces(encoder, Origin(path.name, number), text, encoding, 1024, delimit=False)
        found.setdefault(row["source"], []).extend(parts)
    return found


def bits_per_byte(scores: list[Score], size: int) -> float:
    """Bits of all scores over `size` bytes."""
    return sum(score.nll for score in scores) / math.log(2) / size


def measure(base: Base, corpus: Path, sizes: Mapping[str, int]) -> dict[str, float]:
    """Bits per byte by source and in total."""
    scorer = ModelScorer(base, 8192)
    rows = heldout_tokens(corpus / "heldout.jsonl", base.described.tokenizer)
    scores = {source: scorer.score(tokens) for source, tokens in rows.items()}
    scores["total"] = [score for group in list(scores.values()) for score in group]
    return {source: bits_per_byte(scores[source], sizes[source]) for source in SOURCES}


def card(base: Base, reached: Mapping[str, float], corpus: Path, history: str) -> str:
    """The text of CARD.md."""
    baselines = json.loads((corpus / "baselines.json").read_text(encoding="utf-8"))
    counts = json.loads((corpus / "corpus.json").read_text(encoding="utf-8"))["train"]
    config, weights = base.model.config, base.model.num_parameters()
    lines = [
        f"| {source} | {baselines['heldout_bytes'][source]:,} | {reached[source]:.3f} "
        f"| {baselines['byte_5gram'][source]:.3f} | {baselines['xz_9'][source]:.3f} |"
        for source in SOURCES
    ]
    return CARD.format(
        weights=weights,
        megabytes=2 * weights / 1e6,
        width=config.hidden_size,
        layers=config.num_hidden_layers,
        context=config.max_position_embeddings,
        vocabulary=config.vocab_size,
        history=history,
        table="\n".join(lines),
        definition=baselines["definition"],
        **{source: counts[source]["tokens"] for source in counts if source != "total"},
    )


def main() -> None:
    """Parse the arguments, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", type=Path, required=True, help="folder of the trained model")
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--history", required=True, help="how it was trained, in sentences")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    load_weights(str(args.model), "bfloat16").save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)
    base = open_base(describe(str(args.out)), "bfloat16", "cpu")
    sizes: dict[str, Any] = json.loads((args.corpus / "baselines.json").read_text())[
        "heldout_bytes"
    ]
    reached = measure(base, args.corpus, sizes)
    (args.out / "CARD.md").write_text(card(base, reached, args.corpus, args.history), "utf-8")
    print(reached)


if __name__ == "__main__":
    main()
