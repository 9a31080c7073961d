"""Which template and which renderer a base is read with: one that goes on, or one that answers
apart from what it reads."""

from __future__ import annotations

from tunesmith.core.errors import Unsupported
from tunesmith.data import Renderer, SourceRenderer, choose, choose_source
from tunesmith.data.infill import Infilling
from tunesmith.data.render import CompletionAs
from tunesmith.models.open import Described

_LEFT_OUT = (
    "The base reads with an encoder and writes with a decoder: of the general probes only the "
    "questions are asked, since a document asks nothing, and no texts are drawn from the base "
    "itself, for it writes nothing but answers."
)


def left_out(described: Described) -> str:
    """What the verdict cannot ask of such a base, said at the start of a run and in its report; ""
    for one that can be asked all."""
    return _LEFT_OUT if described.writes_apart else ""


def template_of(described: Described, setting: str) -> tuple[str, str]:
    """The template for `data.template`, and the reason why it is this one. Raises DataError."""
    chosen = choose_source if described.writes_apart else choose
    return chosen(described.tokenizer, setting)


def renderer_of(
    described: Described,
    template: str,
    completion_as: CompletionAs,
    infilling: Infilling | None = None,
) -> Renderer:
    """The renderer of a base. Raises DataError, or Unsupported as `Described.decoder_start`."""
    if not described.writes_apart:
        return Renderer(
            described.tokenizer,
            template,
            completion_as,
            infilling,
            eyes=described.eyes,  # type: ignore[arg-type]  # those of `described_base`
            blind=described.blind,
        )
    return SourceRenderer(
        described.tokenizer,
        template,
        completion_as,
        start=described.decoder_start,
        longest=described.longest,
    )


def require_going_on(described: Described, what: str) -> None:
    """Raises Unsupported where `what` is for models that go on, and the base answers apart."""
    if described.writes_apart:
        raise Unsupported(
            f"{described.name} reads with an encoder and writes with a decoder, and {what} is for "
            "models that go on from what they read. Name a decoder-only base, or train this one "
            "with objective.kind=sft on rows with a question and an answer."
        )
