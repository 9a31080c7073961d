"""What must not reach training, found on the tokens themselves: one small function a check."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.core.records import Finding, Origin, Tokens

_LOOKED_AT = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What the checks compare with: the context in tokens, the ids that end an answer, and the
    start token (None if the tokenizer has none)."""

    context: int
    stop_ids: Collection[int]
    start: int | None


def too_long(parts: Sequence[Tokens], limits: Limits) -> str | None:
    """A sequence longer than the context. It is never cut: its answer would be lost in silence."""
    longest = max((len(part) for part in parts), default=0)
    if longest <= limits.context:
        return None
    return (
        f"This example has {longest} tokens and the context is {limits.context}. Shorten it, raise "
        "data.context if the base allows more, or leave it out."
    )


def nothing_to_learn(parts: Sequence[Tokens], limits: Limits) -> str | None:
    """No position at which anything is predicted, where answers are learned."""
    if not limits.stop_ids or any(part.sites for part in parts):
        return None
    return "No token of this example would be learned. Give it an answer."


def untrained_end(parts: Sequence[Tokens], limits: Limits) -> str | None:
    """A learned stretch without an end token in it: the model would not learn to stop.

    The pieces of one document are read as one stretch; only its end has an end token.
    """
    for stretch in _stretches(parts):
        # From the last run back: where all is well, the end token is the last of all.
        if limits.stop_ids and not any(_ends(run, limits.stop_ids) for run in reversed(stretch)):
            return (
                "No end token is learned after an answer of this example, so the model would not "
                "learn to stop. Use a template that writes one: data.template."
            )
    return None


def doubled_start(parts: Sequence[Tokens], limits: Limits) -> str | None:
    """Two start tokens in a row at the beginning."""
    start = limits.start
    if start is None or not any((part.ids_N[:2] == start).sum() == 2 for part in parts):
        return None
    return (
        "The example begins with two start tokens, which the model has never seen. Take the start "
        "token out of the text, or out of the chat template."
    )


CHECKS: dict[str, Callable[[Sequence[Tokens], Limits], str | None]] = {
    "too_long": too_long,
    "nothing_to_learn": nothing_to_learn,
    "untrained_end": untrained_end,
    "doubled_start": doubled_start,
}


def check(origin: Origin, parts: Sequence[Tokens], limits: Limits) -> Finding | None:
    """The first check of the table that has something to say about one rendered example."""
    for reason, function in CHECKS.items():
        message = function(parts, limits)
        if message is not None:
            return Finding(reason, message, "drop", origin)
    return None


def in_both_splits(origin: Origin, other: Origin) -> Finding:
    """The finding about a training row whose content stands in the validation file at `other`."""
    message = (
        f"The same example stands in the validation file at {other}: what was trained on cannot "
        "test the model. Remove one of the two."
    )
    return Finding("in_both_splits", message, "drop", origin)


def unseen_label(origin: Origin, labels: Sequence[str], known: Collection[str]) -> Finding:
    """The finding about a row to be judged whose label the model could never say."""
    label = next(each for each in labels if each not in known)
    alike = {name.casefold(): name for name in sorted(known)}
    close = alike.get(label.casefold()) or next(
        iter(difflib.get_close_matches(label, sorted(known), n=1)), None
    )
    hint = f" Did you mean {close!r}?" if close else ""
    message = (
        f"No training row has the label {label!r}, so the model could never say it.{hint} Correct "
        "the label, or add training rows of it."
    )
    return Finding("unseen_label", message, "drop", origin)


def missing_start(examples: Sequence[Tokens], start: int | None) -> Finding | None:
    """The finding about a start token that the tokenizer writes and the chat template does not.

    The first examples tell for all, since one template rendered them.

    Args:
        examples: what is trained.
        start: the id that the tokenizer puts before plain text of its own accord, None for none.
    """
    whole = [each for each in examples[:_LOOKED_AT] if not each.part]
    if start is None or not whole or any(int(each.ids_N[0]) == start for each in whole):
        return None
    message = (
        "The tokenizer begins a text with a start token, and the chat template writes none, so "
        "the model reads conversations that begin as none did before. Where the base was not "
        "trained so, name a template that writes it under data.template."
    )
    return Finding("missing_start", message, "warn", whole[0].origin)


def in_both_groups(count: int, first: Origin) -> Finding:
    """The finding about training rows of conversations that the validation files have rows of."""
    rows = "1 training row is" if count == 1 else f"{count:,} training rows are"
    message = (
        f"{rows} of a conversation, or of a picture, that the validation files have rows of, too, "
        f"first {first}: what the model saw of it may tell it the rest. Keep each in one of them."
    )
    return Finding("in_both_groups", message, "warn")


def families_divided(count: int, rows: int) -> Finding:
    """The finding about rows that say nearly the same and stand on both sides of the split."""
    message = (
        f"{count:,} of {rows:,} rows belong to families of rows that say nearly the same, so large "
        "that they stand on both sides of the split: kept whole, they would leave too little to "
        "judge by. What is held out is therefore close to what was trained, and its loss flatters. "
        "Name data.validation, with rows from elsewhere, to know better."
    )
    return Finding("families_divided", message, "warn")


def _ends(run_N: np.ndarray, stop_ids: Collection[int]) -> bool:
    """Whether an end token is among the ids; the last is looked at first."""
    return int(run_N[-1]) in stop_ids or not set(stop_ids).isdisjoint(run_N.tolist())


def _stretches(parts: Sequence[Tokens]) -> list[list[np.ndarray]]:
    """The ids of each maximal run of learned tokens; a piece that goes on another joins its run."""
    stretches: list[list[np.ndarray]] = []
    for part in parts:
        learned_N = part.weights_N > 0
        borders = (np.flatnonzero(learned_N[1:] != learned_N[:-1]) + 1).tolist()
        borders = [0, *borders] if learned_N[:1].any() else borders
        borders = [*borders, len(part)] if learned_N[-1:].any() else borders
        runs = [part.ids_N[a:b] for a, b in zip(borders[::2], borders[1::2], strict=True)]
        if part.part > 0 and stretches and learned_N[1:].all():
            stretches[-1] += runs
        else:
            stretches += [[run_N] for run_N in runs]
    return stretches
