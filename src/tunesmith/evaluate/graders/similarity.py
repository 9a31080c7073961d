"""How like a reference a text is: the metrics of `text_similarity`, each from 0 to 1.

None of them asks a model; the cosine, too, is of spelling. docs/rewards.md says what each is.
"""

from __future__ import annotations

import importlib.util
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

from tunesmith.core.errors import Unsupported
from tunesmith.core.records import Answered
from tunesmith.evaluate.graders.names import filled
from tunesmith.evaluate.graders.verifiers import OfAnswered
from tunesmith.evaluate.metrics.overlap import WORD, longest_common
from tunesmith.evaluate.metrics.texts import normal
from tunesmith.recipe.graders.shapes import GraderJson

GLEU_ORDER = 4
PIECE = 3


def text_similarity(grader: GraderJson) -> OfAnswered:
    """The likeness of `input` to `reference`. Raises Unsupported where its library is missing."""
    alike = _metric(grader["evaluation_metric"])
    return lambda answered: alike(*_both(grader, answered))


def _both(grader: GraderJson, answered: Answered) -> tuple[str, str]:
    return filled(grader["input"], answered), filled(grader["reference"], answered)


def _metric(name: str) -> Callable[[str, str], float]:
    if name.startswith("rouge_"):
        order = name.removeprefix("rouge_")
        return rouge_l if order == "l" else partial(rouge_n, order=int(order))
    library = {"fuzzy_match": "rapidfuzz", "meteor": "nltk"}.get(name)
    if library and importlib.util.find_spec(library) is None:
        raise Unsupported(
            f"The similarity {name} is computed by the package {library}, which is not installed. "
            "Install it with: pip install 'tunesmith[rewards]'."
        )
    plain = {"cosine": cosine, "fuzzy_match": fuzzy, "bleu": bleu, "gleu": gleu, "meteor": meteor}
    return plain[name]


def cosine(text: str, reference: str) -> float:
    """Of the counts of pieces of PIECE characters; what is shorter is one piece."""
    ours, theirs = (_pieces(normal(each).casefold()) for each in (text, reference))
    norm = math.sqrt(_dot(ours, ours) * _dot(theirs, theirs))
    return _dot(ours, theirs) / norm if norm else float(ours == theirs)


def fuzzy(text: str, reference: str) -> float:
    """rapidfuzz's `fuzz.ratio`: the normalised indel similarity of both, in NFC."""
    from rapidfuzz import fuzz

    return fuzz.ratio(normal(text), normal(reference)) / 100


def bleu(text: str, reference: str) -> float:
    """Sentence BLEU (Papineni et al. 2002), smoothed as sacrebleu does."""
    return _sentence_bleu().sentence_score(text, [reference]).score / 100


def gleu(text: str, reference: str) -> float:
    """Google's GLEU (Wu et al. 2016, section 6): min(precision, recall) of all n-grams to 4."""
    ours, theirs = _words(text), _words(reference)
    orders = range(1, GLEU_ORDER + 1)
    given = Counter(gram for n in orders for gram in _grams(ours, n))
    wanted = Counter(gram for n in orders for gram in _grams(theirs, n))
    most = max(given.total(), wanted.total())
    return (given & wanted).total() / most if most else float(text == reference)


def meteor(text: str, reference: str) -> float:
    """Banerjee and Lavie 2005, with the exact and the stem module."""
    from nltk.translate.meteor_score import single_meteor_score

    ours, theirs = _words(text), _words(reference)
    if not ours or not theirs:
        return float(ours == theirs)
    return float(single_meteor_score(theirs, ours, wordnet=_NoSynonyms()))


def rouge_n(text: str, reference: str, order: int) -> float:
    """The F1 of n-grams of words (Lin 2004, section 2); texts without any are alike if equal."""
    ours, theirs = Counter(_grams(_words(text), order)), Counter(_grams(_words(reference), order))
    total = ours.total() + theirs.total()
    return (
        2 * (ours & theirs).total() / total if total else float(_words(text) == _words(reference))
    )


def rouge_l(text: str, reference: str) -> float:
    """The F1 of the longest common subsequence of words (Lin 2004, equation 4, beta 1)."""
    ours, theirs = _words(text), _words(reference)
    total = len(ours) + len(theirs)
    return 2 * longest_common(theirs, ours) / total if total else 1.0


class _NoSynonyms:
    """WordNet without an entry: its data would have to be fetched."""

    def synsets(self, word: str) -> list[Any]:
        return []


@lru_cache(maxsize=1)
def _sentence_bleu() -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(effective_order=True)


def _words(text: str) -> list[str]:
    return WORD.findall(text.casefold())


def _grams(words: Sequence[str], order: int) -> list[tuple[str, ...]]:
    return [tuple(words[at : at + order]) for at in range(len(words) - order + 1)]


def _pieces(text: str) -> Counter[str]:
    plain = re.sub(r"\s+", " ", text)
    return Counter(plain[at : at + PIECE] for at in range(max(1, len(plain) - PIECE + 1)) if plain)


def _dot(ours: Counter[str], theirs: Counter[str]) -> int:
    return sum(count * theirs[piece] for piece, count in ours.items())
