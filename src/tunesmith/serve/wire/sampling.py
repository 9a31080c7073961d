"""What chat and completions ask alike: how an answer is drawn, and how it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from tunesmith.serve.wire.base import Asked, AskedPart

Name = Annotated[str, Field(min_length=1, max_length=256)]
Bias = Annotated[float, Field(ge=-100, le=100)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Stop = Annotated[str, Field(min_length=1, max_length=256)]
TokenKey = Annotated[str, Field(pattern="^[0-9]{1,9}$")]


@dataclass(frozen=True, slots=True)
class Refused:
    """Of a field that the published interface has and this service has not: anything but null is
    refused with this sentence."""

    why: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self._refuse, handler(source))

    def _refuse(self, value: Any) -> Any:
        if value is not None:
            raise PydanticCustomError("refused", "{why}", {"why": self.why})
        return value


class StreamOptions(AskedPart):
    """`include_obfuscation` hides lengths of pieces from eavesdroppers of the hosted service; here
    it changes nothing."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class Sampling(Asked):
    """The fields of both.

    `seed` makes an answer the same each time on one machine. `user` is read by nobody.
    """

    model: Name
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: Annotated[dict[TokenKey, Bias], Field(max_length=1024)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: Annotated[str, Field(max_length=512)] | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end an answer."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def tells_usage(self) -> bool:
        """Whether a stream is to end with its count of tokens."""
        return bool(self.stream_options and self.stream_options.include_usage)
