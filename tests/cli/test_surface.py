"""Names that scripts rely on, and that the front doors answer at once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

import tunesmith
from tunesmith.cli.app import app, run
from tunesmith.recipe import Recipe, load

SURFACE = {
    "tunesmith": ["--debug", "--help", "--version"],
    "tunesmith advise": [
        "RECIPE",
        "--base",
        "--data",
        "--help",
        "--json",
        "--minutes",
        "--out",
        "--prompt",
        "--set",
        "--validation",
        "--weight",
    ],
    "tunesmith serve": [
        "--base",
        "--database",
        "--help",
        "--home",
        "--host",
        "--port",
        "--vllm",
        "--workers",
    ],
    "tunesmith keys": ["--help"],
    "tunesmith keys create": [
        "--database",
        "--expires",
        "--help",
        "--home",
        "--name",
        "--priority",
        "--project",
        "--scopes",
    ],
    "tunesmith keys list": ["--database", "--help", "--home", "--json", "--project"],
    "tunesmith keys revoke": ["KEY_ID", "--database", "--help", "--home"],
    "tunesmith backup": ["--database", "--help", "--home", "--out"],
    "tunesmith restore": ["FILE", "--database", "--help", "--home"],
    "tunesmith audit": ["--database", "--help", "--home", "--json", "--limit"],
    "tunesmith train": [
        "RECIPE",
        "--base",
        "--data",
        "--from-step",
        "--gate",
        "--help",
        "--json",
        "--out",
        "--resume",
        "--set",
        "--validation",
        "--weight",
    ],
    "tunesmith plan": [
        "RECIPE",
        "--base",
        "--data",
        "--help",
        "--json",
        "--set",
        "--validation",
        "--weight",
    ],
    "tunesmith curve": [
        "RECIPE",
        "--base",
        "--data",
        "--help",
        "--json",
        "--out",
        "--repeats",
        "--set",
        "--shares",
        "--validation",
        "--weight",
    ],
    "tunesmith improve": [
        "RECIPE",
        "--answers",
        "--at-least",
        "--base",
        "--data",
        "--help",
        "--json",
        "--keep",
        "--max-new-tokens",
        "--out",
        "--rounds",
        "--set",
        "--temperature",
        "--validation",
    ],
    "tunesmith embed": [
        "RUN",
        "--among",
        "--among-field",
        "--count",
        "--data",
        "--field",
        "--help",
        "--home",
        "--once",
        "--out",
    ],
    "tunesmith label": [
        "RUN",
        "--data",
        "--field",
        "--help",
        "--home",
        "--once",
        "--out",
    ],
    "tunesmith score": [
        "RUN",
        "--data",
        "--help",
        "--home",
        "--map",
        "--once",
        "--out",
        "--prompt",
    ],
    "tunesmith judge": [
        "RUN",
        "--help",
        "--json",
        "--key-variable",
        "--labels",
        "--model",
        "--rubric",
        "--set",
        "--url",
    ],
    "tunesmith grade": [
        "FILE",
        "--field",
        "--grader",
        "--help",
        "--json",
        "--out",
        "--set",
    ],
    "tunesmith distil": [
        "--answer-price",
        "--currency",
        "--data",
        "--help",
        "--key-variable",
        "--map",
        "--max-tokens",
        "--model",
        "--out",
        "--parallel",
        "--prompt-price",
        "--temperature",
        "--timeout",
        "--url",
        "--yes",
    ],
    "tunesmith search": [
        "RECIPE",
        "--base",
        "--data",
        "--help",
        "--json",
        "--minutes",
        "--out",
        "--set",
        "--validation",
        "--weight",
    ],
    "tunesmith chat": [
        "RUN",
        "--help",
        "--home",
        "--image",
        "--max-new-tokens",
        "--once",
        "--temperature",
    ],
    "tunesmith evaluate": ["RUN", "--data", "--help", "--json", "--level", "--only-rows"],
    "tunesmith sample": ["OUT", "--base", "--help", "--opening", "--rows", "--seed", "--tokens"],
    "tunesmith data": ["--help"],
    "tunesmith data check": [
        "FILE...",
        "--benchmark",
        "--fix",
        "--help",
        "--json",
        "--map",
        "--validation",
    ],
    "tunesmith data convert": ["IN", "OUT", "--agent", "--help", "--map", "--skip", "--to"],
    "tunesmith data show": [
        "FILE...",
        "--base",
        "--epochs",
        "--help",
        "--html",
        "--json",
        "--kind",
        "--map",
        "--price",
        "--rows",
        "--set",
        "--template",
    ],
    "tunesmith feedback": ["--help"],
    "tunesmith feedback collect": [
        "--against",
        "--answers-file",
        "--help",
        "--home",
        "--max-new-tokens",
        "--model",
        "--person",
        "--prompts",
        "--seed",
        "--store",
        "--temperature",
    ],
    "tunesmith feedback add": ["FILE...", "--help", "--home", "--person", "--store"],
    "tunesmith feedback list": ["--help", "--home", "--json", "--store"],
    "tunesmith feedback show": ["--help", "--home", "--json", "--rows", "--store"],
    "tunesmith feedback export": [
        "--agreed",
        "--as",
        "--help",
        "--home",
        "--model",
        "--out",
        "--person",
        "--persons",
        "--since",
        "--store",
    ],
    "tunesmith compare": ["RUN RUN...", "--help", "--html", "--json"],
    "tunesmith promote": ["NAME", "RUN", "--because", "--help", "--home"],
    "tunesmith rollback": ["NAME", "--because", "--help", "--home"],
    "tunesmith export": ["RUN", "--dtype", "--help", "--home", "--json", "--out"],
    "tunesmith models": ["[NAME]", "--help", "--home", "--json"],
    "tunesmith recipe": ["--help", "--schema"],
    "tunesmith doctor": ["--help", "--json"],
}
HEAVY = (
    *("torch", "transformers", "peft", "numpy", "sqlalchemy"),
    *("tunesmith.recipe", "rich.progress"),
)


def test_the_commands_and_their_flags_are_these() -> None:
    command: Any = typer.main.get_command(app)
    assert _surface("tunesmith", command) == SURFACE


def _surface(name: str, command: Any) -> dict[str, list[str]]:
    context = command.context_class(command, info_name=name)
    names = [
        param.opts[0] if param.param_type_name == "option" else param.metavar
        for param in command.get_params(context)
    ]
    found = {name: sorted(names, key=lambda text: (text.startswith("--"), text))}
    for child, under in getattr(command, "commands", {}).items():
        found |= _surface(f"{name} {child}", under)
    return found


def test_every_help_answers_without_heavy_imports() -> None:
    commands = [name.split()[1:] for name in SURFACE]
    script = f"""
