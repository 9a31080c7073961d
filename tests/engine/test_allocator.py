"""Freed memory stays with the process until it is given back."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Its own process: the setting is for the whole of it.
SCRIPT = """
import ctypes, resource
from tunesmith.engine.allocator import give_back, keep_freed_memory
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def touch():
    block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(50 << 20)))
    ctypes.memset(block, 1, 50 << 20)
    libc.free(block)
def count(between=lambda: None):
    for _ in range(3):
        touch()
    total = 0
    for _ in range(5):
        between()
        before = faults()
        touch()
        total += faults() - before
    print(total)
count()
assert keep_freed_memory()
count()
count(between=give_back)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_a_block_freed_and_wanted_again_is_mapped_again_only_if_given_back() -> None:
    command = [sys.executable, "-c", SCRIPT]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    plain, kept, given_back = map(int, shown.split())
    assert kept < plain / 10
    assert given_back > plain / 2
