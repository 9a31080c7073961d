"""What routes take by the type of a parameter."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from tunesmith.serve.service import Service


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Parts = Annotated[Service, Depends(_service)]
"""The parts of the service."""
