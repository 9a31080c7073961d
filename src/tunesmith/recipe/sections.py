"""The recipe: what was asked for, one frozen section per room.

Each field has one home, one type with bounds, a unit, and the reason for it right under it. The
JSON schema made from these classes is what the command line's help, the documentation and forms
are built from. `auto` is a value to be chosen by `resolve` once model, data and machine are known.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tunesmith.core.errors import RecipeError
from tunesmith.recipe.fields import (
    AUTO,
    Auto,
    BaseModelName,
    Count,
    FieldName,
    FieldNames,
    FilePath,
    FilePaths,
    FullShare,
    Index,
    MetricNames,
    Names3,
    NotNegative,
    Patterns,
    Positive,
    Rate,
    Section,
    Share,
    Text,
    knob,
)
from tunesmith.recipe.judge import JudgeSection, contradictions
from tunesmith.recipe.kinds import ObjectiveKind
from tunesmith.recipe.methods import KnownInit, KnownMethod
from tunesmith.recipe.misfits import misfits
from tunesmith.recipe.optimizers import RULES, OptimizerName
from tunesmith.recipe.preferences import PreferenceSection
from tunesmith.recipe.rewards import RewardSection
from tunesmith.recipe.rewards import contradictions as reward_contradictions
from tunesmith.recipe.rollouts import RolloutsSection, rollout_faults
from tunesmith.recipe.sources import Sources, path_of


class ModelSection(Section):
    """The base model, and which of its weights are trained."""

    base: BaseModelName = knob("anvil")
    """The model to start from: a model folder, a hub name (owner/name, which is fetched), or
    `anvil`, the small one inside the package."""

    method: KnownMethod = knob("lora")
    """What is trained: every weight, the last `layers` layers, the head that turns the last hidden
    state into a vocabulary (its output embedding), the biases, or an adapter beside frozen weights.
    LoRA adapters learn the most for their memory; docs/adapters.md compares all. Where none is
    named, an image model on whose convolutions LoRA cannot stand (MobileNetV2) is trained whole."""

    init: KnownInit = knob("default")
    """lora, rslora and lora_plus: how the adapters begin. pissa and olora begin with the main parts
    of the weights, which learns faster; what is saved is an ordinary LoRA of twice the rank."""

    rank: Auto | Count = knob(AUTO, "dimensions")
    """The LoRA family: the rank of each adapter. More holds more, and memorises more of small data.
    vera: that of the shared matrices. oft: the side of a block that is rotated."""

    alpha: Auto | Count = knob(AUTO, "scale numerator")
    """The LoRA family: adapters are scaled by alpha / rank, so that the best learning rate hardly
    depends on the rank; with rslora by alpha / √rank."""

    dropout: Share = knob(0.0, "share of adapter inputs")
    """The LoRA family and vera: the share of adapter inputs zeroed while training. Early stopping
    usually guards better against memorising, so it is off."""

    rate_ratio: Annotated[float, Field(ge=1, allow_inf_nan=False)] = knob(16.0, "times")
    """lora_plus only: how many times the learning rate of A that of B is (Hayou et al. 2024)."""

    virtual_tokens: Count = knob(20, "tokens")
    """prompt_tuning and prefix_tuning: how many tokens are learned before each sequence. They take
    as much room in the context."""

    layers: Auto | Count = knob(AUTO, "layers")
    """last_layers and the LoRA family: how many layers, counted from the top, are trained or
    adapted. What lies below them is computed once and reused by every later pass over the data."""

    pooling: Literal["auto", "last", "cls", "mean"] = knob("auto")
    """classify, embed and reward: which state stands for a text: of its last token (`auto` for a
    decoder, where it has seen all others), of its first, or the mean of all (`auto` for an
    encoder)."""

    head_start: Literal["probe", "random"] = knob("probe")
    """classify, tag, image and reward: how the new head begins. `probe`: as logistic (for numbers,
    ridge) regression on what the frozen base makes of the training rows; a random head would first
    spoil what the base knows (Kumar et al. 2022)."""

    dtype: Auto | Literal["float32", "bfloat16"] = knob(AUTO)
    """The number format of matrix products. Trained weights keep float32 precision either way."""

    quantize: Literal["none", "nf4"] = knob("none")
    """nf4 holds the weights of the base's linear layers in 4 bits and trains an adapter beside them
    (QLoRA, Dettmers et al. 2023): about a quarter of bfloat16's memory, for some loss of the base,
    which the report tells, and more time. Needs the extra `quantised`."""

    device: Auto | Literal["cpu", "cuda"] = knob(AUTO)
    """Where the model runs. `auto` takes the accelerator if there is one."""

    from_scratch: bool = knob(False)
    """Start from random weights of the base's shape: pre-training. Needs method full."""


