"""Wrote tests/data/*_0.1.0.*, the files that every later version must load.

    KERAS_BACKEND=tensorflow python -m tests.first_release

Never run again for 0.1.0: its output is the promise of that release.
"""

from pathlib import Path

import keras
import keras_hub
import numpy as np

import keras_danet
from tests.cases import enliven, predict

FOLDER = Path(__file__).parent / "data"
IMAGES = np.random.default_rng(0).integers(0, 256, (1, 20, 27, 3), dtype=np.uint8)
MAPS = [np.random.default_rng(i).normal(size=(1, 6, 7, 8)) for i in (1, 2)]


def danet():
    """A compiled DANet with every head, one step trained."""
    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[8],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 8, 8, 8],
        stackwise_num_blocks=[1, 1, 1, 1],
        stackwise_num_strides=[1, 2, 2, 2],
        block_type="basic_block_vd",
    )
    enliven(backbone)
    model = keras_danet.DANet(
        3, backbone, auxiliary_head=True, class_names=["a", "b", "c"]
    )
    model.compile(
        keras_danet.SGD(keras_danet.poly_decay(0.01, 10), head_multiplier=10.0),
        metrics=[keras_danet.MeanIoU(3), keras_danet.PixelAccuracy()],
        head_weights={"auxiliary": 0.3},
    )
    model.fit(IMAGES, IMAGES[..., 0] % 3, verbose=0)
    return model


def attention_layers():
    """DAFM, PAM2D, CAM and resizing, alone, small."""
    low, high = keras.Input((None, None, 8)), keras.Input((None, None, 8))
    context = keras_danet.layers.DAFM(16)([low, high])
    filtered = keras_danet.layers.PAM2D(4)([low, context])
    filtered = keras_danet.CAM(energy="paper")(keras_danet.PAM()(filtered))
    resized = keras_danet.layers.BilinearResize(align_corners=True)([filtered, high])
    model = keras.Model([low, high], resized)
    enliven(model)
    return model


def main():
    for name, model, inputs in (
        ("danet", danet(), IMAGES),
        ("layers", attention_layers(), MAPS),
    ):
        model.save(FOLDER / f"{name}_0.1.0.keras")
        np.save(FOLDER / f"{name}_0.1.0.npy", predict(model, inputs))


if __name__ == "__main__":
    main()
