"""Messages to conversations: ordered, merged by side, and a reason for each that is in none.

Agents are the assistant, everyone else is the user. A conversation begins with the first message of
a user and ends with the last of an agent, and what one side said in several messages is one turn.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from tunesmith.core.errors import DataError
from tunesmith.data.formats.fields import shown
from tunesmith.data.logs.messages import Fault, Said
from tunesmith.data.logs.threads import TOP, Threads, threads_of

_LISTED = 12

Sides = Sequence[bool | None]
"""Of each message whether it is an agent's; None for those that are skipped."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said: the numbers of its messages, and whether it is an agent's to learn."""

    agent: bool
    text: str
    messages: tuple[int, ...]
    learned: bool


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns that begin with a user's and end with an agent's that is learned."""

    id: str
    turns: tuple[Turn, ...]


@dataclass(slots=True)
class Grouped:
    """Conversations in the order of their first messages, and what is in none.

    `left_out` has the reason of each such message by its number, `sentences` what is to be said of
    some. `branched` says that replies answer replies, so that conversations are paths of trees.
    """

    conversations: list[Conversation] = field(default_factory=list)
    left_out: dict[int, str] = field(default_factory=dict)
    sentences: dict[int, str] = field(default_factory=dict)
    branched: bool = False


def group(
    messages: Sequence[Said], agents: Collection[str], skipped: Collection[str] = ()
) -> Grouped:
    """The conversations in a log.

    Messages stand in the order of time, then in that of the log. Where replies answer replies, each
    answer stands behind those it answers, and one that is behind several is learned once.

    Args:
        messages: of the whole log, in its order.
        agents: names, of authors or of their roles, whose messages are learned.
        skipped: names whose messages are left out (system notes, bots).
    """
    threads = threads_of(messages)
    sides = _sides(messages, agents, skipped)
    grouped = Grouped(branched=max(threads.depths, default=0) > 1)
    together: defaultdict[str, list[int]] = defaultdict(list)
    for number, root in enumerate(threads.roots):
        together[_key(messages[root])].append(number)
    for key, members in together.items():
        kept = [*_without_copies(messages, members, grouped)]
        found = next(_faults(messages, kept, threads), None)
        if found is not None:
            number, fault = found
            grouped.left_out |= dict.fromkeys(kept, fault.reason)
            grouped.sentences[number] = fault.sentence
            continue
        ordered = sorted(kept, key=lambda number: (_seconds(messages[number]), number))
        tree = grouped.branched and sum(threads.parents[number] == TOP for number in kept) == 1
        paths = _paths(ordered, threads, sides) if tree else [ordered]
        grouped.conversations += _conversations(key, paths, messages, sides)
        grouped.left_out |= _unused(kept, paths, sides)
    return grouped


def require_known(messages: Iterable[Said], names: Iterable[str]) -> None:
    """Raises DataError for a name that is that of no author and no role, and lists those that are.

    They are compared without case and white space around them, as in `group`.
    """
    counts: Counter[str] = Counter(name for said in messages for name in said.names)
    known = set(map(_folded, counts))
    unknown = [name for name in names if _folded(name) not in known]
    if not unknown:
        return
    listed = ", ".join(f"{shown(name)} ({n:,})" for name, n in counts.most_common(_LISTED))
    more = f" and {len(counts) - _LISTED:,} more" if len(counts) > _LISTED else ""
    raise DataError(
        f"No message is by {' or '.join(map(shown, unknown))}. The authors and roles of this log, "
        f"with their messages: {listed or 'none'}{more}."
    )


def _folded(name: str) -> str:
    return name.strip().casefold()


def _sides(messages: Sequence[Said], agents: Collection[str], skipped: Collection[str]) -> Sides:
    answering, passed_over = set(map(_folded, agents)), set(map(_folded, skipped))
    sides: list[bool | None] = []
    for said in messages:
        names = set(map(_folded, said.names))
        sides.append(None if names & passed_over else bool(names & answering))
    return sides


def _key(root: Said) -> str:
    """What all messages of a conversation have in common."""
    return root.conversation_id or root.id or root.place


def _seconds(said: Said) -> float:
    return said.moment.seconds if said.moment else 0.0


