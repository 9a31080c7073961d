"""Exported chat logs to conversations, in which the agents' turns are trained.

times        the forms in which exports write a time
messages     rows to messages, nested replies among them (`formats.logs` knows their fields)
threads      who answers whom, where messages name the one that they answer
grouping     messages to conversations, and a reason for each message that is in none
"""

from __future__ import annotations

from tunesmith.data.logs.grouping import Conversation, Grouped, Turn, group, require_known
from tunesmith.data.logs.messages import NotUsed, Said, messages_of

__all__ = [
    "Conversation",
    "Grouped",
    "NotUsed",
    "Said",
    "Turn",
    "group",
    "messages_of",
    "require_known",
]
