"""The types a field of the recipe may have, with their bounds and the words for them.

Types are strict: true is not 1, and "3" is not 3.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

AUTO: Literal["auto"] = "auto"
_LONGEST_VALUE = 60


@dataclass(frozen=True)
class Words:
    """How a type is called in help and errors, where its Python name says too little."""

    options: tuple[str, ...]
    is_path: bool = False


def _path_text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _listed(value: Any) -> Any:
    """One of something is a list of one; a path among them is a text."""
    items = value if isinstance(value, (list, tuple)) else [value]
    return tuple(_path_text(item) for item in items)


if TYPE_CHECKING:
    # A resolved recipe holds no `auto`, which its types cannot say.
    Auto: TypeAlias = Any
else:
    Auto = Literal["auto"]
Count = Annotated[int, Field(ge=1)]
Index = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
FullShare = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Text = Annotated[str, Field(min_length=1)]
FilePath = Annotated[
    str,
    BeforeValidator(_path_text, json_schema_input_type=str),
    Field(min_length=1),
    Words(("the path of a file",), is_path=True),
]
FilePaths = Annotated[
    tuple[Text, ...],
    BeforeValidator(_listed, json_schema_input_type=str | list[str]),
    Field(min_length=1),
    Words(("a path", "a list of paths"), is_path=True),
]


class Names(dict[str, str]):
    """Names by name, as a frozen section can hold them: hashed by content, and never changed."""

    def __hash__(self) -> int:  # type: ignore[override]  # dict has none
        return hash(frozenset(self.items()))

    def __setitem__(self, name: str, value: str) -> None:
        raise TypeError("A recipe is never changed; make another one.")


Names3 = Annotated[
    tuple[Text, Text, Text],
    BeforeValidator(_listed, json_schema_input_type=list[str]),
    Words(("a list of three tokens",)),
]
FieldName = Annotated[str, Field(min_length=1), Words(("the name of a field",))]
FieldNames = Annotated[
    dict[Text, Text],
    AfterValidator(Names),
    Words(("a mapping of field names to field names",)),
]
Patterns = Annotated[
    dict[Text, Text],
    AfterValidator(Names),
    Words(("a mapping of names to regular expressions",)),
]
MetricName = Literal[
    "exact_match",
    "label_accuracy",
    "macro_f1",
    "json_valid",
    "json_fields",
    "tool_names",
    "tool_calls",
    "number_match",
    "code_passes",
    "chrf",
    "bleu",
    "rouge_l",
    "length_ratio",
]
MetricNames = Annotated[
    tuple[MetricName, ...],
    BeforeValidator(_listed, json_schema_input_type=MetricName | list[MetricName]),
    Words((f"a list of metrics ({', '.join(get_args(MetricName))})",)),
]
BaseModelName = Annotated[
    str,
    BeforeValidator(_path_text, json_schema_input_type=str),
    Field(min_length=1),
    Words(("the name or the folder of a model",)),
]


def received(value: Any) -> str:
    """A value as the user may recognise it, with its kind."""
    if value is None:
        return "nothing (null)"
    kinds = {bool: "a truth value", int: "a whole number", float: "a number", str: "text"}
    kinds |= {list: "a list", tuple: "a list", dict: "a mapping"}
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    if len(text) > _LONGEST_VALUE:
        text = text[:_LONGEST_VALUE] + "…"
    return f"{text} ({kinds.get(type(value), type(value).__name__)})"


def knob(default: Any, unit: str | None = None) -> Any:
    """A field with its default and its unit (None where it has none: names, paths, switches)."""
    return Field(default, json_schema_extra=None if unit is None else {"unit": unit})


class Section(BaseModel):
    """What every section shares: frozen, strict, unknown keys refused, fields described."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True
    )
