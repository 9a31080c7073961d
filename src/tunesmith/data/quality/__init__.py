"""What would quietly ruin a run, found in the rows themselves before anything is trained.

view                                            a row as the checks see it
answers, damage, personal, languages            one row at a time
shingles → minhash → near → columns → sets      all rows at once: duplicates, leaks, outliers
benchmarks                                      rows that quote a test
table                                           every check with its grade, and what can be done
looks                                           what is kept of each row, made by any process
survey → report                                 rows in, what was found out
repair                                          a row made clean
"""

from __future__ import annotations

from tunesmith.data.quality.columns import BENCHMARK, TRAIN, VALIDATION
from tunesmith.data.quality.repair import repaired
from tunesmith.data.quality.report import Found, Place, Report
from tunesmith.data.quality.survey import LookAt, Survey, seen
from tunesmith.data.quality.table import CHECKS, GRADES, Check, Grade

__all__ = [
    "BENCHMARK",
    "CHECKS",
    "GRADES",
    "TRAIN",
    "VALIDATION",
    "Check",
    "Found",
    "Grade",
    "LookAt",
    "Place",
    "Report",
    "Survey",
    "repaired",
    "seen",
]