class DataSection(Section):
    """The examples, and how they become tokens."""

    train: Sources | None = knob(None)
    """The examples to learn: files, folders and patterns (`*.jsonl`) of JSON lines, JSON, CSV, TSV,
    Parquet, documents (text, Markdown, PDF, DOCX, HTML) or source code, also packed (.gz, .xz,
    .zst); folders of images; and data sets of the hub (`hub:owner/name#train`), which are fetched.
    Training cannot start without. A source written as {path: general.jsonl, weight: 0.5} is mixed
    in by its weight, which is how often an epoch sees each of its rows: 2 is twice, 0.5 another
    half of them each epoch."""

    validation: FilePath | None = knob(None)
    """Held-out examples, named as in `train`: one file, folder, pattern or data set of the hub.
    Without it a share of the training rows is held out."""

    validation_share: Auto | Share = knob(AUTO, "share of rows")
    """How many of the training rows are held out, where no validation file is given."""

    group_by: FieldName | None = knob(None)
    """A field of the rows: those with the same value in it, such as the turns of one conversation,
    stay on one side of the split. Without it `conversation_id`, `dialogue_id`, `thread_id` or
    `session_id` is taken, where rows have one. Rows that say nearly the same stay together in any
    case."""

    mapping: FieldNames | None = knob(None)
    """Fields of the data files that are read under another name, such as {reply: completion}, for
    files whose own names say nothing to tunesmith. A name that no format knows is left out."""

    template: Auto | FilePath = knob(AUTO)
    """A jinja file that renders conversations. `auto` is the template of the base's tokenizer."""

    completion_as: Auto | Literal["chat", "plain"] = knob(AUTO)
    """How prompt/completion rows are shown: as one turn of a chat, or as plain text going on."""

    context: Auto | Annotated[int, Field(ge=2)] = knob(AUTO, "tokens")
    """The longest example. A longer one is never cut in silence: it is a bad row, unless
    `too_long` says otherwise."""

    too_long: Literal["refuse", "cut"] = knob("refuse")
    """embed only: `cut` reads the beginning of a text that is longer than the context, in training
    as in use, and says of how many texts. Passages to be found often are longer."""

    fill_in_the_middle: FullShare = knob(0.0, "share of documents")
    """text only: so many documents are told out of order, what stands before and behind a gap
    first, so that the model learns to fill it; half of them costs next to nothing of what is
    learned in order (Bavarian et al. 2022). Held-out documents are scored in order and, by
    themselves, so told."""

    infill_tokens: Names3 | None = knob(None)
    """The base's tokens that mark what stands before, behind and in the gap, where it is of no
    known family."""

    bad_rows: Literal["refuse", "drop"] = knob("refuse")
    """What happens to a row that cannot be trained: it stops the run, named by file and line, or
    it is left out and counted in the ledger."""

    most_dropped: FullShare = knob(0.01, "share of rows")
    """With bad_rows=drop: if more than this share of the rows would be left out, the run stops all
    the same, and says for which reasons."""

    checks: Literal["refuse", "warn", "off"] = knob("refuse")
    """What happens where the checks of `tunesmith data check` find what must not be learned, such
    as a key or the number of a card: the run stops, or it says so and goes on, or it does not look
    (single rows that cannot be trained are found in any case: bad_rows)."""

    canaries: Annotated[int, Field(ge=0, le=99)] = knob(0, "planted secrets")
    """So many made-up secrets are added to the training rows, seen once, 4 and 16 times an epoch in
    turn, and the verdict says which of them the tuned model can be made to tell. They stay in the
    weights, so the run is a trial whose verdict is hold. Measuring scores 256 short rows a secret,
    and as many for each of 8 controls."""

    shuffle: bool = knob(True)
    """Draw a new order of the examples each epoch. Off keeps the order of the files, for data
    whose order is a curriculum."""

    together: Auto | bool = knob(AUTO)
    """Draw rows that begin with one long context (questions on one document, answers to one
    prompt) into the same steps, at most half a step of each, so that the context is computed once
    for all. Steps are then less varied, so `auto` does it where it saves a quarter of the work."""

    image_size: Auto | Annotated[int, Field(ge=16)] = knob(AUTO, "pixels")
    """image only: height and width of what the model sees. `auto` is what the base was trained on;
    time and memory grow with the square."""

    augment: Auto | Literal["none", "light", "strong"] = knob(AUTO)
    """image only: every epoch sees each image varied: a part of it, mirrored or not, in another
    light. Fewer images bear more. The head alone reads features that are computed once, of the
    images as they are."""

    def require_train(self) -> tuple[str, ...]:
        """The names of the training files, without their weights.

        Raises:
            RecipeError: none are named.
        """
        if self.train is None:
            raise RecipeError(
                "No training data is named. Give a file with --data FILE, or set data.train in "
                "the recipe."
            )
        return tuple(map(path_of, self.train))


