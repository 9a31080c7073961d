"""The tools that make Anvil: cleaning, dialogues, drills, tokenizer, corpus order, baselines."""

from __future__ import annotations

import json
import random
from itertools import islice

import numpy as np
import pytest

from tools.anvil import baselines, cleaning, corpus, drills
from tools.anvil.tokenizer import END, PAD, TURN, render_chat, save_tokenizer, train_tokenizer

PARAGRAPH = (
    "The old clerk put down his pen and looked at the door for a long while. "
    "Nobody had knocked, and yet he was sure that somebody stood there in the rain."
)
CHAT = [
    {"role": "system", "content": "Answer briefly."},
    {"role": "user", "content": "My order is 48213.\n What is it? "},
    {"role": "assistant", "content": "\n\n Your order is 48213."},
    {"role": "tool", "content": '{"a": 1}'},
    {"role": "assistant", "content": ""},
]


@pytest.fixture(scope="module")
def tokenizer():
    texts = [
        PARAGRAPH,
        *(m["content"] for d in islice(drills.generate(1), 200) for m in d.messages),
    ]
    return train_tokenizer(texts, vocabulary=400)


# Cleaning -------------------------------------------------------------------------------------


def test_typographic_marks_become_ascii():
    text = "\ufeff\u201cDon\u2019t\u201d\u2014she said\u2026 1914\u20131918\u00a0caf\u00e9"
    assert cleaning.normalise(text) == '"Don\'t"--she said... 1914-1918 caf\u00e9'


def test_markup_is_removed_and_words_stay():
    text = r"_He_ said **no** to [the man](http://x)\! It was a snake_case word.[12] And so . . ."
    assert cleaning.strip_markup(text) == (
        "He said no to the man! It was a snake_case word. And so ..."
    )


@pytest.mark.parametrize(
    "text",
    [
        "| a | table | row |",
        "- an entry of a list",
        "THE WHOLE LINE IS SHOUTED AT THE READER",
        "First verse,\nsecond verse,\nthird verse.",
        "1.5 2.5 3.5 4.5 = 12.0 (17) 2,000 18.4",
        "\u0391\u03b2\u03b3\u03b4 \u03b1\u03b2\u03b3\u03b4 \u03b1\u03b2\u03b3",
        "Mojibake: caf\u00c3 au lait.",
        "12345",
    ],
)
def test_what_is_not_prose_is_refused(text):
    assert not cleaning.is_prose(text)


def test_prose_is_accepted():
    assert cleaning.is_prose(PARAGRAPH)


def test_passages_stay_within_bounds_and_keep_every_word_in_order():
    paragraphs = [f"{i} {PARAGRAPH}" for i in range(40)] + [" ".join([PARAGRAPH] * 40)]
    passages = list(cleaning.pack(paragraphs, lowest=1, target=500, highest=800))
    assert all(len(passage) <= 800 for passage in passages)
    assert " ".join(passages).split() == " ".join(paragraphs).split()


def test_a_passage_never_jumps_over_a_gap():
    long = " ".join([PARAGRAPH] * 14)
    text = f"## CONTENTS\n\n{long}\n\n## I.\n\n{long}\n\n| a | table |\n\nAfter it. {long}"
    first, second = cleaning.book_passages(text)
    assert first == long
    assert second == f"After it. {long}"


def test_textbook_sections_keep_their_heading_and_drop_questions_and_captions():
    body = "\n\n".join([PARAGRAPH] * 6)
    text = (
        f"# Preface\n\n{body}\n\n# The Moon\n\n### Its Origin\n\n{body}\n\n#### A photograph.\n\n"
        f"{body}\n\n### Review Questions\n\n{body}\n"
    )
    ((section,),) = cleaning.textbook_sections(text)
    assert section == f"Its Origin\n\n{body}\n\n{body}"


def test_dialogue_turns_alternate_from_customer_to_answer():
    turns = [
        {"role": "system", "text": "Welcome."},
        {"role": "user", "text": "A table\u2026 "},
        {"role": "user", "text": "for two."},
        {"role": "system", "text": "Where?"},
        {"role": "user", "text": "Bye."},
    ]
    assert cleaning.dialogue_messages(turns) == [
        {"role": "user", "content": "A table... for two."},
        {"role": "assistant", "content": "Where?"},
    ]


