"""Chat logs, one row a message: which field is what, told by the names that exports give them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "conversation_id": (
        *("conversationid", "conversation", "convid", "threadid", "threadts", "thread"),
        *("ticketid", "ticketnumber", "ticket", "chatid", "chat", "sessionid", "session"),
        *("dialogueid", "dialogid", "caseid", "casenumber", "case", "issueid", "roomid"),
    ),
    "author": (
        *("author", "authorname", "sender", "sendername", "from", "fromname", "speaker"),
        *("username", "user", "displayname", "createdby", "postedby", "participant"),
        *("authorid", "senderid", "userid", "fromid", "name"),
    ),
    "role": (
        *("role", "authorrole", "senderrole", "authortype", "sendertype", "usertype"),
        *("participanttype", "side"),
    ),
    "time": (
        *("time", "timestamp", "ts", "createdat", "createdutc", "createdtime", "created"),
        *("sentat", "sendtime", "sent", "postedat", "datetime", "date", "messagetime"),
    ),
    "text": (
        *("text", "body", "message", "content", "messagetext", "messagebody", "bodytext"),
        *("plainbody", "msg", "comment", "utterance"),
    ),
    "id": ("id", "messageid", "msgid", "commentid", "postid", "uuid"),
    "parent_id": (
        *("parentid", "parent", "parentmessageid", "parentcommentid", "inreplyto", "inreplytoid"),
        *("replytoid", "replyto", "replytomessageid"),
    ),
}
"""Names without case and punctuation, by what they hold. Of several in a row the first counts; no
two parts have one in common."""

NESTED = ("replies", "children", "comments", "messages", "conversation", "posts", "thread")
"""Fields whose lists hold messages, by their names without case and punctuation."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of the fields that hold each part of a message; None where there is none."""

    conversation_id: str | None = None
    author: str | None = None
    role: str | None = None
    time: str | None = None
    text: str | None = None
    id: str | None = None
    parent_id: str | None = None

    @property
    def message(self) -> bool:
        """Whether there is a text, and someone who wrote it."""
        return self.text is not None and bool(self.author or self.role)

    def named(self) -> Iterator[tuple[str, str]]:
        """Each part that is there, with the name of its field."""
        for part in fields(self):
            name = getattr(self, part.name)
            if name is not None:
                yield part.name, name


@lru_cache(256)
def columns_of(names: frozenset[str]) -> Columns:
    """What fields of these names hold."""
    known: dict[str, str] = {}
    for name in sorted(names):  # sorted: of two that differ in case alone, always the same
        known.setdefault(plain(name), name)
    first = ((part, next(filter(known.get, each), "")) for part, each in _SPELLINGS.items())
    return Columns(**{part: known[spelling] for part, spelling in first if spelling})


@lru_cache(1024)
def plain(name: str) -> str:
    """A field's name in small letters and digits alone: "conversationid" for "Conversation ID"."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def nested_in(row: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
    """The lists of messages that a row holds, by the names of their fields; no list of a chat's."""
    return [
        (name, value)
        for name, value in row.items()
        if plain(name) in NESTED and isinstance(value, list) and _holds_messages(value)
    ]


def looks_like_log(row: Mapping[str, Any]) -> bool:
    """Whether a row is a message of a conversation, or holds such messages.

    A text with an author alone is none: articles have both.
    """
    columns = columns_of(frozenset(row))
    placed = columns.conversation_id or columns.parent_id
    return bool((columns.message and placed) or nested_in(row))


def _holds_messages(values: list[Any]) -> bool:
    """Whether there is a message of a log, and none of a chat: those have a role and a content."""
    objects = [value for value in values if isinstance(value, dict)]
    if any({"role", "content"} <= value.keys() for value in objects):
        return False
    return any(columns_of(frozenset(value)).message for value in objects)
