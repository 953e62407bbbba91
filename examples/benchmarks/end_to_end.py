"""What a whole DANet costs: ours beside mmsegmentation's, the same weights in both.

    OMP_WAIT_POLICY=PASSIVE KERAS_BACKEND=tensorflow \\
        python examples/benchmarks/end_to_end.py --output end_to_end

times one prediction of a DANet on a ResNetV1c-50 with 19 classes, float32, batch 1,
from the normalized image to logits at its size, on the backend that KERAS_BACKEND
names and in mmsegmentation 1.2.2 in PyTorch eager (`mmseg_danet.py` says how to install
it). Both run in turn in one process; the figures are medians and ratios of process CPU
time. Peak memory is that of one prediction in a process of its own. The tables are
printed and written to `end_to_end.md`, the figures to `end_to_end.json`. It measures
the CPU; nothing here was measured on a GPU.
"""

import argparse
import functools
import json
from pathlib import Path

import keras
import numpy as np
import torch
from measure import (
    added_memory,
    in_own_process,
    interleaved,
    machine,
    markdown,
    write_record,
)
from mmseg_danet import eager, mmseg_danet

import keras_danet

FORMS = ("mmsegmentation", "keras_danet")
SIZES = ("512x512", "1024x2048")


def normalized_image(size):
    """(1, H, W, 3) normal random values for a size such as "512x1024"."""
    height, width = map(int, size.split("x"))
    rng = np.random.default_rng(0)
    return rng.normal(size=(1, height, width, 3)).astype("float32")


def predictors(forms=FORMS):
    """Name -> function of a normalized image that predicts it, for each form."""
    theirs = mmseg_danet()
    functions = {}
    if "mmsegmentation" in forms:
        functions["mmsegmentation"] = eager(theirs)
    if "keras_danet" in forms:
        model = keras_danet.from_checkpoint(theirs.state_dict(), preprocessing=None)
        functions["keras_danet"] = compiled(model)
    return functions


def compiled(model):
    """Images (1, H, W, 3) -> logits, as the backend compiles it."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        spec = tf.TensorSpec((1, None, None, 3))
        return tf.function(lambda x: model(x, training=False), input_signature=[spec])
    if backend == "jax":
        import jax

        weights = [[v.value for v in model.trainable_variables]]
        weights += [[v.value for v in model.non_trainable_variables]]
        function = jax.jit(lambda w, x: model.stateless_call(*w, x, training=False)[0])
        return lambda image: jax.block_until_ready(function(weights, image))

    def predict(image):
        with torch.no_grad():
            return model(keras.ops.convert_to_tensor(image), training=False)

    return predict


def compare(size, rounds):
    """One row per form: its time, and ratios to mmsegmentation's."""
    image = normalized_image(size)
    functions = {
        name: functools.partial(predict, image)
        for name, predict in predictors().items()
    }
    expected, found = (
        keras.ops.convert_to_numpy(function()) for function in functions.values()
    )
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    if difference > 1e-3:
        raise RuntimeError(f"The models disagree. Received: {difference=}")
    times = interleaved(functions, rounds)
    theirs = times["mmsegmentation"]
    return [
        {
            "image": size,
            "model": name,
            "CPU s": time["cpu"],
            "CPU / mmseg": time["cpu"] / theirs["cpu"],
            "wall s": time["wall"],
            "wall / mmseg": time["wall"] / theirs["wall"],
            "peak added MB": in_own_process("--peak", name, size),
        }
        for name, time in times.items()
    ]


def peak(name, size):
    """MB added by the first prediction of this size, after a small image's."""
    predict = predictors([name])[name]
    predict(normalized_image("64x64"))
    image = normalized_image(size)
    return added_memory(lambda: predict(image))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("end_to_end"))
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="HxW")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peak", nargs=2, metavar=("MODEL", "HxW"))
    arguments = parser.parse_args()
    if arguments.peak:
        print(json.dumps(peak(*arguments.peak)))
        return
    rows = [row for size in arguments.sizes for row in compare(size, arguments.rounds)]
    backend = keras.backend.backend()
    title = f"{backend}, {machine()}, float32"
    text = f"{title}\n\n{markdown(rows)}\n"
    print(text)
    record = {"machine": title, "backend": backend, "rows": rows}
    write_record(arguments.output, text, record)


if __name__ == "__main__":
    main()
