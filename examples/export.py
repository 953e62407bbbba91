"""Export a trained model for serving.

    python examples/export.py --model model.keras --out models/street/1
    python examples/export.py --model model.keras --out street.onnx --format onnx

A SavedModel goes to a folder; TensorFlow Serving looks for one named by a version
number (`examples/serving/README.md` goes on from there). ONNX, OpenVINO (.xml) and
LiteRT (.tflite) go to a file. Each is loaded again and compared with the model.
"""

import argparse
from pathlib import Path

import keras

import keras_danet
from keras_danet.images import SUFFIXES


def images_in(folder, count):
    """The first pictures of a folder, spread over it."""
    found = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in SUFFIXES]
    return found[:: max(1, len(found) // count)][:count]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, required=True, help="a .keras file")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--format", default="saved_model")
    parser.add_argument("--default-signature", default="image_bytes")
    parser.add_argument("--max-pixels", type=int, default=2**22)
    parser.add_argument("--precision", default="float32", help="of LiteRT")
    parser.add_argument(
        "--calibration", type=Path, help="a folder of pictures for int8"
    )
    parser.add_argument("--overwrite", action="store_true")
    args = parser.parse_args()

    model = keras.saving.load_model(args.model, compile=False)
    images = None if args.calibration is None else images_in(args.calibration, 100)
    report = keras_danet.export_model(
        model,
        args.out,
        args.format,
        default_signature=args.default_signature,
        max_pixels=args.max_pixels,
        precision=args.precision,
        calibration_images=images,
        overwrite=args.overwrite,
    )
    for name, value in report.items():
        print(f"{name.replace('_', ' ')}: {value}")
    print(f"Wrote {args.out}")


if __name__ == "__main__":
    main()
