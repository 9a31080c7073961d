"""/v1/uploads: files that come in parts, being large, or the line not to be trusted."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from tunesmith.serve.forms import receive
from tunesmith.serve.guard.keys import Writer
from tunesmith.serve.routes.parts import Parts
from tunesmith.serve.store.uploads import NewUpload
from tunesmith.serve.wire.errors import refusals
from tunesmith.serve.wire.files import (
    PART_FORM,
    CompletionAsked,
    Part,
    PartForm,
    Upload,
    UploadAsked,
)

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])


@router.post("", operation_id="createUpload", responses=refusals())
def create(asked: UploadAsked, caller: Writer, parts: Parts) -> Upload:
    """Announce a file; its parts have an hour to come."""
    expiry = asked.expires_after.seconds if asked.expires_after else None
    new = NewUpload(asked.bytes, asked.filename, asked.mime_type, asked.purpose, expiry)
    return Upload.of(parts.uploads.create(caller.project, new))


@router.post(
    "/{upload_id}/parts",
    operation_id="addUploadPart",
    responses=refusals(404, 409),
    openapi_extra=PART_FORM,
)
async def add_part(upload_id: str, request: Request, caller: Writer, parts: Parts) -> Part:
    """Send a part. Parts may be sent side by side and in any order."""
    await run_in_threadpool(parts.uploads.require_pending, caller.project, upload_id)
    limit = parts.settings.limits.part_bytes
    _, blob = await receive(request, parts.blobs, PartForm, "data", limit)
    return Part.of(await run_in_threadpool(parts.uploads.add_part, caller.project, upload_id, blob))


@router.post("/{upload_id}/complete", operation_id="completeUpload", responses=refusals(404, 409))
def complete(upload_id: str, asked: CompletionAsked, caller: Writer, parts: Parts) -> Upload:
    """Make the file of its parts; what is not named is dropped."""
    upload, file = parts.uploads.complete(caller.project, upload_id, asked.part_ids, asked.md5)
    return Upload.of(upload, file)


@router.post("/{upload_id}/cancel", operation_id="cancelUpload", responses=refusals(404, 409))
def cancel(upload_id: str, caller: Writer, parts: Parts) -> Upload:
    """Drop the parts that have come."""
    return Upload.of(parts.uploads.cancel(caller.project, upload_id))
