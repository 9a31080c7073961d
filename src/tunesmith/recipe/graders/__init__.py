"""How a reward is written down: as a mapping with a `type`, in a recipe or in a file of its own.

shapes      the table of types: the fields of each, and what may stand in them
complain    what is wrong with a grader, in finished sentences
templates   texts with names in them, `{{ item.answer }}`
formula     arithmetic over the numbers of other graders
"""

from tunesmith.recipe.graders.complain import faults
from tunesmith.recipe.graders.shapes import SHAPES, names_of, walk

__all__ = ["SHAPES", "faults", "names_of", "walk"]
