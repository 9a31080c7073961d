"""How fast this machine multiplies bfloat16 matrices: the roofline that the tables refer to."""

from __future__ import annotations

import json
import sys
import time

import torch

SIDE = 2048
SECONDS = 3.0


def matrix_rate(threads: int, seconds: float = SECONDS, side: int = SIDE) -> float:
    """FLOPs per second of side × side products, repeated for about so many seconds."""
    torch.set_num_threads(threads)
    left, right = (torch.randn(side, side).to(torch.bfloat16) for _ in range(2))
    out = left @ right
    count, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        torch.mm(left, right, out=out)
        count += 1
    return 2 * side**3 * count / passed


if __name__ == "__main__":
    print(json.dumps({"flops": matrix_rate(int(sys.argv[1]))}))
