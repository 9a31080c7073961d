"""Reading a recipe: what is taken, from where, and every refusal with its sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.core.errors import RecipeError
from tunesmith.recipe import Recipe, load


def recipe_file(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(path: Path | None = None, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load(path, overrides)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "# nothing yet\n", "null\n", "---\n", "engine:\n", "{}\n", "model: {}\n"]
)
def test_an_empty_recipe_is_the_defaults(tmp_path: Path, text: str) -> None:
    assert load(recipe_file(tmp_path, text)) == Recipe() == load()


def test_later_sources_win(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, "engine:\n  epochs: 1\n  seed: 1\n  clip: 2\n")
    recipe = load(path, ["engine.epochs=3"], {"engine.epochs": 2, "engine.seed": 2})
    assert (recipe.engine.epochs, recipe.engine.seed, recipe.engine.clip) == (3, 2, 2.0)


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("engine.learning_rate=1e-4", 1e-4),
        ("engine.learning_rate=auto", "auto"),
        ("engine.epochs=2", 2),
        ("engine.max_steps=null", None),
        ("engine.keep_best=false", False),
        ("evaluate.level=none", "none"),
        ("model.base=some/name=x", "some/name=x"),
        ("model.base='12'", "12"),
        ("model.base=no", "no"),
    ],
)
def test_an_override_is_a_typed_yaml_scalar(override: str, value: object) -> None:
    recipe = load(None, [override])
    section, field = override.partition("=")[0].split(".")
    assert getattr(getattr(recipe, section), field) == value


def test_paths_in_a_file_are_relative_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recipes" / "base").mkdir(parents=True)
    path = recipe_file(
        tmp_path / "recipes",
        "model: {base: base}\n"
        "data: {train: [a.jsonl, ../b.jsonl], validation: v.jsonl, template: t.jinja}\n"
        "evaluate: {check: check.py, probes: /elsewhere/p.jsonl}\n",
    )
    monkeypatch.chdir(tmp_path)
    recipe = load(path.relative_to(tmp_path))
    folder = tmp_path / "recipes"
    assert recipe.model.base == str(folder / "base")
    assert recipe.data.train == (str(folder / "a.jsonl"), str(tmp_path / "b.jsonl"))
    assert recipe.data.validation == str(folder / "v.jsonl")
    assert recipe.data.template == str(folder / "t.jinja")
    assert recipe.evaluate.check == str(folder / "check.py")
    assert recipe.evaluate.probes == ("/elsewhere/p.jsonl",)


def test_paths_in_overrides_and_settings_are_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "base").mkdir()
    path = recipe_file(tmp_path / "recipes", "data: {train: x.jsonl}\n")
    monkeypatch.chdir(tmp_path)
    recipe = load(path, ["data.train=*.jsonl"], {"model.base": Path("base")})
    assert recipe.data.train == (str(tmp_path / "*.jsonl"),)
    assert recipe.model.base == str(tmp_path / "base")


def test_names_are_not_taken_for_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "anvil").mkdir()
    monkeypatch.chdir(tmp_path)
    recipe = load(None, ["data.template=auto"])
    assert (recipe.model.base, recipe.data.template) == ("anvil", "auto")
    assert load(None, ["model.base=anvil"]).model.base == "anvil"
    assert load(None, ["model.base=org/elsewhere"]).model.base == "org/elsewhere"
    assert load(None, ["data.train=auto"]).data.train == (str(tmp_path / "auto"),)
    hub = load(None, ["data.train=[hub:ann/one#train, rows.jsonl]", "data.validation=hub:ann/one"])
    assert hub.data.train == ("hub:ann/one#train", str(tmp_path / "rows.jsonl"))
    assert hub.data.validation == "hub:ann/one"


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("engine.learning_rat", "engine.learning_rate"),
        ("engine.rank", "model.rank"),
        ("model.seed", "engine.seed"),
        ("engine.validation", "data.validation"),
        ("evaluate.rank", "model.rank"),
        ("engine.dropuot", "model.dropout"),
        ("engin.epochs", "engine.epochs"),
        ("learning_rate", "engine.learning_rate"),
        ("batchsize", "engine.batch_size"),
        ("dta", "data"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(key: str, meant: str) -> None:
    expected = f"--set {key}=1: unknown key {key}. Did you mean {meant}?"
    assert refusal(None, f"{key}=1") == expected


def test_an_unknown_key_in_a_file_is_named_by_line(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, "model:\n  base: anvil\n\nengine:\n  learning_rat: 1e-4\n")
    assert refusal(path) == (
        f"{path}:5: unknown key engine.learning_rat. Did you mean engine.learning_rate?"
    )
    path = recipe_file(tmp_path, "model: {}\nmodle:\n  base: anvil\n")
    assert refusal(path) == f"{path}:2: unknown key modle. Did you mean model?"


def test_a_wrong_setting_is_refused_too(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"^unknown key engine.epoch. Did you mean engine.epochs"):
        load(settings={"engine.epoch": 1})
    with pytest.raises(RecipeError, match=r"^engine.epochs must be .* received 1.5"):
        load(recipe_file(tmp_path, "engine: {epochs: 1}"), settings={"engine.epochs": 1.5})


def test_a_key_like_no_other_lists_what_there_is() -> None:
    keys = (
        "kind, problem, class_weights, kl_to_base, temperature, symmetric, margin_scale, "
        "centre_rewards, teacher, teacher_weight, teacher_temperature, "
        "teacher_divergence"
    )
    assert refusal(None, "objective.xyz=1").endswith(f"The section objective has {keys}.")
    assert (
        "has the sections model, data, objective, preference, engine, reward, "
        "rollouts, evaluate, judge." in refusal(None, "xyz=1")
    )


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("engine.epochs=true", "must be auto or a whole number of at least 1"),
        ("engine.epochs='3'", "received '3' (text)"),
        ("engine.epochs=1.5", "received 1.5 (a number)"),
        ("engine.epochs=0", "received 0 (a whole number)"),
        ("engine.learning_rate=0", "a number above 0 and up to 1"),
        ("engine.learning_rate=.nan", "received nan (a number)"),
        ("engine.clip=.inf", "received inf (a number)"),
        ("engine.keep_best=yes", "must be auto or true or false; received 'yes' (text)"),
        ("engine.seed=-1", "a whole number of at least 0"),
        ("model.dropout=1", "of at least 0 and below 1"),
        ("model.method=lorra", "must be full, last_layers, head, bias, norm, lora, "),
        ("model.base=7", "must be the name or the folder of a model; received 7"),
        ("model.base=", "received nothing (null)"),
        ("data.train=[]", "a list of these or null; received [] (a list)"),
        ("data.train=[a, 3]", "received 3 (a whole number)"),
        ("data.context={a: 1}", "received {'a': 1} (a mapping)"),
        ("engine=3", "engine is a section"),
        ("engine.epochs", "a setting is written section.field=value"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(override: str, complaint: str) -> None:
    message = refusal(None, override)
    assert complaint in message
    assert message.startswith(f"--set {override}: ")
    assert message.endswith(".")


def test_every_wrong_line_of_a_file_is_named_at_once(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, "engine:\n  epochs: many\n  sed: 1\nmodel:\n  rank: -1\n")
    first, second, third = sorted(refusal(path).splitlines())
    assert first.startswith(f"{path}:2: engine.epochs must be")
    assert second.startswith(f"{path}:3: unknown key engine.sed. Did you mean engine.seed?")
    assert third.startswith(f"{path}:5: model.rank must be")


def test_an_override_that_mends_a_wrong_line_is_enough(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, "engine: {epochs: many}\n")
    assert load(path, ["engine.epochs=2"]).engine.epochs == 2


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("engine: {epochs: 1}\nmodel: [\n", ":3: this is not valid YAML"),
        ("engine:\n\tepochs: 1\n", ":2: this is not valid YAML"),
        ("model: *base\n", ":1: this is not valid YAML"),
        ("model: !!python/name:os.system\n", ":1: this is not valid YAML"),
        ("engine: {epochs: !!int x}\n", "is not valid YAML"),
        ("a: \x07\n", "is not valid YAML"),
        ("- model\n", "is not a recipe"),
        ("just words\n", "holds 'just words' (text)"),
        ("engine: 3\n", ":1: engine is a section"),
        ("engine:\n  epochs: 1\n  epochs: 2\n", ":3: engine.epochs is given twice"),
        ("engine: {}\nmodel: {}\nengine: {}\n", ":3: engine is given twice"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = recipe_file(tmp_path, text)
    message = refusal(path)
    assert complaint in message
    assert str(path) in message
    assert message.endswith(".")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.yaml").startswith(f"There is no recipe file {tmp_path}")
    assert "cannot be read" in refusal(tmp_path)
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"model: {base: caf\xe9}\n")
    assert "is not text in UTF-8" in refusal(path)


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        (["model.from_scratch=true"], "Set model.method=full"),
        (["model.method=full", "model.dropout=0.1"], "Set model.dropout=0"),
        (["model.method=head", "engine.optimizer=muon"], "Set engine.optimizer=adamw"),
        (["engine.decay_to_base=1"], "with LoRA engine.weight_decay does it"),
        (
            ["model.method=full", "engine.decay_to_base=1", "engine.weight_decay=0.1"],
            "Leave one of them out",
        ),
        (
            ["model.method=full", "model.from_scratch=true", "objective.kl_to_base=1"],
            "Leave objective.kl_to_base out",
        ),
        (
            ["model.method=prompt_tuning", "objective.kl_to_base=1"],
            "tokens stand before each sequence that the base never had",
        ),
        (
            ["model.method=full", "engine.decay_to_base=1", "engine.optimizer=schedule_free"],
            "leave engine.decay_to_base out",
        ),
        (["objective.kind=classify", "objective.kl_to_base=1"], "Leave objective.kl_to_base out"),
        (["data.validation=v", "data.validation_share=0.2"], "Set data.validation_share=auto"),
        (["evaluate.prompt_price=1"], "only one is given. Give both"),
        (["evaluate.level=none", "data.canaries=3"], "set evaluate.level=quick"),
        (["evaluate.metrics=[code_passes]", "evaluate.run_code=false"], "evaluate.run_code=true"),
    ],
)
def test_values_that_contradict_each_other_are_refused(
    overrides: list[str], complaint: str
) -> None:
    message = refusal(None, *overrides)
    assert complaint in message
    assert message.startswith(f"--set {overrides[-1]}: ")
