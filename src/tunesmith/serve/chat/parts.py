"""All that asking models takes, in one record."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.serve.chat.asking import Asking
from tunesmith.serve.chat.engine import ChatEngine
from tunesmith.serve.chat.generation import Engine
from tunesmith.serve.chat.labelling import Labelling
from tunesmith.serve.chat.names import Names
from tunesmith.serve.chat.passthrough import PassThrough
from tunesmith.serve.chat.prompts import Prompts
from tunesmith.serve.chat.vllm import VllmServer
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.models import Models


@dataclass(frozen=True, slots=True)
class Chat:
    """Names of models, their prompts, and what writes the answers."""

    names: Names
    asking: Asking
    labelling: Labelling
    engine: Engine


def open_engine(settings: Settings) -> Engine:
    """What writes the answers: this process, or the vLLM server that the operator names."""
    if settings.vllm is not None:
        return PassThrough(settings, VllmServer(settings.vllm))
    return ChatEngine(settings)


def open_chat(settings: Settings, models: Models, engine: Engine) -> Chat:
    """Over these models; they are opened when they are first asked."""
    names = Names(settings, models)
    asking, labelling = Asking(settings, names, Prompts(settings)), Labelling(settings, names)
    return Chat(names, asking, labelling, engine)
