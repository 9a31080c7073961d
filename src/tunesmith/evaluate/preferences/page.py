"""The report of a run on preferences or rewards, on the page that all runs have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tunesmith.evaluate.charts import Mark, Row, Series, interval_chart, line_chart, thinned
from tunesmith.evaluate.labels.page import questions_page, steps_of
from tunesmith.evaluate.pictures import Picture, loss_picture, pictures_of
from tunesmith.evaluate.preferences.measured import Drawn, PreferenceMeasured
from tunesmith.evaluate.preferences.safety import rates_of
from tunesmith.evaluate.preferences.tables import tables_of_preferences
from tunesmith.evaluate.side_by_side import Sample, Told
from tunesmith.evaluate.wording import number, percent

Json = Mapping[str, Any]

_SAMPLES = 8

QUESTIONS = {
    "learned": ("Did it learn?", "Tuned against base"),
    "kept": ("Did it keep what it knew?", "Extra cost of general text"),
    "memorised": ("Did it merely memorise?", "Gain that stays on what was trained"),
    "worth": ("Was it worth it?", "Against the best other way"),
    "parity": ("Is it what you will serve?", "Saved model against trained model"),
}

CURVES = (
    ("Grade while it learned", "mean grade of an answer", ("held_out_grade", "grade")),
    ("Success while it learned", "share of the answers", ("held_out_success", "success")),
    ("Reward margin", "chosen minus rejected, nats", ("reward_margin",)),
    ("Reward accuracy", "share of pairs", ("accuracy",)),
    ("Reward of either answer", "nats", ("reward_chosen", "reward_rejected")),
    ("Distance from the base", "KL, nats per token", ("kl_to_base",)),
    ("Length of the answers", "tokens", ("answer_tokens",)),
    ("Entropy", "nats per token", ("entropy",)),
    ("Tokens held back by the clip", "share", ("clipped",)),
    ("Prompts whose answers were all graded alike", "share", ("without_signal",)),
)
"""What the lines of `metrics.jsonl` may tell beside the loss: title, unit, and names; each that is
there is drawn over the steps, single looks at held-out prompts as dots."""

_KINDS = ("held", "train")
_LOOKS = "held_out_"


def render_preferences(
    verdict: Json,
    measured: PreferenceMeasured,
    metrics: Sequence[Json],
    ledger: Json,
    recipe_text: str,
    environment: Json,
    plan: Json,
) -> str:
    """The whole page as HTML. The arguments are as for `report.render`."""
    steps = steps_of(metrics)
    usual = pictures_of(verdict, measured.run, steps)
    detail = verdict["learned"]["detail"]
    headline = [_wins(detail), _conduct(detail)]
    pictures: dict[str, list[Picture | None]] = {
        "learned": [
            _success(detail),
            *(headline if detail.get("wins") else reversed(headline)),
            _lengths(measured),
            *_losses(steps, measured),
            *_curves(metrics, measured),
        ],
        "kept": [*usual["kept"]],
        "worth": [_rivals(verdict["worth"])],
        "parity": [*usual["parity"]],
    }
    return questions_page(
        verdict,
        QUESTIONS,
        pictures,
        tables_of_preferences(verdict, measured),
        steps,
        ledger,
        recipe_text,
        environment,
        plan,
        samples=samples(measured)[:_SAMPLES],
        prompts=len(measured.prompts),
    )


def samples(measured: PreferenceMeasured) -> list[Sample]:
    """Each prompt with the first answer of every way, and what was said of it."""
    if measured.both is None:
        return []
    base, tuned = measured.both
    ways = [(base, "base"), *((rival, "helped") for rival in measured.rivals), (tuned, "tuned")]
    return [
        Sample(
            asked.origin,
            asked.messages,
            "",
            tuple(
                _told(way.name, kind, way.answers[place][0])
                for way, kind in ways
                if way.answers[place]
            ),
        )
        for place, asked in enumerate(measured.prompts)
    ]


def _told(title: str, kind: str, answer: Drawn) -> Told:
    said = {"score": answer.score, "judge": answer.judge, "tokens": answer.tokens}
    numbers = {name: float(value) for name, value in said.items() if value is not None}
    graded = {} if answer.score is not None or not answer.failed else {"graded": False}
    stretches = ((answer.text, "same"),) if answer.text else ()
    return Told(title, kind, False, stretches, {**numbers, **graded})


def _success(detail: Json) -> Picture | None:
    """The share of successes before and after, where it is the headline."""
    found = detail.get("success")
    if not found or not found["judges"]:
        return None
    ends = {end: min(1.0, max(0.0, found["base"] + found[end])) for end in ("low", "high")}
    row = Row(
        "held-out prompts",
        100 * found["tuned"],
        100 * ends["low"],
        100 * ends["high"],
        f"{percent(found['base'])} to {percent(found['tuned'])}",
        start=100 * found["base"],
    )
    title = f"Answers graded {number(found['from'])} or better"
    svg = interval_chart([row], "percent of the answers", title, (0.0, 100.0))
    keys = (("base", "base"), ("tuned", "tuned, with the 95 % interval of the change"))
    return Picture(title, svg, keys)


def _wins(detail: Json) -> Picture:
    """Win rates with their intervals: as they are, and at equal length."""
    rows = [_share(f"by {each['by']}", each) for each in detail.get("wins", ())]
    if (length := detail.get("length")) is not None:
        rows.insert(1, _share("at equal length", length["at_equal"]))
        if length["near"] is not None:
            rows.insert(2, _share("where they are about as long", length["near"]))
    for name, title in (("pairs", "pairs"), ("ratings", "ratings")):
        if found := detail.get(name):
            rows.append(_share(f"reward accuracy, {title}", found["accuracy"]))
    title = "How often the tuned model's answer is preferred"
    limit = (("limit", "a coin's 50 %"),) if rows else ()
    svg = interval_chart(rows, "percent, with the 95 % interval", title, (0.0, 100.0))
    return Picture(title, svg, limit)


def _share(name: str, found: Json) -> Row:
    value, low, high = (100 * found[end] for end in ("value", "low", "high"))
    said = f"{percent(found['value'])} ({low:.0f} to {high:.0f})"
    return Row(name, value, low, high, said, limit=50.0)


def _lengths(measured: PreferenceMeasured) -> Picture | None:
    """Each prompt's two answers by their lengths."""
    if measured.both is None:
        return None
    pairs = zip(*(way.answers for way in measured.both), strict=True)
    points = sorted((float(a[0].tokens), float(b[0].tokens)) for a, b in pairs if a and b)
    if not points:
        return None
    most = max(max(point) for point in points)
    series = [
        Series("a prompt", points, "held", dots=True, line=False),
        Series("equal length", [(0.0, 0.0), (most, most)], "train"),
    ]
    title = "Length of the answers, in tokens"
    svg = line_chart(series, "the base's answer", "the tuned model's", title)
    return Picture(title, svg, tuple((one.kind, one.name) for one in series))