import sys
from tunesmith.cli.app import run
codes = [run([*words, "--help"]) for words in {commands}] + [run([]), run(["--version"])]
print([name for name in {HEAVY} if name in sys.modules], set(codes))
"""
    assert _python(script).splitlines()[-1] == "[] {0}"


def test_importing_the_package_imports_nothing_heavy() -> None:
    loaded = _python("import sys, tunesmith; print([*sys.modules])")
    assert not [
        name for name in (*HEAVY, "typer", "rich", "pydantic", "yaml") if f"'{name}'" in loaded
    ]


def test_python_m_is_the_command() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "tunesmith", "--version"], capture_output=True, text=True, check=True
    )
    assert answer.stdout == f"tunesmith {tunesmith.__version__}\n"


def test_the_version_is_that_of_the_project_file() -> None:
    project = Path(__file__).parents[2] / "pyproject.toml"
    stated = re.search(r'^version = "(.+)"$', project.read_text(encoding="utf-8"), re.MULTILINE)
    assert stated is None or stated.group(1) == tunesmith.__version__


def test_public_names_of_the_package() -> None:
    assert tunesmith.__all__ == ["__version__", "open_run", "progress", "train"]
    assert all(hasattr(tunesmith, name) for name in tunesmith.__all__)


def test_recipe_prints_a_recipe_of_defaults(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["recipe"]) == 0
    printed = capsys.readouterr().out
    path = tmp_path / "recipe.yaml"
    path.write_text(printed, encoding="utf-8")
    assert load(path) == Recipe()
    assert "# Allowed: auto or a whole number of at least 1 (passes over the data)." in printed
    assert all(len(line) <= 100 for line in printed.splitlines())


def test_recipe_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recipe", "--schema"]) == 0
    assert set(json.loads(capsys.readouterr().out)["properties"]) == set(Recipe.model_fields)


def _python(script: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return answer.stdout