class ObjectiveSection(Section):
    """What is learned from an example."""

    kind: ObjectiveKind = knob("sft")
    """sft learns the answers of conversations and completions; text learns every token; classify
    learns the labels of texts; tag learns the tags of words, which mark the fields of a text; embed
    brings texts that belong together near each other; image learns the labels of images; reward
    learns what answers are worth, from answers that were compared, rated or scored, or from steps
    that are right or wrong; dpo, simpo, orpo and cpo learn which of two answers is better, kto and
    bco which answers were liked; grpo, rloo, reinforce and ppo let the model answer prompts and
    learn from what the answers are graded (sections `rollouts` and `reward`)."""

    problem: Literal["auto", "single_label", "multi_label", "regression"] = knob("auto")
    """classify and image: whether a row has one class, several, or a number. `auto` is several
    where any row has."""

    class_weights: Literal["none", "balanced"] = knob("none")
    """classify, tag and image: `balanced` lets rare classes count as much as common ones."""

    kl_to_base: NotNegative = knob(0.0, "nats of loss per nat of KL(base ‖ tuned)")
    """Holds the model near the base's own predictions at every learned token, and keeps most where
    those are replayed; 0.5 is a beginning. No token loses more than log(1 + this) nats by it. The
    base is run beside the model, forward only: about a third more time."""

    temperature: Positive = knob(0.05, "cosine")
    """embed only: how much nearer its own positive a text must be than the others of its step. A
    lower one looks at the nearest others alone, a higher one at all alike."""

    symmetric: bool = knob(False)
    """embed only: positives are to find their anchors, too. For pairs that are searched both ways,
    such as sentences that say the same."""

    margin_scale: NotNegative = knob(1.0, "reward per unit of margin")
    """reward only: where rows say by how much the chosen answer is better (`margin`, or
    `score_chosen` and `score_rejected`), the rewards are to be this times as far apart (Touvron et
    al. 2023, whose margins are 1/3 to 3). 0 looks at no margin."""

    centre_rewards: NotNegative = knob(0.01, "loss per squared sum of two rewards")
    """reward only: of compared answers only the difference is learned; this keeps their sum near 0,
    so that rewards of different prompts can be compared (Eisenstein et al. 2023, who take 0.01)."""

    teacher: BaseModelName | None = knob(None)
    """A bigger model that reads the same tokens: at every learned token its whole prediction is a
    target, too (distillation); under grpo, rloo and reinforce, of the model's own answers. It is
    run beside the model, forward only, and takes its memory."""

    teacher_weight: FullShare = knob(0.5, "share of the loss")
    """How much the teacher's prediction counts, and the row's own token the rest. 0 learns from the
    rows alone, and only compares with the teacher; 1 looks at no token."""

    teacher_temperature: Positive = knob(2.0, "temperature")
    """Above 1 it shows more of what the teacher holds possible beside its first choice."""

    teacher_divergence: Literal["forward", "reverse"] = knob("forward")
    """forward: whatever the teacher holds likely is to be likely. reverse: nothing is to be likely
    that the teacher would not say, of the rest the student chooses what it can; for a student much
    smaller than its teacher, and for texts of its own (Agarwal et al. 2024)."""


