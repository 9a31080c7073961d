"""Which tunesmith this is: on the command line, and in what it writes for another one to read."""

from __future__ import annotations

VERSION = "0.1.0"
