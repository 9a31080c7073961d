"""What all requests and all responses have in common.

A request that has a field which nothing here reads is refused by that field's name: a setting that
is misspelt, or that another service has, must not be lost in silence. A response always has every
key, with null where there is nothing to say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

Model = TypeVar("Model", bound=BaseModel)

MOST_FAULTS = 100
"""Of one request, that are looked at one by one."""


class AskedPart(BaseModel):
    """A part of a request."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Asked(AskedPart):
    """The JSON of a request: what JSON can carry and neither a database nor an answer could is
    refused here, once for all that is in it."""

    @model_validator(mode="before")
    @classmethod
    def _can_be_kept(cls, value: Any) -> Any:
        _check(value)
        return value

    @model_validator(mode="wrap")
    @classmethod
    def _has_few_faults(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """To write out a million faults takes a minute and gigabytes, and one is told."""
        try:
            return handler(value)
        except ValidationError as error:
            if error.error_count() <= MOST_FAULTS:
                raise
            raise PydanticCustomError(
                "faults",
                "{count} values in it are wrong, too many to be told; look at its longest list",
                {"count": error.error_count()},
            ) from None


class Answer(BaseModel):
    """A response, or a part of one."""

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)


def checked(model: type[Model], fields: Mapping[str, Any]) -> Model:
    """What did not come as JSON, as that model. Raises RequestValidationError."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error


def _check(value: Any) -> None:
    """Raises ValueError: no NUL, no half of a surrogate pair, no number that is not finite."""
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("numbers must be finite")
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check(key)
            _check(inner)
    elif isinstance(value, list):
        for inner in value:
            _check(inner)


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ValueError("text must not contain NUL")
    if any("\ud800" <= sign <= "\udfff" for sign in text):
        raise ValueError("text must not contain half of a surrogate pair")


def _shown(value: Any) -> Any:
    """The last part of what a client calls a file, whose name is a text and never a path."""
    if not isinstance(value, str):
        return value
    name = value.replace("\\", "/").rsplit("/", 1)[-1]
    if not name.isprintable():
        raise ValueError("the name has signs that cannot be shown; rename the file")
    return name or "upload"


Filename = Annotated[str, BeforeValidator(_shown), Field(max_length=255)]
"""What a client calls a file."""
