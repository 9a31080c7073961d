"""What an image run trains on."""

from __future__ import annotations

from tunesmith.data.images.batches import ImageBatches
from tunesmith.runs.images.setup import ImageSetup
from tunesmith.runs.labels.predict import Floats


def image_batches(setup: ImageSetup, features_RD: Floats | None = None) -> ImageBatches:
    """The training batches; of known features where the trunk is frozen."""
    recipe = setup.recipe
    return ImageBatches(
        setup.prepared.train,
        setup.gallery,
        setup.targets,
        batch_size=recipe.engine.batch_size,
        per_micro_batch=recipe.engine.images_per_micro_batch,
        seed=recipe.engine.seed,
        augment=recipe.data.augment,
        shuffle=recipe.data.shuffle,
        mix=setup.prepared.mix,
        features_RD=features_RD,
    )
