"""How a data set of the hub is named: ``hub:owner/name:config@revision#split``, all but the first
part left out where there is only one.

The prefix keeps it apart from paths, so that nothing is fetched by a misspelt one; ``@revision`` is
written as pip and git write it, and no part needs quotes in a shell or in YAML.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tunesmith.core.errors import DataError

HUB = "hub:"
_NAME = re.compile(
    r"hub:(?P<id>[\w.-]+(?:/[\w.-]+)?)(?::(?P<config>[^:@#]+))?(?:@(?P<revision>[^@#\s]+))?"
    r"(?:#(?P<split>[\w.-]+))?"
)
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class HubName:
    """The parts of such a name; what was left out is None."""

    id: str
    config: str | None = None
    revision: str | None = None
    split: str | None = None

    def __str__(self) -> str:
        parts = ((":", self.config), ("@", self.revision), ("#", self.split))
        return f"{HUB}{self.id}" + "".join(sign + part for sign, part in parts if part)

    @property
    def commit(self) -> str | None:
        """The revision, if it is one that can never mean anything else."""
        return self.revision if self.revision and _COMMIT.fullmatch(self.revision) else None


def is_hub_name(name: str) -> bool:
    """Whether a name is one of the hub's, well written or not."""
    return name.startswith(HUB)


def parsed(name: str) -> HubName:
    """The parts of a name. Raises DataError if it is not written as one."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise DataError(
            f"{name} is no name of a data set of the hub. It is written hub:owner/name, and may "
            "go on with :config, @revision and #split, in this order."
        )
    return HubName(**found.groupdict())
