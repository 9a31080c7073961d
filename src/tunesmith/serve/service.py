"""All that routes are given, in one record."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from tunesmith.serve.blobs import Blobs
from tunesmith.serve.chat.generation import Engine
from tunesmith.serve.chat.parts import Chat, open_chat, open_engine
from tunesmith.serve.graders import Graders
from tunesmith.serve.jobs.book import Jobs
from tunesmith.serve.observe.audit import Audit
from tunesmith.serve.observe.health import Health
from tunesmith.serve.observe.metrics import Metrics
from tunesmith.serve.own.aliases import Aliases
from tunesmith.serve.own.feedback import FeedbackBook
from tunesmith.serve.own.looks import Looks
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.files import Files
from tunesmith.serve.store.keys import Keys
from tunesmith.serve.store.models import Models
from tunesmith.serve.store.permissions import Permissions
from tunesmith.serve.store.uploads import Uploads
from tunesmith.serve.webhooks.book import Webhooks


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of a running service. Each is shared by threads."""

    settings: Settings
    database: Database
    keys: Keys
    blobs: Blobs
    files: Files
    uploads: Uploads
    models: Models
    permissions: Permissions
    jobs: Jobs
    graders: Graders
    looks: Looks
    feedback: FeedbackBook
    aliases: Aliases
    webhooks: Webhooks
    audit: Audit
    metrics: Metrics
    health: Health
    chat: Chat


def assemble(settings: Settings, database: Database, engine: Engine | None = None) -> Service:
    """The parts over this database; nothing is started. `engine` writes the answers."""
    blobs = Blobs(settings)
    models = Models(database, settings)
    files = Files(database, blobs, settings)
    chat = open_chat(settings, models, engine or open_engine(settings))
    metrics = Metrics(database, settings)
    metrics.watch("engine", "Of what writes answers here.", lambda: asdict(chat.engine.counts()))
    return Service(
        settings=settings,
        database=database,
        keys=Keys(database),
        blobs=blobs,
        files=files,
        uploads=Uploads(database, blobs, files, settings),
        models=models,
        permissions=Permissions(database),
        jobs=Jobs(database, settings),
        graders=Graders(settings),
        looks=Looks(database, settings),
        feedback=FeedbackBook(settings),
        aliases=Aliases(settings),
        webhooks=Webhooks(database, settings.webhook_reach),
        audit=Audit(database),
        metrics=metrics,
        health=Health(database, settings),
        chat=chat,
    )
