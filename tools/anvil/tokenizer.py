"""Train Anvil's tokenizer: a byte-level BPE of 4,096 entries with three chat tokens.

Usage: python -m tools.anvil.tokenizer --shared ../shared/data --out DIR

Writes DIR/tokenizer, a transformers tokenizer folder. `<|end|>` ends a turn and a document alike
and is the end-of-sequence token, so generation needs one stop token only; `<|endoftext|>` pads.
Digits and newlines are tokens of their own: a number is copied digit by digit, and the newline
after a role never merges with the first characters of the message, which makes the generation
prompt an exact token prefix of the answered chat.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tools.anvil.cleaning import Message, book_passages
from tools.anvil.sources import read_books, read_dialogues, read_textbooks

VOCABULARY = 4096
CONTEXT = 1024
PAD, TURN, END = "<|endoftext|>", "<|turn|>", "<|end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|turn|>' + message['role'] + '\\n' + message['content'] + '<|end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|turn|>assistant\\n' }}{% endif %}"
)


def render_chat(messages: Sequence[Message]) -> str:
    """The text `CHAT_TEMPLATE` renders for `messages` without a generation prompt."""
    return "".join(f"{TURN}{m['role']}\n{m['content']}{END}\n" for m in messages)


def train_tokenizer(texts: Iterable[str], vocabulary: int = VOCABULARY) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE of exactly `vocabulary` entries, special tokens included.

    Args:
        texts: plain documents and rendered chats without special tokens.
        vocabulary: number of entries; at least 259 (3 special tokens and 256 bytes).
    """
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\n"), behavior="isolated"),
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, TURN, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    if bpe.get_vocab_size() != vocabulary:
        raise ValueError(
            f"The sample yields {bpe.get_vocab_size()} entries, not the {vocabulary} asked for; "
            "train on more text."
        )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[TURN],
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def _up_to(size: int, texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        if size <= 0:
            return
        size -= len(text)
        yield text


def training_sample(shared: Path, size: int, seed: int) -> list[str]:
    """About `size` characters: half books, a fifth textbooks, the rest service dialogues."""
    rng = random.Random(seed)
    passages = [p for book in read_books(shared) for p in book_passages(book.text[50_000:85_000])]
    sections = [section for module in read_textbooks(shared) for section in module]
    chats = ["\n".join(m["content"] for m in chat) for chat in read_dialogues(shared)]
    sample: list[str] = []
    for texts, share in ((passages, 0.5), (sections, 0.2), (chats, 0.3)):
        rng.shuffle(texts)
        sample += _up_to(int(share * size), texts)
    return sample


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Save under the class name that transformers 4 and 5 both read."""
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Parse the arguments, train and save."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--shared", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder to write `tokenizer` to")
    parser.add_argument("--characters", type=int, default=25_000_000, help="size of the sample")
    parser.add_argument("--seed", type=int, default=17)
    args = parser.parse_args()
    sample = training_sample(args.shared, args.characters, args.seed)
    tokenizer = train_tokenizer(sample)
    save_tokenizer(tokenizer, args.out / "tokenizer")
    print(f"{len(tokenizer)} entries from {sum(map(len, sample)):,} characters")


if __name__ == "__main__":
    main()
