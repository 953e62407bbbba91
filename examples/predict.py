"""Segment pictures, folders of them, or videos with a trained model.

    python examples/predict.py IMAGE... --model model.keras --out predictions

IMAGE is a picture, a folder (its pictures in the order of their names, so that the
frames of a video come out in sequence) or a video file, which needs
`pip install opencv-python-headless`. For a picture NAME the output folder gets

- NAME_labels.png, the class ids, with the classes' colors as palette,
- NAME_overlay.png, the colors over the picture, with a legend.

A picture that cannot be used does not stop the others; all of them are listed at the
end, and the exit status is 1.
"""

import argparse
import sys
from pathlib import Path

import keras
import numpy as np
from PIL import Image

import keras_danet
from keras_danet import visualization
from keras_danet.images import SUFFIXES, as_image

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm")


def pictures(path):
    """(name, path or array) of every picture that `path` stands for."""
    if path.is_dir():
        found = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES]
        if not found:
            raise ValueError(f"{path} holds no pictures ({', '.join(SUFFIXES)}).")
        for picture in found:
            yield picture.relative_to(path).with_suffix(""), picture
    elif path.suffix.lower() in VIDEOS:
        for number, frame in enumerate(frames(path)):
            yield Path(f"{path.stem}_{number:06d}"), frame
    else:
        yield Path(path.stem), path


def frames(path):
    """The frames of a video, RGB, one after another."""
    try:
        import cv2
    except ImportError as error:
        raise ValueError(
            f"{path} is a video; run `pip install opencv-python-headless` to read it."
        ) from error
    video, count = cv2.VideoCapture(str(path)), 0
    while (read := video.read())[0]:
        yield read[1][..., ::-1]
        count += 1
    if count == 0:
        raise ValueError(f"No frame of {path} can be read: damaged or no video.")


def predict(model, name, source, args):
    """Writes the labels and the overlay of one picture; the result's labels."""
    image = as_image(source)
    settings = {"scales": args.scales, "flip": args.flip, "window": args.window}
    result = keras_danet.segment(model, image, protocol=args.protocol, **settings)
    target = args.out / name
    target.parent.mkdir(parents=True, exist_ok=True)
    labels = Image.fromarray(result.labels)
    if result.labels.dtype == np.uint8:
        labels.putpalette(visualization.palette(model).ravel().tolist())
    labels.save(target.with_name(f"{name.name}_labels.png"))
    overlay = target.with_name(f"{name.name}_overlay.png")
    visualization.overlay(image, result.labels, model, path=overlay)
    return result.labels


def shares(labels, class_names):
    """The three largest classes of a label map, in words."""
    counts = np.bincount(labels.ravel())
    names = class_names or [f"class {i}" for i in range(len(counts))]
    largest = [i for i in counts.argsort()[::-1][:3] if counts[i]]
    return ", ".join(f"{names[i]} {counts[i] / labels.size:.0%}" for i in largest)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    parser.add_argument("--model", type=Path, required=True, help="a .keras file")
    parser.add_argument("--out", type=Path, default=Path("predictions"))
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0])
    parser.add_argument("--flip", action="store_true")
    parser.add_argument("--window", type=int, help="pixels; default: the whole image")
    parser.add_argument("--protocol", choices=["mmseg", "official"], default="mmseg")
    args = parser.parse_args()
    model = keras.saving.load_model(args.model)

    failed, done = [], set()
    for path in args.images:
        try:
            for name, source in pictures(path):
                while name in done:  # of another folder, or with another suffix
                    name = name.with_name(f"{name.name}_")
                done.add(name)
                try:
                    labels = predict(model, name, source, args)
                except ValueError as error:
                    failed.append(error)
                    continue
                print(f"{name}: {shares(labels, getattr(model, 'class_names', None))}")
        except ValueError as error:
            failed.append(error)
    print(f"{len(done)} pictures, {len(failed)} failures; results in {args.out}")
    for error in failed:
        print(f"  {error}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