def _without_copies(
    messages: Sequence[Said], members: Sequence[int], grouped: Grouped
) -> Iterator[int]:
    """The messages of a conversation without those that are exported twice.

    A copy has the same author, time and text, and the same id; without ids, a time.
    """
    first: dict[tuple[object, ...], int] = {}
    for number in members:
        said = messages[number]
        same = (said.id, said.names, said.moment, said.text)
        known = first.setdefault(same, number)
        if known != number and (said.id or said.moment):
            grouped.left_out[number] = "duplicate_message"
            grouped.sentences[number] = (
                f"This message stands at {messages[known].place} already, with the same author, "
                "time and text."
            )
        else:
            yield number


def _faults(
    messages: Sequence[Said], members: Sequence[int], threads: Threads
) -> Iterator[tuple[int, Fault]]:
    """What is wrong with a conversation, with the numbers of the messages in which it shows."""
    seen: dict[str, int] = {}
    timed = next((number for number in members if messages[number].moment), None)
    for number in members:
        said = messages[number]
        fault = threads.faults.get(number) or said.fault
        if fault is not None:
            yield number, fault
        if said.id is not None and seen.setdefault(said.id, number) != number:
            yield number, _conflict(said.id, messages[seen[said.id]])
        if timed is not None and (fault := _untimely(said, messages[timed])):
            yield number, fault


def _conflict(name: str, first: Said) -> Fault:
    return Fault(
        "conflicting_id",
        f'The id "{shown(name)}" is also that of the message at {first.place}, which says '
        "something else. Keep the one that counts, or map the field to another name.",
    )


def _untimely(said: Said, other: Said) -> Fault | None:
    """What is wrong with the time of a message, beside that of another in its conversation."""
    if said.moment is None:
        return Fault(
            "no_time",
            "This message has no time, but others of its conversation have one, so its place "
            "among them is not known.",
        )
    if other.moment is not None and said.moment.zoned != other.moment.zoned:
        return Fault(
            "bad_time",
            f"The time of this message and that of the one at {other.place} cannot be compared: "
            "only one of them names its zone.",
        )
    return None


def _paths(ordered: Sequence[int], threads: Threads, sides: Sides) -> list[list[int]]:
    """From the root to each agent's message below which there is no other agent's."""
    answered: set[int] = set()
    for number in sorted(ordered, key=lambda number: -threads.depths[number]):
        if sides[number] or number in answered:
            answered.add(threads.parents[number])
    ends = [number for number in ordered if sides[number] and number not in answered]
    return [[*_up(end, threads)][::-1] for end in ends]


def _up(number: int, threads: Threads) -> Iterator[int]:
    while number != TOP:
        yield number
        number = threads.parents[number]


def _conversations(
    key: str, paths: Sequence[Sequence[int]], messages: Sequence[Said], sides: Sides
) -> Iterator[Conversation]:
    learned: set[int] = set()
    for path in paths:
        turns = []
        for agent, run in groupby(_spoken(path, sides), key=lambda number: bool(sides[number])):
            numbers = tuple(run)
            text = "\n".join(messages[number].text for number in numbers)
            turns.append(Turn(agent, text, numbers, agent and not learned.issuperset(numbers)))
        if turns:
            learned.update(number for turn in turns if turn.learned for number in turn.messages)
            yield Conversation(key, tuple(turns))


def _spoken(path: Sequence[int], sides: Sides) -> list[int]:
    """From the first message of a user to the last of an agent; empty if there are not both."""
    said = [number for number in path if sides[number] is not None]
    users = [place for place, number in enumerate(said) if not sides[number]]
    agents = [place for place, number in enumerate(said) if sides[number]]
    return said[users[0] : agents[-1] + 1] if users and agents else []


def _unused(
    members: Sequence[int], paths: Sequence[Sequence[int]], sides: Sides
) -> Iterator[tuple[int, str]]:
    """The messages that are in no conversation, each with the reason."""
    used = {number for path in paths for number in _spoken(path, sides)}
    asked = any(sides[number] is False for number in members)
    for number in members:
        if number in used:
            continue
        if sides[number] is None:
            yield number, "skipped_author"
        elif used:
            yield number, "before_first_question" if sides[number] else "after_last_answer"
        else:
            yield number, "no_agent_answer" if asked else "no_question"
