"""The running server: its home, its parts, its port, and its end."""

from __future__ import annotations

import errno
import ipaddress
import os
import shlex
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from tunesmith.core.errors import InputError
from tunesmith.serve.app import build
from tunesmith.serve.chat.parts import open_engine
from tunesmith.serve.guard.protocol import bounded
from tunesmith.serve.home import alone, opened
from tunesmith.serve.jobs.supervise import Supervisor
from tunesmith.serve.observe.logs import logging_to
from tunesmith.serve.service import Service, assemble
from tunesmith.serve.settings import Settings
from tunesmith.serve.tidy import tidying
from tunesmith.serve.webhooks.sender import Sender

_BACKLOG = 2048
_KEEP_ALIVE = 30
_FAREWELL = 10
"""Seconds that requests under way have when the server is asked to stop."""

Tell = Callable[[str], None]


def run(settings: Settings, tell: Tell) -> None:
    """Serve until Ctrl-C or SIGTERM. `tell` is given each line for the operator.

    Raises:
        InputError: the home or the port cannot be had.
    """
    check_bases(settings)
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        stack.enter_context(_signals())
        stack.enter_context(logging_to())
        database = stack.enter_context(opened(settings))
        stack.enter_context(alone(settings.home))
        listener = stack.enter_context(listening(settings.host, settings.port))
        engine = open_engine(settings)
        stack.callback(engine.close)
        service = assemble(settings, database, engine)
        stack.enter_context(_beside(service))
        announce(service, listener.getsockname()[1], tell)
        with suppress(KeyboardInterrupt):
            server(build(service), settings).run(sockets=[listener])
        tell("Stopping.")


@contextmanager
def _beside(service: Service) -> Iterator[None]:
    """What works beside the requests: the workers that train, the sender of webhooks, and what
    removes what nobody needs any more."""
    supervisor = Supervisor(service.database, service.settings)
    sender = Sender(service.database, service.settings.webhook_reach)
    if service.settings.workers:
        service.health.watch("the workers", lambda: bool(supervisor.pids()))
    service.metrics.watch(
        "workers", "Processes of this server.", lambda: {"running": len(supervisor.pids())}
    )
    with ExitStack() as stack:
        for part in (supervisor, sender):
            part.start()
            stack.callback(part.stop)
        stack.enter_context(tidying(service))
        yield


def check_bases(settings: Settings) -> None:
    """Raises InputError for a base that is named as a folder, where there is none."""
    for name, path in settings.bases.items():
        if path.startswith(("/", ".", "~")) and not Path(path).is_dir():
            raise InputError(f"The base {name} is to be in the folder {path}, which is not there.")


def server(app: FastAPI, settings: Settings) -> uvicorn.Server:
    """Uvicorn with our limits on connections, heads of requests and slow clients."""
    config = uvicorn.Config(
        app,
        http=bounded(settings.limits),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=settings.limits.header_bytes,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_FAREWELL,
    )
    return uvicorn.Server(config)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises InputError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise InputError(
                f"Port {port} of {host} cannot be had ({os.strerror(error.errno)}). Give another "
                "--port; 0 takes a free one."
            ) from None
        raise InputError(f"{host} is no address of this machine. Give another --host.") from None


def announce(service: Service, port: int, tell: Tell) -> None:
    """What the operator is to know, and do next."""
    settings = service.settings
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    tell(f"Serves {', '.join(settings.bases)} from {settings.home}. Ctrl-C stops it.")
    tell(f"base_url  http://{shown}:{port}/v1")
    if not service.keys.all():
        home = shlex.quote(str(settings.home))
        tell(f"There is no key yet. To make one: tunesmith keys create --home {home}")
    if not is_loopback(settings.host):
        tell(
            f"warning: {settings.host} is reached from other machines, and without TLS anyone on "
            "the way reads keys and data. Put a proxy with TLS in front of the service."
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _signals() -> Iterator[None]:
    """SIGTERM ends the service as Ctrl-C does, at every moment of its life."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
