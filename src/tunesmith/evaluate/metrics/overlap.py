"""Metrics of how much of the reference's wording an answer has.

BLEU and chrF are sacrebleu's, written as functions of its sums so that thousands of resamples are
computed at once; tests compare them with its own. ROUGE-L is written here, because the package
rouge-score brings a toolkit of languages along and sees ASCII letters only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from tunesmith.core.records import Prompt
from tunesmith.evaluate.bootstrap import Floats
from tunesmith.evaluate.metrics.metric import OfCorpus

BLEU_ORDER = 4
CHRF_ORDER = 6
CHRF_BETA = 2

WORD = re.compile(r"[^\W_]+")


def rouge_l(prompt: Prompt, answer: str) -> float | None:
    """The F1 of the longest common subsequence of words (Lin 2004, equation 4, beta 1)."""
    wanted = WORD.findall(prompt.answer.casefold())
    given = WORD.findall(answer.casefold())
    if not wanted:
        return None
    return 2 * longest_common(wanted, given) / (len(wanted) + len(given))


def longest_common(first: Sequence[str], second: Sequence[str]) -> int:
    """The length of the longest common subsequence, a row of the table in one number.

    Crochemore et al. 2001, A fast and practical bit-vector algorithm for the longest common
    subsequence problem: a zero in `row` is a step up in the row of lengths.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << place
    whole = row = (1 << len(first)) - 1
    for word in second:
        common = row & places.get(word, 0)
        row = (row + common) | (row - common)
    return len(first) - (row & whole).bit_count()


def _bleu_columns(references: Sequence[str], answers: Sequence[str]) -> Floats:
    """Of each row: length given and wanted, n-grams in common, n-grams given: (R, 2 + 2 orders)."""
    from sacrebleu.metrics.helpers import extract_word_ngrams

    tokens = _tokenizer()
    rows = []
    for reference, answer in zip(references, answers, strict=True):
        wanted, given = tokens(reference.rstrip()).split(), tokens(answer.rstrip()).split()
        common, total = [], []
        for order in range(1, BLEU_ORDER + 1):
            ours = extract_word_ngrams(given, order)
            common.append((ours & extract_word_ngrams(wanted, order)).total())
            total.append(ours.total())
        rows.append([len(given), len(wanted), *common, *total])
    return np.array(rows, dtype=np.float64)


def _bleu(sums: Floats) -> Floats:
    """Papineni et al. 2002, times 100; precisions of 0 as 1/2, 1/4… of one n-gram."""
    given, wanted = sums[..., 0], sums[..., 1]
    common, total = sums[..., 2 : 2 + BLEU_ORDER], sums[..., 2 + BLEU_ORDER :]
    halvings = np.cumsum(common == 0, axis=-1)
    smoothed = np.where(common == 0, 0.5**halvings, common) / np.maximum(total, 1)
    brevity = np.exp(np.minimum(0.0, 1 - wanted / np.maximum(given, 1)))
    score = 100 * brevity * np.exp(np.log(smoothed).mean(axis=-1))
    # Answers without a word in common, or all shorter than four words, have no score.
    return np.where((common.sum(axis=-1) > 0) & (total[..., -1] > 0), score, 0.0)


def _chrf_columns(references: Sequence[str], answers: Sequence[str]) -> Floats:
    """Of each row and order of character n-grams: given, wanted, in common: (R, 3 orders)."""
    from sacrebleu.metrics.helpers import extract_all_char_ngrams

    rows = []
    for reference, answer in zip(references, answers, strict=True):
        wanted = extract_all_char_ngrams(reference, CHRF_ORDER)
        given = extract_all_char_ngrams(answer, CHRF_ORDER)
        counts = [_counts(ours, theirs) for ours, theirs in zip(given, wanted, strict=True)]
        rows.append(np.concatenate(counts))
    return np.array(rows, dtype=np.float64)


def _counts(given: Counter[str], wanted: Counter[str]) -> list[int]:
    # As sacrebleu: n-grams longer than the reference count against nobody.
    return [given.total() if wanted else 0, wanted.total(), (given & wanted).total()]


def _chrf(sums: Floats) -> Floats:
    """Popović 2015, equation 1, times 100, over the orders that both sides have."""
    given, wanted, common = sums[..., 0::3], sums[..., 1::3], sums[..., 2::3]
    both = (given > 0) & (wanted > 0)
    orders = np.maximum(both.sum(axis=-1), 1)
    precision = (common / np.maximum(given, 1) * both).sum(axis=-1) / orders
    recall = (common / np.maximum(wanted, 1) * both).sum(axis=-1) / orders
    weighed = CHRF_BETA**2 * precision + recall
    score = 100 * (1 + CHRF_BETA**2) * precision * recall
    return np.divide(score, weighed, out=np.zeros_like(weighed), where=weighed > 0)


@lru_cache(maxsize=1)
def _tokenizer() -> Callable[[str], str]:
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    tokenizer: Callable[[str], str] = Tokenizer13a()
    return tokenizer


BLEU = OfCorpus(_bleu_columns, _bleu)
CHRF = OfCorpus(_chrf_columns, _chrf)
