"""Freed memory stays with the process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Its own process: the setting is for the whole of it.
SCRIPT = """
import ctypes, resource, sys
from tunesmith.engine.allocator import keep_freed_memory
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
if sys.argv[1] == "keep":
    assert keep_freed_memory()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def touch():
    block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(50 << 20)))
    ctypes.memset(block, 1, 50 << 20)
    libc.free(block)
for _ in range(3):
    touch()
before = faults()
for _ in range(5):
    touch()
print(faults() - before)
"""


def page_faults(mode: str) -> int:
    command = [sys.executable, "-c", SCRIPT, mode]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_a_block_freed_and_wanted_again_is_not_mapped_again():
    assert page_faults("keep") < page_faults("plain") / 10
