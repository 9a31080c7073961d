"""What runs of several kinds start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.labelling import save_base


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random encoder, to be read and not changed."""
    return save_base(tmp_path_factory.mktemp("bases") / "bert", "bert")
