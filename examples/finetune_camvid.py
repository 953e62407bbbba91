"""Fine-tune on the real street scenes of CamVid from an ImageNet ResNet-50.

    python examples/finetune_camvid.py --data CAMVID --weights r50.weights.h5

CAMVID is a folder with images/SPLIT/NAME.jpg and labels/SPLIT/NAME.png, SPLIT being
train, val and test (the SegNet split: 367, 101 and 233 frames of 480x360, classes 0 to
10, 11 void). The weights are those of `keras.applications.ResNet50(include_top=False)`.

Run again with the same command, it goes on from the last whole epoch.
"""

import argparse
import json
import time
from pathlib import Path

import keras

import keras_danet
from keras_danet import data

MODELS = {"dfdam": keras_danet.DFDAM, "danet": keras_danet.DANet}


def build(name, weights):
    """The model, its backbone filled with the ImageNet weights."""
    backbone = keras.applications.ResNet50(weights=None, include_top=False)
    backbone.load_weights(weights)
    names = data.class_names("camvid")
    return MODELS[name](len(names), backbone, class_names=names)


def train(model, args):
    """Fits the model, one checkpoint an epoch under `args.out`."""
    frames = data.camvid(args.data, "train")
    steps = len(frames) // args.batch_size
    batches = data.prepare(
        frames,
        args.batch_size,
        crop_size=(360, 480),
        scale=(0.75, 2.0),
        training=True,
        seed=args.seed,
    )
    model.compile(
        keras_danet.SGD(
            keras_danet.poly_decay(args.learning_rate, steps * args.epochs),
            momentum=0.9,
            weight_decay=model.weight_decay,
        )
    )
    model.fit(
        batches,
        epochs=args.epochs,
        steps_per_epoch=steps,
        validation_data=data.prepare(data.camvid(args.data, "val"), 1),
        validation_freq=args.validation_freq,
        verbose=args.verbose,
        callbacks=[
            keras.callbacks.CSVLogger(str(args.out / "log.csv"), append=True),
            keras.callbacks.BackupAndRestore(str(args.out / "backup")),
        ],
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--model", choices=MODELS, default="dfdam")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=0.01)
    parser.add_argument("--validation-freq", type=int, default=4, metavar="EPOCHS")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/camvid"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(args.seed)

    model = build(args.model, args.weights)
    start = time.time()
    train(model, args)
    minutes = (time.time() - start) / 60
    model.save(args.out / f"{args.model}.keras")

    # Whole frames at the labels' own size, one at a time; void is not counted.
    metric = keras_danet.MeanIoU(model.num_classes)
    for image, label in data.prepare(data.camvid(args.data, "val"), 1):
        metric.update_state(label, model(image, training=False))
    for name, iou in zip(model.class_names, metric.per_class(), strict=True):
        print(f"{name:12s} {iou:.3f}")
    score = float(metric.result())
    print(f"val mIoU {score:.4f} at 480x360, single scale; {minutes:.0f} minutes")
    record = {**{k: str(v) for k, v in vars(args).items()}, "minutes": minutes}
    (args.out / "result.json").write_text(json.dumps({**record, "val_miou": score}))


if __name__ == "__main__":
    main()
