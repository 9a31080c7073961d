"""Names of objects: a prefix that says what it is, and 24 signs that nobody guesses."""

from __future__ import annotations

import secrets
import string
from typing import Literal

_SIGNS = string.ascii_letters + string.digits

Prefix = Literal[
    "file-", "upload_", "part_", "ftjob-", "ftevent-", "ftckpt_", "cp_", "proj_", "key_",
    "evt_", "we_", "wh_", "req_", "chatcmpl-", "cmpl-", "modr-", "call_",
]  # fmt: skip


def new_id(prefix: Prefix) -> str:
    """A fresh one: 142 bits from the system's own source."""
    return prefix + "".join(secrets.choice(_SIGNS) for _ in range(24))
