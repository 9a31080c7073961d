"""Pages from templates: all text is escaped, a name that is missing is an error, nothing loads."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tunesmith.core.text import visible
from tunesmith.evaluate.wording import number, percent, plural


def page(template: str, **values: Any) -> str:
    """The template of this name in `templates/`, filled in."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    """Made once, for it keeps the templates that it has compiled."""
    environment = Environment(
        loader=PackageLoader("tunesmith.evaluate"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = {"number": number, "percent": percent, "sentence": _sentence, "visible": visible}
    environment.filters.update(filters)
    environment.globals.update(plural=plural)
    return environment


def _sentence(clause: str) -> str:
    return f"{clause[:1].upper()}{clause[1:].rstrip('.')}."
