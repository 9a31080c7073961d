"""`tunesmith compare` over two short runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import colour_rows
from tests.support import recipe
from tunesmith.cli.app import run
from tunesmith.core.errors import InputError, RunFolderError
from tunesmith.core.files import read_json
from tunesmith.runs.compare import compare_runs
from tunesmith.runs.train import train


@pytest.fixture(scope="module")
def runs(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two of four and of eight steps; the second has its rows in another order."""
    folder = tmp_path_factory.mktemp("compare")
    rows = [json.dumps(row) + "\n" for row in colour_rows(60)]
    (folder / "rows.jsonl").write_text("".join(rows))
    (folder / "turned.jsonl").write_text("".join(reversed(rows)))
    for data, steps, out in (("rows.jsonl", 4, "short"), ("turned.jsonl", 8, "long")):
        asked = recipe(tiny_base, folder / data, engine__max_steps=steps, evaluate__rows=64)
        train(asked, folder / out)
    return folder / "short", folder / "long"


def test_two_runs_share_the_rows_that_both_held_out(runs: tuple[Path, Path]) -> None:
    found = compare_runs(runs)
    own = read_json(runs[0] / "verdict.json")["learned"]["detail"]["tuned"]
    assert found.rows == read_json(runs[0] / "verdict.json")["learned"]["n"]
    assert found.columns[0].loss == pytest.approx(own)
    assert [column.name for column in found.columns] == ["short", "long"]
    assert found.columns[1].loss < found.columns[0].loss
    assert found.columns[0].base_loss == pytest.approx(found.columns[1].base_loss)


def test_the_command_prints_a_table_json_and_a_page(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, page = ["compare", *map(str, runs)], tmp_path / "page.html"
    assert run([*words, "--html", str(page)]) == 0
    shown = capsys.readouterr().out
    found = compare_runs(runs)
    assert found.sentence in shown
    assert found.sentence in page.read_text(encoding="utf-8")
    assert "against the first" in shown
    assert run([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(found.to_json()))
    assert run([*words, "--html", str(page)]) == 2
    assert "page.html exists already" in capsys.readouterr().err


def test_bad_input_is_a_sentence(runs: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least two runs"):
        compare_runs(runs[:1])
    with pytest.raises(InputError, match="named twice"):
        compare_runs([runs[0], runs[1], runs[0] / ".." / "short"])
    with pytest.raises(RunFolderError, match="is not a run folder"):
        compare_runs([runs[0], tmp_path])
    broken = tmp_path / "short"
    shutil.copytree(runs[0], broken)
    assert [column.name for column in compare_runs([runs[0], broken]).columns] == [
        str(runs[0]),
        str(broken),
    ]
    (broken / "measured.json").write_text("{")
    with pytest.raises(RunFolderError, match=r"measured\.json cannot be read"):
        compare_runs([runs[1], broken])
    (broken / "verdict.json").unlink()
    with pytest.raises(RunFolderError, match="not finished"):
        compare_runs([runs[1], broken])
