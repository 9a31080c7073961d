"""Whether one row is an edited copy of another: how many words it takes to make one of the other.

A word replaced, added or taken out is one edit, and so are two neighbours that change places
(Damerau, 1964). The distance is found a column of the table at a time, in the bits of whole numbers
(Myers, "A fast bit-vector algorithm for approximate string matching", 1999; with neighbours that
change places: Hyyrö, "A bit-vector algorithm for computing Levenshtein and Damerau edit distances",
2003), so a pair of long texts costs little more than one of short ones.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence

from tunesmith.data.quality.view import PART

ONE_IN = 7
"""One word of so many may be another. An editor who changes one of ten, and adds one, stays below;
in the questions of banking77, texts of 14 words and more that were not copied differ by more."""
_LONG = 2 * ONE_IN
_SLIPS, _SPELLED = 2, 16
_NUMBER = re.compile(rb"\d")
_PART = PART.encode()


def alike(one: bytes, other: bytes) -> bool:
    """Whether two compared texts are copies, but for edits that leave what they say.

    Every part (what is asked, what is answered) must be a copy of the other's: at most one word of
    `ONE_IN` differs. In what comes first, one word may differ where there are three or more, for
    questions are short, and two where all that follows is the same and long. An answer of few words
    that differs in one is another answer. So is, where one word may differ, a part with another
    number.
    """
    left, right = ([part.split() for part in text.split(_PART)] for text in (one, other))
    if len(left) != len(right):  # such as a benchmark's row, of which no parts are known
        left, right = ([text.replace(_PART, b" ").split()] for text in (one, other))
    followed = left[1:] == right[1:] and sum(map(len, left[1:])) >= _LONG
    asked = allowance(min(len(left[0]), len(right[0])), least=2 if followed else 1)
    return _within(left[0], right[0], asked) and all(
        _within(*pair, allowance(min(map(len, pair))))
        for pair in zip(left[1:], right[1:], strict=True)
    )


def allowance(words: int, *, least: int = 0) -> int:
    """How many edits leave a part of so many words alike: `least`, if that leaves two words."""
    return max(min(least, words - 2), words // ONE_IN, 0)


def distance(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """The fewest edits that make one sequence of the other, none of them within another."""
    if not one:
        return len(other)
    places: dict[Hashable, int] = {}
    for at, each in enumerate(one):
        places[each] = places.get(each, 0) | 1 << at
    full, last = (1 << len(one)) - 1, 1 << (len(one) - 1)
    # Bit i of `more` (`less`): the i-th cell of the column is one above (below) the cell before it;
    # of `diagonal`: it is what stood before the cell before it.
    more, less, edits = full, 0, len(one)
    diagonal = before = 0
    for each in other:
        same = places.get(each, 0)
        swapped = (~diagonal & same) << 1 & before
        diagonal = (((same & more) + more) ^ more) | same | less | swapped
        up = less | full & ~(diagonal | more)
        down = diagonal & more
        edits += bool(up & last) - bool(down & last)
        up, down = up << 1 | 1, down << 1
        more = (down | ~(diagonal | up)) & full
        less = up & diagonal & full
        before = same
    return edits


def _within(one: Sequence[bytes], other: Sequence[bytes], most: int) -> bool:
    """Whether a part is a copy of the other's, in which at most `most` words differ."""
    if not most or one == other:
        return one == other
    left, right = Counter(one), Counter(other)
    lacking, added = left - right, right - left
    if most == 1 and _NUMBER.search(b" ".join([*lacking, *added])):
        return False
    # Most pairs are told apart by the counts of their words.
    if max(lacking.total(), added.total()) <= most and distance(one, other) <= most:
        return True
    return most < _SLIPS and _misspelt(b"".join(one), b"".join(other))


def _misspelt(one: bytes, other: bytes) -> bool:
    """Whether slips of the pen are all that differs, spaces among them: "to pup" is "top up"."""
    if abs(len(one) - len(other)) > _SLIPS or min(len(one), len(other)) < _SPELLED:
        return False
    return distance(one, other) <= _SLIPS
