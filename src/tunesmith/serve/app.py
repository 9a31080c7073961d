"""The application: the routes over one `Service`; every refusal in the interface's own shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from tunesmith.serve.errors import ApiError, bad_request
from tunesmith.serve.guard.keys import Authentication, Keyring
from tunesmith.serve.routes import ROUTERS
from tunesmith.serve.service import Service


def build(service: Service) -> FastAPI:
    """The application over this service; nothing is opened or started here."""
    app = FastAPI(title="Tunesmith", version="1", docs_url=None, redoc_url=None)
    app.state.service = service
    for router in ROUTERS:
        app.include_router(router)
    app.add_middleware(Authentication, keyring=Keyring(service.keys))
    app.add_exception_handler(ApiError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _no_route)
    return app


def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return JSONResponse(error.body(), error.status, headers=dict(error.headers()))


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return _refused(request, _sentence(error.errors()))


def _no_route(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    said = f"{error.detail}: {request.method} {request.url.path}"
    return _refused(request, ApiError(error.status_code, said))


def _sentence(faults: Sequence[Mapping[str, Any]]) -> ApiError:
    """The first fault, as a sentence that names the field."""
    fault = faults[0]
    place = [str(part) for part in fault["loc"] if part not in ("body", "query", "path")]
    param = ".".join(place) or None
    return bad_request(f"{param or 'The request'}: {fault['msg']}.", param=param)
