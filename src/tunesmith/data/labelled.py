"""Labelled examples to tokens: texts with classes, words with tags, texts beside others.

A text is tokenised as the base's tokenizer does it of its own accord, with the special tokens that
it puts around a text, so that plain transformers asks the trained model with the same ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib.metadata import version
from itertools import islice
from typing import Any

import numpy as np

from tunesmith.core.records import Example, Finding, Label, Pair, Tagged, Tokens, Triplet
from tunesmith.data.encode import Encoder
from tunesmith.data.kinds import Kind, wrong_kind
from tunesmith.data.refusals import Refused
from tunesmith.data.spelled import refuse_special_tokens

_CHUNK_ROWS = 1024
"""Rows tokenised at once."""


class LabelRenderer:
    """Renders labelled examples with one tokenizer, and no template.

    Args:
        tokenizer: a transformers fast tokenizer.
        last: a word is tagged at the last of its tokens and not at its first: what a decoder knows
            of a word it knows at its end.
        cut: of a text longer than the context its beginning is kept, with the special tokens that
            the tokenizer puts around any text.
    """

    completion_as = "labels"

    def __init__(self, tokenizer: Any, *, last: bool = False, cut: bool = False) -> None:
        self.encoder = Encoder(tokenizer)
        self._last = last
        self._cut = cut

    def identity(self) -> dict[str, Any]:
        """All that the tokens of an example follow from besides the example, as JSON."""
        tokenizer = self.encoder.tokenizer
        return {
            "tokenizer": sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest(),
            "labelled_at": "last" if self._last else "first",
            "cut": self._cut,
            "versions": [version("tokenizers"), version("transformers")],
        }

    def stop_ids(self) -> tuple[int, ...]:
        """None: nothing is written, so nothing has to end."""
        return ()

    def render(
        self, examples: Sequence[Example], kind: Kind, context: int
    ) -> Iterator[list[Tokens] | Finding]:
        """What each example becomes, in order: its tokens, or why it cannot be trained.

        A Label or a Tagged is one Tokens; a Pair two, part 0 and 1; a Triplet three. Unless texts
        are cut, Tokens may be longer than `context`, which `checks.too_long` finds.
        """
        waiting = iter(examples)
        while chunk := list(islice(waiting, _CHUNK_ROWS)):
            found = [_finding(each, kind, self.encoder) for each in chunk]
            good = [each for each, finding in zip(chunk, found, strict=True) if finding is None]
            rendered = self._render(good, context)
            for finding in found:
                yield finding or next(rendered)

    def ids(self, text: str, context: int | None = None) -> np.ndarray:
        """Token ids of one text as the model is asked with it (int32); `context` is where it is
        cut, if texts are."""
        return np.array(self._encodings([text], context)[0].ids, dtype=np.int32)

    def _render(
        self, examples: Sequence[Example], context: int
    ) -> Iterator[list[Tokens] | Finding]:
        texts = [texts_of(example) for example in examples]
        encodings = iter(self._encodings([text for each in texts for text in each], context))
        for example, of_example in zip(examples, texts, strict=True):
            pieces = [(part, text, next(encodings)) for part, text in enumerate(of_example)]
            try:
                yield [self._tokens(example, *piece) for piece in pieces]
            except Refused as refused:
                yield Finding(refused.reason, str(refused), "drop", example.origin)

    def _encodings(self, texts: Sequence[str], context: int | None) -> list[Any]:
        backend = self.encoder.tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        if self._cut and context is not None:
            backend.enable_truncation(context)
        try:
            return list(backend.encode_batch(list(texts), add_special_tokens=True))
        finally:
            backend.no_truncation()

    def _tokens(self, example: Example, part: int, text: str, encoding: Any) -> Tokens:
        ids_N = np.array(encoding.ids, dtype=np.int32)
        weights_N = np.zeros(len(ids_N), dtype=np.float32)
        labels: tuple[str, ...] = ()
        content = example.content
        if isinstance(content, Label):
            labels = content.labels
        elif isinstance(content, Tagged):
            labels = content.tags
            weights_N[_sites(content.tokens, encoding.offsets, self._last)] = 1
        elif isinstance(content, Pair) and content.score is not None and part == 0:
            labels = (repr(content.score),)
        return Tokens(example.origin, ids_N, weights_N, len(text.encode()), part, labels)


def texts_of(example: Example) -> tuple[str, ...]:
    """The texts of an example, each of which becomes a sequence."""
    content = example.content
    if isinstance(content, Label):
        return (content.text,)
    if isinstance(content, Tagged):
        return (" ".join(content.tokens),)
    if isinstance(content, Triplet):
        return content.anchor, content.positive, content.negative
    assert isinstance(content, Pair)
    return content.anchor, content.positive


def _finding(example: Example, kind: Kind, encoder: Encoder) -> Finding | None:
    """Why an example cannot be trained, None if it can."""
    if (complaint := wrong_kind(example.content, kind)) is not None:
        return Finding("wrong_kind", complaint, "drop", example.origin)
    try:
        refuse_special_tokens(example.content, encoder)
    except Refused as refused:
        return Finding(refused.reason, str(refused), "drop", example.origin)
    return None


def _sites(words: Sequence[str], offsets: Sequence[tuple[int, int]], last: bool) -> list[int]:
    """The token at which each word is tagged: the first (or last) that covers any of it.

    Raises:
        Refused: the tokenizer has no token for a word, or one for two words.
    """
    sites: list[int] = []
    start = 0
    for word in words:
        end = start + len(word)
        covering = [i for i, (a, b) in enumerate(offsets) if a < end and b > max(start, a)]
        site = (covering or [-1])[-1 if last else 0]
        if site == -1 or site in sites:
            raise Refused(
                "word_without_token",
                f"The base's tokenizer has no token of its own for the word {word!r}, so its tag "
                "could not be learned. Join it to the word beside it, or leave it out.",
            )
        sites.append(site)
        start = end + 1
    return sites
