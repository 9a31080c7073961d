"""The routes: each a function of ten lines from a request to a response, a file a resource."""

from __future__ import annotations

from fastapi import APIRouter

from tunesmith.serve.routes import (
    chat,
    checkpoints,
    completions,
    embeddings,
    files,
    graders,
    health,
    jobs,
    models,
    moderations,
    own,
    uploads,
    webhooks,
)

ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    files.router,
    uploads.router,
    jobs.router,
    checkpoints.router,
    graders.router,
    models.router,
    chat.router,
    completions.router,
    embeddings.router,
    moderations.router,
    webhooks.router,
    own.router,
)
