"""Every refusal of the service, in the shape that the published interface has.

    {"error": {"message": "...", "type": "invalid_request_error", "param": null, "code": null}}

Clients choose an exception by the status alone and show `message`. The official ones try 408, 409,
429 and 5xx again unless `x-should-retry: false` says not to, so each refusal says which it is.
"""

from __future__ import annotations

from collections.abc import Mapping

INVALID = "invalid_request_error"


class ApiError(Exception):
    """A refusal: `status` of HTTP, a finished sentence, and the field that it is about.

    `retry_after` seconds, where trying again helps; None says that it does not.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        kind: str = INVALID,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.kind = kind
        self.retry_after = retry_after

    def body(self) -> dict[str, dict[str, str | None]]:
        """What is sent."""
        return {
            "error": {
                "message": self.message,
                "type": self.kind,
                "param": self.param,
                "code": self.code,
            }
        }

    def headers(self) -> Mapping[str, str]:
        """Whether, and when, a client should try again."""
        if self.retry_after is None:
            return {"x-should-retry": "false"}
        return {"x-should-retry": "true", "retry-after": str(max(1, round(self.retry_after)))}


def bad_request(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """What was sent cannot be used."""
    return ApiError(400, message, param=param, code=code)


def not_found(what: str, id: str, *, param: str | None = None) -> ApiError:
    """There is no such thing in the caller's project; of other projects nothing is said."""
    return ApiError(
        404, f"No such {what}: {id}", param=param, code=f"{what.replace(' ', '_')}_not_found"
    )


def conflict(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """What was asked for does not fit the state that the object is in."""
    return ApiError(409, message, param=param, code=code)


def unauthenticated(message: str) -> ApiError:
    """No key, or none that holds."""
    return ApiError(401, message, code="invalid_api_key", kind="authentication_error")


def forbidden(message: str) -> ApiError:
    """The key is known and may not do this."""
    return ApiError(403, message, code="insufficient_permissions", kind="permission_error")


def too_large(message: str, *, param: str | None = None) -> ApiError:
    """More bytes than the operator allows."""
    return ApiError(413, message, param=param, code="request_too_large")


def too_many(message: str, retry_after: float, *, code: str = "rate_limit_exceeded") -> ApiError:
    """Over a limit that time lifts."""
    return ApiError(429, message, code=code, kind="rate_limit_error", retry_after=retry_after)


def unavailable(message: str, retry_after: float, *, code: str | None = None) -> ApiError:
    """The service cannot do this now: the disk is full, the store is locked, it is stopping."""
    return ApiError(503, message, code=code, kind="server_error", retry_after=retry_after)
