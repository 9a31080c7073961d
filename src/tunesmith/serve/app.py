"""The application: the routes over one `Service`; every refusal in the interface's own shape."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from tunesmith.serve.errors import ApiError
from tunesmith.serve.guard.headers import standing
from tunesmith.serve.guard.middleware import guards
from tunesmith.serve.observe.audit import audited
from tunesmith.serve.routes import ROUTERS
from tunesmith.serve.service import Service
from tunesmith.serve.wire.faults import refusal

_JSON = "application/json"


class Application(FastAPI):
    """FastAPI, but for the schema: what it would answer with 422 is 400 here, and a refusal is JSON
    also where the answer is none."""

    def openapi(self) -> dict[str, Any]:
        """Every path, with what it takes and all that it can answer."""
        schema = super().openapi()
        for acts in schema["paths"].values():
            for act in acts.values():
                act["responses"].pop("422", None)
                for status, answer in act["responses"].items():
                    if status >= "400":
                        answer["content"] = {_JSON: next(iter(answer["content"].values()))}
        for unused in ("HTTPValidationError", "ValidationError"):
            schema["components"]["schemas"].pop(unused, None)
        return schema


def build(service: Service) -> FastAPI:
    """The application over this service; nothing is opened or started here."""
    app = Application(
        title="Tunesmith", version="1", docs_url=None, redoc_url=None, middleware=guards(service)
    )
    app.state.service = service
    for router in ROUTERS:
        app.include_router(router, dependencies=[Depends(audited)])
    app.add_exception_handler(ApiError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(Exception, _failed)
    return app


def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiError)
    return JSONResponse(error.body(), error.status, headers=dict(error.headers()))


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return _refused(request, refusal(error.errors()))


def _no_route(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    answer = _refused(request, ApiError(error.status_code, _said(request, error)))
    answer.headers.update(error.headers or {})
    return answer


def _said(request: Request, error: HTTPException) -> str:
    path = request.url.path
    if error.status_code == 404:
        return f"No such path: {path}. GET /openapi.json lists those that there are."
    if error.status_code == 405:
        return f"{request.method} cannot be done with {path}."
    return f"{error.detail}."


def _failed(request: Request, error: Exception) -> JSONResponse:
    """Our own slip. It is answered in front of the guards, so their headers are put in here."""
    id = request.state.request_id
    said = f"The service failed at this request, which is {id} in its log."
    answer = _refused(request, ApiError(500, said, kind="server_error", retry_after=1))
    answer.headers.update(standing(id))
    return answer
