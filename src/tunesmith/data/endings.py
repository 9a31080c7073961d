"""How a chat template ends an answer: the token with which a model says that it is done."""

from __future__ import annotations

from typing import Any, NamedTuple

from tunesmith.data.encode import Encoder


class Ending(NamedTuple):
    """How the template ends an answer.

    `stop` is the end token's id (None if there is none), `written` the text it stands for, white
    space that it swallows and special tokens that stand before it included; `text` and `tokens` are
    what the template writes behind it, which no model is ever asked to produce.
    """

    stop: int | None
    written: str
    text: str
    tokens: int


NO_ENDING = Ending(None, "", "", 0)


def ending_of_answer(encoder: Encoder, text: str, content_end: int) -> Ending:
    """How the last answer of a rendering ends, whose content ends at the character `content_end`.

    It ends with the first special token behind the content. Where several stand there without a
    gap, as Cohere's `<|END_RESPONSE|><|END_OF_TURN_TOKEN|>`, it ends with the tokenizer's own end
    token if that is one of them, because generation stops there. Phi's end-of-text on a line of its
    own is none of them: it closes the conversation, not the answer.
    """
    (encoding,) = encoder.encodings([text], offsets=True)
    ids, spans = encoding.ids, encoding.offsets
    behind = _specials_behind(encoder, encoding, content_end)
    if not behind:
        return NO_ENDING
    run = behind[:1]
    for index in behind[1:]:
        if index != run[-1] + 1 or not _touch(text, spans[run[-1]], spans[index]):
            break
        run.append(index)
    stop = next((n for n in run if ids[n] == encoder.tokenizer.eos_token_id), run[0])
    return _ending(encoding, text, run[0], stop)


def ending_of_call(encoder: Encoder, text: str, call_end: int, answer: Ending) -> Ending:
    """How the last answer of a rendering ends if it calls a tool; the call ends at `call_end`.

    It ends as any `answer` does if that end token stands behind the call, else with the last
    special token there, because the first ones close the call itself: gpt-oss has `<|call|>` there,
    Gemma 4 the token that opens the response of the tool.
    """
    (encoding,) = encoder.encodings([text], offsets=True)
    behind = _specials_behind(encoder, encoding, call_end)
    if not behind:
        return NO_ENDING
    stop = next((n for n in behind if encoding.ids[n] == answer.stop), behind[-1])
    return _ending(encoding, text, stop, stop)


def _specials_behind(encoder: Encoder, encoding: Any, start: int) -> list[int]:
    """The places of the special tokens from the character `start` on."""
    places = enumerate(zip(encoding.ids, encoding.offsets, strict=True))
    return [n for n, (token, span) in places if token in encoder.specials and span[0] >= start]


def _ending(encoding: Any, text: str, first: int, stop: int) -> Ending:
    start, end = encoding.offsets[first][0], encoding.offsets[stop][1]
    return Ending(encoding.ids[stop], text[start:end], text[end:], len(encoding.ids) - stop - 1)


def _touch(text: str, span: tuple[int, int], following: tuple[int, int]) -> bool:
    """Whether one token follows another without a gap, nor white space that the first takes in."""
    return span[1] == following[0] and not text[span[1] - 1].isspace()
