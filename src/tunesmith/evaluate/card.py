"""The model card: what a tuned model is and the evidence for it, in Markdown.

Each number is read off the files of the run; what a run does not have is not said. The head is the
metadata block that model hubs read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.evaluate.exposed import planted
from tunesmith.evaluate.exposure import planted_clause, trial_clause
from tunesmith.evaluate.measure import Course, Measured
from tunesmith.evaluate.readings import remarks_of
from tunesmith.evaluate.tables import Table, tables_of
from tunesmith.evaluate.wording import course_sentence, number, plural
from tunesmith.recipe.kinds import LABELS
from tunesmith.recipe.methods import METHODS

Json = Mapping[str, Any]

_QUESTIONS = {
    "learned": "Did it learn?",
    "kept": "Did it keep what it knew?",
    "memorised": "Did it merely memorise?",
    "worth": "Was it worth it?",
    "parity": "Is it what you will serve?",
}
_PASSED = {True: "passes", False: "fails", None: "not judged"}
_FROM = "In plain libraries, from the folder of this card:"
_ENGINE = ("learning_rate", "batch_size", "optimizer", "schedule", "seed")


@dataclass(frozen=True, slots=True)
class Shown:
    """What the card says of one kind of model beside what it says of all.

    `tables` are those of each question of the verdict, `opening` the lines of Markdown on how plain
    libraries open it. `labels` are what it says, in the order of its outputs, `limits` sentences;
    `task` is what model hubs call what it is for, and `loss` what its held-out loss is counted in.
    """

    course: Course
    tables: Mapping[str, Sequence[Table]]
    opening: Sequence[str]
    labels: Sequence[str] = ()
    limits: Sequence[str] = ()
    task: str = ""
    loss: str = "nats per token"


def shown_of(
    verdict: Json,
    measured: Measured,
    artefact: str,
    recipe: Json,
    opened_by: str = "AutoModelForCausalLM",
) -> Shown:
    """Of a model that writes; `opened_by` is the class of plain transformers that opens it."""
    secrets = planted(measured.exposed)
    return Shown(
        course=measured.course,
        tables=tables_of(verdict, measured),
        opening=tuple(
            _seeing(artefact, recipe)
            if opened_by == "AutoModelForImageTextToText"
            else opening(artefact, recipe, opened_by)
        ),
        limits=(_sentence(trial_clause(secrets)),) if secrets else (),
    )


def card(
    name: str,
    artefact: str,
    verdict: Json,
    shown: Shown,
    recipe: Json,
    ledger: Json,
    environment: Json,
    plan: Json,
    hashes: Mapping[str, str],
) -> str:
    """The whole card. `name` is what the run is called, `artefact` adapter or model; `recipe` is
    the resolved one, and the others are what the run's files of these names hold. `hashes` are
    those of the artefact's files."""
    sections = [
        _head(name, artefact, verdict, recipe, shown.task),
        _made(recipe, shown, plan),
        _data(ledger, recipe, environment, plan),
        _labels(shown.labels),
        _evidence(verdict, shown.tables),
        _limits(verdict, shown, recipe),
        ("## How to open it", "", _FROM, "", *shown.opening),
        _provenance(environment, hashes, artefact),
    ]
    said = ("\n".join(lines) for lines in sections)
    return "\n\n".join(section for section in said if section) + "\n"


def _head(name: str, artefact: str, verdict: Json, recipe: Json, task: str) -> Iterator[str]:
    base, method = recipe["model"]["base"], recipe["model"]["method"]
    library = "peft" if artefact == "adapter" else "transformers"
    yield from ("---", f"base_model: {_quoted(base)}", f"library_name: {library}")
    if task:
        yield f"pipeline_tag: {task}"
    yield from ("tags:", "  - tunesmith", f"  - {method}", "---", "")
    yield from (f"# {_plain(name)}", "")
    yield f"`{base}`, tuned by {method}. **{verdict['decision'].capitalize()}.**"
    yield from ("", f"> {_plain(verdict['sentence'])}")


def _made(recipe: Json, shown: Shown, plan: Json) -> Iterator[str]:
    model, engine, course = recipe["model"], recipe["engine"], shown.course
    keys = [key for key in METHODS[model["method"]].keys if key in model]
    yield from ("## How it was made", "")
    yield f"- objective `{recipe['objective']['kind']}`, method `{model['method']}`" + (
        f" ({_settings(model, keys)})" if keys else ""
    )
    if "trained_parameters" in plan:
        whole, trained = plan["parameters"], plan["trained_parameters"]
        yield f"- {trained:,} of {whole:,} weights trained, in {model['dtype']}"
    yield f"- {_settings(engine, _ENGINE)}"
    yield (
        f"- {plural(course.last_step, 'step')} of {course.planned_steps:,} planned "
        f"({number(course.planned_epochs)} epochs), {course.seconds:,.0f} s; "
        f"the weights of step {course.kept_step:,}"
    )
    if course.validations:
        yield f"- {course_sentence(course, shown.loss)}"


