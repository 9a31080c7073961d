"""The table of metrics: what each is called in a recipe, what it says, and if it can fail a run.

docs/metrics.md is made from it by `python -m tools.metric_table`.
"""

from __future__ import annotations

from collections.abc import Mapping

from tunesmith.evaluate.metrics import calls, code, labels, numbers, overlap, structured, texts
from tunesmith.evaluate.metrics.metric import Metric, OfCode

OVERLAP_MARGIN = {"points": 5.0, "share": 0.05}
"""Wording may be lost to a good paraphrase, so overlap has to fall surely by more than this before
a run fails for it: more than changes in decoding or in length usually make."""

_ALL = (
    Metric(
        "exact_match",
        "exact match",
        "The share of answers that are the reference character by character, after Unicode NFC and "
        "without white space at either end.",
        texts.exact,
    ),
    Metric(
        "label_accuracy",
        "label accuracy",
        "The share of answers that name the reference's class and nothing else: both texts in NFC, "
        "without case, and without white space, quotes and punctuation at either end.",
        labels.accuracy,
    ),
    Metric(
        "macro_f1",
        "macro-F1",
        "For each class among the references the F1 of naming it, 2 hits / (times wanted + times "
        "named), and their plain mean; texts as for label accuracy, answers that name no class "
        "count as wrong. 0 to 1.",
        labels.MACRO_F1,
    ),
    Metric(
        "json_valid",
        "valid JSON",
        "The share of answers that are one JSON object or array and nothing else; one Markdown "
        "code fence around it is allowed. Over the rows whose reference is such.",
        structured.valid,
    ),
    Metric(
        "json_fields",
        "JSON field F1",
        "The mean over rows of the F1 of the answer's fields against the reference's, 2 equal / "
        "(fields wanted + fields given). A field is a path and its value, without places in "
        "arrays; 1 equals 1.0, texts are in NFC without white space at either end. An answer that "
        "is no JSON has 0. 0 to 1.",
        structured.field_f1,
    ),
    Metric(
        "tool_names",
        "right tools",
        "The share of answers that call the functions of the reference, each as often, in any "
        "order; where the reference calls none, that call none. Over the rows that offer tools.",
        calls.names_match,
    ),
    Metric(
        "tool_calls",
        "right tool calls",
        "The share of answers whose calls are the reference's in name and arguments, in any order; "
        "arguments are compared as JSON values, as for field F1, with the order of keys left out "
        "and that of arrays kept. Over the rows that offer tools.",
        calls.calls_match,
    ),
    Metric(
        "number_match",
        "number match",
        "The share of answers whose last number equals the reference's last number. Thousands "
        "separators, signs of currency and what stands behind the number are left out; 3 equals "
        "3.0, a comma before one or two digits is a decimal comma, and a minus behind a letter, a "
        "digit or a bracket is no sign. Percent are not converted.",
        numbers.number_match,
    ),
    Metric(
        "code_passes",
        "code passes its tests",
        "pass@1 of the greedy answer: the share of answers whose Python code, executed in a "
        "sandbox and followed by the `tests` of the row, raises nothing. The code is the first "
        "Markdown fence that is Python, else the first fence, else the whole answer; only the "
        "standard library is there. Over the rows that have `tests`. Only with evaluate.run_code.",
        OfCode(code.outcome),
    ),
    Metric(
        "chrf",
        "chrF",
        "chrF2 over all rows together (sacrebleu: character n-grams up to 6 without white space, "
        "case kept, beta 2). 0 to 100.",
        overlap.CHRF,
        OVERLAP_MARGIN["points"],
    ),
    Metric(
        "bleu",
        "BLEU",
        "Corpus BLEU over all rows together (sacrebleu: 13a tokens, case kept, n-grams up to 4, "
        "exponential smoothing). 0 to 100.",
        overlap.BLEU,
        OVERLAP_MARGIN["points"],
    ),
    Metric(
        "rouge_l",
        "ROUGE-L",
        "The mean over rows of the F1 of the longest common subsequence of words; words are runs "
        "of letters and digits, without case or stemming. 0 to 1.",
        overlap.rouge_l,
        OVERLAP_MARGIN["share"],
    ),
    Metric(
        "length_ratio",
        "length ratio",
        "The mean over rows of characters of the answer for each character of the reference, in "
        "NFC without white space at either end. 1 is as long; neither more nor less is better.",
        texts.length_ratio,
        None,
    ),
)

METRICS: Mapping[str, Metric] = {metric.key: metric for metric in _ALL}
