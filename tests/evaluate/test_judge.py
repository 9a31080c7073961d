"""A judge model: what it is asked, how its replies are read, and what they amount to."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score

from tests import judges
from tunesmith.core.errors import DataError, EndpointError
from tunesmith.core.records import Message, Origin, Reply, ToolCall
from tunesmith.evaluate.bootstrap import PairedRows, paired_rate_change
from tunesmith.evaluate.card import _evidence
from tunesmith.evaluate.judge_ask import Pair, duels_of, pairs_of, requests_of, tokens_of
from tunesmith.evaluate.judge_figures import (
    agreement_figures,
    balance,
    contest_figures,
    kappa,
    length_figures,
    position_figures,
)
from tunesmith.evaluate.judge_labels import read_labels
from tunesmith.evaluate.judge_opinion import NAME, opinion
from tunesmith.evaluate.judge_prompt import better, conversation
from tunesmith.evaluate.judge_records import (
    Choice,
    Contest,
    Duel,
    Judged,
    Labelled,
    Preferred,
)
from tunesmith.evaluate.measure import Measured
from tunesmith.evaluate.questions import learned
from tunesmith.evaluate.readings import remarks_of
from tunesmith.evaluate.tables import tables_of
from tunesmith.evaluate.verdict import judge

Make = Callable[..., Any]
AT = Origin("rows.jsonl", 1)
ASKED = (Message("user", "Say it well."),)


class Told:
    """A judge that answers at once, and counts what it was asked."""

    def __init__(self, says: judges.Says) -> None:
        self._says = says
        self.asked: list[Sequence[Message]] = []

    def replies(
        self, conversations: Sequence[Sequence[Message]]
    ) -> Generator[tuple[int, Reply], None, None]:
        for place in reversed(range(len(conversations))):  # they come in any order
            self.asked.append(conversations[place])
            text = conversations[place][-1].content
            parts = (judges._part(text, tag) for tag in ("reference", "answer_A", "answer_B"))
            yield place, Reply(self._says(*parts))


def pairs(count: int = 20, one: str = "wanted", other: str = "something else") -> list[Pair]:
    return [Pair(Origin("r", n), ASKED, "wanted", one, other) for n in range(1, count + 1)]


def duel(straight: Choice, swapped: Choice, lengths: tuple[int, int] = (5, 5)) -> Duel:
    return Duel(AT, straight, swapped, *lengths)


def judged(
    wins: int, losses: int = 0, ties: int = 0, right: int = 0, wrong: int = 0, **fields: Any
) -> Judged:
    """A contest against the base, and labelled pairs of which the judge gets some right."""
    found = [duel("one", "one")] * wins + [duel("other", "other")] * losses
    found += [duel("tie", "tie")] * ties
    labels = [Labelled(duel("one", "one"), "one")] * right
    labels += [Labelled(duel("one", "one"), "other")] * wrong
    contest = Contest("base", "the base", tuple(found))
    return Judged("the-judge", "there:80", contests=(contest,), labels=tuple(labels), **fields)


@pytest.mark.parametrize(
    ("reply", "read"),
    [
        ('{"better": "A"}', "first"),
        (' {"better": "b"}\n', "second"),
        ('```json\n{"better": "tie"}\n```', "tie"),
        ('{"reason": "A is wrong", "better": "B"}', "second"),
        ("<think>A? No, B.</think>\n\nB", "second"),
        ("A", "first"),
        ("tie", "tie"),
        ("", None),
        ("A is better", None),
        ("Answer: A", None),
        ('{"better": "C"}', None),
        ('{"better": ["A"]}', None),
        ('{"winner": "A"}', None),
        ('{"better": "A"} {"better": "B"}', None),
        ("AB", None),
        ("1", None),
        ("[" * 100_000, None),
    ],
)
def test_a_reply_is_read_strictly(reply: str, read: str | None) -> None:
    assert better(reply) == read


def test_the_judge_sees_the_question_the_reference_and_both_answers() -> None:
    called = Message("assistant", "", (ToolCall("look", '{"at": 1}'),))
    system, user = conversation([*ASKED, called], "the reference", "X1", "Y2", "Be brief.")
    assert "Be brief." in system.content
    for text in ("user: Say it well.", 'look({"at": 1})', "the reference", "X1", "Y2"):
        assert text in user.content
    assert user.content.index("X1") < user.content.index("Y2")
    assert "<reference>" not in conversation(ASKED, None, "X1", "Y2", "")[1].content


def test_each_pair_is_asked_in_both_orders_and_the_same_answers_never() -> None:
    told = Told(judges.perfect)
    asked = [*pairs(3), *pairs(1, "alike", " alike")]
    found = duels_of(told, asked, "")
    assert len(told.asked) == 6
    assert [each.winner for each in found] == ["one", "one", "one", "tie"]
    assert [each.asked for each in found] == [True, True, True, False]
    shown = requests_of(asked[:1], "")
    firsts = [each[1].content.partition("<answer_A>\n")[2].split("\n")[0] for each in shown]
    assert firsts == ["wanted", "something else"]
    assert tokens_of(requests_of(pairs(20), "")) == pytest.approx(20 * tokens_of(shown), rel=0.1)


def test_a_perfect_judge_wins_and_an_always_first_one_only_ties() -> None:
    right = contest_figures(Contest("base", "b", duels_of(Told(judges.perfect), pairs(), "")))
    assert right is not None
    assert (right["win_rate"], right["won"], right["n"]) == (1.0, 20, 20)
    assert 0.8 < right["low"] < right["high"] == 1
    found = duels_of(Told(judges.always_first), pairs(), "")
    tied = contest_figures(Contest("base", "b", found))
    assert tied is not None
    assert (tied["win_rate"], tied["tied"]) == (0.5, 20)
    position = position_figures(found)
    assert position is not None
    assert (position["inconsistent"], position["first"], position["biased"]) == (1, 1, True)
    said = opinion(Judged("m", "h", contests=(Contest("base", "the base", found),)))
    assert said is not None
    assert "it is position-biased" in said["summary"]


def test_a_length_loving_judge_is_told_of() -> None:
    asked = [*pairs(10, "wanted", "w"), *pairs(10, "w", "longer")]
    won = duels_of(Told(judges.longest), asked, "")
    found = length_figures(won)
    assert found is not None
    assert (found["longer_won"], found["n"]) == (1.0, 20)
    assert found["win_rate_at_equal"] == pytest.approx(0.5)
    said = opinion(Judged("m", "h", contests=(Contest("base", "b", won),)))
    assert said is not None
    assert "it favours longer answers or longer ones are better" in said["summary"]
    assert length_figures(duels_of(Told(judges.longest), pairs(5, "abc", "xyz"), "")) is None


def test_too_many_unread_replies_end_the_asking_at_once() -> None:
    told = Told(judges.nonsense)
    with pytest.raises(EndpointError, match=r"5 of the judge's replies .* of 40 .* depends"):
        duels_of(told, pairs(), "")
    assert len(told.asked) == 5
    with pytest.raises(EndpointError, match="the first was empty"):
        duels_of(Told(judges.empty), pairs(), "")
    replies = iter(["?"] * 2 + ["A"] * 38)
    found = duels_of(Told(lambda *_: next(replies)), pairs(), "")
    assert sum(not each.read for each in found) in (1, 2)


def test_only_questions_that_both_answered_are_paired(answers: Make) -> None:
    made = answers({"x": [True] * 40})
    assert len(pairs_of(made, made[2:])) == 38


def test_a_share_has_the_interval_of_paired_rates() -> None:
    signs = [1.0] * 12 + [-1.0] * 3 + [0.0] * 5
    array = np.array(signs)
    rows = PairedRows((array < 0).astype(float), (array > 0).astype(float), np.ones(20))
    change, found = paired_rate_change(rows), balance(signs)
    assert found.value == pytest.approx((12 + 2.5) / 20)
    assert 2 * found.low - 1 == pytest.approx(change.low)
    assert 2 * found.high - 1 == pytest.approx(change.high)


def test_the_interval_of_a_win_rate_covers_the_truth() -> None:
    draw = np.random.default_rng(0)
    truth, covered = 0.5 + 0.5 * (0.5 - 0.3), 0
    for _ in range(1000):
        found = balance(draw.choice([1.0, -1.0, 0.0], 40, p=[0.5, 0.3, 0.2]))
        covered += found.low <= truth <= found.high
    assert 0.93 <= covered / 1000 <= 0.98


def test_kappa_is_the_reference_s() -> None:
    draw = np.random.default_rng(1)
    classes: list[Preferred] = ["one", "other", "tie"]
    for _ in range(5):
        left = [classes[n] for n in draw.integers(0, 3, 60)]
        right = [a if draw.random() < 0.6 else classes[draw.integers(0, 3)] for a in left]
        wanted = cohen_kappa_score(left, right)
        assert kappa(list(zip(left, right, strict=True))) == pytest.approx(wanted)
    assert kappa([("one", "one")] * 4) is None


def test_the_win_rate_at_equal_length_is_a_logistic_regression_s() -> None:
    draw = np.random.default_rng(2)
    gaps = draw.integers(-40, 41, 400)
    wins = draw.random(400) < 1 / (1 + np.exp(-(0.4 + 0.05 * gaps)))
    found = length_figures(
        [
            duel("one", "one", (100 + gap, 100))
            if won
            else duel("other", "other", (100 + gap, 100))
            for gap, won in zip(gaps.tolist(), wins.tolist(), strict=True)
        ]
    )
    assert found is not None
    x = np.tanh(gaps / math.sqrt((gaps.astype(float) ** 2).mean()))
    fitted = LogisticRegression(C=math.inf, tol=1e-8).fit(x[:, None], wins)
    wanted = fitted.predict_proba([[0.0]])[0, 1]
    assert found["win_rate_at_equal"] == pytest.approx(wanted, abs=0.01)


def test_agreement_counts_the_pairs_that_people_decided() -> None:
    labels = [Labelled(duel("one", "one"), "one")] * 9
    labels += [Labelled(duel("one", "other"), "other")] * 2  # its verdict changed: a tie
    labels += [Labelled(duel("other", "other"), "one"), Labelled(duel("tie", "tie"), "tie")]
    labels += [Labelled(duel("unread", "one"), "one")]
    found = agreement_figures(labels)
    assert found is not None
    assert found["agreement"] == pytest.approx((9 + 1) / 12)
    assert (found["n"], found["labelled"], found["unread"]) == (12, 14, 1)
    assert found["tied_by_people"] == 1
    assert found["consistent"] == pytest.approx(11 / 13)
    assert agreement_figures(labels[-2:]) is None


@pytest.mark.parametrize(
    ("fields", "trusted"),
    [
        ({}, False),  # without labels
        ({"right": 20}, True),
        ({"right": 7}, False),  # too few
        ({"right": 11, "wrong": 9}, False),  # chance is within the interval
        ({"right": 4, "wrong": 16}, False),
    ],
)
def test_only_agreement_with_people_makes_a_judge_trusted(
    measured: Make, fields: dict[str, int], trusted: bool
) -> None:
    found = replace(measured(), judged=judged(30, 5, **fields))
    verdict = judge(found)
    said = verdict.learned.detail["judge"]
    assert said["trusted"] is trusted
    assert ("the-judge prefers" in verdict.sentence) is trusted
    assert ("so it decides nothing" in said["summary"]) is not trusted
    shown = verdict.learned.detail["properties"][-1]
    assert (shown["name"], shown["margin"]) == (NAME, None)
    assert shown["tuned"] == pytest.approx(30 / 35)


def test_a_position_biased_judge_is_not_trusted_even_if_it_agrees() -> None:
    swayed = tuple([duel("one", "other")] * 40)
    said = opinion(replace(judged(0, right=20), contests=(Contest("base", "b", swayed),)))
    assert said is not None
    assert not said["trusted"]
    assert "but its verdicts follow the places" in said["summary"]


def test_a_judge_never_decides_by_itself(measured: Make) -> None:
    """Only where the user asked for it, it agrees with people, and it surely prefers the base."""
    plain = measured()
    assert learned(plain).passed
    against = {"wins": 2, "losses": 30, "right": 20}
    for fields, passed in (
        (against, True),
        ({**against, "decides": True}, False),
        ({**against, "decides": True, "right": 0}, True),
        ({**against, "decides": True, "right": 11, "wrong": 9}, True),
        ({"wins": 15, "losses": 17, "right": 20, "decides": True}, True),
    ):
        found = learned(replace(plain, judged=judged(**fields)))
        assert found.passed is passed, fields
    none = replace(plain.tuned, held_out=plain.base.held_out)
    assert learned(replace(plain, tuned=none, judged=judged(40, right=40))).passed is False


def test_not_judged_is_said_and_decides_nothing(measured: Make) -> None:
    lost = Judged("the-judge", "there:80", why="The endpoint failed")
    found = replace(measured(), judged=lost)
    verdict = judge(found)
    assert verdict.decision == judge(measured()).decision
    assert "not judged by the-judge, of which the report says why" in verdict.sentence
    remarks = remarks_of(verdict.learned.detail)
    assert "not judged by the-judge at there:80: The endpoint failed" in remarks


def test_what_was_judged_is_kept_shown_and_read_again(measured: Make) -> None:
    found = replace(measured(), judged=judged(20, 4, 3, right=20, wrong=2, rubric="Be kind."))
    assert Measured.from_json(found.to_json()) == found
    old = {key: value for key, value in found.to_json().items() if key != "judged"}
    assert Measured.from_json(old).judged is None
    verdict = judge(found).to_json()
    cells = [
        cell for table in tables_of(verdict, found)["learned"] for row in table.rows for cell in row
    ]
    for text in ("the base", "80 %", "20, 3, 4", "agrees with people", "22 of 22 labelled", NAME):
        assert text in cells
    card = "\n".join(_evidence(verdict, tables_of(verdict, found)))
    assert "| agrees with people | 91 % |" in card
    assert card.count("### Did it learn?") == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "the line is not JSON"),
        ("[]", "the line is no JSON object"),
        ('{"prompt": "p", "a": "x", "b": "y"}', "preferred is not given"),
        ('{"prompt": "p", "a": "x", "b": "y", "preferred": "A"}', 'preferred is "A"'),
        ('{"prompt": "p", "a": "x", "b": 3, "preferred": "a"}', "b is 3 instead of a text"),
        ('{"prompt": "p", "a": "x", "c": "y", "preferred": "a"}', "it has the key c"),
        ('{"prompt": "p", "a": "x", "b": "y", "preferred": "a", "reference": 1}', "reference is 1"),
    ],
)
def test_a_bad_label_is_named_by_its_line(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "labels.jsonl"
    good = '{"prompt": "p", "a": "x", "b": "y", "preferred": "tie", "reference": "r"}'
    path.write_text(f"{good}\n\n{line}\n")
    with pytest.raises(DataError) as error:
        read_labels(path)
    assert f"{path}:3: {said}" in str(error.value)
    path.write_text(good)
    ((pair, preferred),) = read_labels(path)
    assert (pair.one, pair.other, pair.reference, preferred) == ("x", "y", "r", "tie")


def test_a_file_without_labels_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name, said in (("empty", "holds no pair"), ("binary", "cannot be read"), ("no", "cannot")):
        with pytest.raises(DataError, match=said):
            read_labels(tmp_path / name)