class EngineSection(Section):
    """The training loop: how long, how fast, how often it looks and saves."""

    epochs: Auto | Count = knob(AUTO, "passes over the data")
    """How often each example is seen. Small data needs more passes to be learned at all."""

    max_steps: Count | None = knob(None, "optimiser steps")
    """Ends the run early. With epochs auto, the data is passed as often as these steps need."""

    optimizer: Auto | OptimizerName = knob(AUTO)
    """The update rule; docs/optimizers.md holds them side by side. Muon learns more from each token
    when pre-training hidden matrices; adamw_factored remembers 2 bytes a weight where AdamW
    remembers 8."""

    learning_rate: Auto | Rate = knob(AUTO, "per optimiser step")
    """The peak of the schedule. The value that matters most; LoRA's is about ten times that of
    full tuning."""

    rate_multiplier: Positive = knob(1.0, "times")
    """How many times the learning rate is that `auto` would choose. One that is given is taken as
    it is."""

    batch_size: Auto | Count = knob(AUTO, "examples per optimiser step")
    """Small data wants small batches: more updates from the same passes."""

    tokens_per_micro_batch: Auto | Count = knob(AUTO, "tokens")
    """How much is computed at once. It bounds memory and never changes the result."""

    images_per_micro_batch: Auto | Count = knob(AUTO, "images")
    """image only: how many are computed at once. It bounds memory and never changes the result."""

    activation_checkpointing: Auto | bool = knob(AUTO)
    """Keep only the input of each layer and compute the layer again in the backward pass: far less
    memory for about a third more time, and the same result."""

    memory: Literal["normal", "low"] = knob("normal")
    """low makes each weight's update inside the backward pass and frees its gradient at once, by
    default with adamw_factored: about a third of the memory where all weights are trained. `clip`
    then limits the gradient of each weight by itself, since the whole is never there to be
    measured."""

    schedule: Auto | Literal["constant", "linear", "cosine", "trapezoid", "rewarm"] = knob(AUTO)
    """How the learning rate falls after the warm-up. rewarm is for going on with other text where
    pre-training has ended at a small rate: warmed up again, it falls to a tenth, for the next time.
    A warm rate forgets, so mix in text of the old kind by weight, a twentieth to a quarter of what
    is seen (Ibrahim et al. 2024)."""

    warmup: Auto | Share = knob(AUTO, "share of all steps")
    """How long the learning rate rises to its peak, while Adam's averages settle."""

    weight_decay: Auto | NotNegative = knob(AUTO, "per step and unit of learning rate")
    """Pulls trained weights towards zero (decoupled, as in AdamW). With LoRA it is the adapter that
    is pulled to nothing, which is the base."""

    decay_to_base: NotNegative = knob(0.0, "per step and unit of learning rate")
    """Pulls trained weights towards those of the base instead of zero (L2-SP), where they are the
    model's own: for LoRA weight_decay does that. The base's are held beside them, 2 bytes a weight
    in bfloat16. It acts by learning rate times this, summed over all steps: where that comes to 1,
    two thirds of a drift that nothing renews are undone."""

    clip: Positive = knob(1.0, "gradient norm")
    """A gradient longer than this is shortened to it, so that no single batch breaks the run."""

    checkpoint_every: Auto | Count = knob(AUTO, "optimiser steps")
    """A kill loses at most this many steps."""

    keep_checkpoints: Count = knob(2, "checkpoints")
    """How many are kept. Two, so that one damaged on disk leaves the one before."""

    validate_every: Auto | Count = knob(AUTO, "optimiser steps")
    """How often the held-out loss is measured."""

    patience: Auto | Index = knob(AUTO, "validations")
    """Stop after this many validations without a better held-out loss. 0 never stops early."""

    keep_best: Auto | bool = knob(AUTO)
    """Keep the weights of the best held-out loss, not the last ones; `auto`: but where a head
    labels."""

    seed: Index = knob(0, "seed")
    """Every random draw of the run derives from it."""


