"""Our own paths: data looked at, feedback, and names that lead to models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from tunesmith.runs.registry import Named
from tunesmith.serve.wire.base import Answer, Asked

MOST_JUDGEMENTS = 1000


class Place(Answer):
    """A row that was found."""

    line: int
    message: str


class Finding(Answer):
    """What one check found, with the first rows of it."""

    reason: str
    grade: Literal["stop", "warn", "note"]
    rows: int
    message: str
    advice: str
    places: list[Place]


class DataCheck(Answer):
    """What is wrong with a file; `stops` says whether any of it must not be learned."""

    object: Literal["tunesmith.data_check"] = "tunesmith.data_check"
    file_id: str
    rows: int
    unusable: int
    stops: bool
    findings: list[Finding]


class JobPart(Answer):
    """A part of a job's run: its ledger, its plan or its verdict, as the run folder has it."""

    object: Literal["tunesmith.job_part"] = "tunesmith.job_part"
    job_id: str
    part: Literal["ledger", "plan", "verdict"]
    content: dict[str, Any]


class Judgements(Asked):
    """Judgements of answers, each as a line of feedback is: `preferred`, `liked` or `corrected`."""

    judgements: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MOST_JUDGEMENTS)]


class JudgementsKept(Answer):
    """How many judgements were new; those that were there already are kept once."""

    object: Literal["tunesmith.feedback"] = "tunesmith.feedback"
    received: int
    added: int


class LearnedRows(Answer):
    """Rows of one form that judgements make, and how many of these make none, by reason."""

    object: Literal["tunesmith.feedback_rows"] = "tunesmith.feedback_rows"
    form: Literal["preference", "rating", "sft"]
    rows: list[dict[str, Any]]
    left_out: dict[str, int]


class Promotion(Asked):
    """The model that a name is to lead to, and, where its verdict says hold, why all the same."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    because: Annotated[str, Field(min_length=1, max_length=1000)] | None = None


class Rollback(Asked):
    """Why the version before is to be current again."""

    because: Annotated[str, Field(min_length=1, max_length=1000)] | None = None


class AliasVersion(Answer):
    """A model that the name led to, with the verdict that it had."""

    version: int
    job_id: str
    decision: str
    sentence: str
    time: str
    because: str | None


class Alias(Answer):
    """A name that can be given wherever the id of a model can."""

    object: Literal["tunesmith.alias"] = "tunesmith.alias"
    id: str
    current: int
    versions: list[AliasVersion]

    @classmethod
    def of(cls, named: Named) -> Alias:
        """As it is shown."""
        versions = [
            AliasVersion(
                version=each.version,
                job_id=Path(each.run).parent.name,
                decision=each.decision,
                sentence=each.sentence,
                time=each.time,
                because=each.because,
            )
            for each in named.versions
        ]
        return cls(id=named.name, current=named.current, versions=versions)


class AliasList(Answer):
    """All names of the project."""

    object: Literal["list"] = "list"
    data: list[Alias]
