"""One row of the CamVid table: fine-tune an ImageNet ResNet-50, score the test set.

    python examples/finetune_camvid.py --row dfdam --data CAMVID \
        --weights r50.weights.h5

CAMVID is a folder with images/SPLIT/NAME.jpg and labels/SPLIT/NAME.png, SPLIT being
train, val and test (the SegNet split: 367, 101 and 233 frames of 480x360, classes 0 to
10, 11 void). The weights are those of `keras.applications.ResNet50(include_top=False)`.
The rows are both models and their ablations:

    dfdam        DAFM and 2DPAM              danet           PAM and CAM
    dfdam_dafm   DAFM, a sum for 2DPAM       danet_position  PAM alone
    dfdam_sum    sums in place of both       danet_channel   CAM alone
                                             danet_none      a dilated FCN

Killed at any moment and started again with the same command, it goes on from the last
whole epoch. The output folder gets the last snapshot, log.csv, curves.png and
result.json: mIoU of whole frames at their own size, void not counted, of val and of
test, the latter with several scales and flip too where `--scales` says so, parameters,
multiply-accumulates, minutes and hardware.

`--cycles` trains all epochs so often, the learning rate starting anew each time.

Measured on 2026-11-20 and 21, one run each, 2 cores of an AMD EPYC virtual machine,
TensorFlow 2.21, Keras 3.15.1, all with `--mixed-precision --frozen-stages 1`:

    dfdam, 3 cycles of 14 epochs, 56 minutes: val 0.721, test 0.660, scales 1 and 1.5
        and flip 0.684 (another run: after one cycle 0.688, 0.638 and 0.661, after two
        0.710, 0.650 and 0.677)
    danet, `--output-stride 16`, 26 epochs, 69 minutes: val 0.699, test 0.622, scales
        1 and 1.5 and flip 0.656
    danet, `--output-stride 16 --crop-size 240 320 --batch-size 8`, 27 epochs, 59
        minutes: val 0.663, test 0.595, scales 1 and 1.5 and flip 0.631
    the same for 9 epochs: danet val 0.626, test 0.558; danet_position 0.606, 0.549;
        danet_channel 0.605, 0.547; danet_none 0.610, 0.553
    dfdam of such crops for 9 epochs, in float32: val 0.635, test 0.582; dfdam_sum
        0.640, 0.581; dfdam_dafm, in bfloat16: 0.634, 0.581

On a processor without bfloat16 instructions `--mixed-precision` is four times slower
than float32, which there wants `TF_ENABLE_ONEDNN_OPTS=1` in the environment.

The class weights matter most where training is short: two epochs of dfdam (`--epochs 2
--batch-size 8 --crop-size 240 320 --frames 40`) gave 0.57 on 40 frames of val, and 0.36
with `--class-weights none --head-multiplier 1`. The head multiplier is a matter of the
classifiers' channels: 9 epochs of DANet with 5 stayed at val 0.598, test 0.546.
"""

import argparse
import csv
import json
import os
import platform
import time
from pathlib import Path

import keras

import keras_danet
from keras_danet import data, visualization

# row: (builder, what differs from the paper's model)
ROWS = {
    "dfdam": (keras_danet.DFDAM, {}),
    "dfdam_dafm": (keras_danet.DFDAM, {"spatial": "sum"}),
    "dfdam_sum": (keras_danet.DFDAM, {"context": "sum", "spatial": "sum"}),
    "danet": (keras_danet.DANet, {}),
    "danet_position": (keras_danet.DANet, {"attention": "position"}),
    "danet_channel": (keras_danet.DANet, {"attention": "channel"}),
    "danet_none": (keras_danet.DANet, {"attention": None}),
}
# The head's learning rate by the backbone's: classifiers of 64 channels want more, with
# DANet's 512 the loss of the fused one overshoots in the first epochs.
HEAD_MULTIPLIERS = {keras_danet.DFDAM: 5.0, keras_danet.DANet: 1.0}
FRAME = (360, 480)
WEIGHTS = ("none", "enet", "median_frequency")


@keras.saving.register_keras_serializable("finetune_camvid")
class Restarts(keras.optimizers.schedules.LearningRateSchedule):
    """The recipe's polynomial decay, anew after every so many steps."""

    def __init__(self, learning_rate, steps):
        self.learning_rate = learning_rate
        self.steps = steps
        self.decay = keras_danet.poly_decay(learning_rate, steps)

    def __call__(self, step):
        return self.decay(keras.ops.mod(step, self.steps))

    def get_config(self):
        return {"learning_rate": self.learning_rate, "steps": self.steps}


class Minutes(keras.callbacks.Callback):
    """The minutes that each epoch took, among its logs."""

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.time()

    def on_epoch_end(self, epoch, logs=None):
        logs["minutes"] = round((time.time() - self.start) / 60, 3)


def build(args):
    """The row's model, its backbone filled with the ImageNet weights."""
    backbone = keras.applications.ResNet50(weights=None, include_top=False)
    backbone.load_weights(args.weights)
    names = data.class_names("camvid")
    model, settings = ROWS[args.row]
    if args.output_stride is not None:
        settings = {**settings, "output_stride": args.output_stride}
    return model(len(names), backbone, class_names=names, **settings)


