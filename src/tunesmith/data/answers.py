"""The answers of a conversation as tokens, each behind the ids it is asked for with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.core.records import Origin, Tokens
from tunesmith.data.cuts import Cuts
from tunesmith.data.encode import Encoder
from tunesmith.data.endings import Ending
from tunesmith.data.refusals import Refused
from tunesmith.data.turns import Conversation


@dataclass(frozen=True, slots=True)
class Job:
    """Texts to tokenise for one example, and what makes tokens of their encodings."""

    texts: tuple[str, ...]
    finish: Callable[[Sequence[Any]], list[Tokens]]


class Answers:
    """Lays out conversations as one template writes them.

    Args:
        encoder: the tokenizer.
        stop_ids: ids that end an answer.
    """

    def __init__(self, encoder: Encoder, stop_ids: Collection[int]) -> None:
        self._encoder = encoder
        self._stop_ids = stop_ids
        self._cuts = Cuts(encoder)

    def job(self, origin: Origin, conversation: Conversation) -> Job:
        """What to tokenise: the whole text, and those beginnings whose ids do not follow from it.

        `finish` raises Refused where an answer does not end with the template's end token.
        """
        whole, turns = conversation.whole, conversation.turns
        beginnings = [*(turn.prompt for turn in turns), *(turn.answered for turn in turns[:-1])]
        spans = self._cuts.spans(whole)
        cuts = [self._cuts.cut(whole, spans, text) for text in beginnings]
        uncut = [text for text, cut in zip(beginnings, cuts, strict=True) if cut is None]

        def finish(encodings: Sequence[Any]) -> list[Tokens]:
            whole_ids, rest = encodings[0].ids, iter(encodings[1:])
            ids: list[list[int]] = []
            for text, cut in zip(beginnings, cuts, strict=True):
                if cut is None:
                    ids.append(next(rest).ids)
                else:
                    known = self._cuts.ids(whole_ids, len(spans), cut)
                    ids.append(self._encoder.ids(text) if known is None else known)
            prompts, answered = ids[: len(turns)], [*ids[len(turns) :], whole_ids]
            return self._lay_out(origin, conversation, whole_ids, prompts, answered)

        return Job((whole, *uncut), finish)

    def _lay_out(
        self,
        origin: Origin,
        conversation: Conversation,
        whole: list[int],
        prompts: Sequence[list[int]],
        answered: Sequence[list[int]],
    ) -> list[Tokens]:
        """One sequence if every prompt and answer is a token prefix of it, else one an answer.

        It is one an answer where a token reaches over the end of a generation prompt, and where the
        template writes an earlier answer in another way once later turns follow (Qwen3 leaves out
        its thoughts, gpt-oss ends it with another token): each answer then stands behind the
        history as it is when that answer is asked for.
        """
        turns = conversation.turns
        both = zip(answered, turns, strict=True)
        kept = [self._up_to_stop(ids, turn.ending) for ids, turn in both]
        lengths = [self._encoder.byte_length(turn.learned) for turn in turns]
        if all(whole[: len(ids)] == ids for ids in (*prompts, *kept)):
            spans = [(len(p), len(k)) for p, k in zip(prompts, kept, strict=True)]
            return [learning(origin, whole, spans, sum(lengths), images=turns[-1].images)]
        parts = []
        for part, (turn, prompt) in enumerate(zip(turns, prompts, strict=True)):
            ids = kept[part]
            if ids[: len(prompt)] != prompt:
                answer_N = self._encoder.continuation(turn.answered[len(turn.prompt) :])
                ids = [*prompt, *self._up_to_stop(answer_N.tolist(), turn.ending)]
            span = (len(prompt), len(ids))
            parts.append(learning(origin, ids, [span], lengths[part], part, turn.images))
        return parts

    def _up_to_stop(self, ids: list[int], ending: Ending) -> list[int]:
        """The ids up to and with the end token, without what the template writes behind it."""
        kept = ids[: len(ids) - ending.tokens]
        if not kept or kept[-1] not in self._stop_ids:
            raise Refused(
                "no_end",
                "The chat template does not end an answer of this conversation with its end "
                "token, so the model would not learn to stop. Put {{ eos_token }} behind every "
                "assistant content in the template, and give it with data.template.",
            )
        return kept


def learning(
    origin: Origin,
    ids: Sequence[int] | np.ndarray,
    spans: Sequence[tuple[int, int]],
    learned_bytes: int,
    part: int = 0,
    images: tuple[str, ...] = (),
) -> Tokens:
    """Tokens of which those of the spans (start, end) are learned."""
    ids_N = np.asarray(ids, dtype=np.int32)
    weights_N = np.zeros(len(ids_N), dtype=np.float32)
    for start, end in spans:
        weights_N[start:end] = 1
    return Tokens(origin, ids_N, weights_N, learned_bytes, part, images=images)
