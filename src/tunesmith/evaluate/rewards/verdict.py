"""The five answers about a reward model of pairs, and the decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from tunesmith.core.seeds import derive
from tunesmith.evaluate.bootstrap import Interval
from tunesmith.evaluate.judgement import Judgement, judged, unmeasured
from tunesmith.evaluate.labels.verdict import CARRIED, KEPT, served
from tunesmith.evaluate.rewards import figures
from tunesmith.evaluate.rewards.measured import TUNED, Compared, RewardMeasured, Way
from tunesmith.evaluate.verdict import Verdict, concluded
from tunesmith.evaluate.wording import course_sentence, number, percent, plural

UNIT = "share of pairs right"


def judge_rewards(measured: RewardMeasured, seed: int = 0) -> Verdict:
    """Answer the five questions. Ship when it learned and no measured question fails."""
    return concluded(
        learned(measured),
        unmeasured(KEPT),
        memorised(measured),
        worth(measured, seed),
        served(measured.certificate, "largest difference of two rewards"),
    )


def learned(measured: RewardMeasured) -> Judgement:
    """Held-out pairs against chance."""
    rows = measured.held_out
    if not rows:
        return unmeasured("nothing was measured on held-out pairs")
    found = figures.above_chance(rows)
    ends = f"95 % interval {_percents(found.low + 0.5)} to {_percents(found.high + 0.5)} %"
    summary = (
        f"of {plural(len(rows), 'held-out pair')} it gives the answer that was chosen the higher "
        f"reward in {_percents(found.value + 0.5)} % ({ends}), where chance has 50 %"
    )
    if found.low <= 0:
        summary += ", which is not clearly better"
    told = figures.lengths(rows)
    detail = {
        "summary": summary,
        "figures": figures.figures(rows, measured.temperature),
        "lengths": None if told is None else asdict(told),
        "rule": "passes when the whole interval is above one half",
        "remarks": [_believable(measured), *_of_lengths(told), *filter(None, [measured.left])],
    }
    return judged(found.low > 0, found, f"{UNIT}, above one half", detail)


def memorised(measured: RewardMeasured) -> Judgement:
    """How much of what trained pairs have over chance the held-out pairs have, too."""
    tuned = measured.way(TUNED)
    if tuned is None or not tuned.trained or not tuned.rows:
        return unmeasured("the trained pairs were not asked again")
    seen, unseen = figures.right(tuned.trained), figures.right(tuned.rows)
    gain, carried = float(seen.mean()) - 0.5, float(unseen.mean()) - 0.5
    reach = 1.96 * float(seen.var() / len(seen) + unseen.var() / len(unseen)) ** 0.5
    gap = Interval(gain - carried, gain - carried - reach, gain - carried + reach, len(unseen))
    limit = (1 - CARRIED) * max(gain, 0.0)
    summary = (
        f"of trained pairs it has {percent(gain + 0.5)} right, of held-out pairs "
        f"{percent(carried + 0.5)}"
    )
    if gain > 0:
        share = min(1.0, max(0.0, carried / gain))
        summary += f": {percent(share)} of what is above chance carries over"
    detail = {
        "summary": summary,
        "course": course_sentence(measured.course, figures.LOSS),
        "rule": f"fails when less than {CARRIED:.0%} of what is above chance carries over",
    }
    return judged(gap.value <= limit, gap, UNIT, detail)


def worth(measured: RewardMeasured, seed: int) -> Judgement:
    """Tuned against the best way to choose between the same answers without this training."""
    others = [each for each in measured.ways if each.name != TUNED]
    if not others or not measured.held_out:
        return unmeasured("it was not compared with simpler ways to choose")
    compared = [(each, _gain(measured.held_out, each, seed)) for each in others]
    best, found = min(compared, key=lambda pair: pair[1].value)
    word = "beats" if found.low > 0 else "is worse than" if found.high < 0 else "is no better than"
    ours, theirs = figures.accuracy(measured.held_out), figures.accuracy(best.rows)
    summary = (
        f"it {word} {best.title} ({percent(ours)} of pairs right against {percent(theirs)}, "
        f"difference {_points(found)})"
    )
    detail = {
        "summary": summary,
        "best": best.name,
        "rivals": [
            {
                "name": each.name,
                "title": each.title,
                "figures": {"accuracy": figures.accuracy(each.rows)},
                "gain": gain.value,
                "low": gain.low,
                "high": gain.high,
                "n": gain.n,
            }
            for each, gain in compared
        ],
        "rule": (
            "passes when the whole interval of the difference to the best of them is above zero; "
            "fails when the tuned model is no better, for the simpler way then is enough"
        ),
    }
    return judged(found.low > 0, found, UNIT, detail)


def _gain(rows: Sequence[Compared], other: Way, seed: int) -> Interval:
    return figures.change(other.rows, rows, derive(seed, "bootstrap", "rewards", other.name))


def _believable(measured: RewardMeasured) -> str:
    found = figures.figures(measured.held_out, measured.temperature)
    return (
        f"the logistic function of the difference of two rewards, divided by "
        f"{number(measured.temperature)}, is how likely people are to prefer the first: off by "
        f"{percent(found['calibration error'])} on average (expected calibration error; Brier "
        f"score {number(found['Brier score'])}, where knowing nothing has 0.25)"
    )


def _of_lengths(told: figures.Lengths | None) -> list[str]:
    """What length has to do with it, and whether it is taken for worth."""
    if told is None:
        return []
    said = (
        f"of two answers it prefers the longer one in {percent(told.model)} of the pairs, people "
        f"in {percent(told.people)} (difference {_points(told.more)}; the rank correlation of "
        f"reward and length is {number(told.correlation)})"
    )
    if told.more.low > 0:
        said += ": it takes length for worth, so what is tuned by it will learn to say more"
    found = [said]
    if told.balanced is not None:
        each = told.balanced
        found.append(
            f"where length is no help (pairs with a longer and with a shorter chosen answer count "
            f"alike) it has {percent(each.value + 0.5)} right, 95 % interval "
            f"{_percents(each.low + 0.5)} to {_percents(each.high + 0.5)} %"
        )
    if told.near is not None:
        found.append(
            f"on {plural(told.near_pairs, 'pair')} of about one length it has "
            f"{percent(told.near)} right"
        )
    return found


def _percents(share: float) -> str:
    return f"{100 * share:.1f}"


def _points(found: Interval) -> str:
    ends = f"{100 * found.low:.1f} to {100 * found.high:.1f}"
    return f"{100 * found.value:.1f} points, 95 % interval {ends}"
