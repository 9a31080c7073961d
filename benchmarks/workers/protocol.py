"""What every worker shares: the job it reads, the clock it keeps, the line it prints.

Standard library only: this file is imported inside every peer's own environment.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is asked to do; the same for every contender of a workload but `options`.

    `base` is a model folder, `rows` a file of conversations, and `tokens` the same conversations
    as token ids: a list of {"input_ids", "labels"} with label −100 where nothing is learned. The
    first `batch_size` of them are step 1, the next are step 2, and so on round and round.
    `layers` counts the trained layers of method last_layers.

    For objective dpo `rows` are pairs and `tokens` a list of {"prompt", "chosen", "rejected"}; for
    grpo rows are prompts, and `tokens` is a list of {"prompt"}. `group`, `new_tokens`, `kl_weight`
    and `reward`, a file with a function `grade`, are those of grpo. PyTorch's generator is set to
    `adapter_seed` where LoRA draws its matrices, so that all begin with the same.
    """

    base: str
    rows: str
    tokens: str
    scratch: str
    method: str
    rank: int
    alpha: int
    layers: int
    steps: int
    batch_size: int
    learning_rate: float
    threads: int
    options: dict[str, Any] = field(default_factory=dict)
    objective: str = "sft"
    dtype: str = "bfloat16"
    group: int = 0
    new_tokens: int = 0
    kl_weight: float = 0.0
    reward: str = ""
    adapter_seed: int = 0

    def save(self, path: Path) -> None:
        """Write the job as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


@dataclass(slots=True)
class Report:
    """What a worker measured: when each optimiser step ended (seconds since the epoch), its loss.

    `losses` are nats per supervised token of the step; of dpo those of a pair; of grpo the mean
    grade of the answers. `log_p` of dpo is what the untrained model gives the first preferred
    answers, in nats. `reference` is how many seconds the reference pass took where it was apart
    from the steps. `note` is anything worth telling.
    """

    ends: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    log_p: float | None = None
    reference: float = 0.0
    note: str = ""

    def step(self, loss: float) -> None:
        """An optimiser step has ended."""
        self.ends.append(time.time())
        self.losses.append(loss)

    def print(self, *packages: str) -> None:
        """Print the line that the harness reads, with this process's peak memory."""
        values = {
            "ends": self.ends,
            "losses": self.losses,
            "log_p": self.log_p,
            "reference": self.reference,
            "note": self.note,
            "peak_bytes": peak_bytes(),
            "versions": {name: number for name in packages if (number := _version(name))},
        }
        print(json.dumps(values), flush=True)


def read_job() -> Job:
    """The job in the file named on the command line; PyTorch is set to its number of threads."""
    import torch

    job = Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    torch.set_num_threads(job.threads)
    return job


def batches(job: Job) -> Iterator[list[dict[str, list[int]]]]:
    """The examples of each optimiser step, in the order that all contenders keep."""
    examples = json.loads(Path(job.tokens).read_text(encoding="utf-8"))
    for step in range(job.steps):
        first = step * job.batch_size
        yield [examples[(first + n) % len(examples)] for n in range(job.batch_size)]


def peak_bytes() -> int:
    """The most memory this process has held."""
    status = Path("/proc/self/status")
    if status.exists():  # unlike ru_maxrss, not inherited from the parent
        line = next(s for s in status.read_text().splitlines() if s.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _version(package: str) -> str | None:
    """None for a package that runs from its source tree."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
