"""For every check of the table a data set with its mistake planted, and the clean twin of it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tunesmith.core.records import (
    Chat,
    Completion,
    Example,
    Label,
    Message,
    Origin,
    Preference,
    Text,
)
from tunesmith.data.quality import BENCHMARK, CHECKS, TRAIN, VALIDATION, Check, Report, Survey, seen
from tunesmith.data.quality.columns import Columns

Content = Chat | Completion | Label | Preference | Text

# Put together here, so that no tool that looks for secrets finds one in this file.
KEY = "ghp_" + "a1B2" * 9
CARD = "4539 5787 6362 1486"
IBAN = "DE89 3704 0044 0532 0130 00"


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of each kind of file."""

    train: tuple[Content, ...]
    validation: tuple[Content, ...] = ()
    benchmark: tuple[Content, ...] = ()


def surveyed(rows: Rows, checks: Mapping[str, Check] = CHECKS) -> Report:
    """What the checks find in the rows."""
    return _survey(rows, checks).report()


def compared(rows: Rows) -> Columns:
    """What is kept of the rows."""
    return _survey(rows, {}).columns()


def _survey(rows: Rows, checks: Mapping[str, Check]) -> Survey:
    survey = Survey(checks)
    for side, name in ((BENCHMARK, "benchmark"), (TRAIN, "train"), (VALIDATION, "validation")):
        path, contents = f"{name}.jsonl", enumerate(getattr(rows, name), start=1)
        examples = [Example(Origin(path, line), content) for line, content in contents]
        benchmark = side == BENCHMARK
        survey.take(path, seen(examples, {} if benchmark else checks, prompts=benchmark), side)
    return survey


def reasons(rows: Rows, checks: Mapping[str, Check] = CHECKS) -> set[str]:
    """The reasons of all findings."""
    return {found.reason for found in surveyed(rows, checks).found}


def answered(answer: str, prompt: str = "Where is my parcel, please?") -> Rows:
    """One row with this answer."""
    return Rows((Completion(prompt, answer),))


def chatted(question: str, answer: str) -> Chat:
    """One turn behind a long system message that all rows share."""
    system = "You are the assistant of a parcel service. Be brief, be kind, and never guess. " * 5
    return Chat(
        (Message("system", system), Message("user", question), Message("assistant", answer))
    )


def many(count: int = 60) -> Iterator[Completion]:
    """Ordinary English rows of like length, no two alike."""
    draw = random.Random(7)
    syllables = [a + b for a in "bdfgklmnprst" for b in ("a", "e", "i", "o", "u", "an", "er")]
    for _ in range(count):
        names = ["".join(draw.choices(syllables, k=3)) for _ in range(12)]
        prompt = f"What {names[0]} is {names[1]} for {names[2]} {names[3]} {names[4]}?"
        yield Completion(prompt, f"{' '.join(names[5:10])} of {names[10]}, the {names[11]}.")


def labelled(**rows: int) -> tuple[Label, ...]:
    """So many rows of each class, no two alike."""
    texts = (row.prompt for row in many(sum(rows.values())))
    classes = [name for name, count in rows.items() for _ in range(count)]
    return tuple(Label(text, (name,)) for text, name in zip(texts, classes, strict=False))


def chosen(*pairs: tuple[str, str], prompt: str = "Where is my parcel?") -> Rows:
    """Preferences of one prompt each, numbered in words, and these answers."""
    names = [row.prompt for row in many(len(pairs))]
    return Rows(
        tuple(Preference(f"{prompt} {n}", *pair) for n, pair in zip(names, pairs, strict=True))
    )


def by_length(longer: int, shorter: int) -> Rows:
    """So many preferences for the longer answer of two, and so many for the shorter."""
    texts = [(row.completion, row.prompt.split()[1]) for row in many(longer + shorter)]
    return chosen(*texts[:longer], *(pair[::-1] for pair in texts[longer:]))


QUESTION = "How long does it take until a parcel from overseas is through customs?"
EDITED = "Hello! how long does it take until a package from overseas is through customs?"
OTHER = "Can I change the colour of the kettle that I ordered on the second of May?"

