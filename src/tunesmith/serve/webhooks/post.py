"""One message to one address: signed, sent to where its host was found to be, and nowhere else."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from threading import Timer

from standardwebhooks.webhooks import Webhook

from tunesmith.serve.settings import Reach
from tunesmith.serve.webhooks.address import Target, Unreachable, resolve

SECONDS = 10.0
"""All that a message may take, from the connection to the status."""


def signed(id: str, body: str, secrets: Sequence[str], now: float) -> dict[str, str]:
    """The headers that say which message this is and prove who sent it, once for each secret."""
    moment = datetime.fromtimestamp(int(now), tz=timezone.utc)
    return {
        "webhook-id": id,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": " ".join(Webhook(secret).sign(id, moment, body) for secret in secrets),
        "content-type": "application/json",
        "user-agent": "tunesmith-webhooks",
    }


def post(
    target: Target, reach: Reach, body: str, headers: Mapping[str, str], seconds: float = SECONDS
) -> int:
    """Send it; returns the status that was answered, of which nothing else is read.

    Raises Unreachable.
    """
    connection = _Pinned(target, resolve(target, reach), seconds)
    deadline = Timer(seconds, connection.abort)
    deadline.daemon = True
    deadline.start()
    try:
        connection.request("POST", target.path, body.encode(), dict(headers))
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(
            f"{target.host} did not answer: {error or type(error).__name__}."
        ) from error
    finally:
        deadline.cancel()
        connection.close()


class _Pinned(http.client.HTTPConnection):
    """A connection to an address that was looked at before, in the name of its host."""

    def __init__(self, target: Target, address: str, seconds: float) -> None:
        super().__init__(target.host, target.port, timeout=seconds)
        self.default_port = 443 if target.secure else 80
        self._target = target
        self._address = address

    def connect(self) -> None:
        place = (self._address, self._target.port)
        self.sock = socket.create_connection(place, timeout=self.timeout)
        if self._target.secure:
            context = ssl.create_default_context()
            secured = context.wrap_socket(
                self.sock, server_hostname=self._target.host, do_handshake_on_connect=False
            )
            self.sock = secured
            secured.do_handshake()

    def abort(self) -> None:
        """Fail whatever waits for the other side, which may send a byte a second for ever."""
        if self.sock is not None:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
