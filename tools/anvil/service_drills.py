"""Drills about customers and shops: troubles, small talk, system messages and tool results."""

from __future__ import annotations

from tools.anvil import word_lists as words
from tools.anvil.drill_parts import (
    Drill,
    Rng,
    chat,
    pick_code,
    pick_date,
    pick_digits,
    pick_item,
    pick_name,
    pick_price,
)

# A customer's trouble and a simple answer; {n} name, {o} order, {i} item, {d} date.
_TROUBLES = [
    (
        "my order {o} has not arrived yet",
        "I am sorry that order {o} is late. I will find out where it is.",
    ),
    (
        "the {i} in order {o} came broken",
        "I am sorry that the {i} came broken. We will send a new one for order {o}.",
    ),
    (
        "I want to return the {i} from order {o}",
        "You can return the {i}. I will send you a label for order {o}.",
    ),
    ("I would like to cancel order {o}", "I have cancelled order {o} for you."),
    (
        "I was charged twice for order {o}",
        "I am sorry about that. I will refund the second charge for order {o}.",
    ),
    (
        "can you change the address of order {o}",
        "Yes, I can change the address of order {o}. What is the new address?",
    ),
    ("when will the {i} be delivered", "Your {i} will be delivered on {d}."),
    ("do you sell a {i}", "Yes, we sell a {i}. Would you like to order one?"),
    (
        "I got the wrong {i} in order {o}",
        "I am sorry about the mistake. We will send the right {i} for order {o}.",
    ),
    ("is the {i} still in stock", "Yes, the {i} is in stock."),
    ("I forgot my password", "No problem. I will send you a link to set a new password."),
    ("what are your opening hours", "We are open from nine to six, Monday to Saturday."),
]


def support(rng: Rng) -> Drill:
    """A polite customer with a name, an order and one trouble; one helpful answer."""
    trouble, remedy = rng.choice(_TROUBLES)
    name, item = pick_name(rng), pick_item(rng)
    order, date = rng.choice([pick_digits, pick_code])(rng), pick_date(rng)
    asks = trouble.startswith(("can", "when", "do", "is", "what"))
    trouble = trouble.format(o=order, i=item) + ("?" if asks else ".")
    reply = remedy.format(o=order, i=item, d=date)
    trouble = trouble[0].upper() + trouble[1:]
    if "{d}" in remedy:
        trouble = f"The mail says it comes on {date}. {trouble}"
    opening = rng.choice(["Hi, I am {}. ", "Hello, my name is {}. ", "Good morning, {} here. "])
    greeting = rng.choice(
        [
            "Hello {}. ",
            "Hi {}. ",
            "Thank you for writing, {}. ",
            "Dear {}, thank you for your message. ",
        ]
    )
    closing = rng.choice(["", "", " Can you help me?", " Thanks.", " Please help."])
    ending = rng.choice(["", "", " Is there anything else I can do for you?", " Have a good day."])
    return chat(
        name, opening.format(name) + trouble + closing, greeting.format(name) + reply + ending
    )


def small_talk(rng: Rng) -> Drill:
    """Greetings, thanks and goodbyes."""
    user, answer = rng.choice(
        [
            ("Hello!", "Hello! How can I help you?"),
            ("Hi there.", "Hi! What can I do for you today?"),
            ("Good morning.", "Good morning! How can I help you?"),
            ("Thank you very much.", "You are welcome."),
            ("Thanks, that is all.", "You are welcome. Have a good day."),
            ("Goodbye.", "Goodbye, and have a good day."),
            ("How are you?", "I am well, thank you. How can I help you?"),
            ("Who are you?", "I am a small assistant. How can I help you?"),
            ("Can you help me?", "Yes, I am happy to help. What do you need?"),
        ]
    )
    name = pick_name(rng)
    if rng.random() < 0.7:
        user = f"{user} I am {name}." if rng.random() < 0.5 else f"My name is {name}. {user}"
        answer = f"Nice to meet you, {name}. {answer}"
    return chat(answer, user, answer)


def shop_system(rng: Rng) -> Drill:
    """A system message names the shop and an offer; the customer asks about it."""
    shop, item, price = rng.choice(words.SHOPS), pick_item(rng), pick_price(rng)
    system = rng.choice(
        ["You are the assistant of {}. The {} costs {}.", "You work for {}. We sell the {} for {}."]
    ).format(shop, item, price)
    question, answer = rng.choice(
        [
            ("Which shop is this?", f"This is {shop}."),
            (f"How much is the {item}?", f"The {item} costs {price}."),
            ("What do you sell?", f"At {shop} we sell the {item} for {price}."),
        ]
    )
    talk = chat(answer, question, answer)
    return Drill([{"role": "system", "content": system}, *talk.messages], answer)


def tool_result(rng: Rng) -> Drill:
    """Answer from what a tool returned."""
    order = rng.choice([pick_digits, pick_code])(rng)
    status, day = rng.choice(["shipped", "packed", "delivered", "cancelled"]), pick_date(rng)
    price = pick_price(rng)
    question, answer = rng.choice(
        [
            (f"What is the status of order {order}?", f"Order {order} is {status}."),
            (f"When does order {order} arrive?", f"Order {order} arrives on {day}."),
            (f"How much did order {order} cost?", f"Order {order} cost {price}."),
        ]
    )
    result = f'{{"order": "{order}", "status": "{status}", "date": "{day}", "price": "{price}"}}'
    messages = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": f"Let me look up order {order}."},
        {"role": "tool", "content": result},
        {"role": "assistant", "content": answer},
    ]
    return Drill(messages, answer)
