"""The guards in their order: what a request meets before it comes to a route."""

from __future__ import annotations

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from tunesmith.serve.guard.bodies import Bodies
from tunesmith.serve.guard.headers import StandingHeaders
from tunesmith.serve.guard.keys import Authentication, Keyring
from tunesmith.serve.guard.limits import KeyLimits
from tunesmith.serve.guard.payload import Payload
from tunesmith.serve.observe.audit import Conclusion
from tunesmith.serve.observe.requests import Observation
from tunesmith.serve.service import Service


def guards(service: Service) -> list[Middleware]:
    """From the outermost to the innermost."""
    limits = service.settings.limits
    return [
        Middleware(StandingHeaders),
        Middleware(Observation, metrics=service.metrics),
        *_browsers(service.settings.origins),
        Middleware(Bodies, limits=limits),
        Middleware(Authentication, keyring=Keyring(service.keys)),
        Middleware(KeyLimits, limits=limits),
        Middleware(Payload),
        Middleware(Conclusion, audit=service.audit),
    ]


def _browsers(origins: tuple[str, ...]) -> list[Middleware]:
    """Web pages may call from the origins that the operator names, and from no other."""
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=("*",),
            expose_headers=("x-request-id", "retry-after", "x-should-retry"),
        )
    ]
