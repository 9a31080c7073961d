"""An adapter folded into its base: the same model for every method that says it merges."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer

from tests.battery import KINDS, at_sites, opened_writer, section_of
from tests.models.test_battery import CASES
from tests.support import weights_of
from tunesmith.core.errors import ModelError
from tunesmith.models.merging import merge_adapters
from tunesmith.models.methods import ADAPTER, attach, reopen
from tunesmith.recipe.methods import METHODS

MERGED = [
    case
    for case in CASES
    if (line := METHODS[case.partition("/")[0]]).saves == ADAPTER and line.merges  # type: ignore[index]
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random model, which has biases."""
    return KINDS["sft"].made(tmp_path_factory.mktemp("merging"), "qwen2")


@pytest.mark.parametrize("case", MERGED)
def test_merged_answers_as_the_adapter_does(base: Path, tmp_path: Path, case: str) -> None:
    tuned = attach(copy.deepcopy(opened_writer(base)), section_of(case, 2), 0)
    generator = torch.Generator().manual_seed(5)
    for weight in weights_of(tuned.module):
        learned = tuned.module.get_parameter(weight)
        learned.data += 0.05 * torch.randn(learned.shape, generator=generator)
    tuned.module.eval()
    wanted = at_sites(tuned.base)
    tuned.save(tmp_path / ADAPTER)
    opened = reopen(copy.deepcopy(opened_writer(base)), tmp_path / ADAPTER)
    merge_adapters(opened.model)
    assert not any(isinstance(part, BaseTunerLayer) for part in opened.model.modules())
    assert list(opened.model.state_dict()) == list(opened_writer(base).model.state_dict())
    assert not torch.allclose(at_sites(opened_writer(base)), wanted, atol=1e-3)
    torch.testing.assert_close(at_sites(opened), wanted, atol=2e-5, rtol=1e-4)


def test_a_sum_that_is_not_finite_is_named(base: Path) -> None:
    tuned = attach(copy.deepcopy(opened_writer(base)), section_of("lora", 2), 0)
    for name in weights_of(tuned.module):
        tuned.module.get_parameter(name).data.fill_(1e30)
    with pytest.raises(ModelError, match=r"The adapter of .*layers\.0.* cannot be merged"):
        merge_adapters(tuned.base.model)
