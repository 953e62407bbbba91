"""A proof: ONNX, OpenVINO and LiteRT files answer on real images as the model does.

    python -m tests.export_formats_agreement MODEL.keras CAMVID [--count 4]

Exports the model to every format and precision. The float32 files are compared at five
sizes on the first images of CamVid's val split, every file on the whole split at its
own size. A tie is a pixel whose two largest logits differ by less than 1e-3.
"""

import argparse
import tempfile
from pathlib import Path

import keras
import numpy as np
from PIL import Image

import keras_danet
from keras_danet import data
from tests.test_export_formats import run_litert, run_onnx, run_openvino

SIZES = ((360, 480), (512, 512), (181, 243), (720, 960), (96, 333))
FILES = {
    "onnx": ("model.onnx", "onnx", "float32", run_onnx),
    "openvino": ("model.xml", "openvino", "float32", run_openvino),
    "litert float32": ("float32.tflite", "litert", "float32", run_litert),
    "litert float16": ("float16.tflite", "litert", "float16", run_litert),
    "litert dynamic_int8": ("dynamic.tflite", "litert", "dynamic_int8", run_litert),
    "litert int8": ("int8.tflite", "litert", "int8", run_litert),
}


def export(model, folder, camvid):
    """Name -> (function of images, float32?), each export's report printed."""
    runs = {}
    for name, (file, format, precision, load) in FILES.items():
        images = None
        if precision == "int8":
            images = [image.numpy() for image, _ in data.camvid(camvid).take(40)]
        report = keras_danet.export_model(
            model,
            folder / file,
            format,
            precision=precision,
            calibration_images=images,
        )
        size = (folder / file).with_suffix(".bin" if format == "openvino" else "")
        size = size if size.exists() else folder / file
        ratio = size.stat().st_size / 4 / model.count_params()
        print(f"{name}: {ratio:.3f} of the parameters' bytes, {report}", flush=True)
        runs[name] = load(folder / file), precision == "float32"
    return runs


def differences(expected, found):
    """(largest difference of logits, differing labels, those that are no ties)."""
    second, first = np.moveaxis(np.sort(expected, axis=-1)[..., -2:], -1, 0)
    differing = expected.argmax(-1) != found.argmax(-1)
    wrong = differing & (first - second >= 1e-3)
    off = float(np.abs(expected - found).max())
    return off, int(differing.sum()), int(wrong.sum())


def at_five_sizes(model, runs, images):
    print("| size | file | logits, largest difference | labels | no ties | of pixels |")
    print("|---|---|---|---|---|---|")
    for height, width in SIZES:
        pictures = [
            np.asarray(Image.fromarray(image).resize((width, height)), "float32")[None]
            for image in images
        ]
        expected = [model.predict_on_batch(picture) for picture in pictures]
        for name, (run, exact) in runs.items():
            if not exact:
                continue
            pairs = zip(expected, map(run, pictures), strict=True)
            off, differing, wrong = zip(*(differences(*p) for p in pairs), strict=True)
            print(
                f"| {height}x{width} | {name} | {max(off):.2g} | {sum(differing)} "
                f"| {sum(wrong)} | {len(images) * height * width} |",
                flush=True,
            )


def on_the_split(model, runs, split):
    """Agreement with the model and mean IoU over all images, one row a file."""
    scores = {name: keras_danet.MeanIoU(model.output_shape[-1]) for name in runs}
    scores = {"keras": keras_danet.MeanIoU(model.output_shape[-1]), **scores}
    agree, off, total = dict.fromkeys(runs, 0), dict.fromkeys(runs, 0.0), 0
    for image, label in split:
        batch = image.numpy()[None].astype("float32")
        expected = model.predict_on_batch(batch)
        scores["keras"].update_state(label[None], expected)
        total += label.shape[0] * label.shape[1]
        for name, (run, _) in runs.items():
            found = run(batch)
            scores[name].update_state(label[None], found)
            agree[name] += int((found.argmax(-1) == expected.argmax(-1)).sum())
            off[name] = max(off[name], float(np.abs(found - expected).max()))
    print("| file | labels equal | logits, largest difference | mean IoU |")
    print("|---|---|---|---|")
    print(f"| keras | - | - | {float(scores['keras'].result()):.4f} |")
    for name in runs:
        print(
            f"| {name} | {agree[name] / total:.4%} | {off[name]:.2g} "
            f"| {float(scores[name].result()):.4f} |"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("camvid", type=Path)
    parser.add_argument("--count", type=int, default=4, help="images at five sizes")
    parser.add_argument("--split", type=int, default=-1, help="images of val, -1: all")
    arguments = parser.parse_args()
    model = keras.saving.load_model(arguments.model, compile=False)
    split = data.camvid(arguments.camvid, "val").take(arguments.split)
    with tempfile.TemporaryDirectory() as folder:
        runs = export(model, Path(folder), arguments.camvid)
        images = [image.numpy() for image, _ in split.take(arguments.count)]
        at_five_sizes(model, runs, images)
        on_the_split(model, runs, split)


if __name__ == "__main__":
    main()
