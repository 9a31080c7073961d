"""The act `doctor`: what this machine can do, and a complete tiny run as the proof."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import torch

from tunesmith.core.errors import Interrupted, TunesmithError, Unsupported
from tunesmith.core.files import write_jsonl
from tunesmith.core.ports import Silent, Watcher
from tunesmith.models.open import ANVIL, locate
from tunesmith.models.quantised import packed_error, require_quantiser
from tunesmith.recipe import load
from tunesmith.runs.environment import accelerators, fast_bfloat16, memory_bytes, processor
from tunesmith.runs.train import train

_PACKAGES = ("torch", "transformers", "peft")
_SECONDS = 0.3
_ROWS = 8
_STEPS = 2
# Room for the checkpoints of a small adapter; a run checks its own need before it starts.
_LITTLE_DISK = 1 << 30
# NF4 moves a normally distributed weight by a tenth of its length.
_ROUNDED = 0.15


class Check(NamedTuple):
    """One thing looked at. `ok` is None where there is nothing to judge."""

    name: str
    ok: bool | None
    sentence: str


def doctor(watcher: Watcher | None = None) -> list[Check]:
    """Look at packages and machine, measure matrix products, and make a tiny run.

    Takes seconds and leaves nothing behind. Never raises for what it finds.
    """
    watcher = watcher or Silent()
    checks = [Check("python", True, platform.python_version()), *map(_package, _PACKAGES)]
    checks += [_processor(), _memory(), _disk()]
    watcher.stage("measure", "matrix products")
    checks += [_matrix_rate("float32"), _matrix_rate("bfloat16"), _accelerator(), _four_bits()]
    embedded = _embedded_base()
    checks.append(embedded)
    if embedded.ok:
        watcher.stage("run", f"{_STEPS} steps on {ANVIL}, from data to verdict")
        checks.append(_tiny_run(ANVIL))
    else:
        checks.append(Check("complete run", None, "Not tried, for want of the embedded base."))
    return checks


def _package(name: str) -> Check:
    try:
        return Check(name, True, version(name))
    except PackageNotFoundError:
        return Check(name, False, "Not installed. Install Tunesmith again.")


def _processor() -> Check:
    cores, threads = os.cpu_count(), torch.get_num_threads()
    return Check(
        "processor", True, f"{processor()}, {cores} cores, {threads} threads used by torch."
    )


def _memory() -> Check:
    found = memory_bytes()
    if found is None:
        return Check("memory", None, "This system does not say how much there is.")
    return Check("memory", True, f"{found / 1e9:.1f} GB.")


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free
    advice = "" if free >= _LITTLE_DISK else " Little for checkpoints: free some, or use --out."
    return Check("disk", free >= _LITTLE_DISK, f"{free / 1e9:.1f} GB free here.{advice}")


def _matrix_rate(dtype: str) -> Check:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rate = matrix_rate(getattr(torch, dtype), device)
    slow = dtype == "bfloat16" and device == "cpu" and not fast_bfloat16()
    remark = " This processor has no instructions for it, so `auto` takes float32." if slow else ""
    return Check(dtype, None if slow else True, f"{rate:,.0f} GFLOP/s on {device}.{remark}")


def matrix_rate(dtype: torch.dtype, device: str) -> float:
    """Products of square matrices in GFLOP/s (2 n³ operations each), over about 0.3 s."""
    size = 4096 if device == "cuda" else 768
    left = torch.ones(size, size, dtype=dtype, device=device)
    products = 0
    left @ left  # the first one prepares kernels
    _wait(device)
    began = time.perf_counter()
    while time.perf_counter() - began < _SECONDS:
        left @ left
        _wait(device)
        products += 1
    return products * 2 * size**3 / (time.perf_counter() - began) / 1e9


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _accelerator() -> Check:
    names = accelerators()
    found = ", ".join(names) if names else "None found: training runs on the processor"
    return Check("accelerator", True if names else None, f"{found}.")


def _four_bits() -> Check:
    """Whether a product with a weight in 4 bits can be made here."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        require_quantiser("nf4")
        error = packed_error(device)
    except Unsupported as missing:
        return Check("4-bit bases", None, str(missing))
    except Exception as broken:  # of the driver, or of the library's own code for this machine
        return Check("4-bit bases", False, f"{type(broken).__name__}: {broken}")
    good = error < _ROUNDED
    said = f"A product in NF4 on {device} is {error:.0%} from that in float32."
    return Check("4-bit bases", good, said + ("" if good else " More than rounding: use none."))


def _embedded_base() -> Check:
    folder = Path(locate(ANVIL))
    if (folder / "config.json").is_file():
        return Check("base anvil", True, "Comes with this installation.")
    return Check(
        "base anvil",
        False,
        "Not in this installation: name another base with --base, or reinstall.",
    )


def _tiny_run(base: str) -> Check:
    """From data to verdict in a temporary folder."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="tunesmith-doctor-") as folder:
        rows = Path(folder) / "rows.jsonl"
        write_jsonl(rows, [_row(number) for number in range(_ROWS)])
        try:
            train(load(settings=_settings(base, rows)), Path(folder) / "run")
        except Interrupted:
            raise
        except TunesmithError as error:
            return Check("complete run", False, str(error))
        except Exception as error:  # whatever it is, it is the diagnosis
            return Check("complete run", False, f"{type(error).__name__}: {error}")
    seconds = time.perf_counter() - began
    return Check(
        "complete run", True, f"{_STEPS} steps on {base}, data to verdict, in {seconds:.1f} s."
    )


def _settings(base: str, rows: Path) -> dict[str, object]:
    return {
        "model.base": base,
        "data.train": rows,
        "engine.max_steps": _STEPS,
        "evaluate.level": "quick",
        "evaluate.max_new_tokens": 8,
    }


def _row(number: int) -> dict[str, str]:
    return {"prompt": f"What is {number} plus one?", "completion": f"It is {number + 1}."}
