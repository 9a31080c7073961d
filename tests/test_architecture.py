"""The laws of the house: which room may import which. The contracts stand in pyproject.toml."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ROOT / "src" / "tunesmith"
LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"
LIBRARIES = ("torch", "transformers", "peft")


def run(code: str, source: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python in `folder` with the package taken from `source`."""
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(source)},
        check=False,
        timeout=120,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The package and its contracts, free to be broken."""
    skip = shutil.ignore_patterns("__pycache__", "*.safetensors")
    shutil.copytree(ROOMS, tmp_path / "src" / "tunesmith", ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_contract_is_kept(copy: Path) -> None:
    result = run(LINT, copy / "src", copy)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("core/seeds.py", "import tunesmith.recipe"),
        ("recipe/load.py", "import tunesmith.data"),
        ("data/pack.py", "import tunesmith.models.open"),
        ("engine/loop.py", "import tunesmith.objectives"),
        ("evaluate/verdict.py", "import tunesmith.runs.folder"),
        ("runs/folder.py", "import tunesmith.cli"),
        ("evaluate/measure.py", "import torch"),
        ("data/render.py", "import transformers"),
        ("engine/loop.py", "import transformers"),
        ("evaluate/judge_ask.py", "import openai"),
        ("runs/feedback_files.py", "import sqlalchemy"),
        ("runs/train.py", "import tunesmith.serve.settings"),
        ("runs/train.py", "import fastapi"),
        ("serve/app.py", "import tunesmith.models"),
    ],
)
def test_a_broken_law_is_noticed(copy: Path, room: str, forbidden: str) -> None:
    with (copy / "src" / "tunesmith" / room).open("a", encoding="utf-8") as file:
        file.write(f"\n{forbidden}\n")
    result = run(LINT, copy / "src", copy)
    assert result.returncode == 1
    assert f"tunesmith.{room.partition('/')[0]}" in result.stdout


def test_a_room_without_a_floor_is_noticed(copy: Path) -> None:
    attic = copy / "src" / "tunesmith" / "attic"
    attic.mkdir()
    (attic / "__init__.py").touch()
    result = run(LINT, copy / "src", copy)
    assert result.returncode == 1
    assert "attic" in result.stdout


def modules(*rooms: str) -> list[str]:
    """Dotted names of all modules of some rooms."""
    files = [file for room in rooms for file in sorted((ROOMS / room).rglob("*.py"))]
    names = [".".join(file.relative_to(ROOMS.parent).with_suffix("").parts) for file in files]
    return [name.removesuffix(".__init__") for name in names]


def test_recipe_core_data_and_judgement_load_no_tensor_library(tmp_path: Path) -> None:
    assert tensor_libraries(modules("core", "recipe", "data", "evaluate"), tmp_path) == "[]"


def test_a_server_listens_before_a_tensor_library_is_loaded(tmp_path: Path) -> None:
    assert tensor_libraries(["tunesmith.serve.run"], tmp_path) == "[]"


def tensor_libraries(names: list[str], folder: Path) -> str:
    """Those that are loaded once these modules are imported, as a list is printed."""
    code = (
        f"import importlib, sys\nfor name in {names}: importlib.import_module(name)\n"
        f"print([name for name in {LIBRARIES} if name in sys.modules])"
    )
    result = run(code, ROOMS.parent, folder)
    assert result.stderr == ""
    return result.stdout.strip()
