"""/v1/files: what clients send to train on, and what training gives them back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, BinaryIO, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from tunesmith.serve.forms import receive
from tunesmith.serve.guard.keys import Reader, Writer
from tunesmith.serve.routes.parts import Parts
from tunesmith.serve.store.files import NewFile
from tunesmith.serve.wire.errors import refusals
from tunesmith.serve.wire.files import FILE_FORM, File, FileDeleted, FileForm
from tunesmith.serve.wire.lists import After, Listed

router = APIRouter(prefix="/v1/files", tags=["files"])

_BYTES = "application/octet-stream"
_PIECE = 1 << 18


@router.post("", operation_id="createFile", responses=refusals(), openapi_extra=FILE_FORM)
async def create(request: Request, caller: Writer, parts: Parts) -> File:
    """Take a file; it can be used at once."""
    limit = parts.settings.limits.file_bytes
    form, blob = await receive(request, parts.blobs, FileForm, "file", limit)
    new = NewFile(form.filename, form.purpose, blob, form.seconds)
    return File.of(await run_in_threadpool(parts.files.create, caller.project, new))


@router.get("", operation_id="listFiles", responses=refusals())
def page(
    caller: Reader,
    parts: Parts,
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Literal["asc", "desc"] = "desc",
    purpose: Annotated[str | None, Query(max_length=64)] = None,
) -> Listed[File]:
    """The files of the project, newest first."""
    rows = parts.files.page(caller.project, after, limit, purpose=purpose, ascending=order == "asc")
    return Listed[File].of(rows, File.of)


@router.get("/{file_id}", operation_id="retrieveFile", responses=refusals(404))
def retrieve(file_id: str, caller: Reader, parts: Parts) -> File:
    """One file."""
    return File.of(parts.files.get(caller.project, file_id))


@router.delete("/{file_id}", operation_id="deleteFile", responses=refusals(404, 409))
def delete(file_id: str, caller: Writer, parts: Parts) -> FileDeleted:
    """Delete a file and its bytes; not while a job needs it."""
    parts.files.delete(caller.project, file_id)
    return FileDeleted(id=file_id)


@router.get(
    "/{file_id}/content",
    operation_id="downloadFile",
    response_class=StreamingResponse,
    responses={200: {"content": {_BYTES: {}}}, **refusals(404)},
)
def content(file_id: str, caller: Reader, parts: Parts) -> StreamingResponse:
    """The bytes of a file."""
    row, source = parts.files.open(caller.project, file_id)
    headers = {
        "content-length": str(row.bytes),
        "content-disposition": f"attachment; filename*=UTF-8''{quote(row.filename, safe='')}",
    }
    return StreamingResponse(_pieces(source), headers=headers, media_type=_BYTES)


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    with source:
        while piece := source.read(_PIECE):
            yield piece
