"""What became of the answers of a round: the rows to learn, every sample, and the numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.evaluate.wording import number, percent, plural
from tunesmith.runs.improve.choosing import KEPT, NOT_GRADED, REJECTED, Choice, Sampled
from tunesmith.runs.improve.rows import Question, Row, accepted_row, pair_row
from tunesmith.runs.improve.sampling import told
from tunesmith.runs.improve.scores import why_not
from tunesmith.runs.improve.wanted import Wanted

Ledger = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sorted:
    """The answers of a round by question, what becomes of each, and where they are from."""

    questions: Sequence[Question]
    answers: Sequence[Sequence[Sampled]]
    choices: Sequence[Choice]
    provenance: Mapping[str, Any]

    def samples(self) -> Iterator[Row]:
        """A line for every answer."""
        for question, answers, choice in self._each():
            origin = str(question.prompt.origin)
            for place, (answer, outcome) in enumerate(zip(answers, choice.outcomes, strict=True)):
                yield {"origin": origin, "answer": place, "outcome": outcome, **told(answer)}

    def accepted(self) -> Iterator[Row]:
        """A row for each answer that was kept, the best of a prompt first."""
        for question, answers, choice in self._each():
            for place in choice.kept:
                from_ = {**self.provenance, "origin": str(question.prompt.origin), "answer": place}
                yield accepted_row(question, answers[place], from_)

    def pairs(self) -> Iterator[Row]:
        """A preference for each pair."""
        for question, answers, choice in self._each():
            for better, worse in choice.pairs:
                from_ = {"origin": str(question.prompt.origin), "answers": [better, worse]}
                whole = {**self.provenance, **from_}
                yield pair_row(question, answers[better], answers[worse], whole)

    def ledger(self, seconds: float) -> Ledger:
        """`sampled` = `kept` + `rejected`, by reason, + `not_graded`."""
        counts = Counter(outcome for choice in self.choices for outcome in choice.outcomes)
        every = [answer for answers in self.answers for answer in answers]
        rewards = [each.reward for each in every if each.grade.value is not None]
        without = [str(each.prompt.origin) for each, _, choice in self._each() if not choice.kept]
        return {
            "prompts": len(self.choices),
            "sampled": len(every),
            "kept": counts[KEPT],
            "rejected": {reason: counts[reason] for reason in REJECTED},
            "not_graded": counts[NOT_GRADED],
            "why_not_graded": why_not(every),
            "pairs": sum(len(choice.pairs) for choice in self.choices),
            "best_reward": max(rewards, default=None),
            "mean_reward": sum(rewards) / len(rewards) if rewards else None,
            "tokens": sum(each.tokens for each in every),
            "seconds": seconds,
            "prompts_without": without,
        }

    def _each(self) -> Iterator[tuple[Question, Sequence[Sampled], Choice]]:
        return zip(self.questions, self.answers, self.choices, strict=True)


def account(round_number: int, ledger: Ledger, *, pairs: bool) -> str:
    """What became of a round's answers: the first numbers of its ledger."""
    reasons = [f"{count:,} {reason}" for reason, count in ledger["rejected"].items() if count]
    ungraded = f", {ledger['not_graded']:,} not graded" if ledger["not_graded"] else ""
    without = len(ledger["prompts_without"])
    return (
        f"Round {round_number}: {ledger['sampled']:,} answers ({ledger['tokens']:,} tokens), "
        f"{ledger['kept']:,} kept, {sum(ledger['rejected'].values()):,} rejected"
        f"{' (' + ', '.join(reasons) + ')' if reasons else ''}{ungraded}; {without:,} of "
        f"{plural(ledger['prompts'], 'prompt')} without an accepted answer"
        f"{'; ' + plural(ledger['pairs'], 'pair') if pairs else ''}."
    )


def nothing(ledger: Ledger, wanted: Wanted, *, pairs: bool) -> str:
    """Why there is nothing to learn: how many could not be graded, and what the best was worth."""
    asked = f"{plural(ledger['sampled'], 'answer')} to {plural(ledger['prompts'], 'prompt')}"
    share = percent(ledger["not_graded"] / ledger["sampled"])
    why = f": {ledger['why_not_graded'].rstrip('.')}" if ledger["not_graded"] else ""
    found = [f"{share} could not be graded{why}"]
    if ledger["best_reward"] is not None:
        least = "" if wanted.at_least is None else f", and --at-least is {number(wanted.at_least)}"
        found.append(f"the best reward was {number(ledger['best_reward'])}{least}")
    if ledger["rejected"]["cut_off"]:
        cut = ledger["rejected"]["cut_off"]
        found.append(
            f"{cut:,} did not end within --max-new-tokens {wanted.max_new_tokens}, which is never "
            "learned"
        )
    if pairs and ledger["kept"]:
        return (
            f"{ledger['kept']:,} of {asked} were accepted, but no worse one stands beside them, so "
            "there is no pair to learn from."
        )
    return f"none of {asked} was accepted ({'; '.join(found)})."
