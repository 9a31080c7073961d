"""The pages of the service are true: settings, refusals, figures, paths."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tunesmith.serve import document
from tunesmith.serve.app import build
from tunesmith.serve.service import Service

ROOT = Path(__file__).parents[2]
SERVICE, OPERATIONS, SETTINGS = (
    (ROOT / "docs" / name).read_text(encoding="utf-8")
    for name in ("service.md", "operations.md", "settings.md")
)


def test_the_page_of_settings_is_current() -> None:
    """python -m tunesmith.serve.document > docs/settings.md"""
    assert document.markdown() == SETTINGS


def test_every_code_of_a_refusal_is_told() -> None:
    sources = [path.read_text("utf-8") for path in (ROOT / "src/tunesmith/serve").rglob("*.py")]
    code = r'code(?:: str)?\s*=\s*"(\w+)"'
    codes = {found for text in sources for found in re.findall(code, text)}
    things = {found for text in sources for found in re.findall(r'not_found\("([^"]+)"', text)}
    codes |= {f"{thing.replace(' ', '_')}_not_found" for thing in things}
    assert len(codes) > 15
    assert {code for code in codes if f"`{code}`" not in SERVICE} == set()


def test_every_path_of_our_own_is_told(service: Service) -> None:
    paths = build(service).openapi()["paths"]
    own = {path.removeprefix("/v1/tunesmith") for path in paths if "/v1/tunesmith" in path}
    assert {path for path in own if f" {path}`" not in SERVICE} == set()


def test_every_figure_is_told(service: Service) -> None:
    told = set(re.findall(r"^\| `(tunesmith_\w+)`", OPERATIONS, re.M))
    given = re.findall(r"^# TYPE (\w+) ", service.metrics.text().decode(), re.M)
    made = {name for name in given if not name.endswith("_created")}
    assert made - told == set()


@pytest.mark.parametrize("name", ["service.md", "operations.md"])
def test_each_link_leads_somewhere(name: str) -> None:
    page = ROOT / "docs" / name
    links = re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text(encoding="utf-8"))
    assert all((page.parent / link).exists() for link in links)
