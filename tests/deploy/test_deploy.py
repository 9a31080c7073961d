"""The unit and the container file: what they name exists, and what they promise is in them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.test_surface import SURFACE

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "tunesmith.service"
CONTAINER = (ROOT / "deploy" / "Containerfile").read_text(encoding="utf-8")


def options(words: list[str]) -> set[str]:
    return {word for word in words if word.startswith("--")}


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd is not installed")
    unit = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/tunesmith/bin/tunesmith", "/bin/true"), encoding="utf-8")
    done = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert said == []


def test_the_unit_stays_closed() -> None:
    """As systemd counts: 0 is a service that can do nothing, 10 one that can do everything."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd is not installed")
    done = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=30", "--no-pager", UNIT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_both_start_the_command_with_options_that_it_has() -> None:
    start = re.search(r"^ExecStart=(.*)$", UNIT.read_text(encoding="utf-8"), re.M)
    assert start is not None
    entry = json.loads(re.search(r"^ENTRYPOINT (.*)$", CONTAINER, re.M)[1])  # type: ignore[index]
    command = json.loads(re.search(r"^CMD (.*)$", CONTAINER, re.M)[1])  # type: ignore[index]
    for words in (start[1].split(), entry + command):
        assert words[:2] in (["/opt/tunesmith/bin/tunesmith", "serve"], ["tunesmith", "serve"])
        assert options(words) <= set(SURFACE["tunesmith serve"])


def test_the_container_is_built_of_what_is_here_and_pinned_and_runs_as_nobody_special() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", CONTAINER, re.M)
    assert all((ROOT / name).exists() for names in copied for name in names.split())
    assert "-c constraints.txt" in CONTAINER
    assert all(
        re.search(r":\d+\.\d+", base) for base in re.findall(r"^FROM (\S+)", CONTAINER, re.M)
    )
    after_user = CONTAINER.partition("\nUSER 10001\n")[2]
    assert "ENTRYPOINT" in after_user
    assert "RUN" not in after_user


def test_its_health_is_asked_of_a_path_that_is_open_to_anyone() -> None:
    pytest.importorskip("fastapi")
    from tunesmith.serve.guard.keys import OPEN

    asked = re.search(r"127\.0\.0\.1:8000(/\w+)", CONTAINER)
    assert asked is not None
    assert asked[1] in OPEN
