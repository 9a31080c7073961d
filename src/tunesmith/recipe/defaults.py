"""What `auto` stands for: pure functions from facts to (value, reason), each naming its source.

"Ours" as a source marks a rule of thumb of this project, to be judged by its benchmarks. LoRA
Without Regret is John Schulman and Thinking Machines Lab, 2025.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeVar

from tunesmith.recipe.kinds import PREFERENCES, REINFORCED, STEADY, ObjectiveKind
from tunesmith.recipe.methods import METHODS, MethodName
from tunesmith.recipe.optimizers import Rule

Value = TypeVar("Value")
Choice = tuple[Value, str]
Device = Literal["cpu", "cuda"]
Level = Literal["none", "quick", "standard", "full"]

LEARNING_RATES = (1e-6, 5e-3)
GRADED_RATE = 0.2
GRADED_STEPS = 200
STEPS_PER_EPOCH = 40
_REGRET = "Schulman et al. 2025, LoRA Without Regret"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about model, data and machine before training.

    `examples` are the rows that can be trained on before any are held out; `mean_tokens` is their
    mean length. `sequences` are what an epoch trains, after rows were held out, long documents cut
    to the context, and sources mixed by their weights, and `mean_sequence` is their mean length in
    tokens. `max_context` is in tokens. `device` is the one `auto` means; `fast_bfloat16` says that
    the processor's bfloat16 products beat float32. `together_saves` is the share of an epoch's
    tokens that rows on one context save when they are drawn together. `from_scratch` and
    `objective` are the recipe's: `resolve` sets them. `image_size` is what an image model was
    trained on, in pixels, and `classes` how many its rows have (0 where there are none).
    """

    hidden_size: int
    layers: int
    max_context: int
    examples: int
    mean_tokens: float
    sequences: int
    mean_sequence: float
    device: Device
    fast_bfloat16: bool
    has_chat_template: bool
    together_saves: float = 0.0
    from_scratch: bool = False
    objective: ObjectiveKind = "sft"
    image_size: int = 0
    classes: int = 0

    @property
    def tokens(self) -> float:
        """Tokens in all rows."""
        return self.examples * self.mean_tokens


def learning_rate(facts: Facts, method: MethodName) -> Choice[float]:
    """5e-5 (2000/hidden)^0.781 for full tuning, and a multiple of it, or a rate of its own, for
    each other method: see `methods`.

    Source: LoRA Without Regret, its fit over Llama-shaped models. From random weights: 3e-3 at a
    hidden size of 256, falling in proportion to the width, as muP finds for Adam (Yang et al. 2022,
    Tensor Programs V). The last layers alone bear twice full tuning's rate, and the head alone
    LoRA's: at it the embedded base learned far more in 200 steps than at a third of it (ours).
    From grades: a fifth of it. A grade tells of a whole answer, so the gradient of a token is
    mostly noise, and what a step spoils is what the next one samples from (ours).
    """
    hidden, asked = facts.hidden_size, METHODS[method]
    full = 5e-5 * (2000 / hidden) ** 0.781
    fit = f"5e-5 * (2000/{hidden})^0.781, {_REGRET}"
    if facts.from_scratch:
        rate, reason = 3e-3 * 256 / hidden, f"3e-3 * 256/{hidden}: from scratch, falls with width"
    elif asked.own_rate:
        return asked.rate, f"{method}: {asked.rate:g} at any width ({asked.rate_source})"
    elif asked.rate == 1:
        rate, reason = full, f"full tuning: {fit}"
    else:
        rate, reason = asked.rate * full, f"{method}: {asked.rate:g} times full tuning's {fit}"
        if asked.rate_source != _REGRET:
            reason += f" ({asked.rate_source})"
    if facts.objective in REINFORCED:
        rate, reason = (
            rate * GRADED_RATE,
            f"{GRADED_RATE:g} of what answers are learned at: {reason}",
        )
    low, high = LEARNING_RATES
    if not low <= rate <= high:
        reason += f"; kept within {low:g} to {high:g}"
    return _digits(min(max(rate, low), high), 3), reason


def rank(facts: Facts, method: MethodName) -> Choice[int]:
    """16, or 8 under 200 rows. Source: ours; small data hardly needs rank.

    VeRA 256, whose rank costs next to nothing (Kopiczko et al. 2024); OFT blocks of 32
    (PEFT).
    """
    if method == "vera":
        return 256, "a rank of VeRA adds one weight a layer (Kopiczko et al. 2024)"
    if method == "oft":
        return 32, "blocks of 32 (PEFT)"
    if facts.examples < 200:
        return 8, f"{facts.examples} rows hold too little to fill more, and could be memorised"
    return 16, f"holds far more than {facts.examples} rows teach at small cost"


