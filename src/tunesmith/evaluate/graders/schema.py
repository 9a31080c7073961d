"""The verifier of answers that are JSON of a given form. The one place that knows `jsonschema`.

Nothing is fetched: a schema that refers to an address is an error. A `pattern` inside a schema is
searched with a time limit, as an answer may be written to make it slow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import regex
from jsonschema import Draft202012Validator, ValidationError, validators
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable

from tunesmith.core.errors import RecipeError
from tunesmith.core.records import Answered
from tunesmith.evaluate.graders.names import Ungraded, names_of
from tunesmith.evaluate.graders.verifiers import OfAnswered
from tunesmith.evaluate.metrics.structured import parsed
from tunesmith.recipe.graders import templates
from tunesmith.recipe.graders.shapes import GraderJson

SECONDS = 1.0


def json_schema(grader: GraderJson) -> OfAnswered:
    """1 if the answer is one JSON value that the schema allows; a Markdown fence may stand around.

    The schema stands in the grader, or in a field of each row.
    """
    schema = grader["schema"]
    fixed = _validator(schema) if isinstance(schema, Mapping) else None

    def number(answered: Answered) -> float:
        validator = fixed or _of_row(schema, answered)
        found, given = parsed(answered.text)
        return float(found and _allows(validator, given, answered))

    return number


def _of_row(template: str, answered: Answered) -> Any:
    schema = templates.value_of(template, names_of(answered))
    if not isinstance(schema, Mapping):
        raise Ungraded(f"{answered.origin}: {template} is {schema!r}, which is no JSON schema.")
    try:
        return _validator(schema)
    except RecipeError as error:
        raise Ungraded(f"{answered.origin}: {error}") from error


def _validator(schema: Mapping[str, Any]) -> Any:
    draft = schema.get("$schema", "")
    try:
        if not isinstance(draft, str):
            raise ValueError("its $schema is no text")
        kind = validators.validator_for(schema, default=Draft202012Validator)
        kind.check_schema(schema)
    except (ValueError, OverflowError, RecursionError) as error:
        raise RecipeError(
            f"This is no JSON schema ({error}). Correct the grader's schema."
        ) from None
    except SchemaError as error:
        place = "".join(f"[{step!r}]" for step in error.absolute_path) or "its top"
        raise RecipeError(
            f"This is no JSON schema: at {place}, {error.message}. Correct the grader's schema."
        ) from None
    bounded = validators.extend(kind, {"pattern": _pattern})
    return bounded(schema, registry=Registry())


def _allows(validator: Any, given: Any, answered: Answered) -> bool:
    try:
        return bool(validator.is_valid(given))
    except TimeoutError:
        said = f"a pattern of the schema searched this answer for more than {SECONDS:g} s"
    except RecursionError:
        said = "the schema refers to itself without an end"
    except (re.error, regex.error, OverflowError) as error:
        said = f"the schema has a pattern or a number that cannot be used ({error})"
    except Unresolvable as error:
        said = f"the schema refers to {error.ref!r}, which stands not in it; nothing is fetched"
    raise Ungraded(f"{answered.origin}: {said}. Correct the grader's schema.")


def _pattern(validator: Any, wanted: str, given: Any, _: Any) -> Iterator[ValidationError]:
    if validator.is_type(given, "string") and not regex.search(wanted, given, timeout=SECONDS):
        yield ValidationError(f"{given!r} does not match {wanted!r}")