def test_a_turn_without_text_is_no_message():
    turns = [
        {"role": "user", "text": "A table."},
        {"role": "system", "text": " "},
        {"role": "user", "text": "For two."},
        {"role": "system", "text": "Where?"},
    ]
    assert cleaning.dialogue_messages(turns) == [
        {"role": "user", "content": "A table. For two."},
        {"role": "assistant", "content": "Where?"},
    ]


# Drills ---------------------------------------------------------------------------------------

COPIED = [
    drills.recall, drills.recall_later, drills.only_the_value, drills.repeat, drills.support,
    drills.position,
]  # fmt: skip


@pytest.mark.parametrize("kind", drills.DRILLS, ids=lambda kind: kind.__name__)
def test_every_drill_answers_what_was_asked(kind):
    rng = random.Random(3)
    for _ in range(100):
        drill = kind(rng)
        *context, answer = drill.messages
        assert answer["role"] == "assistant"
        assert drill.expected
        assert drill.expected in answer["content"]
        assert all(message["content"] == message["content"].strip() for message in drill.messages)
        if kind in COPIED:
            assert drill.expected in "\n".join(message["content"] for message in context)


def test_yes_and_no_follow_the_list():
    rng = random.Random(4)
    for _ in range(100):
        text, answer = (m["content"] for m in drills.mentioned(rng).messages)
        listed, asked = text.split(". ", 1)
        word = answer.split(", ")[1].split(" is ")[0]
        assert word in asked
        assert answer.startswith("Yes") == (word in listed.replace(",", "").split())


def test_the_stated_value_is_the_one_that_belongs_to_the_key():
    drill = drills.Drill([], "")
    rng = random.Random(5)
    while len(drill.messages) != 2 or "order number" not in drill.messages[1]["content"]:
        drill = drills.recall(rng)
    question = drill.messages[0]["content"]
    assert any(
        template.format(drill.expected).lower() in question.lower()
        for template in drills.FACTS["order number"][1]
    )


def test_the_seed_decides_the_drills():
    first, again, other = (list(islice(drills.generate(seed), 50)) for seed in (1, 1, 2))
    assert first == again != other


# Tokenizer ------------------------------------------------------------------------------------


def test_special_tokens_and_size(tokenizer):
    assert len(tokenizer) == 400
    assert tokenizer.convert_tokens_to_ids([PAD, TURN, END]) == [0, 1, 2]
    assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.bos_token) == (END, PAD, None)
    assert tokenizer.model_max_length == 1024


