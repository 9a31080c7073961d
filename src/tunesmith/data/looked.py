"""What the checks of whole data sets say of the rows in a store."""

from __future__ import annotations

import numpy as np

from tunesmith.data.quality import TRAIN, VALIDATION, Report
from tunesmith.data.quality.columns import Columns, sides_of
from tunesmith.data.quality.report import Marked, findings, in_order
from tunesmith.data.store import Store


def report_of(store: Store, training: int) -> Report:
    """The report of `tunesmith data check`, from what was kept when the rows were tokenised.

    Rows that could not be understood are not in it: they have their own reasons.

    Args:
        store: made with this number of training files.
        training: the files from this number on validate.
    """
    file_side_R = np.where(store.rows["file"] < training, TRAIN, VALIDATION)
    side_R = sides_of(store.looks, file_side_R)
    labels = store.summary.labels
    columns = Columns.made_of(store.paths, store.rows, side_R, store.looks, store.near, labels)
    rows = tuple(int(np.count_nonzero(file_side_R == side)) for side in (TRAIN, VALIDATION))
    unseen = len(store.looks) - int(np.count_nonzero(store.looks["seen"]))
    return Report((*rows, 0), unseen, in_order(findings(columns, _marked(store))))


def _marked(store: Store) -> dict[str, Marked]:
    summary, marks = store.summary, store.marks
    return {
        check: Marked(marks["row"][marks["check"] == code], summary.says[check])
        for code, check in enumerate(summary.checks)
    }
