"""What a loaded export answers, beside the answers of the Keras model."""

import numpy as np

from keras_danet.data.synthetic import draw_scene
from keras_danet.export.answers import check_logits, computes_in_16_bits

# (B, H, W). The last is large enough for several blocks of attention at stride 8.
SIZES = ((1, 64, 64), (2, 75, 61), (1, 16, 16), (1, 40, 144), (1, 272, 360))

FLOAT32 = None  # as `required`: float32's rounding, and nothing more
_TIE = 1e-3  # the gap of the two largest logits below which either label is right
_MOST_TIES_BROKEN = 1e-3  # of the pixels


def compare(model, run, name, required=FLOAT32, images=None):
    """Runs an export and the model on the same images.

    Args:
        model: `keras.Model` to logits (B, H, W, K).
        run: function of float32 images (B, H, W, 3) to the export's logits.
        name: str, what the export is called in errors, such as "The ONNX file".
        required: `FLOAT32`, or for weights of fewer bits the least share of the pixels
            whose label must be the model's.
        images: list of float32 (B, H, W, 3); None for synthetic street scenes of the
            sizes `SIZES`, or of the one size that the model takes.

    Returns:
        A dict: "largest_logit_difference", "label_agreement" in [0, 1],
        "ties_broken" (the share of pixels whose label differs where the model's two
        largest logits lie closer than 1e-3) and "image_sizes".

    Raises:
        ValueError: the answers are too far apart: in float32, logits beyond
            `answers.check_logits`, any label that differs but for a tie, or more than
            0.1 % ties broken; else, a smaller agreement than `required`.
    """
    images = scenes_for(model) if images is None else images
    expected = [_answer(model, batch) for batch in images]
    found = [np.asarray(run(batch)) for batch in images]
    if required is FLOAT32:
        off = check_logits(expected, found, model, name)
    else:
        pairs = zip(expected, found, strict=True)
        off = max(float(np.abs(a - b).max()) for a, b in pairs)
    differing, ties, total = _count(expected, found)
    report = {
        "largest_logit_difference": off,
        "label_agreement": 1 - differing / total,
        "ties_broken": ties / total,
        "image_sizes": [list(batch.shape[:3]) for batch in images],
    }
    _check_labels(report, differing - ties, required, name, model)
    return report


def scenes_for(model):
    """Synthetic street scenes, float32 (B, H, W, 3), of sizes that the model takes."""
    fixed = model.inputs[0].shape[:3]
    sizes = {
        tuple(own or size for own, size in zip(fixed, wanted, strict=True))
        for wanted in SIZES
    }
    return [
        np.stack([draw_scene(0, i, (height, width))[0] for i in range(batch)]).astype(
            "float32"
        )
        for batch, height, width in sorted(sizes)
    ]


def _answer(model, batch):
    logits = np.asarray(model.predict_on_batch(batch), "float32")
    if not np.isfinite(logits).all():
        raise ValueError(
            "The Keras model itself gives logits that are NaN or infinite; its weights "
            "are broken (a diverged training?). Nothing was written. Received: "
            f"{int((~np.isfinite(logits)).sum())} of {logits.size} values"
        )
    return logits


def _count(expected, found):
    """(pixels whose label differs, those of them that are ties, all pixels)."""
    differing = ties = total = 0
    for logits, others in zip(expected, found, strict=True):
        second, first = np.moveaxis(np.sort(logits, axis=-1)[..., -2:], -1, 0)
        differs = logits.argmax(-1) != others.argmax(-1)
        differing += int(differs.sum())
        ties += int((differs & (first - second < _TIE)).sum())
        total += differs.size
    return differing, ties, total


def _check_labels(report, wrong, required, name, model):
    if required is FLOAT32 and computes_in_16_bits(model):
        required = 0.9
    if required is FLOAT32:
        right = wrong == 0 and report["ties_broken"] <= _MOST_TIES_BROKEN
        expected = "every pixel's label to be the model's, but 0.1 % ties"
    else:
        right = report["label_agreement"] >= required
        expected = f"the model's label on {required:.0%} of the pixels at least"
    if not right:
        raise ValueError(
            f"{name} gives other labels than the model. Expected {expected}. Nothing "
            f"was written. Received: {report['label_agreement']:.2%} equal labels"
        )
