"""/v1/chat/completions."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from tunesmith.serve.chat.completing import chunks, completion
from tunesmith.serve.chat.sending import streamed, while_heard
from tunesmith.serve.guard.keys import Chatter
from tunesmith.serve.guard.limits import TokenBudget
from tunesmith.serve.routes.parts import Parts
from tunesmith.serve.wire.chat import ChatRequest
from tunesmith.serve.wire.completion import ChatCompletion
from tunesmith.serve.wire.errors import refusals

router = APIRouter(prefix="/v1/chat", tags=["chat"])


@router.post(
    "/completions",
    operation_id="createChatCompletion",
    response_model=ChatCompletion,
    responses={200: {"content": {"text/event-stream": {}}}, **refusals(404)},
)
async def complete(
    request: Request, asked: ChatRequest, caller: Chatter, parts: Parts, budget: TokenBudget
) -> ChatCompletion | StreamingResponse:
    """What a model answers to a conversation."""
    chat = parts.chat
    ask = await run_in_threadpool(chat.asking.chat, caller, asked)
    if asked.stream:
        return await streamed(chunks(chat.engine, ask, budget.spend, usage=asked.tells_usage))
    return await while_heard(request, completion(chat.engine, ask, budget.spend, asked.metadata))
