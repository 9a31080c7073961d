"""The protocols by which the rooms of floor 3 meet. None imports another; `runs/` joins them."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from tunesmith.core.batch import Array, Batch, LossSum
from tunesmith.core.records import (
    Answered,
    Grade,
    Message,
    Prompt,
    Reply,
    Rollout,
    Score,
    StepReport,
    Tokens,
    Validation,
)


class SiteModel(Protocol):
    """What an objective asks of a model."""

    def hidden_at_sites(self, batch: Batch) -> Array:
        """The last hidden states at `batch.sites_S`, shape (S, D)."""
        ...

    def head(self, hidden_SD: Array) -> Array:
        """Logits over the vocabulary, shape (S, V)."""
        ...

    @property
    def linear_head(self) -> tuple[Array, Array | None] | None:
        """Weight (V, D) and bias (V) if logits are exactly that linear map of hidden states."""
        ...


class Eyes(Protocol):
    """How a base that sees reads the pictures of a sequence."""

    def inputs(self, ids_N: Array, paths: Sequence[str]) -> Mapping[str, Array]:
        """What the model is given beside the token ids, by the names of its forward's arguments."""
        ...


class FeatureModel(Protocol):
    """What an objective over labels asks of a model."""

    def features(self, batch: Any) -> Array:
        """What the head reads: a state a sequence (B, D), a site (S, D) or an image (B, D)."""
        ...

    def head(self, features_BD: Array) -> Array:
        """A number for each class, shape (B, C)."""
        ...


class Objective(Protocol):
    """A loss over a batch. One file each in `objectives/`.

    `model` is a SiteModel where tokens are predicted, and a FeatureModel where labels are.
    """

    def loss(self, model: Any, batch: Any) -> LossSum:
        """The undivided loss of one micro-batch."""
        ...


@runtime_checkable
class AcrossMicroBatches(Protocol):
    """An objective in which what one micro-batch is to learn depends on the others of its step.

    Its own `loss` of a micro-batch is that of a step which has no other.
    """

    def of_step(self, model: Any, batches: Iterable[Any]) -> Sequence[Objective]:
        """The objective of each micro-batch of a step, in order.

        `batches` are taken one after the other, each computed before the next is taken: random
        draws are then those of the backward pass.
        """
        ...


class Revision(Protocol):
    """What a method does to its weights after each update: a part of the step, as the update is."""

    def revise(self, weights: Mapping[str, Array], gradients: Mapping[str, Array]) -> None:
        """Change `weights`, in place, if need be.

        They are all trained weights in full precision, by name, after the update; `gradients` are
        those that the update was made with, of the weights that the loss touched.
        """
        ...

    def state(self) -> Mapping[str, Array]:
        """What must be remembered between steps; it is kept in checkpoints."""
        ...

    def load_state(self, tensors: Mapping[str, Array]) -> None:
        """Go on from what `state` gave."""
        ...


class Batches(Protocol):
    """Training data as a pure function of (epoch, index), so that any step can be made again."""

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one pass over the data."""
        ...

    def step(self, epoch: int, index: int) -> Sequence[Any]:
        """The micro-batches of one optimiser step, each a Batch or ImageBatch of numpy arrays."""
        ...

    @property
    def tokens_per_micro_batch(self) -> int:
        """The most tokens of a micro-batch, unless a single example has more."""
        ...

    def within(self, tokens_per_micro_batch: int) -> Batches:
        """The same steps in micro-batches of at most so many tokens."""
        ...


class Scorer(Protocol):
    """Scores examples with a model, without changing it."""

    def score(self, examples: Sequence[Tokens]) -> list[Score]:
        """One Score an example, in order."""
        ...


class Sampler(Protocol):
    """Lets a model answer prompts."""

    def answer(
        self,
        prompts: Sequence[Prompt],
        max_new_tokens: int,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> list[str]:
        """One answer a prompt, in order, without the end token. Temperature 0 is greedy."""
        ...


class RolloutSampler(Protocol):
    """Draws several answers to each prompt, with what each token was drawn with."""

    def sample(
        self,
        prompts: Sequence[Prompt],
        answers: int,
        max_new_tokens: int,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> list[list[Rollout]]:
        """`answers` rollouts a prompt, in order; equal for equal weights, arguments and seed."""
        ...


class Grader(Protocol):
    """Says what answers are worth: a verifier, a judge, a reward model, or the user's function."""

    def grade(self, answers: Sequence[Answered]) -> list[Grade]:
        """One grade an answer, in order; what cannot be graded has a Grade that says why."""
        ...


class Respondent(Protocol):
    """A model somewhere else, which is asked with messages and seen only by its replies."""

    def replies(
        self, conversations: Sequence[Sequence[Message]]
    ) -> Generator[tuple[int, Reply], None, None]:
        """The place of each conversation and the reply to it, in the order in which they come.

        Once the generator is closed nothing further is sent. Raises EndpointError when the model
        cannot be reached or refuses to be asked at all.
        """
        ...


class Watcher(Protocol):
    """Is told what happens during a run: the progress bar, the plain lines, a test."""

    def stage(self, name: str, detail: str = "") -> None:
        """A new part of the run begins."""
        ...

    def training(self, total_steps: int, done_steps: int) -> None:
        """The loop begins, `done_steps` of it already behind (more than 0 on resume)."""
        ...

    def step(self, report: StepReport) -> None:
        """An optimiser step was made."""
        ...

    def validated(self, validation: Validation) -> None:
        """The held-out loss was measured."""
        ...

    def note(self, message: str) -> None:
        """Something the user should read."""
        ...


class Silent:
    """A watcher that says nothing."""

    def __getattr__(self, name: str) -> Any:
        if name in ("stage", "training", "step", "validated", "note"):
            return lambda *args, **kwargs: None
        raise AttributeError(name)
