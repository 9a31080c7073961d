"""Write docs/metrics.md: what each metric of answers says, from the table that computes them.

Usage: python -m tools.metric_table [--out FILE]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tunesmith.core.sandbox import KINDS, PROTECTS, Limits
from tunesmith.evaluate.judge_ask import MOST_UNREAD
from tunesmith.evaluate.judge_opinion import DEFINITION, NAME
from tunesmith.evaluate.metrics import METRICS, Metric
from tunesmith.evaluate.metrics.choose import LABEL_CHARACTERS, LABELS, ROWS_PER_LABEL
from tunesmith.evaluate.metrics.metric import OfCorpus
from tunesmith.evaluate.wording import percent

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"

_HEAD = """\
# Metrics of answers

What is measured of the answers that base and tuned model give to the same held-out questions,
beside the loss. Made by `python -m tools.metric_table`; a test keeps it true. Answers are greedy
(temperature 0). `verdict.json` has the definition beside each number, with base, tuned, change and
the 95 % interval of the change.

`evaluate.metrics: auto` chooses by the held-out references, and the verdict says why:

| references | metrics |
|---|---|
| any of them calls a tool, and the template's calls can be read | `tool_names`, `tool_calls` |
| each is a JSON object or array | `json_valid`, `json_fields` |
| 2 to {labels} different ones of at most {characters} characters, {rows} rows each on average | \
`label_accuracy`, `macro_f1` |
| each ends in a number | `number_match`, `length_ratio` |
| else | `chrf`, `bleu`, `rouge_l`, `length_ratio` |

Exact match is always told. `code_passes` is never chosen by itself, for it executes what the models
write, see below. `evaluate.metrics: [json_valid, rouge_l]` names others,
`evaluate.patterns: {{polite: '(?i)please'}}` looks for regular expressions, and `evaluate.check` is
a Python file of your own.

"Fails a run" says how far the whole interval of the change must lie below zero for *Did it learn?*
to fail. Patterns and true-or-false properties of a check fail it below 0; their numbers never do,
for it is not known whether more is better. `label_accuracy` and `number_match` also fail it where
the answers are not surely right more often than they would be for other questions
(`evaluate/chance.py`): how answers look is not yet the task.

| `evaluate.metrics` | printed as | what it says | interval | fails a run |
|---|---|---|---|---|
"""

_CODE = """
## Code that runs

`evaluate.metrics: [code_passes]` with `evaluate.run_code: true` runs the code of each answer, and
then the row's field `tests` (a text of Python statements, or a list of them, such as
`"assert add(1, 2) == 3"`) in the same names; `data.mapping: {{test_list: tests}}` reads the field
under another name. The program is run by `python -I -S` in a process of its own, with an empty
environment and folder, nothing on standard input, and at most {seconds:g} s, {memory} MiB of
memory, {disk} MiB of disk, {output} KiB of output, {processes} processes and {files} open files;
then its whole process group is killed. How each ended is counted:

| outcome | meaning |
|---|---|
{kinds}
What else it can reach depends on the level:

- **`run_code: true`**: {isolated}. The walls are bubblewrap's, or
  Linux namespaces made by tunesmith; they are tried before the run begins, and without them it is
  refused.
- **`run_code: limits_only`**: {limits_only}.

At both levels the tests share a process with the program, so one that looks for them can forge the
outcome. Rows that need packages beside the standard library cannot be judged so.
"""

_TAIL = """
## A judge model

`judge.url` and `judge.model` name a model behind an OpenAI-compatible endpoint (`pip install
'tunesmith[judge]'`). Nothing is sent without them, and before the first request a run says how many
there are, about how many tokens, and which host they go to. `tunesmith judge RUN` asks it about a
finished run. Replies are kept in `judge.jsonl`, so nothing is asked twice; a judge that fails makes
the verdict say "not judged" and costs nothing else.

**{judge_name}**: {judge_definition} The tuned model is held against the best of the baselines of
*Was it worth it?*, too. Only a JSON object `{{"better": "A"}}` (or `"B"`, `"tie"`) or the bare word
is read; from more than {unread} of other replies on, nothing is judged.

Told beside it, because judges have known faults (Zheng et al. 2023, Dubois et al. 2024):

- **verdict changed with the places**, and **answer read first preferred**: from half of the pairs
  on, the judge is position-biased.
- **longer answer won**, and the win rate **at equal length**, from a logistic regression on the
  difference of the lengths. A longer answer may also be the better one; the numbers only describe.
- **agrees with people**: with `judge.labels`, a file of pairs that people have compared:

  ```json
  {{"prompt": "How do I return it?", "a": "Use the form.", "b": "No idea.", "preferred": "a"}}
  ```

  `preferred` is `a`, `b` or `tie`; `reference`, the answer wanted, may be added. The share is over
  the pairs of which people preferred one, the judge's ties half, so that chance is 50 %; Cohen's
  kappa is over all pairs and three verdicts.

What it may do: a judge never passes a run, and never fails one by itself. Its opinion stands in the
verdict's sentence if its agreement with people is surely better than chance (the whole interval
above 50 %, on 8 pairs or more) and it is not position-biased. With `judge.decides` it then fails
*Did it learn?* where the whole interval of its preference is for the base.

## Intervals

Rows are resampled, not tokens, and base and tuned together. How often each interval covers a known
truth is measured by `python -m benchmarks.coverage`, see
[benchmarks/COVERAGE.md](../benchmarks/COVERAGE.md).

- **rate**: Bonett & Price 2012, adjusted Wald interval of a difference of paired proportions. The
  shares of a judge have it, too, as the difference of won and lost.
- **mean**: studentised bootstrap with the jackknife's standard error, whose tails are never nearer
  than Student's t. Held-out loss has the same.
- **corpus**: the number is computed again from the sums of each of 2,000 resamples; expanded
  percentiles (Hesterberg 2015).
"""

MEANS = ("json_fields", "rouge_l", "length_ratio")
"""Metrics whose value of an answer is a number; that of the others is true or false."""


def page() -> str:
    """The whole of docs/metrics.md."""
    head = _HEAD.format(labels=LABELS, characters=LABEL_CHARACTERS, rows=ROWS_PER_LABEL)
    tail = _TAIL.format(judge_name=NAME, judge_definition=DEFINITION, unread=percent(MOST_UNREAD))
    return head + "".join(map(_line, METRICS.values())) + _code() + tail


def _code() -> str:
    limits = Limits()
    return _CODE.format(
        seconds=limits.seconds,
        memory=limits.memory >> 20,
        disk=limits.disk >> 20,
        output=limits.output >> 10,
        processes=limits.processes,
        files=limits.files,
        kinds="".join(f"| `{kind}` | {said} |\n" for kind, said in KINDS.items()),
        **PROTECTS,
    )


def _line(metric: Metric) -> str:
    interval = "mean" if metric.key in MEANS else "rate"
    if isinstance(metric.of, OfCorpus):
        interval = "corpus"
    fails = "never" if metric.margin is None else f"below {-metric.margin or 0:g}"
    cells = (f"`{metric.key}`", metric.name, metric.definition, interval, fails)
    return f"| {' | '.join(cells)} |\n"


def main() -> None:
    """Parse the arguments and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--out", type=Path, default=PAGE, help="file to write")
    args = parser.parse_args()
    args.out.write_text(page(), encoding="utf-8")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
