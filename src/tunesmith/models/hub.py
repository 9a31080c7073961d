"""Fetches a base from the model hub into its local cache, so that only a folder is ever opened.

Given a hub name, transformers would look for more than it needs: where a base has only pickle
weights it asks an outside service to convert them. Here the few kinds of file that can be used are
named, and nothing else is fetched or asked for.
"""

from __future__ import annotations

import huggingface_hub
from huggingface_hub import errors

from tunesmith.core.errors import ModelError

WANTED = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt")


def fetch(name: str) -> str:
    """The folder with the hub model `name`, fetched where it is not in the cache yet.

    Raises ModelError if the hub does not have it, or cannot be reached.
    """
    try:
        return huggingface_hub.snapshot_download(
            name,
            allow_patterns=list(WANTED),
            ignore_patterns=["*/*"],  # other formats and copies of the weights
        )
    except errors.RepositoryNotFoundError as error:
        raise ModelError(
            f"The base {name} could not be fetched from the hub: there is no such model, or you "
            "may not read it (log in with `hf auth login`). If you meant a folder, check its path."
        ) from error
    # `HTTPError` is the root of what its network library raises; the library has changed before.
    except (OSError, ValueError, errors.HTTPError) as error:  # type: ignore[attr-defined]
        raise ModelError(
            f"The base {name} could not be fetched from the hub: {reason(error)} If you meant a "
            "folder, check its path."
        ) from error


def reason(error: BaseException) -> str:
    """What a library says, in one line that ends as a sentence."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    text = " ".join(lines) if lines[0].rstrip().endswith(":") else lines[0]
    return f"{text.rstrip(' .')}."
