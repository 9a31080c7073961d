"""Webhooks: a project is told what became of its jobs.

events    what can be told, and how it is written down with what it tells of
book      where a project wants to be told
address   which addresses may be called
post      one message to one address
sender    the thread that sends what was written down, until it has arrived
"""

from tunesmith.serve.webhooks.events import EVENTS, Event, outbox

__all__ = ["EVENTS", "Event", "outbox"]
