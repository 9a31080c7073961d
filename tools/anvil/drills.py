"""Small generated chats that teach copying from the context and answering in the chat format.

Each drill is a function of a seeded random generator and returns a `Drill`: its messages and a
string the last answer must contain. Names are often invented syllables and numbers random digits,
so they cannot be known by heart and have to be read off the conversation.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from tools.anvil import word_lists as words
from tools.anvil.drill_parts import (
    FACTS,
    Drill,
    Rng,
    chat,
    pick_code,
    pick_digits,
    pick_email,
    pick_item,
    pick_name,
    state_facts,
)
from tools.anvil.service_drills import shop_system, small_talk, support, tool_result

_RECALL_QUESTIONS = [
    "What is my {}?", "What's my {}?", "Can you tell me my {}?", "Please repeat my {}.",
    "Which {} did I give you?", "Do you remember my {}?", "Tell me my {} again, please.",
]  # fmt: skip
_RECALL_ANSWERS = ["Your {} is {}.", "Your {} is {}.", "You told me your {} is {}."]


def recall(rng: Rng) -> Drill:
    """Ask for one of one to four facts stated in the same message."""
    values, text = state_facts(rng, rng.randint(1, 4))
    key = rng.choice(sorted(values))
    question = rng.choice(_RECALL_QUESTIONS).format(key)
    return chat(
        values[key], f"{text} {question}", rng.choice(_RECALL_ANSWERS).format(key, values[key])
    )


def recall_later(rng: Rng) -> Drill:
    """Ask for facts in later turns, after an acknowledgement."""
    values, text = state_facts(rng, rng.randint(2, 4))
    opening = rng.choice(["", "Hello. ", "Hi there. ", "Good morning. "])
    contents = [opening + text, rng.choice(["Thank you, I have noted that.", "Got it, thank you."])]
    for key in rng.sample(sorted(values), 2):
        question = rng.choice(_RECALL_QUESTIONS).format(key)
        contents += [question, rng.choice(_RECALL_ANSWERS).format(key, values[key])]
    return chat(values[key], *contents)


def only_the_value(rng: Rng) -> Drill:
    """Answer with the bare value."""
    values, text = state_facts(rng, rng.randint(1, 3))
    key = rng.choice(sorted(values))
    order = rng.choice(
        ["Write only the {}.", "Reply with the {} only.", "Give just the {}.", "Extract the {}."]
    ).format(key)
    contents = [f"{text} {order}", f"{order} {text}", f"{order}\n\n{text}"]
    return chat(values[key], rng.choice(contents), values[key])


def not_stated(rng: Rng) -> Drill:
    """Say so when the fact asked for was never given."""
    values, text = state_facts(rng, rng.randint(1, 3))
    key = rng.choice([key for key in sorted(FACTS) if key not in values])
    question = rng.choice(_RECALL_QUESTIONS).format(key)
    answer = f"You have not told me your {key}."
    return chat(f"not told me your {key}", f"{text} {question}", answer)


def repeat(rng: Rng) -> Drill:
    """Repeat a word, code, number or short phrase exactly."""
    phrase = rng.choice(
        [
            pick_name(rng), pick_digits(rng), pick_code(rng), pick_item(rng), pick_email(rng),
            " ".join(rng.sample(words.ITEMS, rng.randint(2, 5))),
            " ".join(pick_digits(rng, 1, 3) for _ in range(rng.randint(2, 4))),
            f"{pick_name(rng)} {rng.choice(words.LAST_NAMES)}",
            f"The {pick_item(rng)} is in {rng.choice(words.CITIES)}.",
            f"{pick_name(rng)} bought the {pick_item(rng)} on {rng.choice(words.DAYS)}.",
        ]
    )  # fmt: skip
    order = rng.choice(
        ["Repeat after me: {}", "Say this back to me: {}", "Copy this: {}", "Please repeat: {}",
         "Write exactly this: {}", "Echo the following.\n{}"]
    )  # fmt: skip
    return chat(phrase, order.format(phrase), phrase)


def spell(rng: Rng) -> Drill:
    """Spell a name letter by letter, or read a number digit by digit."""
    if rng.random() < 0.7:
        word = pick_name(rng)
        spelled = "-".join(word.upper())
        order = rng.choice(["Spell the name {}.", "How do you spell {}?", "Please spell {}."])
    else:
        word = pick_digits(rng)
        spelled = " ".join(word)
        order = rng.choice(["Read the number {} digit by digit.", "Give the digits of {}."])
    return chat(spelled, order.format(word), spelled)


def _things(rng: Rng, count: int) -> list[str]:
    pool = rng.choice([words.ITEMS, words.FOODS, words.CITIES, words.FIRST_NAMES, words.ANIMALS])
    return rng.sample(pool, count)


def _series(things: list[str]) -> str:
    return ", ".join(things[:-1]) + " and " + things[-1]


def make_list(rng: Rng) -> Drill:
    """Turn a series into a list, one per line."""
    things = _things(rng, rng.randint(2, 5))
    numbered = rng.random() < 0.5
    lines = [f"{i}. {t}" if numbered else f"- {t}" for i, t in enumerate(things, 1)]
    kind = "a numbered list" if numbered else "a list with dashes"
    order = rng.choice(
        ["Write {} of these: {}.", "Make {} from: {}.", "Give me {} of {}.", "Put into {}: {}."]
    )
    answer = "\n".join(lines)
    return chat(answer, order.format(kind, _series(things)), answer)


def position(rng: Rng) -> Drill:
    """Name the first, second, third or last of a series."""
    things = _things(rng, rng.randint(3, 5))
    word, index = rng.choice([("first", 0), ("second", 1), ("third", 2), ("last", -1)])
    question = rng.choice(["Which one is {}?", "What is the {} one?", "Name the {} word."])
    lead = rng.choice(["Here is my list: {}.", "I have these: {}.", "Look at this list: {}."])
    text = f"{lead.format(', '.join(things))} {question.format(word)}"
    return chat(things[index], text, f"The {word} one is {things[index]}.")


def count(rng: Rng) -> Drill:
    """Count the entries of a short series."""
    things = _things(rng, rng.randint(2, 6))
    number = words.NUMBER_WORDS[len(things)]
    question = rng.choice(["How many things are in this list: {}?", "Count these: {}."])
    return chat(number, question.format(", ".join(things)), f"There are {number}.")


def mentioned(rng: Rng) -> Drill:
    """Yes or no: does the list contain it?"""
    things = _things(rng, rng.randint(3, 6))
    held, asked = things[:-1], rng.choice([rng.choice(things[:-1]), things[-1]])
    lead = rng.choice(["My list has {}.", "I wrote down {}.", "On the note it says {}."])
    question = rng.choice(["Is {} on it?", "Does it have {}?", "Did I mention {}?"])
    text = f"{lead.format(_series(held))} {question.format(asked)}"
    if asked in held:
        return chat("Yes", text, f"Yes, {asked} is on the list.")
    return chat("No", text, f"No, {asked} is not on the list.")


def where_is(rng: Rng) -> Drill:
    """Look one entry up in a small mapping stated in words."""
    size = rng.randint(2, 4)
    boxes, things = rng.sample(words.COLOURS, size), rng.sample(words.ITEMS, size)
    text = " ".join(
        f"The {thing} is in the {box} box." for box, thing in zip(boxes, things, strict=True)
    )
    pick = rng.randrange(size)
    if rng.random() < 0.5:
        answer = f"The {things[pick]} is in the {boxes[pick]} box."
        return chat(answer, f"{text} Where is the {things[pick]}?", answer)
    answer = f"The {things[pick]} is in the {boxes[pick]} box."
    return chat(answer, f"{text} What is in the {boxes[pick]} box?", answer)


def who_did(rng: Rng) -> Drill:
    """Pick out who did what among several people."""
    size = rng.randint(2, 3)
    people = list({pick_name(rng): None for _ in range(size)})
    items = [pick_item(rng) for _ in people]
    verb = rng.choice(["bought", "found", "lost", "returned", "ordered"])
    text = " ".join(f"{who} {verb} a {what}." for who, what in zip(people, items, strict=True))
    pick = rng.randrange(len(people))
    answer = f"{people[pick]} {verb} a {items[pick]}."
    base = {"bought": "buy", "found": "find", "lost": "lose", "returned": "return"}
    return chat(answer, f"{text} What did {people[pick]} {base.get(verb, 'order')}?", answer)


def letter_case(rng: Rng) -> Drill:
    """Write a word in capital or in small letters."""
    word = rng.choice([pick_name(rng), rng.choice(words.ITEMS), rng.choice(words.CITIES)])
    upper = rng.random() < 0.6
    changed = word.upper() if upper else word.lower()
    kind = "capital letters" if upper else "small letters"
    return chat(changed, f"Write {word} in {kind}.", changed)


def swap_name(rng: Rng) -> Drill:
    """Copy a sentence with one word replaced."""
    old, new = rng.sample(words.FIRST_NAMES, 2)
    rest = f"sent the {pick_item(rng)} to {rng.choice(words.CITIES)} on {rng.choice(words.DAYS)}."
    order = f"Change {old} to {new} in this sentence: {old} {rest}"
    return chat(f"{new} {rest}", order, f"{new} {rest}")


def fact(rng: Rng) -> Drill:
    """A few facts of everyday life: capitals, opposites, the calendar, sums below twenty."""
    kind = rng.randrange(4)
    if kind == 0:
        country, city = rng.choice(sorted(words.CAPITALS.items()))
        return chat(
            city, f"What is the capital of {country}?", f"The capital of {country} is {city}."
        )
    if kind == 1:
        word, other = rng.choice(sorted(words.OPPOSITES.items()))
        return chat(
            other, f"What is the opposite of {word}?", f"The opposite of {word} is {other}."
        )
    if kind == 2:
        names = rng.choice([words.DAYS, words.MONTHS])
        index = rng.randrange(len(names))
        after = names[(index + 1) % len(names)]
        return chat(
            after, f"What comes after {names[index]}?", f"{after} comes after {names[index]}."
        )
    first, second = rng.randint(0, 9), rng.randint(0, 9)
    total = str(first + second)
    return chat(total, f"What is {first} plus {second}?", f"{first} plus {second} is {total}.")


DRILLS: dict[Callable[[Rng], Drill], int] = {
    recall: 8, recall_later: 5, only_the_value: 5, not_stated: 2, repeat: 6, spell: 3,
    make_list: 2, position: 2, count: 1, mentioned: 2, where_is: 2, who_did: 2, letter_case: 1,
    swap_name: 2, fact: 2, support: 10, small_talk: 2, shop_system: 3, tool_result: 2,
}  # fmt: skip
"""The drills and their relative frequencies."""

_SYSTEMS = [
    "You are a helpful assistant.", "You are a friendly shop assistant.", "Answer briefly.",
    "You answer customers politely.", "You are a careful assistant. Use the customer's words.",
]  # fmt: skip


def generate(seed: int) -> Iterator[Drill]:
    """Endless drills; the same `seed` gives the same ones. One in eight gets a system message."""
    rng = random.Random(seed)
    kinds, weights = list(DRILLS), list(DRILLS.values())
    while True:
        drill = rng.choices(kinds, weights)[0](rng)
        if drill.messages[0]["role"] != "system" and rng.random() < 0.125:
            system = {"role": "system", "content": rng.choice(_SYSTEMS)}
            drill = Drill([system, *drill.messages], drill.expected)
        yield drill
