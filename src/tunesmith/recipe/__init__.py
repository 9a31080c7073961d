"""What was asked for: the recipe, read from YAML and `--set`, completed, and written back.

    recipe = load(Path("recipe.yaml"), ["engine.epochs=2"])
    resolved = resolve(recipe, facts)
    text = dump(resolved)

Imports no torch. Only `runs/` holds a whole recipe; each room is given its own section.
"""

from tunesmith.recipe.defaults import (
    Facts,
    compared_answers,
    compared_rows,
    evaluated_rows,
    examples_shown,
    frontier_rows,
    generated_rows,
    own_samples,
    recalled_rows,
)
from tunesmith.recipe.fields import AUTO
from tunesmith.recipe.judge import JudgeSection
from tunesmith.recipe.kinds import LABELS, PREFERENCES, REFERRED, REINFORCED
from tunesmith.recipe.load import load
from tunesmith.recipe.resolve import Resolved, resolve
from tunesmith.recipe.rewards import RewardSection
from tunesmith.recipe.rollouts import RolloutsSection
from tunesmith.recipe.schema import Knob, describe, json_schema
from tunesmith.recipe.sections import (
    DataSection,
    EngineSection,
    EvaluateSection,
    ModelSection,
    ObjectiveSection,
    Recipe,
)
from tunesmith.recipe.sources import Source, path_of, weighted
from tunesmith.recipe.write import dump

__all__ = [
    "AUTO",
    "LABELS",
    "PREFERENCES",
    "REFERRED",
    "REINFORCED",
    "DataSection",
    "EngineSection",
    "EvaluateSection",
    "Facts",
    "JudgeSection",
    "Knob",
    "ModelSection",
    "ObjectiveSection",
    "Recipe",
    "Resolved",
    "RewardSection",
    "RolloutsSection",
    "Source",
    "compared_answers",
    "compared_rows",
    "describe",
    "dump",
    "evaluated_rows",
    "examples_shown",
    "frontier_rows",
    "generated_rows",
    "json_schema",
    "load",
    "own_samples",
    "path_of",
    "recalled_rows",
    "resolve",
    "weighted",
]
