"""Convert a published PyTorch checkpoint of DANet, or of a ResNet, to a .keras file.

    python examples/convert_checkpoint.py DANet101.pth.tar danet101.keras
    python examples/convert_checkpoint.py danet_r50-d8_769x769_....pth OUT.keras \
        --align-corners --data cityscapes

Recognized: the official DANet, mmsegmentation's DANet, torchvision's and timm's
ResNet-18 to -152. --align-corners is for mmsegmentation's 769x769 checkpoints, whose
files do not say so. --data keeps the class names of a data set in the model. The file
loads on every backend with `keras.saving.load_model` after `import keras_danet`.
"""

import argparse
from pathlib import Path

import keras_danet
from keras_danet import data

SETS = ("cityscapes", "pascal_voc", "pascal_context", "coco_stuff")


def overrides(args):
    """What the command line says and the checkpoint does not."""
    found = {}
    if args.align_corners:
        found["align_corners"] = True
    if args.data is not None:
        found["class_names"] = data.class_names(args.data)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", type=Path, metavar="IN", help="the checkpoint")
    parser.add_argument("out", type=Path, metavar="OUT", help="a .keras file")
    parser.add_argument("--align-corners", action="store_true")
    parser.add_argument("--data", choices=SETS, help="whose class names to keep")
    args = parser.parse_args()
    if args.out.suffix != ".keras":
        parser.error(f"OUT must end in .keras. Received: {args.out}")
    model = keras_danet.from_checkpoint(args.source, **overrides(args))
    partial = args.out.with_suffix(".partial.keras")
    model.save(partial)
    partial.replace(args.out)
    kind = type(model).__name__
    print(f"{args.out}: {kind}, {model.count_params():,} parameters")


if __name__ == "__main__":
    main()
