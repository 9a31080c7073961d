"""How each model reads: tokenizers and templates, opened at the first use and kept."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tunesmith.core.errors import DataError, TunesmithError
from tunesmith.serve.chat.generation import Model
from tunesmith.serve.errors import bad_request, unavailable
from tunesmith.serve.settings import Settings

if TYPE_CHECKING:
    from tunesmith.runs.prompting import Prompting

_log = logging.getLogger(__name__)


class Prompts:
    """One `Prompting` for all models that read alike, such as the adapters of one base.

    Those used least recently go first. Shared by threads; opening takes a second.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._room = settings.resident_bases + settings.resident_adapters
        self._keys: OrderedDict[str, str] = OrderedDict()
        self._open: OrderedDict[str, Prompting] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, model: Model) -> Prompting:
        """How this model reads. Raises ApiError 503 if it cannot be opened."""
        from tunesmith.runs.prompting import open_prompting, prompting_key

        base = self._settings.bases[model.base]
        with self._lock, opening(model):
            if model.id not in self._keys:
                _keep(self._keys, model.id, prompting_key(base, model.folder), 1024)
            key = self._keys[model.id]
            found = self._open.get(key) or open_prompting(base, model.folder)
            _keep(self._open, key, found, self._room)
            return found


def _keep(kept: OrderedDict[str, Any], key: str, value: Any, room: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > room:
        kept.popitem(last=False)


@contextmanager
def opening(model: Model) -> Iterator[None]:
    """Within it a model is opened. What fails is told to the operator alone: it names folders."""
    try:
        yield
    except TunesmithError as error:
        _log.error("the model %s cannot be opened: %s", model.id, error)
        raise unavailable(
            f"The model {model.id} cannot be opened. The log of the service says why.", 60
        ) from error


@contextmanager
def reading(param: str) -> Iterator[None]:
    """Within it something of a request is read; what cannot be is its sender's to change."""
    try:
        yield
    except DataError as error:
        raise bad_request(str(error), param=param) from error
