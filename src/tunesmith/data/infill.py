"""Fill in the middle: documents told out of order, so that a model learns to write what is missing.

A document is cut at two characters drawn at random into prefix, middle and suffix, and laid down as

    PSM    <PRE> prefix <SUF> suffix <MID> middle <END>
    SPM    <PRE> <SUF> suffix <MID> prefix middle <END>

each form half of the time (Bavarian et al. 2022, Efficient Training of Language Models to Fill in
the Middle, §3 and appendix D). Cutting at characters rather than tokens is what makes a model go on
from the middle of a word. A document longer than the context is divided first, and each piece is
infilled by itself (§3.2, context level), with an end token behind its middle, where it must stop.

Which pieces are infilled, and where they are cut, follows from the seed and the document alone. The
store holds an infilled row twice: in order, to be held out, and infilled, to be trained on.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any, Literal

import numpy as np

from tunesmith.core.errors import Unsupported
from tunesmith.core.records import Tokens
from tunesmith.data.encode import Encoder
from tunesmith.data.refusals import Refused

INFILLED = 1 << 20
"""The parts of a row from this number on are its infilled form."""

ROOM = 16
"""Tokens that a piece leaves free: for the sentinels, and for words that are cut in two."""

_KNOWN = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    ("▁<PRE>", "▁<SUF>", "▁<MID>"),
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # noqa: RUF001 (DeepSeek's own bars)
)
"""Prefix, suffix and middle as families of models call them."""


@dataclass(frozen=True, slots=True)
class Infilling:
    """How documents are infilled: which share of them, drawn from which seed, and the ids of the
    three sentinels."""

    rate: float
    seed: int
    prefix: int
    suffix: int
    middle: int

    def identity(self) -> dict[str, Any]:
        """All that the infilled tokens follow from besides the document, as JSON."""
        return asdict(self)

    def apply(
        self, encoder: Encoder, texts: Sequence[str], pieces: Sequence[Tokens]
    ) -> list[Tokens]:
        """The pieces of a document, of which `texts` are told, some of them infilled; none where
        all stay as they are. `pieces` have ROOM tokens less than the context.

        Raises Refused where a text spells a sentinel.
        """
        made = [
            self._infilled(encoder, text, piece) for text, piece in zip(texts, pieces, strict=True)
        ]
        if all(new is old for new, old in zip(made, pieces, strict=True)):
            return []
        return [replace(each, part=INFILLED + each.part) for each in made]

    def _infilled(self, encoder: Encoder, text: str, piece: Tokens) -> Tokens:
        sentinels = {self.prefix, self.suffix, self.middle}
        if not sentinels.isdisjoint(piece.ids_N.tolist()):
            raise Refused(
                "special_token_in_text",
                "The text spells a token that marks what is to be filled in, which would act as "
                "one there instead of being read. Take it out, or write it differently.",
            )
        digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        draw = random.Random(f"{self.seed}/{piece.part}/{digest}")
        if draw.random() >= self.rate or not text:
            return piece
        first, last = sorted(draw.randint(0, len(text)) for _ in range(2))
        form: Literal["psm", "spm"] = "psm" if draw.random() < 0.5 else "spm"
        ids_N = self._ids(encoder, text[:first], text[first:last], text[last:], form)
        if len(ids_N) > len(piece) + ROOM:
            return piece
        weights_N = np.ones(len(ids_N), dtype=np.float32)
        weights_N[0] = 0
        return replace(
            piece, ids_N=ids_N, weights_N=weights_N, learned_bytes=encoder.byte_length(text)
        )

    def _ids(
        self, encoder: Encoder, prefix: str, middle: str, suffix: str, form: Literal["psm", "spm"]
    ) -> np.ndarray:
        before, inside, behind = map(encoder.continuation, (prefix, middle, suffix))
        start = [] if encoder.start is None else [encoder.start]
        order = (
            (start, [self.prefix], before, [self.suffix], behind, [self.middle], inside)
            if form == "psm"
            else (start, [self.prefix, self.suffix], behind, [self.middle], before, inside)
        )
        return np.concatenate([*map(np.asarray, order), [encoder.end]]).astype(np.int32)


def infilling_of(
    tokenizer: Any, rate: float, seed: int, named: Sequence[str] | None
) -> Infilling | None:
    """How documents are infilled with this tokenizer; None where `rate` is 0.

    `named` are the tokens for prefix, suffix and middle; None takes those of a known family.

    Raises Unsupported if the tokenizer has no such tokens.
    """
    if not rate:
        return None
    vocabulary = tokenizer.get_vocab()
    families = _KNOWN if named is None else (tuple(named),)
    ids = next(
        (
            [vocabulary[name] for name in names]
            for names in families
            if vocabulary.keys() >= {*names}
        ),
        None,
    )
    if ids is not None:
        return Infilling(rate, seed, *ids)
    if named is not None:
        missing = ", ".join(name for name in named if name not in vocabulary)
        raise Unsupported(
            f"data.infill_tokens names {missing}, which the base's tokenizer does not have. Name "
            "three tokens of it, for what stands before, behind and in the gap."
        )
    raise Unsupported(
        "data.fill_in_the_middle marks the gap by three tokens, and the base's tokenizer has none "
        "that are known (such as <|fim_prefix|>, <|fim_suffix|>, <|fim_middle|>). Name three of "
        "its tokens that texts never have under data.infill_tokens, or take a base for code."
    )
