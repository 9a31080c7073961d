"""Bases that see: described with the eyes that rows with pictures are read with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tunesmith.core.errors import Unsupported
from tunesmith.data.images.eyes import ProcessorEyes
from tunesmith.models.open import Described, describe
from tunesmith.models.seeing import writes_alone


def described_base(name: str, saved: Path | None = None, *, sees: bool = True) -> Described:
    """As `describe`, and able to see, if it may, where the base's folder says how.

    Of a model that was tuned, the folder `saved` says it: there is a processor in it if it saw.
    """
    described = describe(name, saved)
    if described.processor is None or not sees:
        return described
    try:
        return replace(described, eyes=ProcessorEyes(described.processor))
    except Unsupported as refused:
        return replace(described, processor=None, blind=str(refused))


def reads_alone(described: Described) -> bool:
    """Whether a base that sees is better opened as one that reads, for rows without pictures.

    Its sequences need not be run one by one then; but transformers must have such a form of it.
    """
    return described.eyes is not None and writes_alone(described.config)
