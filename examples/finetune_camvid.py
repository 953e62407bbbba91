"""Fine-tune on the real street scenes of CamVid from an ImageNet ResNet-50.

    python examples/finetune_camvid.py --data CAMVID --weights r50.weights.h5

CAMVID is a folder with images/SPLIT/NAME.jpg and labels/SPLIT/NAME.png, SPLIT being
train, val and test (the SegNet split: 367, 101 and 233 frames of 480x360, classes 0 to
10, 11 void). The weights are those of `keras.applications.ResNet50(include_top=False)`.

Run again with the same command, it goes on from the last whole epoch.

Measured on 2026-11-20, DF-DAM-50, `--epochs 14`: 0.6546 val mIoU (101 frames, 480x360,
single scale, void not counted), in two sittings (stopped in epoch 7, started again) of
together 95 minutes on 2 cores of a virtual machine (AMD EPYC) that other work shared;
about 73 minutes of processor time of one core. TensorFlow 2.21, Keras 3.15.1.
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


def train(args):
    """Fits the model, one checkpoint an epoch; goes on from the last one, if any."""
    frames = data.camvid(args.data, "train")
    steps = len(frames) // args.batch_size
    checkpoint = args.out / "last.keras"
    if checkpoint.exists():
        model = keras.saving.load_model(checkpoint)
        done = int(model.optimizer.iterations)
    else:
        model = build(args.model, args.weights)
        schedule = keras_danet.poly_decay(args.learning_rate, steps * args.epochs)
        model.compile(
            keras_danet.SGD(schedule, momentum=0.9, weight_decay=model.weight_decay)
        )
        done = 0
    batches = data.prepare(
        frames,
        args.batch_size,
        crop_size=(360, 480),
        scale=(0.75, 2.0),
        training=True,
        seed=args.seed,
        start_step=done,
    )
    model.fit(
        batches,
        epochs=args.epochs,
        initial_epoch=done // steps,
        steps_per_epoch=steps,
        verbose=args.verbose,
        callbacks=[
            keras.callbacks.CSVLogger(str(args.out / "log.csv"), append=True),
            keras.callbacks.ModelCheckpoint(str(checkpoint)),
        ],
    )
    return model


def evaluate(model, frames):
    """mIoU of whole frames at the labels' own size, one at a time; void not counted."""
    metric = keras_danet.MeanIoU(model.num_classes)
    for image, label in data.prepare(frames, 1):
        metric.update_state(label, model(image, training=False))
    for name, iou in zip(model.class_names, metric.per_class(), strict=True):
        print(f"{name:12s} {iou:.3f}")
    return float(metric.result())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--model", choices=MODELS, default="dfdam")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/camvid"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(args.seed)

    start = time.time()
    model = train(args)
    minutes = (time.time() - start) / 60
    score = evaluate(model, data.camvid(args.data, "val"))
    print(f"val mIoU {score:.4f} at 480x360, single scale; {minutes:.0f} minutes")
    record = {**{k: str(v) for k, v in vars(args).items()}, "minutes": minutes}
    (args.out / "result.json").write_text(json.dumps({**record, "val_miou": score}))


if __name__ == "__main__":
    main()