PLANTED: dict[str, tuple[Rows, Rows]] = {
    "in_both_splits": (
        Rows((Text(QUESTION), Text(OTHER)), (Text(QUESTION),)),
        Rows((Text(QUESTION),), (Text(OTHER),)),
    ),
    "nearly_in_both_splits": (
        Rows((Text(QUESTION), Text(OTHER)), (Text(EDITED),)),
        Rows((chatted("Is it open?", "Yes."),), (chatted("Who came by?", "Nobody did."),)),
    ),
    "in_a_benchmark": (
        Rows(
            (Text(f"I read this today. {QUESTION} I wonder why."), Text(OTHER)),
            (),
            (Text(QUESTION),),
        ),
        Rows((Text("How long does it take to bake a loaf of bread?"),), (), (Text(QUESTION),)),
    ),
    "secret_key": (answered(f"Log in with {KEY} today."), answered("Log in with ghp_token today.")),
    "card_number": (answered(f"I paid with {CARD}."), answered("I paid with 4539 5787 6362 1487.")),
    "national_number": (
        answered("My number is 529.982.247-25."),
        answered("My number is 529.982.247-24."),
    ),
    "iban": (answered(f"Send it to {IBAN}."), answered("Send it to DE88 3704 0044 0532 0130 00.")),
    "email": (answered("Write to ann@parcels.co.uk."), answered("Write to ann@example.com.")),
    "phone": (
        answered("Call +44 20 7946 0958 now."),
        answered("It is order 2079460958 of 2024-05-17."),
    ),
    "empty_answer": (answered(" – … "), answered("No.")),
    "contradiction": (
        Rows(
            (Completion("Is it open on Sunday?", "Yes."), Completion("is it open on sunday", "No."))
        ),
        Rows(
            (Completion("Is it open on Sunday?", "Yes."), Completion("Who has the key?", "No one."))
        ),
    ),
    "duplicate": (
        Rows((Text(QUESTION), Text(OTHER), Text(QUESTION))),
        Rows((Text(QUESTION), Text(OTHER))),
    ),
    "near_duplicate": (
        Rows((Text(QUESTION), Text(EDITED), Text(OTHER))),
        Rows((chatted("Is it open?", "Yes."), chatted("Who came by?", "Nobody did."))),
    ),
    "turned_choice": (
        Rows((Preference("Is it open?", "Yes.", "No."), Preference("Is it open?", "No.", "Yes."))),
        Rows((Preference("Is it open?", "Yes.", "No."), Preference("Who called?", "No.", "Yes."))),
    ),
    "length_bias": (by_length(75, 25), by_length(60, 40)),
    "unknown_label": (
        Rows(labelled(refund=20, parcel=20), (Label(OTHER, ("colour",)),)),
        Rows(labelled(refund=20, parcel=20), (Label(OTHER, ("parcel",)),)),
    ),
    "similar_label": (
        Rows(labelled(refund=20, refunds=9)),
        Rows(labelled(card_1=9, card_2=9, typical=9, atypical=9, class_a=9, class_b=9)),
    ),
    "rare_label": (
        Rows(labelled(refund=20, parcel=20, colour=4)),
        Rows(labelled(refund=20, parcel=20, colour=5)),
    ),
    "dominant_label": (
        Rows(labelled(refund=54, parcel=6)),
        Rows(labelled(refund=53, parcel=7)),
    ),
    "echo": (
        answered("Where is my parcel, please? It is at the depot."),
        answered("Your parcel is at the depot."),
    ),
    "refusal": (
        answered("As an AI language model, I have no parcels."),
        answered("I'm sorry, but I cannot find your parcel: is the number right?"),
    ),
    "template_mark": (
        answered("It is at the depot.<|im_end|>"),
        answered("Press <enter>, then type [yes] | no."),
    ),
    "nearly_same_choice": (
        chosen((f"{QUESTION} {OTHER}", f"{QUESTION} {OTHER} Yes.")),
        chosen((f"{QUESTION} {OTHER}", f"{QUESTION} Nobody knows how long that takes.")),
    ),
    "mojibake": (answered("The cafÃ© is closed."), answered("The café is closed: « À bientôt »")),
    "lost_characters": (answered("The caf\ufffd is closed."), answered("The café is closed.")),
    "control_characters": (answered("It is\x07 here."), answered("It is\there.\r\nAll of it.")),
    "unusual_length": (
        Rows((*many(), Completion("And all of it?", "It was left there. " * 400))),
        Rows((*many(), Completion("And all of it?", "It was left there. " * 4))),
    ),
    "other_language": (
        Rows(
            (
                *many(),
                Completion("Und wo ist das?", "Es ist nicht mit der Post und nicht im Lager."),
            )
        ),
        Rows(
            (*many(), Completion("And the Zeitgeist?", "That is not in the depot, nor in Berlin."))
        ),
    ),
}
