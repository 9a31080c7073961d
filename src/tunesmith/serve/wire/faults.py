"""What is wrong with a request, as a sentence that names the field."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith.serve.errors import ApiError, bad_request

_PLACES = ("body", "query", "path", "header")
_ALTERNATIVE = re.compile(r"(constrained-)?(int|float|str|dict|list)|.*\[.*\]")
"""How a place names one alternative of several: not a name that a client has written."""


def refusal(faults: Sequence[Mapping[str, Any]]) -> ApiError:
    """Of all that was found the first field, with each of the forms that it could have had."""
    param = _param(faults[0])
    said = [_said(fault) for fault in faults if _param(fault) == param]
    what = ", or ".join(dict.fromkeys(said))
    return bad_request(f"{param or 'The request'}: {what}.", param=param)


def _param(fault: Mapping[str, Any]) -> str | None:
    place = [str(part) for part in fault["loc"]]
    named = place[1:] if place[:1] and place[0] in _PLACES else place
    if fault["type"] == "json_invalid":
        return None
    return ".".join(part for part in named if not _ALTERNATIVE.fullmatch(part)) or None


def _said(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "extra_forbidden":
        return "this service knows no such field"
    if fault["type"] == "json_invalid":
        return f"it is not JSON ({fault['ctx']['error']})"
    message = str(fault["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]
