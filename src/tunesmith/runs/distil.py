"""The act `distil`: questions go to a model behind an endpoint, and its answers become rows.

Sequence-level distillation (Kim and Rush 2016, §3.2): a student is then trained on what its teacher
said. No torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.core.errors import DataError, InputError, Interrupted
from tunesmith.core.files import require_new, storage_errors
from tunesmith.core.ports import Respondent, Silent, Watcher
from tunesmith.core.records import Finding, Reply
from tunesmith.data.questions import Question, question_of
from tunesmith.data.sources import expand, require_distinct, require_readable, rows_of
from tunesmith.engine.stopping import stop_on_signals
from tunesmith.evaluate.judge_ask import tokens_of
from tunesmith.evaluate.wording import amount, plural
from tunesmith.models.endpoint import Endpoint, require_client
from tunesmith.recipe.judge import endpoint_url
from tunesmith.runs.distilled import Distilled, Source, ledger_of, replies_of
from tunesmith.runs.replies import Remembered

_MILLION = 1_000_000

TOKENS_OF_A_MESSAGE = 16
"""More than any chat template known here writes around a message."""


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """What the user pays for a million tokens read and written."""

    prompt: float
    answer: float
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What is going to be sent: `requests`, beside those that were `answered` before.

    `about` is a guess of the tokens read, to two digits. `most_read` cannot be exceeded, for no
    tokenizer makes more tokens of a text than it has bytes; `most_written` is what the answers'
    limit allows.
    """

    model: str
    host: str
    requests: int
    answered: int
    about: int
    most_read: int
    most_written: int
    prices: TokenPrices | None

    @property
    def most(self) -> float | None:
        """The highest price of it all; None without prices."""
        if self.prices is None:
            return None
        read = self.most_read * self.prices.prompt
        return (read + self.most_written * self.prices.answer) / _MILLION

    def sentences(self) -> list[str]:
        """What the user is asked to agree to."""
        verb = "goes" if self.requests == 1 else "go"
        before = f"; {self.answered:,} are answered already" if self.answered else ""
        found = [
            f"{plural(self.requests, 'request')} {verb} to {self.model} at {self.host}{before}.",
            f"Tokens read: about {self.about:,}, at most {self.most_read:,}. Tokens written: at "
            f"most {self.most_written:,}.",
        ]
        if self.prices is not None and self.most is not None:
            found.append(f"Price: at most {amount(self.most, self.prices.currency)}.")
        return found


def distil(
    files: Sequence[str],
    out: Path,
    endpoint: Endpoint,
    agree: Callable[[Foreseen], bool],
    prices: TokenPrices | None = None,
    mapping: Mapping[str, str] | None = None,
    watcher: Watcher | None = None,
) -> Distilled | None:
    """Ask all questions of `files` and write the answers to `out` as chats; None if not agreed to.

    Beside `out`, which appears whole or not at all, stand `out`.ledger.jsonl with a line for each
    row that came in, and `out`.replies.jsonl: whatever the endpoint replied, as it came, so that
    the same call goes on after an interruption.

    Args:
        files: rows with a prompt, or of any format with an answer, which is not looked at.
        out: a new file.
        endpoint: the teacher; its `max_tokens` bounds what it may cost.
        agree: is asked once, before anything is sent, and not at all where nothing needs to be.
        prices: what tokens cost the user.
        mapping: as `data.mapping` in the recipe.
        watcher: is told how far it is.

    Raises:
        InputError: the address is none, `out` exists, a file cannot be read, no row asks anything,
            or no answer can be used.
        EndpointError: the endpoint does not answer; what it did reply is kept.
        Interrupted: after Ctrl-C or SIGTERM, likewise.
        StorageError: the disk refuses.
    """
    require_client()
    require_address(endpoint.url)
    for path in (out, ledger_of(out)):
        require_new(path, "the answers")
    watcher = watcher or Silent()
    distilled = Distilled(out)
    sources = [*_read(files, mapping or {}, distilled)]
    questions = list(dict.fromkeys(each.question for each in sources if each.question))
    if not questions:
        raise DataError(f"No row asks anything ({distilled.reasons(sources)}).")
    with storage_errors(replies_of(out)):
        respondent = Remembered(endpoint, replies_of(out))
    foreseen = foresee(endpoint, respondent, questions, prices)
    if foreseen.requests and not agree(foreseen):
        return None
    with stop_on_signals():
        try:
            replies = _answers(respondent, questions, watcher)
        except KeyboardInterrupt:
            raise Interrupted(
                f"Stopped. What {endpoint.model} has replied is kept in {replies_of(out)}, and the "
                "same command asks only the rest."
            ) from None
    distilled.write(sources, replies, _provenance(endpoint))
    return distilled


def foresee(
    endpoint: Endpoint,
    respondent: Remembered,
    questions: Sequence[Question],
    prices: TokenPrices | None,
) -> Foreseen:
    """What asking the questions that have no reply yet takes. `endpoint.max_tokens` is a number."""
    assert endpoint.max_tokens is not None
    unknown = [tuple(each) for each in respondent.unknown(questions)]
    said = [message for question in unknown for message in question]
    read = sum(len(each.content.encode()) + TOKENS_OF_A_MESSAGE for each in said)
    return Foreseen(
        endpoint.model,
        endpoint.host,
        len(unknown),
        respondent.known(questions),
        tokens_of(unknown),
        read + TOKENS_OF_A_MESSAGE * len(unknown),  # and what begins the answer
        len(unknown) * endpoint.max_tokens,
        prices,
    )


def require_address(url: str) -> None:
    """Raises InputError if `url` is no address of an endpoint."""
    try:
        endpoint_url(url)
    except ValueError:
        raise InputError(
            "--url must be an http:// or https:// address without user, password and query, as in "
            "http://localhost:8000/v1. What was received is none; a key stands in an environment "
            "variable, which --key-variable names."
        ) from None


def _read(
    files: Sequence[str], mapping: Mapping[str, str], distilled: Distilled
) -> Iterator[Source]:
    """Each row with its question, once; the reason where there is none."""
    named = expand(files)
    require_distinct(named.files)
    require_readable(named.files)
    distilled.notes += [finding.message for finding in named.findings]
    asked: set[Question] = set()
    for path in named.files:
        for row in rows_of(path):
            question = question_of(row, mapping)
            if isinstance(question, Finding):
                yield Source(str(row.origin), None, question.reason, question.message)
            elif question in asked:
                yield Source(str(row.origin), None, "duplicate", "A row before it asks the same.")
            else:
                asked.add(question)
                yield Source(str(row.origin), question)


def _answers(
    respondent: Respondent, questions: Sequence[Question], watcher: Watcher
) -> dict[Question, Reply]:
    """The reply to each question, telling at each tenth how many there are."""
    found: dict[Question, Reply] = {}
    watcher.stage("ask", plural(len(questions), "question"))
    with closing(respondent.replies(questions)) as replies:
        for place, reply in replies:
            found[questions[place]] = reply
            if len(found) * 10 // len(questions) > (len(found) - 1) * 10 // len(questions):
                watcher.note(f"{len(found):,} of {len(questions):,} answered.")
    return found


def _provenance(endpoint: Endpoint) -> dict[str, Any]:
    """Who answered, and how it was asked."""
    sampling = {"temperature": endpoint.temperature, "max_tokens": endpoint.max_tokens}
    return {"model": endpoint.model, "host": endpoint.host, "sampling": sampling}
