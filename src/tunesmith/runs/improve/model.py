"""The models that answer: the one to begin with, and that of each round."""

from __future__ import annotations

from tunesmith.core.ports import RolloutSampler
from tunesmith.models.open import open_base
from tunesmith.models.rollouts import InProcessRollouts
from tunesmith.recipe import load
from tunesmith.runs.finished import artefact_of
from tunesmith.runs.folder import RunFolder
from tunesmith.runs.improve.setup import ImproveSetup
from tunesmith.runs.open import device_here, open_artefact


class Model:
    """The base, or the model of a round's run, opened when it is first asked."""

    def __init__(self, setup: ImproveSetup, run: RunFolder | None = None) -> None:
        self._setup = setup
        self._run = run
        self._sampler: RolloutSampler | None = None

    @property
    def name(self) -> str:
        """What stands in the provenance of its answers."""
        return self._setup.asked.model.base if self._run is None else str(self._run.path)

    def sampler(self) -> RolloutSampler:
        """Draws its answers."""
        if self._sampler is None:
            self._sampler = self._open()
        return self._sampler

    def close(self) -> None:
        """Its memory is wanted for training."""
        self._sampler = None

    def _open(self) -> RolloutSampler:
        if self._run is not None:
            opened = open_artefact(artefact_of(self._run), load(self._run.recipe))
            return InProcessRollouts(opened.base, opened.renderer.stop_ids())
        model = self._setup.opening.model
        device = device_here(self._setup.opening)
        base = open_base(self._setup.described, model.dtype, device, quantize=model.quantize)
        return InProcessRollouts(base, self._setup.renderer.stop_ids())
