"""What real models say over HTTP: the same as on the command line."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openai
import pytest

from tests.serve.chatting import served_by
from tests.serve.live import Live
from tests.serve.trained import EMBEDS, LABELS, QUESTION, TUNED
from tunesmith.core.records import Message, Origin
from tunesmith.runs.answering import Sampling, open_answerer
from tunesmith.runs.asking import open_labeller
from tunesmith.runs.labels.ask_embed import Embedder
from tunesmith.runs.open import Run, open_run

LONG = 8
"""Tokens."""

LIKE = "is my parcel lost today"


@pytest.fixture(scope="module")
def served(trained: dict[str, Run]) -> Iterator[Live]:
    """All of them, of one project."""
    folder = trained[TUNED].path.parent
    bases = {"anvil": "anvil", "bert": str(folder / "bert")}
    with served_by(folder / "answering", trained, bases=bases) as live:
        yield live


@pytest.fixture
def ask(served: Live) -> Iterator[openai.OpenAI]:
    yield served.client(served.key("one"))
    served.close_clients()


def test_chat_says_what_the_command_line_says(ask: openai.OpenAI, trained: dict[str, Run]) -> None:
    sampling = Sampling(temperature=0.0, max_new_tokens=LONG, seed=0)
    base = open_answerer("anvil", Path("anvil"), sampling).opened
    answers = set()
    for name, opened in (("anvil", base), (TUNED, trained[TUNED].model)):
        said = opened.chat([Message("user", QUESTION)], max_new_tokens=LONG, temperature=0, seed=0)
        asked = {
            "model": name,
            "messages": [{"role": "user", "content": QUESTION}],
            "max_tokens": LONG,
            "temperature": 0,
        }
        whole = ask.chat.completions.create(**asked)
        stream = ask.chat.completions.create(**asked, stream=True)
        assert whole.choices[0].message.content == said
        assert "".join(each.choices[0].delta.content or "" for each in stream) == said
        answers.add(said)
    assert len(answers) == 2  # the adapter has changed what is said


def test_an_object_is_an_object(ask: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"enum": ["Ulm", "Bonn"]}},
        "required": ["city"],
        "additionalProperties": False,
    }
    answer = ask.chat.completions.create(
        model=TUNED,
        messages=[{"role": "user", "content": "Where?"}],
        response_format={"type": "json_schema", "json_schema": {"name": "where", "schema": schema}},
        logprobs=True,
        seed=1,
    )
    assert answer.choices[0].message.content.replace(" ", "") in (
        '{"city":"Ulm"}',
        '{"city":"Bonn"}',
    )
    spelled = b"".join(bytes(each.bytes) for each in answer.choices[0].logprobs.content)
    assert spelled.decode().startswith(answer.choices[0].message.content)


def test_vectors(ask: openai.OpenAI, trained: dict[str, Run]) -> None:
    wanted_D = Embedder(open_run(trained[EMBEDS].path)).vectors([(Origin("x", 1), LIKE)])[0]
    texts = [LIKE, "the order is broken"]
    found = ask.embeddings.create(model=EMBEDS, input=texts)  # the client asks for base64
    plain = ask.embeddings.create(model=EMBEDS, input=LIKE, encoding_format="float")
    np.testing.assert_allclose(found.data[0].embedding, wanted_D, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(plain.data[0].embedding, wanted_D, rtol=1e-5, atol=1e-6)
    assert [each.index for each in found.data] == [0, 1]
    assert found.usage.prompt_tokens == 7 + 6
    with pytest.raises(openai.BadRequestError, match="of no other length"):
        ask.embeddings.create(model=EMBEDS, input=LIKE, dimensions=3)
    with pytest.raises(openai.BadRequestError, match="token ids are not read"):
        ask.embeddings.create(model=EMBEDS, input=[1, 2])
    with pytest.raises(openai.BadRequestError, match="input:1: the text is empty"):
        ask.embeddings.create(model=EMBEDS, input=" ")
    with pytest.raises(openai.BadRequestError, match="anvil writes: ask it with"):
        ask.embeddings.create(model="anvil", input=LIKE)


def test_classes(ask: openai.OpenAI, trained: dict[str, Run]) -> None:
    (wanted,) = open_labeller(open_run(trained[LABELS].path)).label([(Origin("x", 1), LIKE)])
    found = ask.moderations.create(model=LABELS, input=[LIKE, LIKE]).results
    assert len(found) == 2
    scores = found[0].category_scores.model_dump(exclude_unset=True)
    assert scores == pytest.approx(dict(wanted.chances))
    given = found[0].categories.model_dump(exclude_unset=True)
    assert [name for name, is_it in given.items() if is_it] == list(wanted.labels)
    assert found[0].flagged
    image = "data:image/png;base64," + base64.b64encode(b"no").decode()
    with pytest.raises(openai.BadRequestError, match="labels texts, and an image was sent"):
        ask.moderations.create(
            model=LABELS, input=[{"type": "image_url", "image_url": {"url": image}}]
        )
    with pytest.raises(openai.BadRequestError, match="labels texts: ask it with /v1/moderations"):
        ask.chat.completions.create(model=LABELS, messages=[{"role": "user", "content": "x"}])