@pytest.mark.parametrize(
    "text", ["", "  a\n\n\n b ", "don 't , x .", "caf\u00e9 \u4e2d \U0001f600\t\r\n", PARAGRAPH]
)
def test_decoding_gives_the_text_back(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_digits_stand_alone(tokenizer):
    pieces = tokenizer.tokenize("order 48213.")
    assert [piece for piece in pieces if any(map(str.isdigit, piece))] == list("48213")


def test_template_equals_render_chat_and_extends_its_prompts(tokenizer):
    whole = tokenizer.apply_chat_template(CHAT, tokenize=False)
    assert whole == render_chat(CHAT)
    whole_ids = tokenizer.encode(whole)
    for index in (2, 4):
        prompt = tokenizer.apply_chat_template(
            CHAT[:index], tokenize=False, add_generation_prompt=True
        )
        ids = tokenizer.encode(prompt)
        assert whole.startswith(prompt)
        assert whole_ids[: len(ids)] == ids


def test_too_small_a_sample_is_refused():
    with pytest.raises(ValueError, match="train on more text"):
        train_tokenizer(["one two"], vocabulary=4096)


def test_saved_folder_names_the_portable_class(tokenizer, tmp_path):
    save_tokenizer(tokenizer, tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"


# Corpus ---------------------------------------------------------------------------------------


def test_rows_count_their_end_tokens(tokenizer):
    text, chat = corpus.measure(tokenizer, "books", ["Rain.", CHAT[:2]])
    assert text.tokens == len(tokenizer.encode("Rain.")) + 1
    assert chat.tokens == len(tokenizer.encode(render_chat(CHAT[:2])))
    assert text.as_json() == {"source": "books", "text": "Rain."}


def test_the_last_quarter_holds_twice_the_share_of_chats():
    rows = [corpus.Row("books", str(i), 10) for i in range(700)]
    rows += [corpus.Row("dialogues", str(i), 10) for i in range(300)]
    order = corpus.arrange(rows, random.Random(0))
    assert sorted(row.text for row in order) == sorted(row.text for row in rows)
    late = [row.source for row in order[750:]].count("dialogues") / 250
    early = [row.source for row in order[:750]].count("dialogues") / 750
    assert late == pytest.approx(2 * early, rel=0.01)


def test_held_out_groups_stay_whole(tokenizer, monkeypatch):
    monkeypatch.setitem(corpus.HELDOUT_TOKENS, "textbooks", 1)
    groups = [[f"{name} one", f"{name} two"] for name in "abcdef"]
    split = corpus.split_groups(tokenizer, "textbooks", groups, random.Random(0))
    assert len(split.heldout) == 2
    assert len(split.train) == 10
    assert len({row.text[0] for row in split.heldout}) == 1


def test_a_repeated_paragraph_is_kept_once():
    seen: set[int] = set()
    long = PARAGRAPH * 2
    assert corpus.without_repeats([f"{long}\n\nA.", f"{long}\n\nB.", "C."], seen) == [
        f"{long}\n\nA.", "C.",
    ]  # fmt: skip


# Baselines ------------------------------------------------------------------------------------


def test_byte_probabilities_sum_to_one():
    model = baselines.ByteNgram(PARAGRAPH.encode())
    for history in (b"", b"T", b"The o", b"the rain", b"\xff\xfe\xfd\xfc", b"rai\x00"):
        distribution = model.distribution(history)
        assert distribution.sum() == pytest.approx(1)
        assert (distribution > 0).all()


def test_witten_bell_by_hand():
    # "aab": c(b)=1 of 3 with two kinds; after "a" come an "a" and a "b".
    model = baselines.ByteNgram(b"aab", order=2)
    p_b = (1 + 2 / 256) / (3 + 2)
    assert model.distribution(b"a")[ord("b")] == pytest.approx((1 + 2 * p_b) / (2 + 2))


def test_bits_are_the_sum_over_the_chain():
    model = baselines.ByteNgram(PARAGRAPH.encode(), order=3)
    data = b"the rain"
    chain = [model.distribution(data[:i])[data[i]] for i in range(len(data))]
    assert model.bits(data) == pytest.approx(-np.log2(chain).sum())


def test_known_text_costs_less_and_nonsense_more():
    model = baselines.ByteNgram(PARAGRAPH.encode() * 3)
    assert model.bits(PARAGRAPH.encode()) < model.bits(PARAGRAPH[::-1].encode())


def test_no_text_is_refused():
    with pytest.raises(ValueError, match="received 0 bytes"):
        baselines.ByteNgram(b"")


def test_rendered_and_bare_texts(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"source": "books", "text": "Rain."}, {"source": "dialogues", "messages": CHAT[1:2]}]
    path.write_text("\n".join(map(json.dumps, rows)))
    content = CHAT[1]["content"]
    assert baselines.read_texts(path, rendered=False) == [
        ("books", "Rain.\n"), ("dialogues", content + "\n"),
    ]  # fmt: skip
    assert baselines.read_texts(path, rendered=True) == [
        ("books", f"Rain.{END}"), ("dialogues", f"{TURN}user\n{content}{END}\n"),
    ]  # fmt: skip


def test_figures_for_each_source_and_the_total():
    heldout = [("books", PARAGRAPH), ("dialogues", PARAGRAPH.upper())]
    result = baselines.compare([PARAGRAPH] * 5, heldout, size=10**6)
    for name in ("xz_9", "byte_5gram"):
        assert set(result[name]) == {"total", "books", "dialogues"}
    assert result["byte_5gram"]["books"] < result["byte_5gram"]["dialogues"]
