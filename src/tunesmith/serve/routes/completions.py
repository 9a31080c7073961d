"""/v1/completions."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from tunesmith.serve.chat.continuing import continuation, parts
from tunesmith.serve.chat.sending import streamed, while_heard
from tunesmith.serve.guard.keys import Chatter
from tunesmith.serve.guard.limits import TokenBudget
from tunesmith.serve.routes.parts import Parts
from tunesmith.serve.wire.completions import Completion, CompletionRequest
from tunesmith.serve.wire.errors import refusals

router = APIRouter(prefix="/v1/completions", tags=["chat"])


@router.post(
    "",
    operation_id="createCompletion",
    response_model=Completion,
    responses={200: {"content": {"text/event-stream": {}}}, **refusals(404)},
)
async def complete(
    request: Request,
    asked: CompletionRequest,
    caller: Chatter,
    service: Parts,
    budget: TokenBudget,
) -> Completion | StreamingResponse:
    """How a model goes on with a text."""
    chat = service.chat
    ask = await run_in_threadpool(chat.asking.completion, caller, asked)
    if asked.stream:
        return await streamed(parts(chat.engine, ask, budget.spend, usage=asked.tells_usage))
    return await while_heard(request, continuation(chat.engine, ask, budget.spend))
