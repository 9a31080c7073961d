"""What a learning curve says, in sentences that carry the numbers, and what it cannot say."""

from __future__ import annotations

from typing import Literal

from tunesmith.evaluate.bootstrap import Interval
from tunesmith.evaluate.judgement import MINIMUM_ROWS
from tunesmith.evaluate.learning_curve import Curve

HARDLY = 0.01
"""Of the loss. Gathering as many rows again is work of weeks, and a hundredth is worth none."""

TIMES = (2, 5)
"""How many times the rows is looked ahead. Beyond that a curve through a tenth to all of them is
asked about sizes ten times further than it was seen to hold."""

Outlook = Literal["helps", "hardly", "unclear"]


def outlook(curve: Curve) -> Outlook:
    """Whether more rows help: certainly enough, certainly not, or not to be told from noise.

    The forecast alone cannot say that they help, for its form only ever falls: the loss must have
    fallen from the last size but one to all rows, on the same held-out rows.
    """
    if curve.points[-1].n < MINIMUM_ROWS:
        return "unclear"
    gain = curve.gain(TIMES[0])
    if gain.high < HARDLY * curve.loss:
        return "hardly"
    return "helps" if curve.drops[-1].low > 0 and gain.low > 0 else "unclear"


def sentence(curve: Curve) -> str:
    """The outcome: "Twice as many rows would lower the held-out loss from 1.31 to about 1.22…"."""
    twice, more = (curve.gain(times) for times in TIMES)
    loss, rows = curve.loss, curve.rows
    if outlook(curve) == "helps":
        left = curve.left()
        return (
            f"Twice as many rows ({2 * rows[-1]:,}) would lower the held-out loss from {loss:.3g} "
            f"to about {_lowered(loss, twice)}, five times as many to about "
            f"{_lowered(loss, more)}; what is left to gain with ever more rows is "
            f"{left.low:.2g} to {left.high:.2g} nats per token."
        )
    if outlook(curve) == "hardly":
        return (
            f"More rows hardly help: twice as many ({2 * rows[-1]:,}) would lower the held-out "
            f"loss of {loss:.3g} by about {_amount(twice)}. Better rows, another base or other "
            "settings may."
        )
    more_rows = "More held-out rows would tell (data.validation_share, data.validation)."
    last = curve.drops[-1]
    if last.n < MINIMUM_ROWS:
        return (
            f"{last.n} held-out rows are too few to tell whether more rows help: an interval needs "
            f"{MINIMUM_ROWS} or more. {more_rows}"
        )
    return (
        f"Too noisy to tell whether more rows help: from {rows[-2]:,} to {rows[-1]:,} rows the "
        f"held-out loss {_moved(last)} on {last.n} held-out rows, and twice as many rows "
        f"might lower it by {twice.low:.2g} to {twice.high:.2g}. {more_rows}"
    )


def cautions(curve: Curve, *, best_at_end: bool, chosen_on_judged: bool) -> list[str]:
    """What the numbers rest on.

    `best_at_end` says that the run on all rows was best at its last step, `chosen_on_judged` that
    the rows which judge are those on which the weights were chosen.
    """
    count = curve.points[-1].n
    said = [
        f"The intervals are those of {count} held-out rows, 95 %, the same rows at every size. "
        f"{_seeds(curve)}"
    ]
    if curve.misfit is None:
        said.append(
            "Three sizes determine the three numbers of the curve and leave nothing to test its "
            "form: the forecast is what follows if the loss goes on falling as a power of the "
            "rows. More sizes would test that: --shares 5,10,20,40,70,100."
        )
    if chosen_on_judged:
        said.append(
            "The held-out rows were too few to be divided, so those that judge chose the weights, "
            "too: each loss is a little too low."
        )
    if best_at_end:
        said.append(
            "On all rows the run was best at its very last step, so more epochs may lower the loss "
            "without more rows; raise engine.epochs to see the curve of fully trained models."
        )
    return said


def _seeds(curve: Curve) -> str:
    """How often each size was trained, and whether the last fall is more than the noise of that."""
    if curve.spread is None:
        return "Every size was trained once" + (
            "; how far another seed would move a point is in none of them (--repeats 3 tells)."
            if curve.misfit is None
            else f", and how far the points miss the curve, {curve.misfit:.2g} nats, is in the "
            "forecast as noise of the training."
        )
    last = curve.drops[-1]
    word = "more" if last.low > 0 else "no more"
    return (
        f"Every size was trained with {curve.seeds} seeds: another one moves a point by about "
        f"{curve.spread:.2g} nats (standard deviation), which is in every interval. From "
        f"{curve.rows[-2]:,} to {curve.rows[-1]:,} rows the loss {_moved(last)}: {word} than noise."
    )


def _lowered(loss: float, gain: Interval) -> str:
    """`1.22 (1.15 to 1.29)`."""
    return f"{loss - gain.value:.3g} ({loss - gain.high:.3g} to {loss - gain.low:.3g})"


def _moved(drop: Interval) -> str:
    """`fell by 0.02 (0.01 to 0.03)`, or rose."""
    if drop.value >= 0:
        return f"fell by {_amount(drop)}"
    return f"rose by {_amount(Interval(-drop.value, -drop.high, -drop.low, drop.n))}"


def _amount(change: Interval) -> str:
    """`0.02 (0.01 to 0.03)`."""
    return f"{change.value:.2g} ({change.low:.2g} to {change.high:.2g})"
