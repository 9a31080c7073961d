"""The official Node client against this service, from a file to a tuned model that answers.

    python -m benchmarks.node_client

Needs node and npm, which fetches the newest `openai` into a temporary folder. The server is a real
one, and so is the training: of the small model inside the package, on 24 rows.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.schemathesis import serving

SCRIPT = Path(__file__).with_name("node_client.mjs")


def main() -> int:
    """0 if every answer was as expected."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "openai"], cwd=folder, check=True
        )
        script = shutil.copy(SCRIPT, folder)
        with serving(folder, workers=1) as (url, key):
            return subprocess.run(["node", script, f"{url}/v1", key], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
