"""The machine a benchmark ran on, in words that name no host."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch


def describe() -> str:
    """Processor, cores, memory, its bfloat16 instructions, and the versions that matter."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB of memory; "
        f"{_bfloat16()}; {platform.system()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}"
    )


def _cpu_info() -> dict[str, str]:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _processor() -> str:
    info = _cpu_info()
    name = info.get("model name") or platform.processor() or platform.machine()
    family = (info.get("cpu family"), info.get("model"))
    return f"{name} (family {family[0]}, model {family[1]})" if all(family) else name


def _bfloat16() -> str:
    flags = _cpu_info().get("flags", "").split()
    found = [flag for flag in ("amx_bf16", "avx512_bf16") if flag in flags]
    return f"bfloat16 instructions: {', '.join(found)}" if found else "no bfloat16 instructions"
