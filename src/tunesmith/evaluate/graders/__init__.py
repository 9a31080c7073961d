"""What an answer is worth while a model learns from it: graders, by the table of their types.

    opening     from a written grader to one that grades; `validate` and `run`
    names       what templates see: `item`, the row, and `sample`, the answer
    verifiers   rules: exact, numeric, regex, ends_with, length, metric
    schema      JSON of a given form
    strings     string_check
    similarity  text_similarity
    programs    code behind walls: tests of an answer, graders written in Python
    function    the user's own function, in a process of its own
    judged      a model somewhere else: score_model, label_model, judge
    sums        weights and formulas

An answer that could not be graded has a Grade without a value and a sentence that says why.
"""

from tunesmith.evaluate.graders.judged import Account
from tunesmith.evaluate.graders.opening import Tools, open_grader, open_graders, run, validate

__all__ = ["Account", "Tools", "open_grader", "open_graders", "run", "validate"]
