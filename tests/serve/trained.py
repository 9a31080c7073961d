"""Models of each kind, trained for two steps."""

from __future__ import annotations

from pathlib import Path

from tests import labelling
from tunesmith.recipe import load
from tunesmith.runs.open import Run
from tunesmith.runs.train import train

QUESTION = "Where is my card?"
TUNED, LABELS, EMBEDS = "ft:anvil:tunesmith::chat", "ft:bert:tunesmith::l", "ft:bert:tunesmith::e"
SHORT = ("evaluate.level=none", "engine.max_steps=2", "model.device=cpu", "model.dtype=float32")


def three_runs(home: Path) -> dict[str, Run]:
    """One that writes, one that labels, one that makes vectors, by their names."""
    bert = labelling.save_base(home / "bert", "bert")
    said = [
        {"prompt": f"{QUESTION} {n}", "completion": f"In folder {n}, as ever."} for n in range(16)
    ]
    pairs = [
        {"anchor": first["text"], "positive": second["text"]}
        for first, second in zip(labelling.rows(60), labelling.rows(60, 1), strict=True)
    ]
    asked = {
        TUNED: ("anvil", said, ("objective.kind=sft", "model.rank=4", "engine.learning_rate=0.02")),
        LABELS: (str(bert), labelling.rows(60), ("objective.kind=classify", "model.method=full")),
        EMBEDS: (str(bert), pairs, ("objective.kind=embed", "model.method=full")),
    }
    made = {}
    for number, (name, (base, rows, more)) in enumerate(asked.items()):
        data = labelling.write(home / f"rows-{number}.jsonl", rows)
        recipe = load(None, [f"model.base={base}", f"data.train={data}", *SHORT, *more])
        made[name] = train(recipe, home / f"run-{number}")
    return made
