"""What a model behind an endpoint replied, kept in a file, so that no question is asked twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tunesmith.core.files import append_jsonl, write_jsonl
from tunesmith.core.records import Message, Reply
from tunesmith.models.endpoint import Conversation, Endpoint


class Remembered:
    """An endpoint and the file of its replies; a `Respondent`.

    A reply is found again by the SHA-256 of all that was sent for it and of where. A line that a
    kill cut short, or that is damaged, is asked for again; refusals are not kept.
    """

    def __init__(self, endpoint: Endpoint, path: Path) -> None:
        self._endpoint = endpoint
        self._path = path
        self._known = _read(path)

    def unknown(self, conversations: Sequence[Conversation]) -> list[Conversation]:
        """Those that have no reply yet, each once: what is going to be sent."""
        return list(
            {
                key: conversation
                for conversation in conversations
                if (key := self._key(conversation)) not in self._known
            }.values()
        )

    def known(self, conversations: Sequence[Conversation]) -> int:
        """How many different ones have a reply."""
        return len({*map(self._key, conversations)} & self._known.keys())

    def replies(
        self, conversations: Sequence[Conversation]
    ) -> Generator[tuple[int, Reply], None, None]:
        """See `Respondent.replies`."""
        places: dict[str, list[int]] = {}
        for place, conversation in enumerate(conversations):
            places.setdefault(self._key(conversation), []).append(place)
        for key in places.keys() & self._known.keys():
            yield from ((place, self._known[key]) for place in places[key])
        asked = [key for key in places if key not in self._known]
        first = [conversations[places[key][0]] for key in asked]
        with closing(self._endpoint.replies(first)) as replies:
            for at, reply in replies:
                dated = replace(reply, date=datetime.now(UTC).date().isoformat())
                self._keep(asked[at], dated)
                yield from ((place, dated) for place in places[asked[at]])

    def _keep(self, key: str, reply: Reply) -> None:
        if reply.refused is None:
            self._known[key] = reply
            append_jsonl(self._path, _line(key, reply))

    def _key(self, conversation: Sequence[Message]) -> str:
        endpoint = self._endpoint
        sent = {
            "url": endpoint.url,
            "model": endpoint.model,
            "temperature": endpoint.temperature,
            "max_tokens": endpoint.max_tokens,
            **({"sampling": dict(endpoint.sampling)} if endpoint.sampling else {}),
            "messages": [[message.role, message.content] for message in conversation],
        }
        return hashlib.sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()


def _read(path: Path) -> dict[str, Reply]:
    """The replies by key. A file with lines that say nothing is written again without them."""
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.splitlines()
    found = dict(pair for line in lines if (pair := _pair(line)) is not None)
    if len(found) != len(lines) or not text.endswith("\n"):
        write_jsonl(path, (_line(key, reply) for key, reply in found.items()))
    return found


def _line(key: str, reply: Reply) -> dict[str, str | None]:
    return {"request": key, "reply": reply.text, "finish": reply.finish, "date": reply.date}


def _pair(line: str) -> tuple[str, Reply] | None:
    try:
        value = json.loads(line)
        key, text = value["request"], value["reply"]
    except (ValueError, TypeError, KeyError):
        return None
    if not isinstance(key, str) or not isinstance(text, str):
        return None
    return key, Reply(text, finish=value.get("finish"), date=value.get("date"))