class EvaluateSection(Section):
    """How the tuned model is judged against its base."""

    level: Literal["none", "quick", "standard", "full"] = knob("standard")
    """How much is measured after training: nothing, a glance, enough for a verdict, or all."""

    check: FilePath | None = knob(None)
    """Your own Python file that scores an answer. It is executed: name only files you trust."""

    metrics: Auto | MetricNames = knob(AUTO)
    """What is measured of answers beside exact match; docs/metrics.md has what each says. `auto`
    goes by the answers wanted: JSON, a few classes, tool calls, a number, or else free text."""

    run_code: bool | Literal["limits_only"] = knob(False)
    """The metric `code_passes` executes what the models write, so it is measured only where this is
    true: then behind walls (no network, no file of yours; Linux), or not at all. limits_only
    settles for limits of time and memory where there are no walls, which stops slips and nothing
    worse: for machines with nothing to lose."""

    patterns: Patterns | None = knob(None)
    """Regular expressions by name. How often one is found in the answers is told under that name,
    and a run fails if that clearly became rarer."""

    probes: FilePaths | None = knob(None)
    """Your own examples of what must not get worse, named as in `data.train`. Each file is judged
    by itself, and the worst decides."""

    most_forgetting: NotNegative | None = knob(None, "share of the base's loss")
    """Save the model at the strength that gains most of those under which general text (and each
    file of `probes`) surely costs at most this share more than it cost the base: 0.05 allows 5 %. A
    weaker adapter of the LoRA family adds less to the base; where the model's own weights are
    trained, some between the base's and the tuned ones are saved. Without it the model is saved as
    it was trained."""

    abstain: Share = knob(0.0, "share of rows")
    """classify and image: how many rows like the held-out ones may be left to a person, those of
    which the model is least sure. What it saves in wrong answers stands in the report."""

    prompt: FilePath | None = knob(None)
    """A text file with what you would tell the base instead of training it. The tuned model is held
    against the base with this as its system message."""

    examples: Auto | Index = knob(AUTO, "training rows")
    """The tuned model is held against the base with so many training rows in its prompt: once the
    same for every question, once those that a search finds for it. 0 leaves that out."""

    prompt_price: NotNegative | None = knob(None, "your currency for a million tokens")
    """What you pay for tokens read; with `answer_price` for those written. Then the verdict says in
    money what requests cost. Without prices of tokens, a request costs its seconds at
    `hour_price`."""

    answer_price: NotNegative | None = knob(None, "your currency for a million tokens")
    """What you pay for tokens written. Prices are yours: none is assumed where none is given."""

    hour_price: NotNegative | None = knob(None, "your currency for an hour")
    """What an hour of this machine costs you: the price of training, and so of when it is paid
    back."""

    currency: Text | None = knob(None)
    """What is printed behind amounts, as EUR."""

    max_new_tokens: Auto | Count = knob(AUTO, "tokens")
    """The longest answer generated."""

    rows: Auto | Count = knob(AUTO, "held-out rows")
    """At most this many held-out rows are scored. Answers are generated for fewer."""


class Recipe(Section):
    """A whole run, as asked for. Only `runs/` holds it; each room is given its own section."""

    model: ModelSection = Field(default_factory=ModelSection)
    data: DataSection = Field(default_factory=DataSection)
    objective: ObjectiveSection = Field(default_factory=ObjectiveSection)
    preference: PreferenceSection = Field(default_factory=PreferenceSection)
    engine: EngineSection = Field(default_factory=EngineSection)
    reward: RewardSection = Field(default_factory=RewardSection)
    rollouts: RolloutsSection = Field(default_factory=RolloutsSection)
    evaluate: EvaluateSection = Field(default_factory=EvaluateSection)
    judge: JudgeSection = Field(default_factory=JudgeSection)

    @model_validator(mode="after")
    def _without_contradiction(self) -> Recipe:
        for key, sentence in _contradictions(self):
            raise PydanticCustomError(
                "contradiction", "{sentence}", {"key": key, "sentence": sentence}
            )
        return self