def freeze(backbone, stages):
    """Holds the stem and the first stages still, their batch statistics too."""
    held = tuple(f"conv{stage + 1}_" for stage in range(stages + 1)) if stages else ()
    for layer in backbone.layers:
        layer.trainable = not layer.name.startswith(held)


def loss(frames, args):
    """Cross-entropy; class weights make up for poles and signs of a few pixels."""
    weights = None
    if args.class_weights != "none":
        names = data.class_names("camvid")
        weights = data.class_weights(frames, len(names), args.class_weights)
    return keras_danet.CrossEntropy(class_weights=weights)


def train(args):
    """The fitted model; goes on from the last snapshot, if there is one."""
    frames = data.camvid(args.data, "train")
    steps = args.steps_per_epoch or len(frames) // args.batch_size
    snapshots = keras_danet.Snapshots(args.out)
    log = args.out / "log.csv"
    snapshots.trim_log(log)
    model = build(args)
    freeze(model.backbone, args.frozen_stages)
    optimizer = keras_danet.SGD(
        Restarts(args.learning_rate, steps * args.epochs),
        momentum=0.9,
        weight_decay=model.weight_decay,
        head_multiplier=args.head_multiplier,
    )
    model.compile(optimizer, loss=loss(frames, args))
    batches = data.prepare(
        frames,
        args.batch_size,
        crop_size=tuple(args.crop_size),
        scale=(0.75, 2.0),
        training=True,
        seed=args.seed,
        start_step=snapshots.step,
    )
    model.fit(
        batches,
        epochs=args.epochs * args.cycles,
        initial_epoch=snapshots.epoch,
        steps_per_epoch=steps,
        verbose=args.verbose,
        callbacks=[Minutes(), keras.callbacks.CSVLogger(log, append=True), snapshots],
    )
    visualization.training_curves(log, args.out / "curves.png")
    return model


def in_float32(model, args):
    """The trained model as it is scored and kept: no stage frozen, not compiled.

    Compiled, it would load only where this script's learning rate schedule is known.
    """
    keras.config.set_dtype_policy("float32")
    trained, model = model, build(args)
    model.set_weights(trained.get_weights())
    model.save(args.out / "model.keras")
    return model


def score(model, args):
    """mIoU of whole frames, per protocol."""
    scores = {}
    for split in args.splits:
        frames = data.camvid(args.data, split).take(args.frames or -1)
        scores[f"{split} mIoU"] = keras_danet.evaluate(model, frames).mean_iou
        if args.scales and split == "test":
            several = keras_danet.evaluate(model, frames, scales=args.scales, flip=True)
            scores[f"test mIoU, scales {args.scales} and flip"] = several.mean_iou
    return scores


def hardware():
    """What trained, in words."""
    return (
        f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}; "
        f"{keras.backend.backend()}, Keras {keras.__version__}"
    )


def report(model, args):
    """Writes result.json: the scores, beside what they cost."""
    with open(args.out / "log.csv", newline="") as file:
        minutes = [float(row["minutes"]) for row in csv.DictReader(file)]
    cost = keras_danet.profile(model, FRAME)
    result = {
        **score(model, args),
        "parameters": cost.parameters,
        "multiply-accumulates at 360x480": cost.operations,
        "training minutes": round(sum(minutes), 1),
        "hardware": hardware(),
        "settings": {name: str(value) for name, value in vars(args).items()},
    }
    (args.out / "result.json").write_text(json.dumps(result, indent=1))
    print(json.dumps(result, indent=1))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--row", choices=ROWS, default="dfdam")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=14, help="of a cycle")
    parser.add_argument("--cycles", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--crop-size", type=int, nargs=2, default=FRAME)
    parser.add_argument("--output-stride", type=int, choices=(8, 16), help="of a DANet")
    parser.add_argument("--learning-rate", type=float, default=0.01)
    parser.add_argument(
        "--head-multiplier", type=float, help="default: DF-DAM 5, DANet 1"
    )
    parser.add_argument("--frozen-stages", type=int, choices=range(4), default=0)
    parser.add_argument("--class-weights", choices=WEIGHTS, default="enet")
    parser.add_argument(
        "--mixed-precision", action="store_true", help="bfloat16 (GPUs, newer CPUs)"
    )
    parser.add_argument("--steps-per-epoch", type=int, help="default: all frames once")
    parser.add_argument("--splits", nargs="+", default=("val", "test"))
    parser.add_argument("--scales", type=float, nargs="+", help="a second test score")
    parser.add_argument("--frames", type=int, help="score so many frames only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", type=int, default=1)
    parser.add_argument("--out", type=Path, help="default: runs/camvid_ROW")
    args = parser.parse_args()
    args.out = args.out or Path("runs") / f"camvid_{args.row}"
    if args.head_multiplier is None:
        args.head_multiplier = HEAD_MULTIPLIERS[ROWS[args.row][0]]
    return args


def main():
    args = parse()
    args.out.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(args.seed)
    if args.mixed_precision:
        keras.config.set_dtype_policy("mixed_bfloat16")
    report(in_float32(train(args), args), args)


if __name__ == "__main__":
    main()
