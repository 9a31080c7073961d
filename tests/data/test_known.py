"""What is known of rows is found by the rows, and nothing is where one of them is not."""

from __future__ import annotations

import numpy as np

from tunesmith.core.records import Origin, Tokens
from tunesmith.data.known import Known


def _row(line: int, words: int) -> Tokens:
    ids_N, weights_N = np.arange(4, dtype=np.int32), np.zeros(4, dtype=np.float32)
    weights_N[:words] = 1
    return Tokens(Origin("rows", line), ids_N, weights_N, 4)


def test_features_are_found_in_any_order() -> None:
    one, two, other = _row(1, 1), _row(2, 3), _row(3, 2)
    texts, words = Known(words=False), Known(words=True)
    texts.put([one, two], np.array([[1.0], [2.0]]))
    words.put([one, two], np.array([[1.0], [2.0], [3.0], [4.0]]))
    found = texts.of([two, one]), words.of([two, one])
    assert [each.ravel().tolist() for each in found if each is not None] == [[2, 1], [2, 3, 4, 1]]
    assert texts.of([one, other]) is None
