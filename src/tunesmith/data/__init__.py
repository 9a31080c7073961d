"""Floor 3: rows in, batches out (sources → formats → render → checks → store → fates → loader).

`prepare` does everything between the files and the tokens, of any size (`tokenised`); `examine` is
what it does to single rows; `PackedBatches` lays tokens into batches. No torch here: arrays are
numpy, and the tokenizer is passed in.
"""

from __future__ import annotations

from tunesmith.data.examine import Kept, examine
from tunesmith.data.loader import PackedBatches
from tunesmith.data.prepare import prepare
from tunesmith.data.prepared import Prepared
from tunesmith.data.render import Renderer
from tunesmith.data.sequences import Sequences, WithPlanted
from tunesmith.data.show import show
from tunesmith.data.source_target import SourceRenderer, choose_source
from tunesmith.data.split import content_hash
from tunesmith.data.template import choose

__all__ = [
    "Kept",
    "PackedBatches",
    "Prepared",
    "Renderer",
    "Sequences",
    "SourceRenderer",
    "WithPlanted",
    "choose",
    "choose_source",
    "content_hash",
    "examine",
    "prepare",
    "show",
]
