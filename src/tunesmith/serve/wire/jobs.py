"""Fine-tuning jobs: what is asked for, and what is shown of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from tunesmith.serve.jobs.states import Status
from tunesmith.serve.store.tables import CheckpointRow, JobEventRow, JobRow
from tunesmith.serve.wire.base import Answer, Asked, AskedPart

AUTO: Literal["auto"] = "auto"
Auto = Annotated[Literal["auto"], BeforeValidator(lambda value: AUTO if value is None else value)]
"""What the service chooses; null says the same."""
Above0 = Annotated[float, Field(gt=0, allow_inf_nan=False)]
AtLeast1 = Annotated[int, Field(ge=1, le=1_000_000)]
BatchSize = Annotated[int, Field(ge=1, le=256)]
Epochs = Annotated[int, Field(ge=1, le=50)]
FileId = Annotated[str, Field(min_length=1, max_length=64)]


class Hyperparameters(AskedPart):
    """Those that every method has; what is left out is as "auto"."""

    batch_size: Auto | BatchSize = AUTO
    learning_rate_multiplier: Auto | Above0 = AUTO
    n_epochs: Auto | Epochs = AUTO


class DpoHyperparameters(Hyperparameters):
    """Those of learning from preferences."""

    beta: Auto | Annotated[float, Field(gt=0, le=2)] = AUTO


class ReinforcementHyperparameters(Hyperparameters):
    """Those of learning from graded answers."""

    compute_multiplier: Auto | Annotated[float, Field(gt=0.00001, le=10)] = AUTO
    eval_interval: Auto | AtLeast1 = AUTO
    eval_samples: Auto | AtLeast1 = AUTO
    reasoning_effort: Literal["default", "low", "medium", "high"] | None = "default"


class Supervised(AskedPart):
    """Learning from answers."""

    hyperparameters: Hyperparameters = Hyperparameters()


class Dpo(AskedPart):
    """Learning from pairs of a better and a worse answer."""

    hyperparameters: DpoHyperparameters = DpoHyperparameters()


class Reinforcement(AskedPart):
    """Learning from what a grader says of the model's own answers."""

    grader: dict[str, Any]
    hyperparameters: ReinforcementHyperparameters = ReinforcementHyperparameters()


class Tunesmith(AskedPart):
    """Our own: the sections of a recipe, as far as a client may write them."""

    recipe: dict[str, Any]


class Method(AskedPart):
    """How to train: its type, and what that type takes under its own name."""

    type: Literal["supervised", "dpo", "reinforcement", "tunesmith"]
    supervised: Supervised | None = None
    dpo: Dpo | None = None
    reinforcement: Reinforcement | None = None
    tunesmith: Tunesmith | None = None

    @property
    def is_bare(self) -> bool:
        """Whether it says no more than what every job is."""
        return self.type == "supervised" and self.supervised is None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Method:
        said = [name for name in _METHODS if getattr(self, name) is not None]
        if extra := [name for name in said if name != self.type]:
            raise ValueError(f"its type is {self.type}, so {extra[0]} would not be read")
        if self.type in ("reinforcement", "tunesmith") and not said:
            raise ValueError(f"{self.type} is missing, which says what to do")
        return self


_METHODS = ("supervised", "dpo", "reinforcement", "tunesmith")


class Wandb(AskedPart):
    """Where a hosted service would send metrics."""

    project: str
    name: str | None = None
    entity: str | None = None
    tags: list[str] | None = None


class Integration(AskedPart):
    """A service that a hosted one would send metrics to."""

    type: Literal["wandb"]
    wandb: Wandb


def _not_served(asked: list[Integration]) -> list[Integration]:
    """Raises ValueError unless nothing is asked for."""
    if asked:
        raise ValueError(
            "this service sends nothing to other services; leave them out. Metrics are in the "
            "job's events, its result file and its report"
        )
    return asked


Integrations = Annotated[list[Integration], Field(max_length=5), AfterValidator(_not_served)]

Labels = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16),
]


class JobAsked(Asked):
    """A job to be made."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    training_file: FileId
    validation_file: FileId | None = None
    suffix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = None
    seed: Annotated[int, Field(ge=0, le=2_147_483_647)] | None = None
    metadata: Labels | None = None
    integrations: Integrations | None = None
    method: Method | None = None
    hyperparameters: Hyperparameters | None = None

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> JobAsked:
        if self.validation_file == self.training_file:
            raise ValueError("training_file and validation_file must not be the same file")
        method = self.method
        if self.hyperparameters is not None and method is not None and not method.is_bare:
            raise ValueError(
                "hyperparameters would not be read beside method; put them into "
                f"method.{method.type}.hyperparameters"
            )
        return self


class JobError(Answer):
    """Why a job failed."""

    code: str
    message: str
    param: str | None = None


class JobHyperparameters(Answer):
    """Those of every method; a number once "auto" has become one."""

    batch_size: Literal["auto"] | int | None = None
    learning_rate_multiplier: Literal["auto"] | float | None = None
    n_epochs: Literal["auto"] | int | None = None


class Job(Answer):
    """A job, with every key at any time."""

    id: str
    object: Literal["fine_tuning.job"] = "fine_tuning.job"
    created_at: int
    started_at: int | None
    finished_at: int | None
    estimated_finish: int | None
    model: str
    fine_tuned_model: str | None
    organization_id: str
    status: Status
    training_file: str
    validation_file: str | None
    result_files: list[str]
    trained_tokens: int | None
    seed: int
    hyperparameters: JobHyperparameters
    method: dict[str, Any]
    integrations: list[dict[str, Any]] | None = None
    metadata: dict[str, str] | None
    user_provided_suffix: str | None
    error: JobError | None

    @classmethod
    def of(cls, row: JobRow, organization: str) -> Job:
        """As the interface shows it."""
        shown = {name: getattr(row, name) for name in cls.model_fields if hasattr(row, name)}
        return cls.model_validate(
            {
                **shown,
                "organization_id": organization,
                "metadata": row.labels,
                "user_provided_suffix": row.suffix,
            }
        )


class Event(Answer):
    """Something that happened to a job."""

    id: str
    object: Literal["fine_tuning.job.event"] = "fine_tuning.job.event"
    created_at: int
    level: Literal["info", "warn", "error"]
    message: str
    type: Literal["message", "metrics"]
    data: dict[str, Any] | None

    @classmethod
    def of(cls, row: JobEventRow) -> Event:
        """As the interface shows it."""
        return cls.model_validate(row, from_attributes=True)


class CheckpointMetrics(Answer):
    """What was measured at a checkpoint, or before it if nothing was measured there."""

    step: float | None = None
    train_loss: float | None = None
    train_mean_token_accuracy: float | None = None
    valid_loss: float | None = None
    valid_mean_token_accuracy: float | None = None
    full_valid_loss: float | None = None
    full_valid_mean_token_accuracy: float | None = None


class Checkpoint(Answer):
    """A state of a job's model that can be asked."""

    id: str
    object: Literal["fine_tuning.job.checkpoint"] = "fine_tuning.job.checkpoint"
    created_at: int
    fine_tuned_model_checkpoint: str
    fine_tuning_job_id: str
    step_number: int
    metrics: CheckpointMetrics

    @classmethod
    def of(cls, row: CheckpointRow) -> Checkpoint:
        """As the interface shows it."""
        return cls(
            id=row.id,
            created_at=row.created_at,
            fine_tuned_model_checkpoint=row.model_id,
            fine_tuning_job_id=row.job_id,
            step_number=row.step_number,
            metrics=CheckpointMetrics.model_validate(row.metrics),
        )
