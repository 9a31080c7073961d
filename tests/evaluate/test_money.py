"""Worth in money, against cases worked out by hand."""

from __future__ import annotations

import dataclasses

import pytest

from tests.evaluate.conftest import make_measured
from tests.evaluate.test_worth import baseline
from tunesmith.evaluate.measure import Cost, Course, Measured, Prices
from tunesmith.evaluate.money import money, request_price, training_price
from tunesmith.evaluate.tables import tables_of
from tunesmith.evaluate.verdict import judge
from tunesmith.evaluate.worth import worth

TOKENS = Prices(prompt=0.5, answer=2.0, currency="EUR")
"""A half for a million read, two for a million written."""

BOTH = Prices(prompt=0.5, answer=2.0, hour=3.6, currency="EUR")
"""And a thousandth for each second of the machine."""

TUNED, HELPED = Cost(100, 50, 1.0, 8), Cost(900, 50, 2.0, 8)


def test_a_request_costs_its_tokens_or_else_its_seconds() -> None:
    assert request_price(TOKENS, TUNED) == pytest.approx((100 * 0.5 + 50 * 2) / 1e6)
    assert request_price(BOTH, TUNED) == request_price(TOKENS, TUNED)
    assert request_price(Prices(hour=3.6), TUNED) == pytest.approx(0.001)
    assert request_price(Prices(), TUNED) is None
    assert request_price(BOTH, None) is None


def test_training_costs_its_hours() -> None:
    assert training_price(BOTH, 600) == pytest.approx(0.6)
    assert training_price(TOKENS, 600) is None


def test_training_is_paid_by_what_requests_save() -> None:
    """800 tokens less read for each request save 0.0004; 600 s of training cost 0.6: 1,500."""
    found = money(BOTH, 600, TUNED, HELPED, "search")
    assert found is not None
    assert found["requests_until_it_pays"] == 1500
    assert found["summary"] == (
        "at your prices 1,000 requests cost 0.15 EUR instead of 0.55 EUR with search, and the "
        "training of 0.60 EUR is paid after 1,500"
    )
    by_the_hour = money(Prices(hour=3.6), 600, TUNED, HELPED, "search")
    assert by_the_hour is not None
    assert by_the_hour["requests_until_it_pays"] == 600


def test_what_saves_nothing_is_never_paid_back() -> None:
    found = money(BOTH, 600, HELPED, TUNED, "search")
    assert found is not None
    assert found["requests_until_it_pays"] is None
    assert "of 0.60 EUR is never paid back" in found["summary"]


def test_no_price_of_an_hour_is_invented() -> None:
    found = money(TOKENS, 600, TUNED, HELPED, "search")
    assert found is not None
    assert (found["training"], found["requests_until_it_pays"]) == (None, None)
    assert "needs evaluate.hour_price, which is not given" in found["summary"]
    assert money(None, 600, TUNED, HELPED, "search") is None


def _measured(prices: Prices | None) -> Measured:
    made = make_measured(course=Course(seconds=600))
    assert made.tuned is not None
    tuned = dataclasses.replace(made.tuned, cost=Cost(80, 20, 1.0, 8))
    return dataclasses.replace(
        made, tuned=tuned, baselines=(baseline("search", 1.5),), prices=prices
    )


def test_it_stands_in_the_verdict_and_in_the_tables_of_report_and_card() -> None:
    """A request of 380 tokens read against 80: 0.00015 saved, so 0.6 are paid after 4,000."""
    measured = _measured(BOTH)
    verdict = judge(measured).to_json()
    assert verdict["worth"]["detail"]["money"]["requests_until_it_pays"] == 4000
    (table,) = tables_of(verdict, measured)["worth"]
    assert table.heads[-1] == "1,000 requests, at your prices"
    assert [row[-1] for row in table.rows][-2:] == ["0.23 EUR", "0.08 EUR"]
    assert Measured.from_json(measured.to_json()) == measured


def test_without_prices_nothing_is_said_of_money() -> None:
    measured = _measured(None)
    assert "money" not in worth(measured).detail
    (table,) = tables_of(judge(measured).to_json(), measured)["worth"]
    assert table.heads[-1] == "Seconds a request"
