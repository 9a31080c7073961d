"""What real models say over HTTP: the same as on the command line."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openai
import pytest

from tests import labelling
from tests.serve.live import Live, serving
from tunesmith.core.records import Message, Origin
from tunesmith.recipe import load
from tunesmith.runs.answering import Sampling, open_answerer
from tunesmith.runs.asking import open_labeller
from tunesmith.runs.labels.ask_embed import Embedder
from tunesmith.runs.open import Run, open_run
from tunesmith.runs.train import train
from tunesmith.serve.chat.engine import ChatEngine
from tunesmith.serve.service import assemble
from tunesmith.serve.settings import Settings
from tunesmith.serve.store.database import Database
from tunesmith.serve.store.tables import ModelRow, Table

QUESTION, LONG = "Where is my card?", 8
TUNED, LABELS, EMBEDS = "ft:anvil:tunesmith::chat", "ft:bert:tunesmith::l", "ft:bert:tunesmith::e"
SHORT = ("evaluate.level=none", "engine.max_steps=2", "model.device=cpu", "model.dtype=float32")
LIKE = "is my parcel lost today"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Trained for two steps: one that writes, one that labels, one that makes vectors."""
    home = tmp_path_factory.mktemp("answers")
    bert = labelling.save_base(home / "bert", "bert")
    said = [
        {"prompt": f"{QUESTION} {n}", "completion": f"In folder {n}, as ever."} for n in range(16)
    ]
    pairs = [
        {"anchor": first["text"], "positive": second["text"]}
        for first, second in zip(labelling.rows(60), labelling.rows(60, 1), strict=True)
    ]
    asked = {
        TUNED: ("anvil", said, ("objective.kind=sft", "model.rank=4", "engine.learning_rate=0.02")),
        LABELS: (str(bert), labelling.rows(60), ("objective.kind=classify", "model.method=full")),
        EMBEDS: (str(bert), pairs, ("objective.kind=embed", "model.method=full")),
    }
    made = {}
    for number, (name, (base, rows, more)) in enumerate(asked.items()):
        data = labelling.write(home / f"rows-{number}.jsonl", rows)
        recipe = load(None, [f"model.base={base}", f"data.train={data}", *SHORT, *more])
        made[name] = train(recipe, home / f"run-{number}")
    return made


@pytest.fixture(scope="module")
def served(runs: dict[str, Run]) -> Iterator[Live]:
    """All of them, of one project."""
    home = runs[TUNED].path.parent
    bases = {"anvil": "anvil", "bert": str(home / "bert")}
    settings = Settings(home=home, workers=0, bases=bases)
    database = Database(settings.database_url)
    Table.metadata.create_all(database.engine)
    engine = ChatEngine(settings)
    service = assemble(settings, database, engine)
    project = service.keys.create("one")[1].project_id
    kinds = {TUNED: "chat", LABELS: "classifier", EMBEDS: "embedder"}
    with database.write() as session:
        for id, run in runs.items():
            session.add(
                ModelRow(
                    id=id,
                    project_id=project,
                    job_id="ftjob-x",
                    base=id.split(":")[1],
                    kind=kinds[id],
                    folder=run.path.name,
                    created_at=1,
                )
            )
    with serving(service) as live:
        yield live
    engine.close()
    database.close()


@pytest.fixture
def ask(served: Live) -> Iterator[openai.OpenAI]:
    yield served.client(served.key("one"))
    served.close_clients()


def test_chat_says_what_the_command_line_says(ask: openai.OpenAI, runs: dict[str, Run]) -> None:
    sampling = Sampling(temperature=0.0, max_new_tokens=LONG, seed=0)
    base = open_answerer("anvil", Path("anvil"), sampling).opened
    answers = set()
    for name, opened in (("anvil", base), (TUNED, runs[TUNED].model)):
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


def test_vectors(ask: openai.OpenAI, runs: dict[str, Run]) -> None:
    wanted_D = Embedder(open_run(runs[EMBEDS].path)).vectors([(Origin("x", 1), LIKE)])[0]
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


def test_classes(ask: openai.OpenAI, runs: dict[str, Run]) -> None:
    (wanted,) = open_labeller(open_run(runs[LABELS].path)).label([(Origin("x", 1), LIKE)])
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
