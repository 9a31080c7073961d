"""Checks of tags: by which scheme they mark spans, and what is odd about them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from tunesmith.core.errors import DataError
from tunesmith.core.records import Origin, Tokens
from tunesmith.core.spans import OUTSIDE, is_tag, parts, strays

BIO = "BIO"
_READS_AS = {
    "BIOES": "E- ends a span, and S- is one of a single word",
    "BILOU": "L- ends a span, and U- is one of a single word",
    "IOB1": "B- stands only between two neighbours of one type",
    "IO": "there is no B-, so two neighbours of one type cannot be told apart",
}


@dataclass(slots=True)
class _Seen:
    """What the tags of all rows amount to.

    `strays` counts the I-, E- and L- that continue nothing, `first` is where the first one stands;
    `needless` counts the B- that no neighbour of the same type stands before.
    """

    tags: Counter[str] = field(default_factory=Counter)
    strays: int = 0
    rows: int = 0
    first: tuple[Origin, int, str, str] | None = None
    needless: int = 0

    def add(self, row: Tokens) -> None:
        """One row more."""
        self.tags.update(row.labels)
        before = (OUTSIDE, *row.labels)
        places = strays(row.labels)
        self.strays += len(places)
        self.rows += bool(places)
        if places and self.first is None:
            place = places[0]
            self.first = (row.origin, place + 1, row.labels[place], before[place])
        self.needless += sum(
            tag.startswith("B-") and parts(last)[1] != parts(tag)[1]
            for last, tag in zip(before, row.labels, strict=False)
        )


def check_tags(rows: Iterable[Tokens]) -> list[str]:
    """What there is to say about the tags of these rows, a sentence each.

    Raises:
        DataError: a tag is neither O nor a type behind B-, I- or another letter of a scheme, or no
            word is tagged at all.
    """
    seen = _Seen()
    for row in rows:
        _require_tags(row)
        seen.add(row)
    if not set(seen.tags) - {OUTSIDE}:
        raise DataError(
            f"All {seen.tags[OUTSIDE]:,} words of the training rows are tagged O, so there is no "
            "span to learn. Tag the first word of a span with B- and its type, the others with I-."
        )
    scheme = scheme_of(seen.tags, seen.strays, seen.needless)
    said = []
    if scheme != BIO:
        said.append(
            f"The tags are {scheme}, not BIO: {_READS_AS[scheme]}. They are learned as they stand, "
            "and spans are read from them so."
        )
    if seen.first is not None and scheme in (BIO, "BIOES", "BILOU"):
        said.append(_stray(seen, *seen.first))
    return said + list(_in_case_only(seen.tags))


def scheme_of(tags: Iterable[str], strays: int, needless: int) -> str:
    """BIO, BIOES, BILOU, IOB1 or IO.

    `strays` is how many I- continue nothing, `needless` how many B- no I- would do for.
    """
    letters = {parts(tag)[0] for tag in tags}
    if letters & {"E", "S"}:
        return "BIOES"
    if letters & {"L", "U"}:
        return "BILOU"
    if "B" not in letters:
        return "IO"
    return "IOB1" if strays and not needless else BIO


def _require_tags(row: Tokens) -> None:
    """Raises DataError for a tag of no scheme, with what it seems to be."""
    for place, tag in enumerate(row.labels, 1):
        if is_tag(tag):
            continue
        raise DataError(
            f"{row.origin}: the tag {tag!r} of word {place} is neither O nor a type behind B- or "
            f"I-. {_advice(tag)}"
        )


def _advice(tag: str) -> str:
    letter, mark, kind = tag[:1], tag[1:2], tag[2:]
    if is_tag(tag.upper()) or (mark in "_:." and kind and is_tag(f"{letter}-{kind}".upper())):
        meant = OUTSIDE if not kind else f"{letter.upper()}-{kind}"
        return f"Write it {meant!r}."
    if tag[-2:-1] in ("-", "_") and is_tag(f"{tag[-1]}-{tag[:-2]}".upper()):
        return f"Its letter stands behind the type. Write it {f'{tag[-1].upper()}-{tag[:-2]}'!r}."
    return (
        "It seems to be the class of the word by itself. Where every word has one, as parts of "
        f"speech do, write {f'B-{tag}'!r}: each word then is a span of its own. Where a word "
        "continues the span of the one before, write I- instead."
    )


def _stray(seen: _Seen, origin: Origin, word: int, tag: str, before: str) -> str:
    words = "1 word is" if seen.strays == 1 else f"{seen.strays:,} words in {seen.rows:,} rows are"
    return (
        f"{words} tagged as going on with a span that does not stand before them: at {origin} word "
        f"{word} is {tag!r} behind {before!r}. A span is taken to begin there, as the evaluation "
        "of CoNLL does. Write B- where one begins."
    )


def _in_case_only(tags: Counter[str]) -> Iterable[str]:
    """A sentence for each set of types that differ in upper and lower case alone."""
    words: Counter[str] = Counter()
    for tag, count in tags.items():
        words[parts(tag)[1]] += count
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for kind in sorted(words):
        alike[kind.casefold()].append(kind)
    for names in alike.values():
        if len(names) > 1:
            listed = " and ".join(f"{name!r} ({words[name]:,} words)" for name in names)
            yield (
                f"The types {listed} differ in upper and lower case alone, and are learned as "
                "different ones. Write them alike if they are one."
            )
