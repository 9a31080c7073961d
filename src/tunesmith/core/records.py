"""The records that walk downstairs: Row → Example → Tokens, and what is said about them.

All are frozen and know no library. One training example keeps its `Origin` from the file it came
from to the error message or the report that speaks of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row came from; no two rows of a run share one.

    `line` is the line on which the row begins (1 is the first; in Parquet the row, in PDF the page,
    in DOCX the paragraph). `index` is its place in a JSON array (1 is the first), for a whole array
    may stand on one line, or among the rows of a document that begin on one line, from the second
    on; else None.
    """

    path: str
    line: int
    index: int | None = None

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}"
        return place if self.index is None else f"{place} item {self.index}"


@dataclass(frozen=True, slots=True)
class Row:
    """One object as it stood in a file, not yet understood."""

    origin: Origin
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the assistant asks for; `arguments` is the text of a JSON object."""

    name: str
    arguments: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """A picture in a message: before character `at` of its text.

    `name` is how the row calls it; `path` is its file.
    """

    name: str
    path: str
    at: int


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    `tool_calls` and `reasoning` (what was thought before the answer) are the assistant's;
    `tool_call_id` and `name` say which call a tool's message answers. `weight` is 1 where the
    assistant's turn is learned and 0 where it is context only; nobody else's turn is ever learned.
    `images` are the pictures that a user shows, in order.
    """

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    reasoning: str = ""
    weight: Literal[0, 1] = 1
    images: tuple[Image, ...] = ()

    @property
    def learned(self) -> bool:
        """Whether this turn is one to learn."""
        return self.role == "assistant" and self.weight == 1

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Message:
        """What `dataclasses.asdict` made of one, read again from JSON."""
        calls = tuple(ToolCall(**call) for call in value.get("tool_calls", ()))
        images = tuple(Image(**image) for image in value.get("images", ()))
        return cls(**{**value, "tool_calls": calls, "images": images})


def images_in(messages: Sequence[Message]) -> tuple[str, ...]:
    """The files of all pictures in a conversation, in order."""
    return tuple(image.path for message in messages for image in message.images)


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation; every assistant turn of weight 1 is learned.

    `tools` are the functions that the assistant may call, each as the text of its JSON schema.
    """

    messages: tuple[Message, ...]
    tools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """A text and how it goes on; only the completion is learned."""

    prompt: str
    completion: str


@dataclass(frozen=True, slots=True)
class Text:
    """A document; every token is learned."""

    text: str


Spoken = str | tuple[Message, ...]
"""What is said, as plain text or as turns of a conversation."""

Conduct = Literal["refuse", "answer"]
"""What is to be done with a prompt: a harmful one is refused, a harmless one answered."""


@dataclass(frozen=True, slots=True)
class Preference:
    """Two ways to go on from a prompt, the better one first; all three plain text, or all turns.

    `margin` is how much better it is, 0 or more, where the row says so. `expect` is what the row
    says is to be done with the prompt, None where it says nothing.
    """

    prompt: Spoken
    chosen: Spoken
    rejected: Spoken
    tools: tuple[str, ...] = ()
    margin: float | None = None
    expect: Conduct | None = None


@dataclass(frozen=True, slots=True)
class Rating:
    """One way to go on from a prompt, and whether it was liked; both plain text, or both turns.

    `expect` is as in Preference.
    """

    prompt: Spoken
    completion: Spoken
    label: bool
    tools: tuple[str, ...] = ()
    expect: Conduct | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """One way to go on from a prompt, and what it is worth, a finite number; text, or turns."""

    prompt: Spoken
    completion: Spoken
    reward: float
    tools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stepwise:
    """A prompt, as text or as turns, and an answer in steps, and whether each step is right."""

    prompt: Spoken
    steps: tuple[str, ...]
    labels: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Prompted:
    """A prompt that waits for its answer, as reinforcement takes it; `reference` is the text of a
    JSON object with what a grader is to know of it, `{}` for nothing."""

    prompt: Spoken
    reference: str = "{}"
    tools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Label:
    """A text and the classes that it belongs to, one or several."""

    text: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tagged:
    """Words, and one tag for each."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts of like meaning, or, with `score`, of the similarity that it names."""

    anchor: str
    positive: str
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Triplet:
    """A text, one that is near to it in meaning, and one that is farther."""

    anchor: str
    positive: str
    negative: str


@dataclass(frozen=True, slots=True)
class ImageLabel:
    """The path of an image, as the row gives it, and the class that the image belongs to."""

    path: str
    label: str


Content = (
    Chat
    | Completion
    | Text
    | Preference
    | Rating
    | Prompted
    | Label
    | Tagged
    | Pair
    | Triplet
    | ImageLabel
    | Scored
    | Stepwise
)


@dataclass(frozen=True, slots=True)
class Example:
    """One row, understood.

    `tests` are Python statements that the code of its answer must pass, "" for none.
    """

    origin: Origin
    content: Content
    tests: str = ""


