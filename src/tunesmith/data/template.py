"""Which chat template renders the conversations: the tokenizer's own, a file, or the default."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import TemplateError, TemplateSyntaxError

from tunesmith.core.errors import DataError
from tunesmith.data.encode import adds_start

# No space after the colon of the generation prompt: most tokenizers join a space to the word that
# follows, so the space must belong to the answer for the prompt to be a token prefix.
DEFAULT = (
    "{% if tools %}{{ 'Tools: ' + (tools | tojson) + '\\n' }}{% endif %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\\n' }}"
    "{% elif message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\\n' }}"
    "{% elif message['role'] == 'tool' %}{{ 'Tool: ' + message['content'] + '\\n' }}"
    "{% else %}{{ 'Assistant: ' + message['content'] }}"
    "{% for call in message['tool_calls'] or [] %}"
    "{% if message['content'] or not loop.first %}{{ '\\n' }}{% endif %}"
    "{{ 'Call: ' + (call['function'] | tojson) }}{% endfor %}"
    "{{ eos_token + '\\n' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
"""Plain words, and the tokenizer's own end token after each answer. Tools and calls are JSON."""

_PROBE = [{"role": "user", "content": "Question"}, {"role": "assistant", "content": "Answer"}]
_PROBE_IN_PARTS = [
    {**turn, "content": [{"type": "text", "text": turn["content"]}]} for turn in _PROBE
]
"""The same as templates of models that also see may want it."""


def choose(tokenizer: Any, setting: str) -> tuple[str, str]:
    """The jinja template for `data.template` and the reason why it is this one.

    Args:
        tokenizer: a transformers fast tokenizer.
        setting: "auto" or the path of a jinja file.

    Raises:
        DataError: the file is missing or not a working template, or there is neither a template
            nor an end token to make one with.
    """
    if setting != "auto":
        return _from_file(tokenizer, Path(setting)), f"read from {setting}"
    if tokenizer.chat_template:
        return tokenizer.get_chat_template(), "the base's tokenizer brings its own chat template"
    if tokenizer.eos_token is None:
        raise DataError(
            "The base's tokenizer has neither a chat template nor an end-of-sequence token. Give a "
            "template that ends each answer with a special token: --set data.template=FILE."
        )
    start = "{{ bos_token }}" if adds_start(tokenizer) else ""
    return start + DEFAULT, (
        "the base's tokenizer has no chat template, so the default one is used: "
        f"User: …, Assistant: …{tokenizer.eos_token}"
    )


def _from_file(tokenizer: Any, path: Path) -> str:
    try:
        template = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DataError(
            f"The chat template {path} cannot be read ({reason}). Give data.template the path of a "
            "jinja file, or auto."
        ) from None
    try:
        refusals = [_refusal(tokenizer, template, probe) for probe in (_PROBE, _PROBE_IN_PARTS)]
    except TemplateSyntaxError as error:
        raise DataError(f"{path}:{error.lineno}: not a jinja template: {error.message}.") from None
    if None not in refusals:
        raise DataError(
            f"The chat template {path} cannot render one question and one answer: {refusals[0]}."
        )
    return template


def _refusal(tokenizer: Any, template: str, probe: Sequence[dict[str, Any]]) -> Exception | None:
    """Why a template does not render a conversation; a syntax error is raised."""
    try:
        tokenizer.apply_chat_template(probe, tokenize=False, chat_template=template)
    except TemplateSyntaxError:
        raise
    except (TemplateError, TypeError, ValueError) as error:
        return error
    return None
