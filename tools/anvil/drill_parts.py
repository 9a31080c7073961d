"""What drills are put together from: random names, numbers and stated facts."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from dataclasses import dataclass

from tools.anvil import word_lists as words
from tools.anvil.cleaning import Message

Rng = random.Random


@dataclass(frozen=True)
class Drill:
    """A chat that ends with the assistant's answer, which contains `expected`."""

    messages: list[Message]
    expected: str


def chat(expected: str, *contents: str) -> Drill:
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(contents)]
    return Drill(messages, expected)


def pick_name(rng: Rng) -> str:
    if rng.random() < 0.6:
        return rng.choice(words.FIRST_NAMES)
    syllables = rng.randint(2, 3)
    pick = rng.choice
    name = "".join(pick("bdfgklmnprstvz") + pick("aeiou") for _ in range(syllables))
    return (name + pick(["", "", "n", "r", "s", "l"])).capitalize()


def pick_digits(rng: Rng, low: int = 3, high: int = 7) -> str:
    length = rng.randint(low, high)
    return rng.choice("123456789") + "".join(rng.choices(string.digits, k=length - 1))


def pick_code(rng: Rng) -> str:
    letters = "".join(rng.choices(string.ascii_uppercase, k=rng.randint(1, 3)))
    return f"{letters}{rng.choice(['-', '', '-'])}{pick_digits(rng, 2, 5)}"


def pick_date(rng: Rng) -> str:
    return f"{rng.choice(words.MONTHS)} {rng.randint(1, 28)}"


def pick_email(rng: Rng) -> str:
    host = rng.choice(["mail", "post", "inbox", "letterbox"])
    return f"{pick_name(rng).lower()}{rng.choice(['', pick_digits(rng, 2, 3)])}@{host}.example"


def pick_item(rng: Rng) -> str:
    return f"{rng.choice(words.COLOURS)} {rng.choice(words.ITEMS)}"


def pick_phone(rng: Rng) -> str:
    return f"{pick_digits(rng, 3, 3)}-{pick_digits(rng, 3, 3)}-{pick_digits(rng, 4, 4)}"


def pick_price(rng: Rng) -> str:
    return f"${rng.randint(2, 300)}.{rng.choice(['00', '50', '99', '25'])}"


# What a customer can say about themselves: key -> (value, ways to say it).
FACTS: dict[str, tuple[Callable[[Rng], str], list[str]]] = {
    "name": (pick_name, ["my name is {}", "I am called {}", "this is {}"]),
    "order number": (
        lambda rng: rng.choice([pick_digits, pick_code])(rng),
        ["my order number is {}", "my order is {}", "I am writing about order {}"],
    ),
    "city": (lambda rng: rng.choice(words.CITIES), ["I live in {}", "my city is {}"]),
    "phone number": (pick_phone, ["my phone number is {}", "you can call me at {}"]),
    "email address": (pick_email, ["my email address is {}", "you can write to me at {}"]),
    "delivery date": (pick_date, ["my delivery date is {}", "the delivery is set for {}"]),
    "customer code": (pick_code, ["my customer code is {}", "I have the customer code {}"]),
    "favourite colour": (
        lambda rng: rng.choice(words.COLOURS),
        ["my favourite colour is {}", "the colour I like best is {}"],
    ),
    "locker": (lambda rng: pick_digits(rng, 1, 3), ["my locker is {}", "I use locker {}"]),
}


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def state_facts(rng: Rng, count: int) -> tuple[dict[str, str], str]:
    """Values of `count` different facts and a message that states them all."""
    keys = rng.sample(sorted(FACTS), count)
    values = {key: FACTS[key][0](rng) for key in keys}
    said = [rng.choice(FACTS[key][1]).format(values[key]) for key in keys]
    if rng.random() < 0.4:
        text = _sentence(", ".join(said[:-1]) + " and " + said[-1] if count > 1 else said[0])
    else:
        text = " ".join(map(_sentence, said))
    return values, text
