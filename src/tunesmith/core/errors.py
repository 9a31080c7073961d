"""Every error a user can meet, drawn as a tree.

    TunesmithError              exit 1   our failure, or the machine's
    ├── NonFiniteLoss           1        a loss became NaN or infinite; names rows or step
    ├── StorageError            1        the disk refused: full, read-only, gone
    ├── NoGrades                1        not one answer of a step could be graded; says why
    ├── EndpointError           1        a model behind an endpoint does not answer, or nonsense
    ├── OutOfMemory             1        one example alone does not fit; names it, and what would
    ├── Interrupted             130      Ctrl-C or SIGTERM, after a clean save
    ├── GateHeld                3        the verdict says hold where a gate was asked for
    └── InputError              2        what the user gave cannot be used
        ├── RecipeError         2        an unknown key, a wrong type, a contradiction of values
        ├── DataError           2        a data file or one of its rows; carries the origin
        ├── ModelError          2        the base is no model folder, or a part of it is missing
        ├── RunFolderError      2        the output folder exists, is no run, or cannot be written
        ├── CheckpointError     2        a checkpoint failed its hash; names the one before it
        ├── RegistryError       2        a named model that is not there, or not whole any more
        └── Unsupported         2        a combination that cannot work; says which one would

A message is a finished sentence: what was wrong, what was received, where, and what to do.
"""

from __future__ import annotations


class TunesmithError(Exception):
    """The root of every error raised on purpose. `exit_code` is what the command line returns."""

    exit_code = 1


class NonFiniteLoss(TunesmithError):
    """A loss or gradient became NaN or infinite; no checkpoint holds what came of it."""


class StorageError(TunesmithError):
    """The disk refused a write; everything written before is whole."""


class NoGrades(TunesmithError):
    """Not one answer could be graded, so there is nothing to learn from."""


class EndpointError(TunesmithError):
    """A model behind an endpoint cannot be reached, refuses, or says what cannot be read."""


class OutOfMemory(TunesmithError):
    """The machine has too little memory, and no smaller micro-batch would help."""


class Interrupted(TunesmithError):
    """The run was asked to stop and has saved what it had."""

    exit_code = 130


class GateHeld(TunesmithError):
    """The verdict is `hold` and the caller asked for a gate."""

    exit_code = 3


class InputError(TunesmithError):
    """What the user gave cannot be used."""

    exit_code = 2


class RecipeError(InputError):
    """The recipe, or a `--set`, is not valid."""


class DataError(InputError):
    """A data file, or one row of it, cannot be used. The message names file and line."""


class ModelError(InputError):
    """The base model cannot be opened."""


class RunFolderError(InputError):
    """The run folder cannot be created or is not what it should be."""


class CheckpointError(InputError):
    """A checkpoint is not what its manifest says."""


class RegistryError(InputError):
    """A named model is not there, cannot be called that, or is not what was promoted."""


class Unsupported(InputError):
    """A combination that cannot work. Never a silent fallback: the message says what would."""
