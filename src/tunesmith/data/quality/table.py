"""The table of checks: what each looks for, how grave it is, and what can be done.

A check looks at one row (`each` returns a sentence, or None where all is well) or at all of them
(`whole` returns marks). Its grade says what a finding means for a training run:

    stop   what comes of the run could not be trusted, or must not be published
    warn   the model would learn something that was hardly meant
    note   worth a look
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tunesmith.data.quality import answers, choices, damage, labels, sets
from tunesmith.data.quality.columns import Columns
from tunesmith.data.quality.personal import KINDS, kinds_in
from tunesmith.data.quality.view import Seen

Grade = Literal["stop", "warn", "note"]
GRADES: tuple[Grade, ...] = ("stop", "warn", "note")


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the table.

    Attributes:
        grade: what a finding means.
        title: what was found, as it reads behind "5 rows".
        advice: what to do.
        each: looks at one row.
        whole: looks at all rows.
        fix: what a cleaned copy does to such a row: it is left out, its text is rewritten, or it
            stays for a person to decide.
    """

    grade: Grade
    title: str
    advice: str
    each: Callable[[Seen], str | None] | None = None
    whole: Callable[[Columns], sets.Marks] | None = None
    fix: Literal["drop", "rewrite"] | None = None


def _mojibake(seen: Seen) -> str | None:
    found = damage.mojibake(seen.text)
    return None if found is None else f"It holds {found[0]!r} where {found[1]!r} was meant."


def _lost_characters(seen: Seen) -> str | None:
    count = seen.text.count(damage.REPLACEMENT)
    return f"It holds the replacement character U+FFFD ({count} times)." if count else None


def _control_characters(seen: Seen) -> str | None:
    found = damage.control_character(seen.text)
    return None if found is None else f"It holds the control character {found}."


def _personal(kind: str) -> Callable[[Seen], str | None]:
    def look(seen: Seen) -> str | None:
        count = kinds_in(seen.text)[kind]
        return f"It holds {count} of them." if count > 1 else "It holds one." if count else None

    return look


def _personal_check(kind: str, grade: Grade, title: str) -> Check:
    placeholder = KINDS[kind].placeholder
    advice = f"The model may repeat it to anyone. --fix writes {placeholder} in its place."
    return Check(grade, title, advice, each=_personal(kind), fix="rewrite")


_MEND = "--fix undoes it; better, save the file as UTF-8 where it is made."

CHECKS: dict[str, Check] = {
    "in_both_splits": Check(
        "stop",
        "in the validation file, too",
        "What was trained on cannot test the model. --fix leaves the training copy out.",
        whole=sets.in_both_splits,
        fix="drop",
    ),
    "nearly_in_both_splits": Check(
        "warn",
        "nearly equal to a validation row",
        "The model looks better on such a row than it is. --fix leaves the training copy out.",
        whole=sets.nearly_in_both_splits,
        fix="drop",
    ),
    "in_a_benchmark": Check(
        "stop",
        "with what a benchmark asks",
        "A result on that benchmark would mean nothing. --fix leaves the training row out.",
        whole=sets.in_a_benchmark,
        fix="drop",
    ),
    "secret_key": _personal_check("secret_key", "stop", "with a key or a token"),
    "card_number": _personal_check("card_number", "stop", "with the number of a payment card"),
    "national_number": _personal_check(
        "national_number", "stop", "with a person's national number"
    ),
    "iban": _personal_check("iban", "warn", "with the number of a bank account (IBAN)"),
    "email": _personal_check("email", "warn", "with an e-mail address"),
    "phone": _personal_check("phone", "warn", "with a telephone number"),
    "empty_answer": Check(
        "warn",
        "with an answer that says nothing",
        "The model would learn to say nothing. --fix leaves the row out.",
        each=answers.empty,
        fix="drop",
    ),
    "contradiction": Check(
        "warn",
        "with another answer to a prompt than an earlier row",
        "The model cannot learn both. Decide which is right, or add what tells the cases apart.",
        whole=sets.contradictions,
    ),
    "duplicate": Check(
        "warn",
        "equal to an earlier one",
        "Each copy counts again in training. --fix keeps the first.",
        whole=sets.duplicates,
        fix="drop",
    ),
    "near_duplicate": Check(
        "note",
        "nearly equal to an earlier one",
        "Thin them out if they crowd the rest. Keep such rows on one side of a split.",
        whole=sets.near_duplicates,
    ),
    "turned_choice": Check(
        "warn",
        "with the choice of an earlier row turned round",
        "The model cannot learn both. Decide which answer is the better one.",
        whole=choices.turned_round,
    ),
    "length_bias": Check(
        "warn",
        "in which length alone would choose the same answer",
        "The model would learn to write so, whatever it says. Add pairs in which it is otherwise.",
        whole=choices.by_length,
    ),
    "unknown_label": Check(
        "warn",
        "of the validation file with a class that no training row has",
        "The model can get none of them right. Is the name misspelt, or the class left out?",
        whole=labels.unknown,
    ),
    "similar_label": Check(
        "warn",
        "of a class whose name is nearly that of another",
        "The model would learn two classes of one. If they are one, write it in one way.",
        whole=labels.nearly_equal,
    ),
    "rare_label": Check(
        "warn",
        f"of classes with fewer than {labels.RARE} training rows",
        "The model will hardly learn such a class. Add rows of it, or join it with another.",
        whole=labels.rare,
    ),
    "dominant_label": Check(
        "note",
        "of one class that outweighs all others",
        "A model that always names it looks good by accuracy: judge it by each class.",
        whole=labels.dominant,
    ),
    "echo": Check(
        "warn",
        "with an answer that begins with its prompt",
        "The model would learn to repeat what it is asked. Take the prompt out of the answers.",
        each=answers.echo,
    ),
    "refusal": Check(
        "warn",
        "with an answer in the voice of a general assistant, or a refusal",
        "The model would learn to. Write the answer that you want, or leave the row out.",
        each=answers.refusal,
    ),
    "template_mark": Check(
        "warn",
        "with marks of a chat template in an answer",
        "The template writes its own. Split the text into messages, and take the marks out.",
        each=answers.template_mark,
    ),
    "nearly_same_choice": Check(
        "note",
        "whose chosen and rejected answers differ in few words or none",
        "Look whether what differs is what should be learned.",
        each=choices.nearly_same,
    ),
    "mojibake": Check(
        "warn",
        "read in a wrong encoding on the way",
        _MEND,
        each=_mojibake,
        fix="rewrite",
    ),
    "lost_characters": Check(
        "warn",
        "with characters lost on the way (U+FFFD)",
        "What they were is gone: make the file again from its source, as UTF-8.",
        each=_lost_characters,
    ),
    "control_characters": Check(
        "warn",
        "with control characters",
        "The model would learn to write them. --fix takes them out.",
        each=_control_characters,
        fix="rewrite",
    ),
    "unusual_length": Check(
        "note",
        "far longer or shorter than the others",
        "Look whether they are rows at all, or several in one.",
        whole=sets.unusual_lengths,
    ),
    "other_language": Check(
        "note",
        "in another language than nearly all others",
        "Leave them out unless the model is to answer in it, too.",
        whole=sets.other_languages,
    ),
}
