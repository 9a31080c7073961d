"""A form with one file, as it comes in: its bytes go straight to a blob, never through memory.

The framework's own parser writes each file to a folder for temporary files first; here a gigabyte
would stand there twice, and outside the limits that this service keeps.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from pydantic import BaseModel
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from tunesmith.serve.blobs import Blob, Blobs, Incoming
from tunesmith.serve.errors import ApiError, bad_request
from tunesmith.serve.wire.base import checked

Form = TypeVar("Form", bound=BaseModel)

_FIELDS = 32
_FIELD_BYTES = 4096
_PIECE = 1 << 20
_OVERHEAD = 1 << 16
"""What boundaries and fields add to a file."""


async def receive(
    request: Request, blobs: Blobs, form: type[Form], field: str, limit: int
) -> tuple[Form, Blob]:
    """Read a form to its end: its fields and the file's name as `form`, the file as a blob.

    `field` is the one with the file, which has at most `limit` bytes. Raises ApiError or
    RequestValidationError, and then nothing stays of the file.
    """
    reader = _Reader(_boundary(request), field)
    announced = int(request.headers.get("content-length", 0))
    coming = max(0, announced - _OVERHEAD)
    with await run_in_threadpool(blobs.begin, limit, coming) as incoming:
        try:
            async for chunk in request.stream():
                reader.feed(chunk)
                if len(reader.waiting) >= _PIECE:
                    await run_in_threadpool(_write, reader, incoming)
        except ClientDisconnect as error:
            raise bad_request("The connection ended before the form did.") from error
        reader.end()
        asked = checked(form, {**reader.fields, "filename": reader.filename})
        await run_in_threadpool(_write, reader, incoming)
        return asked, await run_in_threadpool(incoming.finish)


def _write(reader: _Reader, incoming: Incoming) -> None:
    incoming.write(bytes(reader.waiting))
    reader.waiting.clear()


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise bad_request("The request must be a form (multipart/form-data) with a file in it.")
    return options[b"boundary"]


class _Reader:
    """Takes a form apart as its bytes come: fields into a dictionary, the file into `waiting`."""

    def __init__(self, boundary: bytes, field: str) -> None:
        self.fields: dict[str, str] = {}
        self.filename = ""
        self.waiting = bytearray()
        self._field = field
        self._found = False
        self._ended = False
        self._begin_part()
        with _refusals():
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": self._take_header,
                    "on_header_value": self._take_header_value,
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_data,
                    "on_part_data": self._take_data,
                    "on_part_end": self._end_part,
                    "on_end": self._end_form,
                },
            )

    def feed(self, chunk: bytes) -> None:
        """The next bytes, in whatever pieces they come."""
        with _refusals():
            self._parser.write(chunk)

    def end(self) -> None:
        """Raises ApiError where the form is cut off or has no file."""
        if not self._ended:
            raise bad_request("The form ends in the middle; send it again.")
        if not self._found:
            raise bad_request(f"The form has no file named {self._field!r}.", param=self._field)

    def _begin_part(self) -> None:
        self._name = ""
        self._is_file = False
        self._value = bytearray()
        self._header = bytearray()
        self._header_value = bytearray()
        self._disposition = b""

    def _take_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _take_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = bytes(self._header_value)
        self._header.clear()
        self._header_value.clear()

    def _begin_data(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = _text(options.get(b"name", b""))
        self._is_file = self._name == self._field
        if self._is_file and self._found:
            raise bad_request(f"The form has two files named {self._field!r}.", param=self._field)
        if self._is_file:
            self._found = True
            self.filename = _filename(options.get(b"filename"), self._field)
        elif self._name in self.fields or len(self.fields) >= _FIELDS:
            raise bad_request(f"The form has the field {self._name!r} twice, or too many fields.")

    def _take_data(self, data: bytes, start: int, end: int) -> None:
        target = self.waiting if self._is_file else self._value
        target += data[start:end]
        if len(self._value) > _FIELD_BYTES:
            raise bad_request(f"{self._name}: longer than {_FIELD_BYTES} bytes.", param=self._name)

    def _end_part(self) -> None:
        if not self._is_file:
            self.fields[self._name] = _text(bytes(self._value))

    def _end_form(self) -> None:
        self._ended = True


def _filename(raw: bytes | None, field: str) -> str:
    """The name that was sent with the file; empty where none was."""
    if raw == b"":
        raise bad_request(
            f"The file {field!r} has an empty name, as forms send it where no file was chosen. "
            "Choose a file, or give it a name.",
            param=field,
        )
    return _text(raw or b"")


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise bad_request("The form has names or fields that are not UTF-8.") from None


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except FormParserError as error:
        raise _malformed(error) from error


def _malformed(error: FormParserError) -> ApiError:
    return bad_request(f"The form cannot be read: {error}.")
