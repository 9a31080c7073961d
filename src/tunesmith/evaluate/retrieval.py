"""A search index over the training rows: what answers without training can be looked up in.

BM25 as in Lucene (Robertson and Zaragoza, "The probabilistic relevance framework: BM25 and beyond",
2009; Kamphuis et al., "Which BM25 do you mean?", 2020), by the library bm25s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import bm25s
import numpy as np

_WORDS = re.compile(r"\w+")


class Index:
    """Finds the texts that share the most telling words with a question.

    Args:
        texts: what is searched, at least one.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._count = len(texts)
        self._bm25 = bm25s.BM25(method="lucene")
        # Without a word there is nothing to index; a text of none is found by nothing.
        corpus = [words_of(text) or [""] for text in texts]
        self._bm25.index(corpus, show_progress=False)

    def nearest(self, question: str, count: int) -> list[int]:
        """The numbers of at most `count` texts that share a word with the question, best first.

        Of equal ones the earlier comes first.
        """
        words = [word for word in words_of(question) if word in self._bm25.vocab_dict]
        if not words:
            return []
        scores_N = np.asarray(self._bm25.get_scores(words))
        order = np.argsort(-scores_N, kind="stable")[:count]
        return [int(number) for number in order if scores_N[number] > 0]


def words_of(text: str) -> list[str]:
    """The words of a text, in small letters."""
    return _WORDS.findall(text.casefold())
