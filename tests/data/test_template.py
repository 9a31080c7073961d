"""Which chat template is chosen, and why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.errors import DataError
from tunesmith.data.template import DEFAULT, choose


def test_the_tokenizers_own_template_comes_first(
    tokenizer_of: Callable[..., Any], chatml: str
) -> None:
    tokenizer = tokenizer_of()
    tokenizer.chat_template = chatml
    assert choose(tokenizer, "auto") == (
        chatml,
        "the base's tokenizer brings its own chat template",
    )


def test_the_default_is_plain_words_and_the_end_token(plain: Any) -> None:
    template, reason = choose(plain, "auto")
    assert template == DEFAULT
    assert "</s>" in reason
    turns = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
    ]
    text = plain.apply_chat_template(turns, chat_template=template, tokenize=False)
    assert text == "Be kind.\nUser: Hi\nAssistant: Hello</s>\n"


def test_without_template_and_end_token_the_user_is_asked(
    tokenizer_of: Callable[..., Any],
) -> None:
    tokenizer = tokenizer_of()
    tokenizer.eos_token = None
    with pytest.raises(DataError, match=r"--set data\.template=FILE"):
        choose(tokenizer, "auto")


def test_a_file_is_read(plain: Any, tmp_path: Path, chatml: str) -> None:
    path = tmp_path / "chat.jinja"
    path.write_text(chatml, encoding="utf-8")
    template, reason = choose(plain, str(path))
    assert template == chatml
    assert str(path) in reason


def test_a_template_that_takes_content_in_parts_is_read(plain: Any, tmp_path: Path) -> None:
    path = tmp_path / "chat.jinja"
    path.write_text("{% for m in messages %}{{ m['content'][0]['text'] + eos_token }}{% endfor %}")
    assert choose(plain, str(path))[0] == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("line\n{% for m in messages %}", "chat.jinja:2: not a jinja template"),
        ("{{ raise_exception('never') }}", "cannot render one question and one answer: never"),
        ("{{ 1 + 'a' }}", "cannot render one question and one answer"),
    ],
)
def test_a_broken_file_is_refused(plain: Any, tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "chat.jinja"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        choose(plain, str(path))
    assert part in str(caught.value)


def test_a_missing_file_is_refused(plain: Any) -> None:
    with pytest.raises(DataError, match=r"nowhere\.jinja cannot be read \(No such file"):
        choose(plain, "nowhere.jinja")
