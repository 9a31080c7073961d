"""Runs code that a model wrote: in a process of its own, walled off and limited.

It lives in core because more than one room runs such code, to judge answers and to reward them, and
none of those may import another. It imports the standard library alone.

    levels   what walls a machine offers, and what each protects against
    run      one program and its tests, watched until it ends
    walls    the walls themselves: namespaces of Linux
    guest    what runs inside
"""

from tunesmith.core.sandbox.levels import PROTECTS, Level
from tunesmith.core.sandbox.run import KINDS, Limits, Outcome, Sandbox, open_sandbox

__all__ = ["KINDS", "PROTECTS", "Level", "Limits", "Outcome", "Sandbox", "open_sandbox"]