def alpha(method: MethodName) -> Choice[int]:
    """32. Source: LoRA Without Regret, with adapters scaled by alpha / rank.

    8 for rsLoRA, which scales by alpha / √rank: at a rank of 16 that is the same.
    """
    if method == "rslora":
        return 8, f"adapters are scaled by 8 / √rank, at rank 16 as by LoRA's 32 / rank ({_REGRET})"
    return 32, f"adapters are scaled by 32 / rank ({_REGRET})"


def layers(facts: Facts, method: MethodName) -> Choice[int]:
    """All for LoRA, else a quarter. Source: Lee, Tang and Lin 2019, What Would Elsa Do?"""
    if "rank" in METHODS[method].keys:
        return facts.layers, f"adapters in all {facts.layers} layers learn the most ({_REGRET})"
    count = max(1, facts.layers // 4)
    return count, f"a quarter of {facts.layers} reaches most of full tuning (Lee et al. 2019)"


def dtype(facts: Facts) -> Choice[str]:
    """bfloat16 wherever the machine multiplies it faster. Source: ours."""
    if facts.objective == "image" and facts.device == "cpu":
        return "float32", "convolutions are no faster in bfloat16 on this processor"
    if facts.device == "cuda":
        return "bfloat16", "the accelerator multiplies bfloat16 fastest"
    if facts.fast_bfloat16:
        return "bfloat16", "this processor multiplies bfloat16 faster than float32"
    return "float32", "this processor has no fast bfloat16"


def context(facts: Facts) -> Choice[int]:
    """The model's own, up to 4096 on cuda and 2048 on cpu. Source: ours."""
    most = 4096 if facts.device == "cuda" else 2048
    if facts.max_context <= most:
        return facts.max_context, "the most this model reads"
    return most, f"enough for most data on {facts.device}; the model reads {facts.max_context}"


def completion_as(facts: Facts) -> Choice[str]:
    """A chat turn where the base has a chat template. Source: ours."""
    if facts.has_chat_template:
        return "chat", "the base has a chat template"
    return "plain", "the base has no chat template"


def validation_share(facts: Facts, has_file: bool) -> Choice[float]:
    """A tenth, but 20 to 1000 rows, never above 0.3. Source: ours; 1000 rows pin a mean to 3 %."""
    if has_file:
        return 0.0, "a validation file is given"
    rows = min(max(facts.examples / 10, 20), 1000)
    share = min(0.3, rows / max(1, facts.examples))
    return _digits(share, 3), f"about {share * facts.examples:.0f} of {facts.examples} rows"


def together(facts: Facts, shuffle: bool) -> Choice[bool]:
    """Where it saves a quarter of the tokens; below that, varied steps are worth more. Ours."""
    saved = facts.together_saves
    if facts.objective in PREFERENCES:
        return False, "the answers to one question are together in any case"
    if not shuffle:
        return False, "data.shuffle is off, so the order of the files is kept"
    if saved >= 0.25:
        return True, f"rows on one context, drawn together, save {saved:.0%} of the tokens"
    if saved >= 0.01:
        return False, f"it would save {saved:.0%} of the tokens, less than a quarter"
    return False, "too few rows share a long context of their own"


_PASSES = {
    "classify": (((300, 20), (1000, 15), (5000, 10), (20000, 6)), 3, "labelled rows"),
    "tag": (((300, 20), (1000, 15), (5000, 10), (20000, 6)), 3, "labelled rows"),
    "image": (((300, 20), (1000, 15), (5000, 10), (20000, 6)), 3, "images"),
    "embed": (((1000, 10), (5000, 5), (20000, 3)), 1, "rows of texts"),
    **dict.fromkeys(PREFERENCES, (((1000, 3), (20000, 2)), 1, "rows with answers")),
    "reward": (((1000, 5), (5000, 3), (20000, 2)), 1, "judged rows"),
}
"""Passes under so many rows, from there on, and what the rows are."""


def epochs(facts: Facts) -> Choice[int]:
    """6 passes under 300 rows, 1 from 20,000; documents count per 500 tokens. Source: ours.

    Labels take more passes, for a row teaches one label: 20 under 300 rows, 3 from 20,000. The
    weights of the best one are kept. Texts beside others take half as many: a row of theirs meets
    other negatives each time.
    """
    if facts.objective in _PASSES:
        steps, least, what = _PASSES[facts.objective]
        for below, passes in steps:
            if facts.examples < below:
                return passes, f"fewer than {below} {what} ({facts.examples})"
        return least, f"{facts.examples} {what}"
    if facts.objective in REINFORCED:
        rounds = math.ceil(facts.sequences / batch_size(facts)[0])
        passes = math.ceil(GRADED_STEPS / rounds)
        return passes, f"about {GRADED_STEPS} steps; answers are new in each pass"
    if facts.from_scratch:
        return 1, "from scratch, fresh text teaches more than repeated text"
    rows, unit = facts.examples, "rows"
    if facts.objective == "text":
        rows, unit = max(rows, int(facts.tokens // 500)), "passages of 500 tokens"
    for below, passes in ((300, 6), (1000, 4), (5000, 3), (20000, 2)):
        if rows < below:
            return passes, f"fewer than {below} {unit} ({rows})"
    return 1, f"{rows} {unit} are enough in one pass"


def epochs_for(max_steps: int, steps_per_epoch: int) -> Choice[int]:
    """As many passes as `max_steps` takes."""
    return math.ceil(max_steps / steps_per_epoch), f"as many as {max_steps} steps take"


def batch_size(facts: Facts) -> Choice[int]:
    """About 40 steps an epoch, within bounds.

    Small data wants small batches, and LoRA bears large ones worse (LoRA Without Regret). Examples:
    4 to 64, and about 16k tokens. Text and training from scratch: 8k to 16k tokens. Source: ours.
    Embeddings 16 to 128, whatever the tokens: the other rows of a step are a row's negatives, and
    more of them teach more (Henderson et al. 2017, §4; Gao et al. 2021).
    """
    count, mean = facts.sequences, facts.mean_sequence
    if facts.objective in REINFORCED:
        return min(16, count), "prompts, each with several answers"
    if facts.objective == "embed":
        size = 2 ** int(math.log2(min(max(count // STEPS_PER_EPOCH, 16), 128)))
        return size, f"the {size - 1} others of a step are a row's negatives"
    if facts.objective == "text" or facts.from_scratch:
        tokens = min(max(count * mean / STEPS_PER_EPOCH, 8192), 16384)
        size = max(1, int(tokens // mean))
        return size, f"about {size * mean:.0f} tokens a step"
    wanted = min(max(count // STEPS_PER_EPOCH, 4), 64)
    size = 2 ** int(math.log2(wanted))
    most = max(1, int(16384 // mean))
    if most < size:
        return most, f"about 16k tokens a step at {mean:.0f} tokens a row"
    return size, f"{math.ceil(count / size)} steps an epoch from {count} rows"


def tokens_per_micro_batch(facts: Facts, context: int) -> Choice[int]:
    """8192 on cpu (2048 for wide models), 32768 on cuda, at least the context.

    Source: ours. From a hidden size of 512 on, products of 1000 rows run at their full rate, and
    more tokens at once only take memory; a narrower model waits for the calls themselves.
    """
    wide = facts.hidden_size >= 512
    budget = 32768 if facts.device == "cuda" else 2048 if wide else 8192
    if context > budget:
        return context, "one example of full context"
    return budget, f"fits in memory on {facts.device} at hidden size {facts.hidden_size}"


def optimizer(memory: Literal["normal", "low"]) -> Choice[str]:
    """AdamW. Source: Loshchilov and Hutter 2019; what the learning rates above are fitted for."""
    if memory == "low":
        return "adamw_factored", "engine.memory low: AdamW that remembers 2 bytes a weight"
    return "adamw", "the learning rates chosen by auto are fitted for it"


def rate_for(rule: Rule, rate: Choice[float]) -> Choice[float]:
    """The rate of AdamW, times what the table says of this optimiser. Source: its own paper."""
    value, reason = rate
    if rule.rate == 1:
        return rate
    low, high = LEARNING_RATES
    scaled = _digits(min(max(value * rule.rate, low), max(1.0, rule.rate) * high), 3)
    return scaled, f"{rule.rate:g} times AdamW's for {rule.key}: {rule.rate_source}; {reason}"


def rate_times(multiplier: float, rate: Choice[float]) -> Choice[float]:
    """The rate times what was asked for, 1 at most, which is the most a recipe may say."""
    value, reason = rate
    if multiplier == 1:
        return rate
    return _digits(min(1.0, value * multiplier), 3), f"{multiplier:g} times {value:g}: {reason}"


def decay_for(rule: Rule, decay: Choice[float]) -> Choice[float]:
    """What AdamW's decay comes to at this optimiser's rate, so that both pull alike in a step."""
    value, reason = decay
    if rule.decay == 1 or not value:
        return decay
    return _digits(value * rule.decay, 3), f"{rule.decay:g} times AdamW's for {rule.key}; {reason}"


def activation_checkpointing() -> Choice[bool]:
    """Off. Source: ours; it costs a third more time and changes no result."""
    return False, "costs a third more time, and is for what does not fit without"


def schedule(rule: Rule) -> Choice[str]:
    """Cosine (Loshchilov and Hutter 2017, SGDR), or constant for a rule that averages."""
    if rule.averages:
        return "constant", f"{rule.key} averages the weights instead of lowering the rate"
    return "cosine", "ends at a small rate, where the weights settle (Loshchilov and Hutter 2017)"


def warmup(facts: Facts, steps: int) -> Choice[float]:
    """0.05 of `steps`, 0.02 from scratch, at least 3 steps, at most a half. Source: ours."""
    share = 0.02 if facts.from_scratch else 0.05
    if share * steps >= 3:
        return share, f"{share * steps:.0f} of {steps} steps"
    # Rounded upwards, so that the share is not a hair under three steps.
    return min(0.5, math.ceil(3000 / steps) / 1000), f"three of {steps} steps, at most half"


def weight_decay(facts: Facts, method: MethodName, decay_to_base: float = 0.0) -> Choice[float]:
    """0.1 from scratch (as GPT-3, Brown et al. 2020), 0 for adapters, else 0.01 (AdamW's usual)."""
    if decay_to_base:
        return 0.0, "engine.decay_to_base pulls to the base instead"
    if facts.from_scratch:
        return 0.1, "usual for pre-training (Brown et al. 2020)"
    if not METHODS[method].decays:
        limit = (
            "the rank already limits adapters" if METHODS[method].matrices else "few are trained"
        )
        return 0.0, limit
    return 0.01, "usual for AdamW"


def checkpoint_every(steps: int) -> Choice[int]:
    """About ten a run, 5 to 500 steps apart. Source: ours."""
    return min(max(steps // 10, 5), 500), f"about a tenth of {steps} steps, from 5 to 500"


def validate_every(steps_per_epoch: int, steps: int) -> Choice[int]:
    """About four an epoch, 5 to 500 steps apart, at least one a run. Source: ours."""
    every = min(max(steps_per_epoch // 4, 5), 500, steps)
    return every, f"about four times an epoch of {steps_per_epoch} steps, from 5 to 500"


def patience(facts: Facts) -> Choice[int]:
    """4 validations, about one epoch; off from scratch, and where a head labels: of 10,003 short
    questions in 77 classes the loss was lowest in the last of 6 epochs, and 4 validations without a
    better one had passed in the second. Source: ours."""
    if facts.objective in STEADY:
        return 0, "the loss of labels falls to the end of the schedule"
    if facts.objective in REINFORCED:
        return 0, "grades stand still for long before they rise"
    if facts.from_scratch:
        return 0, "from scratch, the loss keeps falling to the end of the schedule"
    return 4, "about one epoch without a better held-out loss"


def keep_best(facts: Facts) -> Choice[bool]:
    """Yes, but where a head labels: there the last weights label better than those of the lowest
    held-out loss. Of 77 classes 93.6 against 92.8 % of 3,080 questions were right after 10,003
    rows, 85.2 against 84.7 % and at a higher rate 85.0 against 82.4 % after 770. Source: ours."""
    if facts.objective in STEADY:
        return False, "labels are the surest at the end of the schedule"
    return True, "what was learned last may be learned by heart"


def evaluated_rows(level: Level, labels: bool = False) -> Choice[int]:
    """64, 256 or all held-out rows. Source: ours; an interval halves with four times the rows.

    To label a row costs little: four times as many.
    """
    if level == "full":
        return 1_000_000, "evaluate.level full: every held-out row"
    if labels:
        return (1000 if level == "standard" else 250), f"evaluate.level {level}"
    if level == "standard":
        return 256, "evaluate.level standard"
    return 64, f"evaluate.level {level}"


def distractors(level: Level) -> int:
    """At most how many training rows' texts stand among the candidates of a search. Source: ours.

    Among the held-out rows alone, a few hundred, search would look easier than it is.
    """
    return {"none": 0, "quick": 500, "standard": 4000, "full": 1_000_000}[level]


def generated_rows(level: Level, rows: int) -> int:
    """For how many of `rows` scored rows answers are generated: it costs far more than scoring."""
    most = {"none": 0, "quick": 16, "standard": 48, "full": rows}
    return min(rows, most[level])


def examples_shown(level: Level, objective: ObjectiveKind = "sft") -> Choice[int]:
    """0, 4 or 8 examples in the prompt of the base that is helped instead of trained.

    Most of what examples in a prompt bring is there with the first few (Brown et al. 2020, figure
    1.2).
    """
    if objective in PREFERENCES:
        return 0, "which of two answers is better is no example of an answer"
    count = {"none": 0, "quick": 0, "full": 8}.get(level, 4)
    return count, f"evaluate.level {level}"


def own_samples(level: Level) -> tuple[int, int]:
    """How many texts the base writes before training, and of how many tokens each.

    Rows of 96 tokens are enough to tell a drift of a tenth of a nat per token. Source: ours.
    """
    return {"standard": (16, 96), "full": (64, 256)}.get(level, (0, 0))


def frontier_rows(level: Level, asked: bool) -> int:
    """On how many of the rows that choose, and of each file of probes, a strength is measured.

    Where the recipe asks for a strength, it is chosen on up to 256 rows and, since the verdict
    judges by them, all probes; elsewhere a picture is drawn, at little cost.
    """
    if asked:
        return 256
    return {"standard": 32, "full": 256}.get(level, 0)


def recalled_rows(level: Level, rows: int) -> int:
    """How many trained rows are asked again, to see whether they come back word for word."""
    most = {"none": 0, "quick": 0, "standard": 12, "full": rows}
    return min(rows, most[level])


def compared_rows(level: Level, rows: int) -> int:
    """On how many of `rows` scored rows that base is scored; long prompts make it cost more."""
    most = {"none": 0, "quick": 16, "standard": 32, "full": rows}
    return min(rows, most[level])


def compared_answers(level: Level, rows: int) -> int:
    """For how many of `rows` scored rows it writes answers."""
    most = {"none": 0, "quick": 4, "standard": 8, "full": rows}
    return min(rows, most[level])


def rollout_tokens(facts: Facts, context: int) -> Choice[int]:
    """256, and at most half the context. Source: ours; most verifiable answers are shorter."""
    if context // 2 < 256:
        return max(1, context // 2), f"half the context of {context}"
    return 256, "long enough for most answers that can be verified"


def kl_in(facts: Facts) -> Choice[str]:
    """Beside the loss for GRPO, else in the grade. Sources: Shao et al. 2024; Ahmadian et al.
    2024."""
    if facts.objective == "grpo":
        return "loss", "as GRPO has it (Shao et al. 2024, eq. 3)"
    return "reward", "as in RLHF (Ziegler et al. 2019; Ahmadian et al. 2024)"


def clip_high(variant: str) -> Choice[float]:
    """0.28 for DAPO, else as far as down. Source: Yu et al. 2025; Schulman et al. 2017."""
    if variant == "dapo":
        return 0.28, "dapo lets what is rare grow (Yu et al. 2025)"
    return 0.2, "as far as downwards (Schulman et al. 2017)"


def max_new_tokens(facts: Facts, level: Level, context: int) -> Choice[int]:
    """Twice the mean row, at least 32; at most 128 (quick), 512 (full), 256, and half the context.

    The mean row counts prompt and answer, so answers longer than twice that are rare. Source: ours.
    """
    most = {"quick": 128, "full": 512}.get(level, 256)
    if most > context // 2:
        most, limit = context // 2, f"half the context of {context}"
    else:
        limit = f"the most at evaluate.level {level}"
    wanted = max(32, math.ceil(2 * facts.mean_tokens))
    if wanted >= most:
        return most, limit
    return wanted, f"twice the mean row of {facts.mean_tokens:.0f} tokens, 32 at least"


def _digits(value: float, digits: int) -> float:
    """`value` to so many significant digits."""
    return float(f"{value:.{digits}g}")
