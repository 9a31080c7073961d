"""/v1/embeddings."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tunesmith.serve.wire.base import Answer, Asked
from tunesmith.serve.wire.sampling import Name


class EmbeddingRequest(Asked):
    """A text or several. Token ids are refused: they would be those of another tokenizer."""

    model: Name
    input: str | Annotated[list[str], Field(min_length=1, max_length=2048)]
    dimensions: Annotated[int, Field(ge=1)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: Annotated[str, Field(max_length=512)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _has_texts(cls, value: Any) -> Any:
        given = value.get("input") if isinstance(value, dict) else None
        if isinstance(given, list) and given and not all(isinstance(each, str) for each in given):
            raise PydanticCustomError(
                "texts", "input must be a text or a list of texts; token ids are not read here"
            )
        return value

    @property
    def texts(self) -> list[str]:
        """All of them."""
        return [self.input] if isinstance(self.input, str) else self.input


class Embedding(Answer):
    """The vector of one text, of length 1; in base64 its numbers are little-endian float32."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(Answer):
    """Tokens that were read."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(Answer):
    """The response, in the order of the texts."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage
