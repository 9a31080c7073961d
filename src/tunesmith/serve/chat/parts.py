"""All that asking models takes, in one record."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.serve.chat.asking import Asking
from tunesmith.serve.chat.generation import Engine
from tunesmith.serve.chat.names import Names
from tunesmith.serve.chat.prompts import Prompts
from tunesmith.serve.errors import unavailable
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database


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


def open_chat(settings: Settings, database: Database, engine: Engine | None = None) -> Chat:
    """Over this database; models are opened when they are first asked for."""
    names = Names(settings, database)
    return Chat(names, Asking(settings, names, Prompts(settings)), engine)
