"""/v1/moderations: what a tuned classifier says, in the shape that moderation has."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tunesmith.serve.wire.base import Answer, Asked, AskedPart
from tunesmith.serve.wire.sampling import Name

InputType = Literal["text", "image"]


class TextPart(AskedPart):
    """A text."""

    type: Literal["text"]
    text: str


class ImageUrl(AskedPart):
    """An image inside its URL: data:image/png;base64,..."""

    url: str


class ImagePart(AskedPart):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageUrl


Input = str | Annotated[TextPart | ImagePart, Field(discriminator="type")]


class ModerationRequest(Asked):
    """Texts, or images for a model that labels those; `model` is a tuned classifier."""

    model: Name
    input: str | Annotated[list[Input], Field(min_length=1, max_length=256)]

    @property
    def inputs(self) -> list[str | TextPart | ImagePart]:
        """All that is to be labelled."""
        return [self.input] if isinstance(self.input, str) else list(self.input)

    @property
    def texts(self) -> list[str]:
        """Those of them that are texts."""
        said = (each.text if isinstance(each, TextPart) else each for each in self.inputs)
        return [each for each in said if isinstance(each, str)]


class Moderation(Answer):
    """Of one text or image: its classes as categories.

    A category is true where the model gives that class and is sure enough of it not to ask a
    person; `flagged` says whether any is. Scores are probabilities.
    """

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[InputType]]


class Moderations(Answer):
    """The response, in the order of the inputs."""

    id: str
    model: str
    results: list[Moderation]
