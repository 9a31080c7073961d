"""Write the shape of Anvil: a folder with config.json and the tokenizer, without weights.

Usage: python -m tools.anvil.base --out DIR

Needs DIR/tokenizer (tools.anvil.tokenizer); writes DIR/base, which recipes/anvil.yaml trains from
random weights. Wide and shallow: on a CPU four layers of width 384 train faster per parameter than
eight of width 256, and copying a name or a number from the question needs two layers only.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from transformers import AutoTokenizer, LlamaConfig, PreTrainedTokenizerBase

from tools.anvil.tokenizer import CONTEXT


def shape(tokenizer: PreTrainedTokenizerBase) -> LlamaConfig:
    """7.8 million weights, 1.6 million of them the token embedding, which is the head too."""
    return LlamaConfig(
        architectures=["LlamaForCausalLM"],
        vocab_size=len(tokenizer),
        hidden_size=384,
        intermediate_size=960,
        num_hidden_layers=4,
        num_attention_heads=6,
        num_key_value_heads=3,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def main() -> None:
    """Parse the arguments and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True, help="folder that holds `tokenizer`")
    args = parser.parse_args()
    folder = args.out / "base"
    shutil.copytree(args.out / "tokenizer", folder, dirs_exist_ok=True)
    shape(AutoTokenizer.from_pretrained(folder)).save_pretrained(folder)
    print(f"wrote {folder}")


if __name__ == "__main__":
    main()
