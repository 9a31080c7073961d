"""Memory of this process: held now, held at most since a mark, and what could still be had."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import NamedTuple

import torch

from tunesmith.engine.allocator import trim
from tunesmith.runs.environment import memory_bytes, peak_memory_bytes

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")
# Memory that this system calls unlimited: cgroup v1 writes a number near 2^63.
_UNLIMITED = 1 << 60


class Room(NamedTuple):
    """What a process may hold in all, in bytes, and who sets that limit (ends a sentence)."""

    bytes: int
    limit: str


class Meter:
    """Measures the memory of one device: the process's own on cpu, PyTorch's on cuda.

    Where the system cannot forget an old peak (not Linux, or not permitted), `peak` is the most
    held since the process began: never too low, perhaps too high.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device if device.type == "cuda" else None

    def mark(self) -> None:
        """Forget the peak so far, after giving back what is free."""
        trim()
        if self._cuda is not None:
            torch.cuda.reset_peak_memory_stats(self._cuda)
            return
        try:
            # proc(5): 5 resets VmHWM to the present VmRSS.
            (_PROC / "self/clear_refs").write_text("5", encoding="ascii")
        except OSError:
            return

    def held(self) -> int:
        """Bytes held now."""
        if self._cuda is not None:
            return torch.cuda.memory_allocated(self._cuda)
        return _status("VmRSS") or peak_memory_bytes()

    def peak(self) -> int:
        """The most bytes held since `mark`."""
        if self._cuda is not None:
            return torch.cuda.max_memory_allocated(self._cuda)
        return _status("VmHWM") or peak_memory_bytes()


def room(device: torch.device) -> Room | None:
    """The most this process may hold on `device`: what it holds and what is free.

    The least of the machine's available memory, the control group's limit, and the limit of
    address space (`ulimit -v`). None where the system tells none of them.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        reserved = torch.cuda.memory_reserved(device)
        return Room(free + reserved, torch.cuda.get_device_name(device))
    held = _status("VmRSS") or 0
    found = [_machine(held), *_control_groups(held), _address_space(held)]
    return min((one for one in found if one is not None), default=None)


def _machine(held: int) -> Room | None:
    available = _field(_PROC / "meminfo", "MemAvailable")
    if available is not None:
        return Room(held + available, "this machine's free memory")
    total = memory_bytes()
    return None if total is None else Room(total, "this machine's memory")


def _control_groups(held: int) -> list[Room]:
    """The limits of the groups this process is in, each from the innermost outwards."""
    try:
        lines = (_PROC / "self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    rooms = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, limit, used = _CGROUPS, "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            root = _CGROUPS / "memory"
            limit, used = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        place = root / path.lstrip("/")
        for group in (place, *place.parents):
            if not group.is_relative_to(root):
                break
            rooms += _group(group, limit, used, held)
    return rooms


def _group(group: Path, limit: str, used: str, held: int) -> list[Room]:
    """The limit of one control group; file pages that can be dropped count as free."""
    most, now = _number(group / limit), _number(group / used)
    if most is None or now is None or most >= _UNLIMITED:
        return []
    droppable = _field(group / "memory.stat", "inactive_file", scale=1) or 0
    free = max(0, most - now + droppable)
    return [Room(held + free, "the memory limit of this container or service")]


def _address_space(held: int) -> Room | None:
    """Room under `ulimit -v`, which counts reserved addresses, too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    reserved = _status("VmSize")
    if soft == resource.RLIM_INFINITY or reserved is None:
        return None
    return Room(held + max(0, soft - reserved), "the limit of address space (ulimit -v)")


def _status(name: str) -> int | None:
    return _field(_PROC / f"{os.getpid()}/status", name)


def _field(path: Path, name: str, scale: int = 1024) -> int | None:
    """The number after `name` in a file of the kernel, times `scale`; None if it has none."""
    try:
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            words = line.replace(":", " ").split()
            if words and words[0] == name:
                return int(words[1]) * scale
    except (OSError, ValueError, IndexError):
        return None
    return None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
