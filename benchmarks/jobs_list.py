"""The jobs: what each is made of, and what its verdict must be, stated before it runs.

What must come out follows from how a job is made, never from how it came out:

- *learned*, true: the answer stands in the question or follows from it by words that models of this
  size can read. False: the answers have nothing to do with the questions; or were drawn from the
  base itself, on which no other model can be better in expectation; or need arithmetic in steps, at
  which models a thousand times larger fail most of the time (Cobbe et al. 2021).
- *kept*, true: `evaluate.most_forgetting` saves no adapter that forgets more, or every weight
  learned at a low rate while general text was replayed. False: every weight of a small base learned
  a foreign domain at the usual rate or a far higher one, with nothing replayed.
- *memorised*, false: few rows, many passes, and the last weights kept instead of the best.
- *worth*: bases this small hardly learn from their prompt, so no help can match training.
- *parity*, always true: a saved model that differs would be an error of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks import jobs_data as rows
from benchmarks.jobs_data import Make
from benchmarks.jobs_table import HOLD, REFUSED, SHIP, Expected, hold_for

ANVIL = "anvil"
TALK = "lm-TinyTalk-3M"

SMALL_TALK, GENERAL = "small talk", "general text"

LITTLE_LOST = {"evaluate.most_forgetting": 0.05}
KEPT_LORA = {"model.method": "lora", **LITTLE_LOST}
"""LoRA at the strength that forgets at most a twentieth."""

CAREFUL_FULL = {"model.method": "full", "engine.learning_rate": 1.5e-4, "engine.batch_size": 16}
"""Every weight, somewhat slower than usual, for use with replay."""

CAREFUL_LORA = {"model.method": "lora", "engine.learning_rate": 1.5e-3, "engine.batch_size": 16}
"""LoRA, somewhat slower than usual, for use with replay."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run, from its rows to what must come out.

    `fault` says what is wrong by design, or nothing; `replay` names a kind of text
    that is mixed in, and `own_answers` lets the base write the answers.
    """

    name: str
    base: str
    data: str
    make: Make
    settings: Mapping[str, Any]
    expected: Expected
    why: str
    fault: str = ""
    replay: str = ""
    own_answers: bool = False

    @property
    def method(self) -> str:
        """As it stands in the table."""
        return str(self.settings["model.method"])


_SORT = "The queue of a ticket follows from its words."
_LAW = "The state stands in the clause."
_STRENGTH = "The adapter is saved at a strength that forgets little."
_REPLAYED = "A low rate, and general text is replayed."

JOBS: tuple[Job, ...] = (
    Job(
        "anvil-tickets-lora",
        ANVIL,
        "banking77",
        rows.tickets,
        KEPT_LORA,
        SHIP,
        f"{_SORT} {_STRENGTH}",
    ),
    Job(
        "anvil-tickets-full",
        ANVIL,
        "banking77",
        rows.tickets,
        CAREFUL_FULL,
        SHIP,
        f"{_SORT} {_REPLAYED}",
        replay=GENERAL,
    ),
    Job(
        "talk-tickets-lora",
        TALK,
        "banking77",
        rows.tickets,
        {**CAREFUL_LORA, **LITTLE_LOST},
        SHIP,
        f"{_SORT} {_REPLAYED} {_STRENGTH}",
        replay=GENERAL,
    ),
    Job(
        "talk-tickets-full",
        TALK,
        "banking77",
        rows.tickets,
        CAREFUL_FULL,
        SHIP,
        f"{_SORT} {_REPLAYED}",
        replay=GENERAL,
    ),
    Job(
        "talk-narrow-full",
        TALK,
        "banking77",
        rows.tickets,
        CAREFUL_FULL,
        hold_for("kept", learned=True),
        "Small talk alone is replayed, so nothing keeps the rest of what the base knew.",
        replay=SMALL_TALK,
    ),
    Job(
        "anvil-law-lora",
        ANVIL,
        "cuad-clauses",
        rows.governing_law,
        KEPT_LORA,
        SHIP,
        f"{_LAW} {_STRENGTH}",
    ),
    Job(
        "anvil-law-full",
        ANVIL,
        "cuad-clauses",
        rows.governing_law,
        CAREFUL_FULL,
        SHIP,
        f"{_LAW} {_REPLAYED}",
        replay=GENERAL,
    ),
    Job(
        "anvil-calls-lora",
        ANVIL,
        "sgd-dialogues",
        rows.calls,
        KEPT_LORA,
        SHIP,
        f"The call repeats what the user said. {_STRENGTH}",
    ),
    Job(
        "talk-commands-full",
        TALK,
        "tldr-pages",
        rows.commands,
        {"model.method": "full"},
        hold_for("kept", learned=True),
        "An ordinary run: all weights, the usual rate, commands, which are nothing like talk, and "
        "no replay.",
    ),
    Job(
        "talk-symptoms-full",
        TALK,
        "medquad",
        rows.symptoms,
        {"model.method": "full"},
        hold_for("kept", learned=True),
        "An ordinary run: all weights, the usual rate, medicine, and no replay.",
    ),
    Job(
        "anvil-sums-lora",
        ANVIL,
        "gsm8k",
        rows.sums,
        KEPT_LORA,
        hold_for("learned"),
        "It learns how worked answers look, and cannot work them out: the base is far too small.",
    ),
    Job(
        "anvil-overfit-full",
        ANVIL,
        "medquad",
        rows.first(rows.symptoms, 40, 100),
        {
            "model.method": "full",
            "engine.epochs": 15,
            "engine.batch_size": 8,
            "engine.learning_rate": 1e-3,
            "engine.patience": 0,
            "engine.keep_best": False,
        },
        hold_for("memorised"),
        "What is in 40 answers on diseases says nothing of other diseases.",
        fault="40 rows, 15 passes at five times the usual rate, and the last weights are kept",
    ),
    Job(
        "talk-overfit-lora",
        TALK,
        "tldr-pages",
        rows.first(rows.commands, 40, 100),
        {
            "model.method": "lora",
            "engine.epochs": 30,
            "engine.batch_size": 8,
            "engine.patience": 0,
            "engine.keep_best": False,
        },
        hold_for("memorised"),
        "What is in 40 commands says little of other commands.",
        fault="40 rows, 30 passes, and the last weights are kept",
    ),
    Job(
        "anvil-destroyed-full",
        ANVIL,
        "banking77",
        rows.tickets,
        {"model.method": "full", "engine.learning_rate": 0.02, "engine.epochs": 2},
        hold_for("kept"),
        "No weight stays near what it was.",
        fault="a learning rate a hundred times too high",
    ),
    Job(
        "talk-destroyed-lora",
        TALK,
        "cuad-clauses",
        rows.governing_law,
        {"model.method": "lora", "engine.learning_rate": 0.2, "engine.epochs": 2},
        hold_for("kept"),
        "What the adapters add drowns the base.",
        fault="a learning rate fifty times too high",
    ),
    Job(
        "anvil-shuffled-lora",
        ANVIL,
        "banking77",
        rows.shuffled(rows.tickets),
        KEPT_LORA,
        hold_for("learned"),
        "Nothing in a question says which answer it was dealt.",
        fault="the labels are shuffled over the questions",
    ),
    Job(
        "talk-shuffled-full",
        TALK,
        "banking77",
        rows.shuffled(rows.tickets),
        CAREFUL_FULL,
        hold_for("learned"),
        "Nothing in a question says which answer it was dealt.",
        fault="the labels are shuffled over the questions",
        replay=GENERAL,
    ),
    Job(
        "anvil-known-lora",
        ANVIL,
        "banking77",
        rows.tickets,
        {"model.method": "lora"},
        hold_for("learned"),
        "On what was drawn from the base no other model is better in expectation.",
        fault="the base wrote the answers itself, at temperature 1",
        own_answers=True,
    ),
    Job(
        "talk-known-full",
        TALK,
        "chat_val.txt of the base",
        rows.small_talk,
        {"model.method": "full"},
        hold_for("learned"),
        "On what was drawn from the base no other model is better in expectation.",
        fault="the base wrote the answers itself, at temperature 1",
        own_answers=True,
    ),
    Job(
        "anvil-few-lora",
        ANVIL,
        "banking77",
        rows.first(rows.tickets, 16, 6),
        {"model.method": "lora"},
        Expected(HOLD, {"learned": None}),
        "Six rows cannot show anything, however good the model is.",
        fault="16 rows to learn from and 6 to judge by",
    ),
    Job(
        "anvil-leaked-lora",
        ANVIL,
        "banking77",
        rows.leaked(rows.tickets),
        {"model.method": "lora"},
        Expected(REFUSED, {}),
        "Rows that were trained on cannot judge; the run says which and does not begin.",
        fault="half of the judging rows are training rows",
    ),
)
