"""The interface is a file: what changes it is seen, and done on purpose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tunesmith.serve.openapi import schema

FROZEN = Path(__file__).with_name("openapi.json")


def acts() -> list[tuple[str, dict[str, Any]]]:
    """Each operation under /v1, by its method and path."""
    paths = schema()["paths"].items()
    return [
        (f"{method} {path}", act)
        for path, methods in paths
        for method, act in methods.items()
        if path.startswith("/v1/")
    ]


def test_the_interface_is_the_frozen_one() -> None:
    assert schema() == json.loads(FROZEN.read_text(encoding="utf-8")), (
        "The interface has changed. If that is meant: "
        "python -m tunesmith.serve.openapi > tests/serve/openapi.json"
    )


def test_each_act_has_a_name_of_its_own_and_tells_its_refusals() -> None:
    names = [act["operationId"] for _, act in acts()]
    assert len(set(names)) == len(names)
    for where, act in acts():
        assert {"200", "400", "401", "403", "413", "415", "429", "500", "503"} <= set(
            act["responses"]
        ), where
        assert "422" not in act["responses"], where
        assert act["security"] == [{"HTTPBearer": []}], where
        refused = act["responses"]["400"]["content"]["application/json"]["schema"]
        assert refused == {"$ref": "#/components/schemas/Error"}, where
