"""Files, and uploads in parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, model_validator

from tunesmith.serve.store.tables import FileRow, PartRow, UploadRow
from tunesmith.serve.wire.base import Answer, Asked, AskedPart, Filename

Purpose = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
"""What a client may send a file for."""

ExpirySeconds = Annotated[int, Field(ge=3600, le=2_592_000)]


class ExpiresAfter(AskedPart):
    """When a file goes by itself: so many seconds after it was made."""

    anchor: Literal["created_at"]
    seconds: ExpirySeconds


class FileForm(AskedPart):
    """The fields beside the file; in a form all of them are texts."""

    model_config = ConfigDict(strict=False)

    purpose: Purpose
    filename: Filename
    anchor: Literal["created_at"] | None = Field(None, alias="expires_after[anchor]")
    seconds: ExpirySeconds | None = Field(None, alias="expires_after[seconds]")

    @model_validator(mode="after")
    def _is_whole(self) -> FileForm:
        if (self.anchor is None) != (self.seconds is None):
            raise ValueError("expires_after needs both an anchor and seconds")
        return self


def form(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    """How the schema tells of a form: what `forms.receive` reads is no parameter of a route."""
    schema = {
        "type": "object",
        "required": list(required),
        "properties": dict(properties),
        "additionalProperties": False,
    }
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }


BYTES = {"type": "string", "format": "binary"}
FILE_FORM = form(
    {
        "file": BYTES,
        "purpose": {"type": "string", "enum": list(get_args(Purpose))},
        "expires_after[anchor]": {"type": "string", "const": "created_at"},
        "expires_after[seconds]": {"type": "integer", "minimum": 3600, "maximum": 2_592_000},
    },
    "file",
    "purpose",
)
PART_FORM = form({"data": BYTES}, "data")


class File(Answer):
    """A file; `status` is there for older clients, as nothing is left to wait for."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    status: Literal["uploaded", "processed", "error"]
    status_details: str | None

    @classmethod
    def of(cls, row: FileRow) -> File:
        """As the interface shows it."""
        return cls.model_validate(row, from_attributes=True)


class FileDeleted(Answer):
    """A file is gone."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


class UploadAsked(Asked):
    """A file that will come in parts."""

    bytes: Annotated[int, Field(ge=1, le=1 << 50)]
    filename: Filename
    mime_type: Annotated[str, Field(max_length=128)]
    purpose: Purpose
    expires_after: ExpiresAfter | None = None


class PartForm(AskedPart):
    """Nothing comes beside the bytes of a part; what the client calls it is not kept."""

    filename: str


class CompletionAsked(Asked):
    """The parts, in the order in which they make the file."""

    part_ids: Annotated[list[str], Field(min_length=1, max_length=10_000)]
    md5: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{32}$")] | None = None


class Part(Answer):
    """A part that has come."""

    id: str
    object: Literal["upload.part"] = "upload.part"
    created_at: int
    upload_id: str

    @classmethod
    def of(cls, row: PartRow) -> Part:
        """As the interface shows it."""
        return cls.model_validate(row, from_attributes=True)


class Upload(Answer):
    """A file that comes in parts; `file` is there once it is complete."""

    id: str
    object: Literal["upload"] = "upload"
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: Literal["pending", "completed", "cancelled", "expired"]
    file: File | None = None

    @classmethod
    def of(cls, row: UploadRow, file: FileRow | None = None) -> Upload:
        """As the interface shows it."""
        upload = cls.model_validate(row, from_attributes=True)
        return upload.model_copy(update={"file": file and File.of(file)})
