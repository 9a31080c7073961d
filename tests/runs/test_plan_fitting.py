"""Where memory is short: what is changed by itself, what is only advised, and what is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.support import opened, recipe
from tunesmith.core.errors import Unsupported
from tunesmith.models.methods import Tuned
from tunesmith.runs import memory
from tunesmith.runs.assembly import batches_of
from tunesmith.runs.fitting import AGAIN, MICRO, Fitted, fit_into
from tunesmith.runs.footprint import Footprint, Line
from tunesmith.runs.memory import Meter, Room, room
from tunesmith.runs.setup import Setup, set_up
from tunesmith.runs.workload import Workload, lay_out

FOOT = Footprint(
    held=1e9,
    state=4e8,
    gradients=2e8,
    arriving=1e8,
    kept=True,
    forward=Line(0.0, 9e6),
    both=Line(0.0, 1e7),
    shapes=0.0,
)


def _fit(setup: Setup, tuned: Tuned, available: float) -> Fitted:
    return fit_into(setup, tuned, FOOT, _work(setup), Room(int(available), "a test"))


def _work(setup: Setup) -> Workload:
    return lay_out(batches_of(setup, share=True), 8, padded=False)


@pytest.fixture
def full(tiny_base: Path, colours: Path) -> Setup:
    """Full tuning, 60 rows of 25 to 35 tokens, 16 a step."""
    return set_up(recipe(tiny_base, colours, model__method="full", engine__batch_size=16))


def test_a_run_that_fits_is_left_alone(full: Setup, tiny_base: Path) -> None:
    needed = FOOT.peak(_work(full).most.tokens, several=False)
    fitted = _fit(full, opened(tiny_base), needed / 0.89)
    assert fitted.setup is full
    assert fitted.changes == ()


def test_a_smaller_micro_batch_is_taken_and_explained(full: Setup, tiny_base: Path) -> None:
    needed = FOOT.peak(_work(full).most.tokens, several=False)
    fitted = _fit(full, opened(tiny_base), 0.8 * needed)
    budget = fitted.setup.recipe.engine.tokens_per_micro_batch
    assert budget < full.recipe.engine.tokens_per_micro_batch
    assert not fitted.setup.recipe.engine.activation_checkpointing
    assert "the result is the same" in fitted.setup.resolved.reasons[MICRO]
    assert str(budget) in fitted.changes[0]
    made = _work(fitted.setup)
    assert made.several
    assert FOOT.peak(made.most.tokens, True) <= 0.9 * 0.8 * needed
    assert full.recipe.engine.batch_size == fitted.setup.recipe.engine.batch_size


def test_where_that_is_not_enough_layers_are_computed_again(full: Setup, tiny_base: Path) -> None:
    longest = max(end - start for start, end, _ in _work(full).largest.segments)
    least = FOOT.peak(longest, several=True)
    fitted = _fit(full, opened(tiny_base), least / 0.9 - 1e6)
    assert fitted.setup.recipe.engine.activation_checkpointing is True
    assert AGAIN in fitted.setup.resolved.reasons


def test_layers_are_not_computed_again_without_the_prefix_they_had(
    tiny_base: Path, colours: Path
) -> None:
    asked = recipe(tiny_base, colours, model__method="prefix_tuning", engine__batch_size=16)
    setup, tuned = set_up(asked), opened(tiny_base, "prefix_tuning")
    longest = max(end - start for start, end, _ in _work(setup).largest.segments)
    with pytest.raises(Unsupported) as caught:
        _fit(setup, tuned, FOOT.peak(longest, several=True) / 0.9 - 1e6)
    assert AGAIN not in str(caught.value)


def test_what_the_user_set_is_not_changed_but_advised(tiny_base: Path, colours: Path) -> None:
    fields = {"engine__tokens_per_micro_batch": 8192, "engine__activation_checkpointing": False}
    asked = recipe(tiny_base, colours, model__method="full", engine__batch_size=16, **fields)
    setup = set_up(asked)
    needed = FOOT.peak(_work(setup).most.tokens, several=False)
    assert _fit(setup, opened(tiny_base), needed * 1.01).changes == ()
    with pytest.raises(Unsupported) as refused:
        _fit(setup, opened(tiny_base), 0.85 * needed)
    said = str(refused.value)
    assert "engine.tokens_per_micro_batch=" in said
    assert " GB)" in said
    assert said.endswith(".")


def test_lora_is_advised_where_nothing_that_keeps_the_result_fits(
    full: Setup, tiny_base: Path
) -> None:
    with pytest.raises(Unsupported, match=r"model\.method=lora \(1\.\d GB\)"):
        fit_into(
            full,
            opened(tiny_base),
            replace(FOOT, state=4e9, gradients=2e9, forward=Line(0, 1e3), both=Line(0, 1e3)),
            _work(full),
            Room(2_000_000_000, "a test"),
        )


def test_where_nothing_would_fit_the_sentence_says_so(full: Setup, tiny_base: Path) -> None:
    with pytest.raises(Unsupported, match=r"a test leaves it 0\.50 GB.*Nothing would fit"):
        _fit(full, opened(tiny_base), 5e8)


def test_a_line_never_falls_and_meets_its_last_point() -> None:
    assert Line.through([(100, 1e6), (300, 2e6)]).at(300) == 2e6
    assert Line.through([(100, 1e6), (300, 2e6)]).at(200) == 1.5e6
    assert Line.through([(100, 2e6), (300, 1e6)]) == Line(1e6, 0.0)
    assert Line.through([(100, 2e6)]).at(50) == 1e6


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux only")
def test_the_peak_is_that_since_the_mark() -> None:
    meter = Meter(torch.device("cpu"))
    meter.mark()
    before = meter.peak()
    block = torch.ones(30 << 20)
    assert meter.held() - before > 100e6
    del block
    assert meter.peak() - before > 100e6
    meter.mark()
    assert meter.peak() - before < 60e6


@pytest.mark.parametrize(
    ("cgroup", "files", "wanted"),
    [
        ("0::/jobs/one", {"jobs/memory.max": "3000000", "jobs/memory.current": "1000000"}, 2e6),
        ("0::/jobs/one", {"jobs/one/memory.max": "max", "jobs/one/memory.current": "1"}, None),
        (
            "4:memory:/box",
            {
                "memory/box/memory.limit_in_bytes": "3000000",
                "memory/box/memory.usage_in_bytes": "2500000",
                "memory/box/memory.stat": "cache 9\ninactive_file 400000\n",
            },
            9e5,
        ),
    ],
)
def test_the_limit_of_a_container_is_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cgroup: str,
    files: dict[str, str],
    wanted: float | None,
) -> None:
    """The innermost group without a limit leaves the word to the one around it."""
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    (proc / "self").mkdir(parents=True)
    (proc / "self/cgroup").write_text(f"{cgroup}\n")
    (proc / "meminfo").write_text("MemAvailable:   50000 kB\n")
    for name, text in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(text)
    monkeypatch.setattr(memory, "_PROC", proc)
    monkeypatch.setattr(memory, "_CGROUPS", groups)
    found = room(torch.device("cpu"))
    assert found is not None
    assert found.bytes == (wanted or 50000 * 1024)
    assert ("container" in found.limit) == (wanted is not None)
