"""An engine without a model: it says what a test wants, token by token, and remembers who asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from tunesmith.serve.chat.counts import Counts
from tunesmith.serve.chat.generation import Generation, Piece, TokenLogprob

Script = Callable[[Generation], "list[str | Exception]"]


class FakeEngine:
    """Says `says` to each question: one text a token; an exception among them is raised there.

    `asked` are all generations, `given_up` those that were closed before they were finished.
    """

    def __init__(self, *says: str | Exception) -> None:
        self.begin_again(*says)

    def begin_again(self, *says: str | Exception, seconds: float = 0.0) -> None:
        """Forget what was asked; each text takes so many seconds from now on."""
        self.script: Script = lambda _: list(says)
        self.seconds = seconds
        self.asked: list[Generation] = []
        self.given_up: list[Generation] = []

    async def generate(self, asked: Generation) -> AsyncGenerator[Piece, None]:
        """See Engine."""
        self.asked.append(asked)
        says = self.script(asked)[: asked.max_new_tokens]
        try:
            for number, text in enumerate(says, start=1):
                await asyncio.sleep(self.seconds)
                if isinstance(text, Exception):
                    raise text
                yield self._piece(asked, text, last=number == len(says))
        except (GeneratorExit, asyncio.CancelledError):
            self.given_up.append(asked)
            raise

    def counts(self) -> Counts:
        """See Engine."""
        return Counts(answers=len(self.asked))

    def close(self) -> None:
        """See Engine."""

    def _piece(self, asked: Generation, text: str, *, last: bool) -> Piece:
        rivals = tuple((n, b"%d" % n, -2.0 - n) for n in range(asked.top_logprobs or 0))
        token = TokenLogprob(7, text.encode(), -0.5, rivals)
        return Piece(
            text,
            1,
            () if asked.top_logprobs is None else (token,),
            "stop" if last else None,
            len(asked.prompt_ids),
            2,
        )
