"""Score a trained model on whole images, the protocol beside the number.

    python examples/evaluate.py --model model.keras --images DIR --labels DIR
    python examples/evaluate.py --model model.keras --data camvid --root DIR

Prints mIoU, the IoU of each class, pixel accuracy, boundary IoU and everything they
depend on, and writes to the output folder

- evaluation.json, all of it, with the confusion matrix,
- examples.png, the first images with label, prediction and error.

With --ablate also the mIoU with each attention module switched off.
"""

import argparse
import itertools
import json
from pathlib import Path

import keras
import numpy as np

import keras_danet
from keras_danet import data, visualization
from keras_danet.evaluation.examples import each_example

SETS = ("scenes", "camvid", "cityscapes", "pascal_voc", "pascal_context", "coco_stuff")


def dataset(args):
    """The examples that the arguments ask for."""
    if args.images is not None:
        return data.from_folder(args.images, args.labels)
    if args.data == "scenes":
        print("Scoring 20 synthetic scenes; --images or --data name others.")
        return data.scenes(20, seed=1)
    return getattr(data, args.data)(args.root, args.split)


def record(evaluation):
    """An `Evaluation` as JSON; null for classes that occur nowhere."""

    def plain(value):
        if isinstance(value, (np.ndarray, float)):
            value = np.where(np.isnan(value), None, value).tolist()
        return value

    fields = {name: plain(value) for name, value in evaluation._asdict().items()}
    return json.dumps(fields, indent=1, allow_nan=False)


def draw(model, examples, settings, path):
    """The first four examples: image, label, prediction, error."""
    images, labels = zip(*itertools.islice(each_example(examples), 4), strict=True)
    predictions = [keras_danet.segment(model, x, **settings).labels for x in images]
    visualization.grid(images, labels, predictions, model, path=path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, required=True, help="a .keras file")
    parser.add_argument("--images", type=Path, help="folder of pictures")
    parser.add_argument("--labels", type=Path, help="folder of class ids, alike named")
    parser.add_argument("--data", choices=SETS, default="scenes")
    parser.add_argument("--root", type=Path, help="folder of that data set")
    parser.add_argument("--split", default="val")
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0])
    parser.add_argument("--flip", action="store_true")
    parser.add_argument("--window", type=int, help="pixels; default: the whole image")
    parser.add_argument("--stride", type=int, help="pixels; default: 2/3 of the window")
    parser.add_argument("--base-size", type=int, help="long side at scale 1")
    parser.add_argument("--protocol", choices=["mmseg", "official"], default="mmseg")
    parser.add_argument("--ablate", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("evaluation"))
    args = parser.parse_args()
    if (args.images is None) != (args.labels is None):
        parser.error("--images and --labels belong together")
    if (args.root is None) != (args.data == "scenes"):
        parser.error("--root and a --data other than scenes belong together")
    names = ("scales", "flip", "window", "stride", "base_size", "protocol")
    settings = {name: getattr(args, name) for name in names}

    model = keras.saving.load_model(args.model)
    examples = dataset(args)
    evaluation = keras_danet.evaluate(model, examples, **settings)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "evaluation.json").write_text(record(evaluation))
    draw(model, examples, settings, args.out / "examples.png")
    if args.ablate:
        keras_danet.ablate(model, examples, **settings)


if __name__ == "__main__":
    main()