def _contradictions(recipe: Recipe) -> list[tuple[str, str]]:
    """Values that are each allowed and cannot hold together, as (key, finished sentence)."""
    model, data = recipe.model, recipe.data
    found = [*misfits(recipe), *rollout_faults(recipe)]
    if model.from_scratch and model.method != "full":
        found.append(
            (
                "model.from_scratch",
                f"model.from_scratch trains every weight, and model.method is {model.method}. "
                "Set model.method=full, or leave model.from_scratch out.",
            )
        )
    if data.together is True and not data.shuffle:
        found.append(
            (
                "data.together",
                "data.together=true draws rows together, and data.shuffle=false keeps the order of "
                "the files. Set data.shuffle=true, or leave data.together out.",
            )
        )
    found += _optimizer_contradictions(model.method, recipe.engine)
    given = (recipe.evaluate.prompt_price, recipe.evaluate.answer_price)
    if given.count(None) == 1:
        found.append(
            (
                "evaluate.answer_price" if given[0] is None else "evaluate.prompt_price",
                "evaluate.prompt_price and evaluate.answer_price are the two halves of what a "
                "request costs, and only one is given. Give both; 0 is a price, too.",
            )
        )
    if recipe.evaluate.most_forgetting is not None and recipe.evaluate.level == "none":
        found.append(
            (
                "evaluate.most_forgetting",
                "evaluate.most_forgetting chooses by measuring, and evaluate.level=none measures "
                "nothing. Leave it out, or set evaluate.level=quick.",
            )
        )
    if data.canaries and recipe.evaluate.level == "none":
        found.append(
            (
                "data.canaries",
                "data.canaries plants secrets to measure what is memorised, and "
                "evaluate.level=none measures nothing. Leave it out, or set evaluate.level=quick.",
            )
        )
    if "code_passes" in recipe.evaluate.metrics and recipe.evaluate.run_code is False:
        found.append(
            (
                "evaluate.run_code",
                "evaluate.metrics names code_passes, which executes code that the models write, "
                "and evaluate.run_code is false. Allow it with --set evaluate.run_code=true, or "
                "leave code_passes out.",
            )
        )
    if data.validation is not None and data.validation_share not in (AUTO, 0.0):
        found.append(
            (
                "data.validation_share",
                f"data.validation names a held-out file, and data.validation_share="
                f"{data.validation_share} would hold out training rows too. "
                "Set data.validation_share=auto, or leave data.validation out.",
            )
        )
    found += reward_contradictions(recipe.reward)
    return found + contradictions(recipe.judge, recipe.evaluate.level, recipe.objective.kind)


def _optimizer_contradictions(method: str, engine: EngineSection) -> list[tuple[str, str]]:
    """What the optimiser asked for cannot train, as its row of the table says."""
    if engine.optimizer == AUTO:
        return []
    rule, found = RULES[engine.optimizer], []
    if not rule.suits(method):
        found.append(
            f"engine.optimizer={rule.key} {rule.because.format(method=method)}. "
            "Set engine.optimizer=adamw, or another model.method."
        )
    if engine.memory == "low" and not rule.low:
        able = ", ".join(each.key for each in RULES.values() if each.low)
        found.append(
            "engine.memory=low updates one weight at a time, which one of these can do: "
            f"{able}; and engine.optimizer is {rule.key}. Set engine.optimizer=auto, or "
            "engine.memory=normal."
        )
    if rule.averages and engine.schedule not in (AUTO, "constant"):
        found.append(
            f"engine.optimizer={rule.key} averages the weights instead of lowering the rate, and "
            f"engine.schedule={engine.schedule} would lower it, too. Set engine.schedule=constant, "
            "or engine.optimizer=adamw."
        )
    if rule.averages and engine.decay_to_base:
        found.append(
            f"engine.optimizer={rule.key} keeps an average of the weights that "
            "engine.decay_to_base would not pull. Set engine.optimizer=adamw, or leave "
            "engine.decay_to_base out."
        )
    return [("engine.optimizer", sentence) for sentence in found]
