"""Sending what is still being written, and stopping when nobody listens any more."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import StreamingResponse

from tunesmith.serve.errors import ApiError

_log = logging.getLogger(__name__)

Made = TypeVar("Made")


async def streamed(events: AsyncGenerator[BaseModel, None]) -> StreamingResponse:
    """A stream of server-sent events. What is refused before the first of them is an ordinary
    refusal, raised here; what fails later is an event with an error, which ends the stream."""
    try:
        first = await anext(events)
    except BaseException:
        await events.aclose()
        raise
    headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
    return StreamingResponse(_sent(first, events), media_type="text/event-stream", headers=headers)


async def _sent(
    first: BaseModel, events: AsyncGenerator[BaseModel, None]
) -> AsyncGenerator[str, None]:
    try:
        yield _event(first)
        async for each in events:
            yield _event(each)
    except ApiError as error:
        yield _line(json.dumps(error.body()))
    except Exception:
        _log.exception("an answer failed while it was sent")
        yield _line(json.dumps(_FAILED.body()))
    else:
        yield _line("[DONE]")
    finally:
        await events.aclose()


_FAILED = ApiError(
    500, "The answer could not be finished. The log of the service says why.", kind="server_error"
)


def _event(each: BaseModel) -> str:
    return _line(each.model_dump_json())


def _line(data: str) -> str:
    return f"data: {data}\n\n"


async def while_heard(request: Request, work: Coroutine[Any, Any, Made]) -> Made:
    """The work's result; it is given up if the client goes away, who then hears nothing."""
    working = asyncio.create_task(work)
    gone = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ApiError(499, "The client went away before the answer was written.")
        return working.result()
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
