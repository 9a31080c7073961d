"""All that asking models takes, in one record."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.serve.chat.asking import Asking
from tunesmith.serve.chat.generation import Engine
from tunesmith.serve.chat.names import Names
from tunesmith.serve.chat.prompts import Prompts
from tunesmith.serve.errors import unavailable
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.models import Models


@dataclass(frozen=True, slots=True)
class Chat:
    """Names of models, their prompts, and what writes the answers."""

    names: Names
    asking: Asking
    writes: Engine | None

    @property
    def engine(self) -> Engine:
        """What writes. Raises ApiError 503 where nothing does."""
        if self.writes is None:
            raise unavailable("Nothing writes answers in this process.", 60)
        return self.writes


def open_chat(settings: Settings, models: Models, engine: Engine | None = None) -> Chat:
    """Over these models; they are opened when they are first asked."""
    names = Names(settings, models)
    return Chat(names, Asking(settings, names, Prompts(settings)), engine)
