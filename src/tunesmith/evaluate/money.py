"""What training saves in money, at prices that the user gives; there are no others.

A request costs its tokens where these have prices, else its seconds at the price of an hour of the
machine. Training costs the seconds of its steps at that price.
"""

from __future__ import annotations

import math
from typing import Any

from tunesmith.evaluate.measure import Cost, Prices
from tunesmith.evaluate.wording import amount

_HOUR = 3600
_MILLION = 1_000_000


def request_price(prices: Prices, cost: Cost | None) -> float | None:
    """What one request costs; None where it was not measured, or nothing prices it."""
    if cost is None:
        return None
    if prices.prompt is not None and prices.answer is not None:
        read, written = cost.prompt_tokens * prices.prompt, cost.answer_tokens * prices.answer
        return (read + written) / _MILLION
    return None if prices.hour is None else cost.seconds * prices.hour / _HOUR


def training_price(prices: Prices, seconds: float) -> float | None:
    """What the training cost; None without the price of an hour."""
    return None if prices.hour is None else seconds * prices.hour / _HOUR


def money(
    prices: Prices | None, seconds: float, tuned: Cost | None, other: Cost | None, title: str
) -> dict[str, Any] | None:
    """The money part of the question of worth, as it stands in JSON; None without prices.

    `seconds` are those of training, `other` is what a request to the base helped by `title` costs.
    """
    if prices is None:
        return None
    ours, theirs = request_price(prices, tuned), request_price(prices, other)
    training = training_price(prices, seconds)
    if ours is None or theirs is None:
        return None
    pays = _requests(training, theirs - ours)
    return {
        "currency": prices.currency,
        "training": training,
        "request": ours,
        "request_of_best": theirs,
        "requests_until_it_pays": pays,
        "summary": _summary(prices.currency, title, (ours, theirs), training, pays),
    }


def _requests(training: float | None, saved: float) -> int | None:
    """The fewest requests that save what training cost; None if none ever do, or it is unknown."""
    if training is None or saved <= 0:
        return None
    return max(1, math.ceil(training / saved * (1 - 1e-12)))  # 600.0000000001 are 600


def _summary(
    currency: str,
    title: str,
    requests: tuple[float, float],
    training: float | None,
    pays: int | None,
) -> str:
    ours, theirs = requests
    said = (
        f"at your prices 1,000 requests cost {amount(1000 * ours, currency)} instead of "
        f"{amount(1000 * theirs, currency)} with {title}"
    )
    if ours >= theirs:
        cost = "" if training is None else f" of {amount(training, currency)}"
        return f"{said}, so the training{cost} is never paid back by them"
    if training is None or pays is None:
        return f"{said}; when training is paid back needs evaluate.hour_price, which is not given"
    return f"{said}, and the training of {amount(training, currency)} is paid after {pays:,}"