def _settings(section: Json, keys: Sequence[str]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {section[key]}" for key in keys if key in section)


def _data(ledger: Json, recipe: Json, environment: Json, plan: Json) -> Iterator[str]:
    dropped = ledger.get("dropped", {})
    yield from ("## Data", "")
    yield (
        f"{plural(ledger['rows_in'], 'row')} in: {ledger['trained']:,} trained on, "
        f"{ledger['held_out']:,} held out, {sum(dropped.values()):,} dropped"
        + (f" ({_counts(dropped)})" if dropped else "")
        + "."
    )
    if secrets := ledger.get("planted"):
        yield _sentence(planted_clause(secrets))
    if "supervised_tokens_per_epoch" in plan:
        tokens, learned = plan["tokens_per_epoch"], plan["supervised_tokens_per_epoch"]
        read = f"{tokens:,} {plan.get('unit', 'tokens')} an epoch"
        labelled = recipe["objective"]["kind"] in LABELS
        yield f"{read}." if labelled else f"{read}, {learned:,} of them learned."
    yield ""
    yield from _table(("File", "SHA-256"), _files(environment.get("inputs", {})))


def _counts(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in sorted(dropped.items()))


def _files(hashes: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(f"`{path}`", f"`{digest}`") for path, digest in hashes.items()]


def _labels(labels: Sequence[str]) -> Iterator[str]:
    if labels:
        yield from ("## Labels", "", "In the order of its outputs:", "")
        yield ", ".join(f"`{_plain(label)}`" for label in labels)


def _evidence(verdict: Json, shown: Mapping[str, Sequence[Table]]) -> Iterator[str]:
    yield from ("## Evidence", "")
    yield "Measured on rows that were never trained on; intervals are of 95 %."
    yield ""
    rows = [
        (question, _PASSED[verdict[key]["pass"]], *_value(verdict[key]))
        for key, question in _QUESTIONS.items()
    ]
    yield from _table(("Question", "Answer", "Value", "95 % interval", "Rows"), rows)
    for key, tables in shown.items():
        if tables:
            yield from ("", f"### {_QUESTIONS[key]}", "")
            yield _sentence(verdict[key]["detail"]["summary"])
        for table in tables:
            yield ""
            yield from _table(table.heads, table.rows)
            if table.words:
                yield ""
            yield from (f"- *{_plain(name)}*: {_plain(said)}" for name, said in table.words)
        for said in remarks_of(verdict[key]["detail"]) if tables else ():
            yield from ("", _sentence(said))


def _value(answer: Json) -> tuple[str, str, str]:
    if answer["value"] is None:
        return "", "", ""
    ends = "" if answer["low"] is None else f"{number(answer['low'])} to {number(answer['high'])}"
    return f"{number(answer['value'])} {answer['unit']}", ends, f"{answer['n']:,}"


def _limits(verdict: Json, shown: Shown, recipe: Json) -> Iterator[str]:
    yield from ("## Limits", "")
    yield "- The numbers hold for rows like the held-out ones, and for nothing else."
    if recipe["objective"]["kind"] != "image":
        yield f"- It was trained and measured with at most {recipe['data']['context']:,} tokens."
    yield from (f"- {limit}" for limit in shown.limits)
    if shown.course.chosen_on_judged:
        yield "- The weights were chosen on the rows that judge, so the loss is slightly too good."
    for key, question in _QUESTIONS.items():
        detail = verdict[key]["detail"]
        if verdict[key]["pass"] is not True:
            few = f"; {detail['too_few']}" if "too_few" in detail else ""
            found = _PASSED[verdict[key]["pass"]].capitalize()
            yield f"- {question} {found}: {_plain(detail['summary'])}{few}."


def opening(artefact: str, recipe: Json, opened_by: str) -> Iterator[str]:
    """How plain libraries open a model that writes: lines of Markdown."""
    opened, imports = f"transformers.{opened_by}", "transformers"
    if artefact == "adapter":
        opened, imports = f"peft.{opened_by.replace('Auto', 'AutoPeft', 1)}", "peft, transformers"
    yield from ("```python", f"import {imports}", "")
    yield f'model = {opened}.from_pretrained("{artefact}")'
    yield f'tokenizer = transformers.AutoTokenizer.from_pretrained("{artefact}")'
    yield "```"
    if artefact == "adapter":
        yield from ("", f"The adapter needs its base, `{recipe['model']['base']}`.")


def _seeing(artefact: str, recipe: Json) -> Iterator[str]:
    base, adapter = recipe["model"]["base"], artefact == "adapter"
    yield from ("```python", f"import {'peft, transformers' if adapter else 'transformers'}", "")
    opened = base if adapter else artefact
    yield f'model = transformers.AutoModelForImageTextToText.from_pretrained("{opened}")'
    if adapter:
        yield f'model = peft.PeftModel.from_pretrained(model, "{artefact}")'
    yield f'processor = transformers.AutoProcessor.from_pretrained("{artefact}")'
    yield "```"
    if adapter:
        yield from ("", f"The adapter needs its base, `{base}`.")


def _provenance(environment: Json, hashes: Mapping[str, str], artefact: str) -> Iterator[str]:
    packages = {name: known for name, known in environment.get("packages", {}).items() if known}
    machine = [environment.get("processor"), *environment.get("accelerators", ())]
    versions = {"python": environment.get("python"), **packages}
    yield from ("## Where it comes from", "")
    yield "- " + ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    yield "- " + ", ".join(str(part) for part in machine if part)
    if revision := environment.get("git_revision"):
        yield f"- git revision `{revision}`"
    yield ""
    files = {f"{artefact}/{name}": digest for name, digest in hashes.items()}
    yield from _table(("File", "SHA-256"), _files(files))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(_cell(cell) for cell in row)} |"


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def _plain(text: str) -> str:
    """One line, and no tag: names of properties and files are the user's own text."""
    return " ".join(text.split()).replace("<", "&lt;")


def _sentence(clause: str) -> str:
    text = _plain(clause).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