def _losses(steps: Sequence[Json], measured: PreferenceMeasured) -> list[Picture]:
    """The loss of a policy says nothing of how good it is, so there grades alone are shown."""
    return [] if measured.tries else [loss_picture(steps, measured.run.course, measured.loss)]


def _curves(metrics: Sequence[Json], measured: PreferenceMeasured) -> Iterator[Picture]:
    """What was told of each step beside its loss."""
    kept = measured.run.course.kept_step
    for title, unit, names in CURVES:
        series = [
            Series(_title(name), thinned(points), kind, dots=name.startswith(_LOOKS))
            for name, kind in zip(names, _KINDS, strict=False)
            if (points := _points(metrics, name))
        ]
        looked = any(one.dots for one in series)
        marks = [Mark(kept, f"kept: step {kept}")] if looked else []
        keys = tuple((one.kind, one.name) for one in series) if len(series) > 1 else ()
        yield Picture(title, line_chart(series, "optimiser step", unit, title, marks), keys)


def _title(name: str) -> str:
    return name.replace(_LOOKS, "held-out ").replace("_", " ")


def _points(steps: Sequence[Json], name: str) -> list[tuple[float, float]]:
    return [(line["step"], line[name]) for line in steps if line.get(name) is not None]


def _conduct(detail: Json) -> Picture | None:
    """Refusals before and after, of harmful and of harmless prompts."""
    rows = [
        Row(
            f"{name} prompts refused",
            100 * found["tuned"]["value"],
            100 * found["tuned"]["low"],
            100 * found["tuned"]["high"],
            f"{percent(found['base']['value'])} to {percent(found['tuned']['value'])}",
            start=100 * found["base"]["value"],
        )
        for name, found in rates_of(detail.get("safety"))
    ]
    title = "Refusals"
    keys = (("base", "base"), ("tuned", "tuned, with its 95 % interval"))
    svg = interval_chart(rows, "percent of the prompts", title, (0.0, 100.0))
    return Picture(title, svg, keys)


def _rivals(answer: Json) -> Picture:
    rows = [_share(each["title"], each) for each in answer["detail"].get("rivals", ())]
    title = "Win rate against other ways to answer"
    svg = interval_chart(rows, "percent, with the 95 % interval", title, (0.0, 100.0))
    return Picture(title, svg, (("limit", "a coin's 50 %"),) if rows else ())
