"""Bits per byte that `xz -9` and a byte 5-gram model reach on Anvil's held-out text.

Usage: python -m tools.anvil.baselines --out DIR [--rendered]

Reads DIR/train.jsonl and DIR/heldout.jsonl, writes DIR/baselines.json. The 5-gram model is
interpolated with Witten-Bell smoothing (Witten and Bell 1991; Chen and Goodman 1998, section 2.4):

    p(w | h) = (c(hw) + T(h) p(w | h')) / (c(h) + T(h))

with c the count, T(h) the number of different bytes seen after history h, h' the history without
its first byte, and 1/256 below the empty history.
"""

from __future__ import annotations

import argparse
import json
import lzma
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.anvil.corpus import row_text

ORDER = 5
_NEWLINE = 10


def _codes(data: bytes, order: int) -> NDArray[np.int64]:
    """Each byte with the `order - 1` before it as one big-endian integer; newlines come first."""
    padded = np.frombuffer(bytes([_NEWLINE]) * (order - 1) + data, dtype=np.uint8)
    codes = np.zeros(len(data), dtype=np.int64)
    for offset in range(order):
        codes = (codes << 8) | padded[offset : offset + len(data)]
    return codes


def _look_up(
    keys: NDArray[np.int64], wanted: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Positions of `wanted` in the sorted `keys`, and whether each was really found."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return at, keys[at] == wanted


@dataclass(frozen=True)
class _Level:
    """Counts of the n-grams of one length and, per history, their sum and number of kinds."""

    grams: NDArray[np.int64]
    counts: NDArray[np.int64]
    histories: NDArray[np.int64]
    totals: NDArray[np.int64]
    kinds: NDArray[np.int64]

    @classmethod
    def count(cls, codes: NDArray[np.int64]) -> _Level:
        grams, counts = np.unique(codes, return_counts=True)
        histories, starts = np.unique(grams >> 8, return_index=True)
        kinds = np.diff(starts, append=len(grams))
        return cls(grams, counts, histories, np.add.reduceat(counts, starts), kinds)

    def refine(self, codes: NDArray[np.int64], lower: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mix this length's frequencies with `lower`, the probability under a shorter history."""
        at, known = _look_up(self.histories, codes >> 8)
        total, kinds = self.totals[at], self.kinds[at]
        gram, seen = _look_up(self.grams, codes)
        count = np.where(seen, self.counts[gram], 0)
        return np.where(known, (count + kinds * lower) / (total + kinds), lower)


class ByteNgram:
    """An interpolated Witten-Bell model of bytes, of order at most 7 (codes are 64-bit)."""

    def __init__(self, data: bytes, order: int = ORDER) -> None:
        if not data or not 1 <= order <= 7:
            raise ValueError(
                f"A byte n-gram model needs text and an order from 1 to 7; "
                f"received {len(data)} bytes and order {order}."
            )
        self.order = order
        codes = _codes(data, order)
        self._levels = [_Level.count(codes & self._mask(n)) for n in range(1, order + 1)]

    @staticmethod
    def _mask(length: int) -> int:
        return (1 << 8 * length) - 1

    def _probabilities(self, codes: NDArray[np.int64]) -> NDArray[np.float64]:
        probability = np.full(len(codes), 1 / 256)
        for length, level in enumerate(self._levels, 1):
            probability = level.refine(codes & self._mask(length), probability)
        return probability

    def distribution(self, history: bytes) -> NDArray[np.float64]:
        """Probabilities, shape (256,), of the byte that follows `history`."""
        before = _codes(history, self.order)[-1] if history else _codes(b"\n", self.order)[-1]
        codes = ((int(before) << 8) & self._mask(self.order)) | np.arange(256, dtype=np.int64)
        return self._probabilities(codes)

    def bits(self, data: bytes) -> float:
        """Code length of `data` in bits; its first byte is taken to follow newlines."""
        return float(-np.log2(self._probabilities(_codes(data, self.order))).sum())


def xz_bits_per_byte(data: bytes) -> float:
    """Bits per byte of the .xz file that `xz -9` with the extreme preset makes of `data` alone."""
    return 8 * len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)) / len(data)


def read_texts(path: Path, rendered: bool) -> list[tuple[str, str]]:
    """(source, text) of each row of a corpus file.

    With `rendered` a text is exactly what the model is scored on: chats in the chat template,
    documents with their end token. Without it, the bare contents, one message a line.
    """
    texts = []
    with open(path, encoding="utf-8") as file:
        for row in map(json.loads, file):
            if rendered:
                text = row_text(row)
            else:
                parts = [m["content"] for m in row.get("messages", ())] or [row["text"]]
                text = "\n".join(parts) + "\n"
            texts.append((row["source"], text))
    return texts


def evenly(texts: list[str], size: int) -> bytes:
    """About `size` bytes of whole texts, taken evenly from start to end."""
    encoded = [text.encode() for text in texts]
    stride = max(1.0, sum(map(len, encoded)) / size)
    return b"".join(encoded[int(i * stride)] for i in range(int(len(encoded) / stride)))


def compare(train: list[str], heldout: list[tuple[str, str]], size: int) -> dict[str, object]:
    """Bits per byte of both baselines per source and in total."""
    joined = {"total": "".join(text for _, text in heldout).encode()}
    for source in sorted({source for source, _ in heldout}):
        joined[source] = "".join(text for name, text in heldout if name == source).encode()
    model = ByteNgram(evenly(train, size))
    return {
        "heldout_bytes": {source: len(data) for source, data in joined.items()},
        "xz_9": {source: round(xz_bits_per_byte(data), 4) for source, data in joined.items()},
        "byte_5gram": {
            source: round(model.bits(data) / len(data), 4) for source, data in joined.items()
        },
    }


def definition(rendered: bool, size: int) -> str:
    """What the figures mean, in words."""
    form = (
        "as the model sees it (chats in the chat template, documents with their end token)"
        if rendered
        else "as bare contents, one message or paragraph a line"
    )
    return (
        f"Bits per UTF-8 byte of the held-out text, {form}. xz_9: the held-out text of the source "
        "alone, rows joined in file order, through xz -9e, container included. byte_5gram: an "
        f"interpolated Witten-Bell byte 5-gram trained on about {size / 1e6:.0f} MB of "
        "train.jsonl, rows taken evenly. total: all held-out rows together."
    )


def main() -> None:
    """Parse the arguments, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the corpus files")
    parser.add_argument("--train-bytes", type=int, default=60_000_000)
    parser.add_argument(
        "--rendered", action="store_true", help="measure the text the model is scored on"
    )
    args = parser.parse_args()
    train = [text for _, text in read_texts(args.out / "train.jsonl", args.rendered)]
    heldout = read_texts(args.out / "heldout.jsonl", args.rendered)
    result = compare(train, heldout, args.train_bytes)
    result["definition"] = definition(args.rendered, args.train_bytes)
    text = json.dumps(result, indent=2)
    (args.out / "baselines.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
