"""A library that is missing, or that would fetch code, is an error that says what to do."""

from __future__ import annotations

import pytest

from tunesmith.core import libraries
from tunesmith.core.errors import Unsupported
from tunesmith.engine.libraries import require


@pytest.mark.parametrize(
    ("key", "library", "extra"),
    [
        ("lion", "pytorch-optimizer", "optimizers"),
        ("galore", "pytorch-optimizer", "optimizers"),
        ("schedule_free", "schedulefree", "optimizers"),
        ("adamw_8bit", "bitsandbytes", "quantised"),
    ],
)
def test_a_missing_library_is_named(
    monkeypatch: pytest.MonkeyPatch, key: str, library: str, extra: str
) -> None:
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    with pytest.raises(Unsupported) as refused:
        require(key)
    assert f"needs the library {library}" in str(refused.value)
    assert f"pip install 'tunesmith[{extra}]'" in str(refused.value)


def test_nothing_is_asked_for_what_torch_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    for key in ("adamw", "adamw_factored", "muon", "adafactor"):
        require(key)


def test_code_of_the_hub_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """bitsandbytes fetches a kernel as it is imported, where `kernels` is there to do it."""
    monkeypatch.setattr(libraries, "find_spec", lambda name: object())
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with pytest.raises(Unsupported, match=r"fetches code from the hub.*HF_HUB_OFFLINE=1"):
        require("adamw_8bit")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    require("adamw_8bit")
