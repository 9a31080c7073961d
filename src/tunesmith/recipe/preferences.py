"""The section of the recipe about answers that were compared or rated, and who reads which key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from tunesmith.recipe.fields import AUTO, Auto, NotNegative, Positive, Section, knob
from tunesmith.recipe.kinds import PREFERENCES, ObjectiveKind

if TYPE_CHECKING:
    from tunesmith.recipe.sections import Recipe

PreferenceLoss = Literal["sigmoid", "normalized", "ipo", "hinge", "robust"]


class PreferenceSection(Section):
    """How answers that people compared or rated are learned from."""

    beta: Auto | Positive = knob(AUTO, "per nat")
    """How strongly a difference of log-probabilities counts as a preference. With a reference (dpo,
    kto, bco) a small one lets the model go far from the base, a large one keeps it near; orpo: the
    weight of the odds ratio beside the cross entropy of the better answer."""

    loss: PreferenceLoss = knob("sigmoid")
    """dpo only. sigmoid is DPO's own. normalized takes means over the tokens of an answer, so that
    none is preferred for its length alone, and wants a larger beta, such as 5. ipo aims at a fixed
    margin and does not overshoot where people always agreed; hinge stops at a margin; robust is
    right on average where `label_noise` of the choices are wrong."""

    label_noise: Annotated[float, Field(ge=0, lt=0.5)] = knob(0.0, "share of choices")
    """dpo (sigmoid, normalized, robust) and cpo: how many of the choices are taken to be the wrong
    way round."""

    margin: Auto | NotNegative = knob(AUTO, "nats per token times beta")
    """simpo only: how far the better answer is to lie above the worse one, gamma of the paper."""

    sft_weight: Auto | NotNegative = knob(AUTO, "share of the cross entropy")
    """dpo, simpo, orpo and cpo: how much the cross entropy of the better answer counts beside the
    preference, which keeps its probability from falling with that of the worse."""

    liked_weight: Positive = knob(1.0, "times")
    """kto only: how much liked answers count. Where they are rare, raise it until liked and
    disliked ones weigh about the same."""

    disliked_weight: Positive = knob(1.0, "times")
    """kto only: how much disliked answers count."""


READERS: Mapping[str, tuple[ObjectiveKind, ...]] = {
    "beta": PREFERENCES,
    "loss": ("dpo",),
    "label_noise": ("dpo", "cpo"),
    "margin": ("simpo",),
    "sft_weight": ("dpo", "simpo", "orpo", "cpo"),
    "liked_weight": ("kto",),
    "disliked_weight": ("kto",),
}
"""The objectives that read a key of the section."""

_BETAS = {
    "dpo": (0.1, "Rafailov et al. 2023"),
    "simpo": (2.0, "Meng et al. 2024"),
    "orpo": (0.1, "Hong et al. 2024"),
    "cpo": (0.1, "Xu et al. 2024"),
    "kto": (0.1, "Ethayarajh et al. 2024"),
    "bco": (0.1, "Jung et al. 2024"),
}


def beta(kind: ObjectiveKind) -> tuple[float, str]:
    """What each paper uses most."""
    value, source = _BETAS.get(kind, (0.1, ""))
    return value, source or f"not used by objective {kind}"


def margin(kind: ObjectiveKind) -> tuple[float, str]:
    """Half of beta, the ratio that the paper recommends."""
    if kind != "simpo":
        return 0.0, f"not used by objective {kind}"
    return 1.0, "half of beta (Meng et al. 2024)"


def sft_weight(kind: ObjectiveKind) -> tuple[float, str]:
    """1 for cpo and orpo, whose losses have it; else 0."""
    if kind == "cpo":
        return 1.0, "a part of its loss (Xu et al. 2024)"
    if kind == "orpo":
        return 1.0, "a part of its loss (Hong et al. 2024)"
    read = kind in READERS["sft_weight"]
    return 0.0, "the preference alone" if read else f"not used by objective {kind}"


def preference_misfits(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """(key, finished sentence) for each value that the objective has no use for."""
    kind, asked = recipe.objective.kind, recipe.preference
    for key, readers in READERS.items():
        value, default = getattr(asked, key), type(asked).model_fields[key].default
        unused = 0.0 if key in ("margin", "sft_weight") else default
        if kind not in readers and value not in (default, unused) and key != "beta":
            yield (
                f"preference.{key}",
                f"preference.{key}={value} is read by objective.kind={' and '.join(readers)}, and "
                f"objective.kind is {kind}. Leave it out.",
            )
    expects_none = asked.loss in ("ipo", "hinge") and asked.label_noise
    expects_some = asked.loss == "robust" and not asked.label_noise
    if kind == "dpo" and (expects_none or expects_some):
        yield (
            "preference.label_noise",
            f"preference.loss={asked.loss} and preference.label_noise={asked.label_noise} "
            "contradict each other: robust expects some wrong choices, ipo and hinge none. Set "
            "preference.loss=robust with preference.label_noise=0.1, or leave both out.",
        )
    if kind not in PREFERENCES:
        return
    if recipe.objective.kl_to_base or recipe.objective.teacher is not None:
        key = "kl_to_base" if recipe.objective.kl_to_base else "teacher"
        yield (
            f"objective.{key}",
            f"objective.{key} is for models that learn what is written in the rows, and "
            f"objective.kind={kind} learns which answers are better. Leave it out; a larger "
            "preference.beta keeps the model near the base.",
        )
    if recipe.evaluate.most_forgetting is not None:
        yield (
            "evaluate.most_forgetting",
            "evaluate.most_forgetting chooses the strength of an adapter by the loss of held-out "
            f"texts, and objective.kind={kind} has none. Leave it out; a larger preference.beta "
            "forgets less.",
        )
    if recipe.data.canaries:
        yield (
            "data.canaries",
            f"data.canaries plants texts that are learned, and objective.kind={kind} learns which "
            "answers are better. Leave it out.",
        )
    if recipe.data.together is True:
        yield (
            "data.together",
            f"data.together draws rows together, and with objective.kind={kind} the answers to one "
            "question are together already. Leave it out.",
        )
