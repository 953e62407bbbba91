"""What an exported DANet costs on a CPU, beside the Keras model and mmsegmentation's.

    OMP_WAIT_POLICY=PASSIVE KERAS_BACKEND=tensorflow \\
        python examples/benchmarks/serving.py --output serving

exports a DANet on a ResNetV1c-50 with 19 classes, float32, to every format and times
one prediction of each, batch 1, from the normalized image to logits at its size,
together with the Keras model (`tf.function`) and mmsegmentation 1.2.2 in PyTorch eager
(`mmseg_danet.py` says how to install it); the weights are the same in all. All run in
turn in one process; the figures are medians, and ratios of process CPU time and of wall
time. The tables are printed and written to `serving.md`, the figures to `serving.json`.

LiteRT's attention is dense: at 1024x2048 its scores take 9 GB, as mmsegmentation's do.
Exports kept with `--files FOLDER` are used again, in a process that wrote none.
"""

import argparse
import os
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from end_to_end import compiled, normalized_image
from measure import interleaved, machine, markdown, write_record
from mmseg_danet import eager, mmseg_danet

import keras_danet

SIZES = ("512x512", "1024x2048")
CALIBRATION_SIZE = "512x512"


def keras_function(model):
    predict = compiled(model)
    return lambda images: predict(images).numpy()


def export(model, path, *format, **settings):
    """`path`, written unless an earlier run has left it there."""
    if not path.exists():
        print(f"writing {path.name}", flush=True)
        keras_danet.export_model(model, path, *format, **settings)
    return path


def saved_model(model, folder):
    loaded = tf.saved_model.load(export(model, folder / "saved_model"))
    signature = loaded.signatures["predict_logits"]

    def predict(images, loaded=loaded):  # it must live as long as its signature
        return signature(images=tf.constant(images))["logits"].numpy()

    return predict


def onnx(model, folder):
    import onnxruntime

    path = export(model, folder / "model.onnx", "onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["logits"], {"images": images})[0]


def openvino(model, folder, precision):
    """In float32 as the file has it, or in bfloat16, a CPU's default where it can."""
    from openvino import Core

    path = export(model, folder / "model.xml", "openvino")
    settings = {"INFERENCE_PRECISION_HINT": precision}
    network = Core().compile_model(path, "CPU", settings)
    return lambda images: network([images])[0]


def litert(model, folder, precision):
    from ai_edge_litert.interpreter import Interpreter

    settings = {"precision": precision}
    if precision == "int8":
        images = [normalized_image(CALIBRATION_SIZE)[0]] * 2
        settings["calibration_images"] = images
    path = export(model, folder / f"{precision}.tflite", "litert", **settings)
    interpreter = Interpreter(str(path), num_threads=os.cpu_count())
    index = interpreter.get_input_details()[0]["index"]

    def predict(images):
        if tuple(interpreter.get_input_details()[0]["shape"]) != images.shape:
            interpreter.resize_tensor_input(index, images.shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(index, images)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    return predict


EXPORTS = {
    "SavedModel": saved_model,
    "onnxruntime": onnx,
    "OpenVINO float32": lambda model, folder: openvino(model, folder, "f32"),
    "OpenVINO bfloat16": lambda model, folder: openvino(model, folder, "bf16"),
    "LiteRT float32": lambda model, folder: litert(model, folder, "float32"),
    "LiteRT dynamic int8": lambda model, folder: litert(model, folder, "dynamic_int8"),
    "LiteRT int8": lambda model, folder: litert(model, folder, "int8"),
}


def forms(names, folder):
    """Name -> function of images to logits, mmsegmentation and Keras first."""
    theirs = mmseg_danet()
    model = keras_danet.from_checkpoint(theirs.state_dict(), preprocessing=None)
    functions = {
        "mmsegmentation": eager(theirs),
        "Keras": keras_function(model),
    }
    for name in names:
        functions[name] = EXPORTS[name](model, folder)
    return functions


def compare(functions, size, rounds):
    """One row per form."""
    image = normalized_image(size)
    expected = functions["mmsegmentation"](image)
    largest = np.abs(expected).max()
    differences = {
        name: float(np.abs(function(image) - expected).max() / largest)
        for name, function in functions.items()
    }
    calls = {
        name: lambda function=function: function(image)
        for name, function in functions.items()
    }
    times = interleaved(calls, rounds)
    eager, model = times["mmsegmentation"], times["Keras"]
    return [
        {
            "image": size,
            "form": name,
            "CPU s": time["cpu"],
            "CPU / mmseg": time["cpu"] / eager["cpu"],
            "CPU / Keras": time["cpu"] / model["cpu"],
            "wall s": time["wall"],
            "wall / mmseg": time["wall"] / eager["wall"],
            "wall / Keras": time["wall"] / model["wall"],
            "largest difference / largest logit": differences[name],
        }
        for name, time in times.items()
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("serving"))
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="HxW")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--forms", nargs="+", choices=EXPORTS, default=list(EXPORTS))
    parser.add_argument("--files", type=Path, help="a folder to keep the exports in")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.files or Path(temporary)
        functions = forms(arguments.forms, folder)
        rows = [
            row
            for size in arguments.sizes
            for row in compare(functions, size, arguments.rounds)
        ]
    title = f"{keras.backend.backend()}, {machine()}, float32"
    text = f"{title}\n\n{markdown(rows)}\n"
    print(text)
    record = {"machine": title, "rounds": arguments.rounds, "rows": rows}
    write_record(arguments.output, text, record)


if __name__ == "__main__":
    main()
