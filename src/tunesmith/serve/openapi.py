"""The schema of the interface, as it is frozen in the tests.

python -m tunesmith.serve.openapi > tests/serve/openapi.json

writes it anew, after a change that is meant. It is made without a home: nothing is opened.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tunesmith.serve.app import build
from tunesmith.serve.service import assemble
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database


def schema() -> dict[str, Any]:
    """Every path, with what it takes and all that it can answer."""
    settings = Settings(home=Path("nowhere"), workers=0)
    return build(assemble(settings, Database(settings.database_url))).openapi()


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1, sort_keys=True))
