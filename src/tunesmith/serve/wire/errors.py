"""Refusals as the schema tells of them; `serve.errors` makes them."""

from __future__ import annotations

from typing import Any

from tunesmith.serve.wire.base import Answer


class ErrorDetail(Answer):
    """What was wrong, in a sentence, and the field that it is about."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(Answer):
    """The body of every answer whose status is 400 or above."""

    error: ErrorDetail


_MEANINGS = {
    400: "The request cannot be used as it is.",
    401: "No key, or none that holds.",
    403: "The key may not do this.",
    404: "There is no such object in this project.",
    408: "The request came too slowly.",
    409: "The object is in a state that this does not fit.",
    413: "More bytes than this service takes.",
    415: "The body is packed (Content-Encoding).",
    429: "Over a limit that time lifts.",
    431: "The head of the request is too large.",
    500: "A slip of the service; its log has more.",
    503: "The service cannot do this now.",
}
_ALWAYS = (400, 401, 403, 408, 413, 415, 429, 431, 500, 503)


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses=` of a route: those that any route can give, and these."""
    return {
        status: {"model": Error, "description": _MEANINGS[status]}
        for status in sorted({*_ALWAYS, *statuses})
    }
