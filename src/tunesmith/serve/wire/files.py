"""Files, and uploads in parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, model_validator

from tunesmith.serve.store.tables import FileRow
from tunesmith.serve.wire.base import Answer, AskedPart, Filename

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


FILE_FORM: Mapping[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "purpose"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "purpose": {"type": "string", "enum": list(get_args(Purpose))},
                        "expires_after[anchor]": {"type": "string", "const": "created_at"},
                        "expires_after[seconds]": {
                            "type": "integer",
                            "minimum": 3600,
                            "maximum": 2_592_000,
                        },
                    },
                    "additionalProperties": False,
                }
            }
        },
    }
}
"""How the schema tells of the form that `FileForm` is read from."""


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