@dataclass(frozen=True, slots=True)
class Tokens:
    """One example as the model will see it.

    `ids_N` are token ids (int32); `weights_N[i]` is how much predicting `ids_N[i]` counts
    (float32; 0 is context only). `learned_bytes` is the length in UTF-8 bytes of the text that the
    weighted tokens spell, the denominator of bits per byte. `part` numbers the pieces of a
    document longer than the context, or the texts of a pair; of answers that were compared or
    rated, 0 is the better one, or a liked one, and 1 the worse, or a disliked one. `labels` are
    the classes of the whole example, or one tag for each of its weighted tokens. `images` are the
    files of the pictures whose tokens stand among `ids_N`, in order.
    """

    origin: Origin
    ids_N: np.ndarray
    weights_N: np.ndarray
    learned_bytes: int
    part: int = 0
    labels: tuple[str, ...] = ()
    images: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.ids_N)

    @property
    def sites(self) -> int:
        """How many labels are predicted, or else weighted tokens (the first of all never is)."""
        return len(self.labels) or int((self.weights_N[1:] > 0).sum())


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a check has to say about one row, or about the whole data set (origin None).

    `severity` "drop" takes the row out of the run, "warn" keeps it. `reason` is a short stable key
    counted in the ledger; `message` is the sentence shown to the user.
    """

    reason: str
    message: str
    severity: Literal["drop", "warn"]
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """A held-out example as a question: everything up to the answer, and the answer wanted.

    `ids_N` is the generation prompt as the trained model was shown it (int32), `tools` the
    functions that it names, `calls` those that the answer calls. An answer that calls a tool, or is
    thought over first, is all of that as it is written. `tests` are those of the example, `images`
    the files of the pictures whose tokens stand among `ids_N`. `reference` is what a grader is to
    know, the text of a JSON object; a prompt that waits for its answer has "" for `answer`.
    """

    origin: Origin
    messages: tuple[Message, ...]
    ids_N: np.ndarray
    answer: str
    tools: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    tests: str = ""
    images: tuple[str, ...] = ()
    reference: str = "{}"


@dataclass(frozen=True, slots=True)
class Rollout:
    """One answer, as it was sampled.

    `ids_N` are its token ids (int32), the end token last where it ended of itself (`ended`).
    `log_probs_N` are the logarithms of what each was drawn with, in nats (float32), of the
    distribution as the temperature made it. `text` is the answer without its end token.
    """

    ids_N: np.ndarray
    log_probs_N: np.ndarray
    ended: bool
    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """What a grader is shown: the answer, what was asked, and what the row tells of it.

    `reference` is the text of a JSON object, `tests` are as in Example.
    """

    origin: Origin
    messages: tuple[Message, ...]
    text: str
    reference: str = "{}"
    tests: str = ""


@dataclass(frozen=True, slots=True)
class Grade:
    """What a grader gave an answer: a finite number, or None where `failed` says why there is none.

    An answer without a grade is left out of what is learned and counted: it is never a 0. `parts`
    are the numbers that `value` is put together from, by their graders' names.
    """

    value: float | None
    failed: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Canary:
    """A made-up secret in a row of its own, planted to see whether the model comes to tell it.

    An epoch holds `tokens` `repeats` times; 0 is a control, which is measured and never trained on.
    `alternatives` are the same row with other random secrets, `prompt` is all that stands before
    the secret.
    """

    origin: Origin
    repeats: int
    secret: str
    tokens: Tokens
    alternatives: tuple[Tokens, ...]
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model somewhere else said; `refused` says why it took this one request not (the text
    is then empty), None where it did.

    `finish` is its word for why it ended, as "stop", or "length" where it was cut off; `date` is
    the day on which it was said, in ISO 8601 and UTC. Both are None where they are not known.
    `retries` is how often the request was made again.
    """

    text: str
    refused: str | None = None
    finish: str | None = None
    date: str | None = None
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Score:
    """Negative log likelihood of one example's learned tokens under a model.

    `nll` is a weighted sum in nats, `count` the sum of weights, `bytes` the UTF-8 length of the
    learned text.
    """

    origin: Origin
    nll: float
    count: float
    bytes: int

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Score:
        """What `dataclasses.asdict` made of one, read again from JSON."""
        return cls(**{**value, "origin": Origin(**value["origin"])})


@dataclass(frozen=True, slots=True)
class StepReport:
    """One optimiser step, as written to `metrics.jsonl`.

    `loss` is nats per supervised token over the whole step, `grad_norm` is before clipping,
    `tokens` counts every token computed, `supervised_tokens` the sum of loss weights,
    `seconds` is wall time of the step.
    """

    step: int
    epoch: float
    loss: float
    grad_norm: float
    lr: float
    tokens: int
    supervised_tokens: float
    seconds: float
    extras: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Validation:
    """The held-out loss (nats per supervised token) after `step` optimiser steps.

    `grade` is the mean grade of answers to held-out prompts, where the model learns from grades and
    the loss is minus it. `token_accuracy` is the share of the supervised tokens, by weight, that no
    other was held likelier than, where the loss is theirs.
    """

    step: int
    epoch: float
    loss: float
    best: bool
    grade: float | None = None
    token_accuracy: float | None = None
