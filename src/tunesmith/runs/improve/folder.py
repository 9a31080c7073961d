"""The folder of a self-improvement. Each property says what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from tunesmith.recipe import Recipe
from tunesmith.runs.begun import begun
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.improve.wanted import Wanted


class RoundFolder:
    """Typed paths of one round; round 0 is the model that it begins with, and has no run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def drawn(self) -> Path:
        """Answers as they come, some prompts a file; gone once they are all in `samples`."""
        return self.path / "drawn"

    @property
    def samples(self) -> Path:
        """Every answer that was sampled: its reward, and what became of it."""
        return self.path / "samples.jsonl"

    @property
    def accepted(self) -> Path:
        """The answers that were kept, as rows to learn from, the best of a prompt first."""
        return self.path / "accepted.jsonl"

    @property
    def pairs(self) -> Path:
        """Kept answers and the worst ones to the same prompts, as preferences."""
        return self.path / "pairs.jsonl"

    @property
    def ledger(self) -> Path:
        """What became of the samples, in numbers. Its presence says that all above is there."""
        return self.path / "ledger.json"

    @property
    def run(self) -> RunFolder:
        """The round's training, an ordinary run."""
        return RunFolder(self.path / "run")

    @property
    def held_out(self) -> Path:
        """The answers to held-out prompts, with their rewards."""
        return self.path / "held_out.jsonl"


class ImproveFolder:
    """Typed paths of one self-improvement; what was asked for stands beside them (`begun`)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def start(self) -> Path:
        """The model that it begins with, where that is a run whose adapter had to be merged."""
        return self.path / "start"

    @property
    def replies(self) -> Path:
        """What judges replied, so that none is asked twice."""
        return self.path / "replies.jsonl"

    def round(self, number: int) -> RoundFolder:
        """The files of a round."""
        return RoundFolder(self.path / f"round-{number}")

    @property
    def result(self) -> Path:
        """All rounds side by side. Its presence says that all is done."""
        return self.path / "improved.json"

    def begun(self, recipe: Recipe, wanted: Wanted, inputs: Mapping[str, str]) -> bool:
        """Whether this very improvement was begun here; begins it if the folder is new.

        `inputs` are the hashes of the files that decide what comes of it.

        Raises:
            RunFolderError: the folder holds something else.
        """
        asked = {
            "recipe": recipe.model_dump(mode="json"),
            "wanted": asdict(wanted),
            "inputs": dict(inputs),
        }
        return begun(
            self.path, asked, "improvement", "another recipe, other options, or other files"
        )
