"""/v1/embeddings."""

from __future__ import annotations

from fastapi import APIRouter

from tunesmith.serve.guard.keys import Chatter
from tunesmith.serve.guard.limits import TokenBudget
from tunesmith.serve.routes.parts import Parts
from tunesmith.serve.wire.embeddings import EmbeddingRequest, Embeddings
from tunesmith.serve.wire.errors import refusals

router = APIRouter(prefix="/v1/embeddings", tags=["embeddings"])


@router.post("", operation_id="createEmbedding", responses=refusals(404))
def embed(
    asked: EmbeddingRequest, caller: Chatter, parts: Parts, budget: TokenBudget
) -> Embeddings:
    """The vectors of texts, by a model that was tuned to make them."""
    found = parts.chat.labelling.embed(caller, asked)
    budget.spend(found.usage.total_tokens)
    return found
