"""The run folder: the one thing acts hand to each other. Each property says what it holds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tunesmith.core.errors import RunFolderError
from tunesmith.core.files import read_json, read_jsonl, storage_sentence, whole_folder, write_jsonl

MARGIN = 64 << 20
"""Bytes of disk kept free beyond what a run is expected to write."""


class RunFolder:
    """Typed paths of one run, and the rules for making and taking up its folder."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @property
    def recipe(self) -> Path:
        """The recipe as resolved, with the reason of each `auto`."""
        return self.path / "recipe.yaml"

    @property
    def environment(self) -> Path:
        """Versions, hardware, seed, and the hashes of data, base, template and check."""
        return self.path / "environment.json"

    @property
    def ledger(self) -> Path:
        """Totals of the ledger; the rows are beside it in ledger.jsonl."""
        return self.path / "ledger.json"

    @property
    def ledger_rows(self) -> Path:
        """One line an input row."""
        return self.path / "ledger.jsonl"

    @property
    def plan(self) -> Path:
        """What the run expects to do, and afterwards what it took."""
        return self.path / "plan.json"

    @property
    def metrics(self) -> Path:
        """One line a step, one line a validation."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """See `engine.checkpoints`."""
        return self.path / "checkpoints"

    @property
    def epochs(self) -> Path:
        """The models of the last epochs, where a caller of the act wants them."""
        return self.path / "epochs"

    def epoch(self, step: int) -> Path:
        """The model after the epoch that ended with this step."""
        return self.epochs / f"step-{step:08d}"

    @property
    def base_side(self) -> Path:
        """What was measured of the base before training."""
        return self.path / "measured_base.json"

    @property
    def samples(self) -> Path:
        """What the base wrote before training: one line a text, as token ids."""
        return self.path / "samples.jsonl"

    @property
    def references(self) -> Path:
        """What the base holds of each answer that is compared, token by token."""
        return self.path / "references"

    @property
    def baselines(self) -> Path:
        """What was measured of the base that is helped instead of trained."""
        return self.path / "measured_baselines.json"

    @property
    def teacher(self) -> Path:
        """What was measured of the teacher that is learned from."""
        return self.path / "measured_teacher.json"

    @property
    def rollouts(self) -> Path:
        """What the model answered while it learned from grades, and its grades: a file a step."""
        return self.path / "rollouts"

    @property
    def judge_replies(self) -> Path:
        """What a judge model replied: one line a request, by the hash of what was asked."""
        return self.path / "judge.jsonl"

    @property
    def base_answers(self) -> Path:
        """What the base answered held-out prompts before training, with its grades."""
        return self.path / "answers_base.json"

    @property
    def reward_replies(self) -> Path:
        """What a judge model replied that grades answers, as `judge_replies`."""
        return self.path / "reward.jsonl"

    @property
    def shown(self) -> Path:
        """What the report shows of the training data: figures and the first rows."""
        return self.path / "shown.json"

    @property
    def measured(self) -> Path:
        """All that was measured: what the verdict is made from."""
        return self.path / "measured.json"

    @property
    def verdict(self) -> Path:
        """The judgement. Its presence says that the run is finished."""
        return self.path / "verdict.json"

    @property
    def report(self) -> Path:
        """One self-contained page."""
        return self.path / "report.html"

    @property
    def hashes(self) -> Path:
        """The SHA-256 of each file of the artefact, as it was judged."""
        return self.path / "artefact.json"

    @property
    def card(self) -> Path:
        """The model card: what the tuned model is, and the evidence for it."""
        return self.path / "MODEL_CARD.md"

    def artefact(self, kind: str) -> Path:
        """Where the tuned weights go: `adapter` or `model`."""
        return self.path / kind

    def require_new(self) -> None:
        """Raises RunFolderError if the folder exists or cannot be created. Leaves nothing."""
        if self.path.exists():
            kind = "a finished run" if self.verdict.exists() else "a run that was begun"
            if not self.recipe.exists():
                kind = "something that is not a run"
            advice = (
                f"Choose another with --out, or go on with it: --out {self.path} --resume."
                if self.recipe.exists()
                else "Choose another with --out."
            )
            raise RunFolderError(
                f"The run folder {self.path} exists already and holds {kind}. {advice}"
            )
        parent = self.disk()
        try:
            probe = parent / f".{self.path.name}.probe"
            probe.mkdir(exist_ok=True)
            probe.rmdir()
        except OSError as error:
            raise RunFolderError(storage_sentence(self.path, error)) from error

    def require_room(self, needed_bytes: int) -> None:
        """Raises RunFolderError if the disk could not hold what the run is going to write."""
        free = shutil.disk_usage(self.disk()).free
        needed = needed_bytes + MARGIN
        if free < needed:
            raise RunFolderError(
                f"The disk of {self.path} has {free / 1e6:.0f} MB free, and this run may need "
                f"{needed / 1e6:.0f} MB for its checkpoints and its result. Free some space, or "
                "choose a folder on another disk with --out."
            )

    def disk(self) -> Path:
        """The nearest folder above the run that exists."""
        return next(parent for parent in self.path.absolute().parents if parent.exists())

    def require_begun(self) -> None:
        """Raises RunFolderError if there is no run here to go on with."""
        if not self.recipe.is_file():
            raise RunFolderError(
                f"There is no run to resume in {self.path}: it has no recipe.yaml. Start one by "
                "leaving out --resume."
            )

    @contextmanager
    def begin(self) -> Iterator[RunFolder]:
        """Fill a new run folder; it appears under its name only when the block ends well."""
        self.require_new()
        with whole_folder(self.path) as folder:
            draft = RunFolder(folder)
            draft.checkpoints.mkdir()
            yield draft

    def forget_metrics_after(self, step: int) -> None:
        """Drop the lines of steps that a resumed run will make again."""
        if self.metrics.exists():
            kept = [line for line in read_jsonl(self.metrics) if line["step"] <= step]
            write_jsonl(self.metrics, kept)

    def input_hashes(self) -> Mapping[str, Any]:
        """The files the run is made from and their SHA-256, as noted when it began."""
        hashes: Mapping[str, Any] = read_json(self.environment)["inputs"]
        return hashes

    def changed_inputs(self, now: Mapping[str, str]) -> list[str]:
        """Which of these files are no longer what the run is made from, gone or come since."""
        before = self.input_hashes()
        named = before.keys() | now.keys()  # a file that went or came changed what is read
        return sorted(path for path in named if before.get(path) != now.get(path))
