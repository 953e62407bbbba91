"""What a frame costs in each row of the CamVid table, beside mmsegmentation's DANet.

    OMP_WAIT_POLICY=PASSIVE KERAS_BACKEND=tensorflow \\
        python examples/benchmarks/camvid_rows.py --output camvid_rows

times one prediction of one 360x480 frame, float32, by every row of
`examples/finetune_camvid.py` with an output stride of 16 (DF-DAM is undilated: 32) and
by mmsegmentation's DANet-50 (`mmseg_danet.py` says how to install it), which has 8, in
PyTorch eager; `danet` is timed with 8 too. Weights are random: no time depends on
them. All run in turn in one process; the figures are medians and ratios of process CPU
time. The table is printed and written to `camvid_rows.md`, the figures to
`camvid_rows.json`.
"""

import argparse
import functools
import sys
from pathlib import Path

import keras
from end_to_end import compiled, normalized_image
from measure import interleaved, machine, markdown, write_record
from mmseg_danet import eager, mmseg_danet

import keras_danet

sys.path.append(str(Path(__file__).parents[1]))
from finetune_camvid import FRAME, ROWS  # noqa: E402

REFERENCE = "mmsegmentation DANet-50, output stride 8"
CLASSES = 11


def models():
    """Name -> model of every row, at the strides that the table has."""
    rows = {}
    for name, (builder, settings) in ROWS.items():
        if builder is keras_danet.DANet:
            settings = {**settings, "output_stride": 16}
        rows[name] = build(builder, settings)
    rows["danet, output stride 8"] = build(keras_danet.DANet, {"output_stride": 8})
    return rows


def build(builder, settings):
    backbone = keras.applications.ResNet50(weights=None, include_top=False)
    return builder(CLASSES, backbone, **settings)


def compare(rounds):
    """One row per model: parameters, multiply-accumulates, its time and the ratio."""
    frame = normalized_image("x".join(map(str, FRAME)))
    rows = models()
    functions = {name: compiled(model) for name, model in rows.items()}
    functions[REFERENCE] = eager(mmseg_danet(CLASSES))
    functions = {n: functools.partial(f, frame) for n, f in functions.items()}
    times = interleaved(functions, rounds)
    costs = {name: keras_danet.profile(model, FRAME) for name, model in rows.items()}
    return [
        {
            "model": name,
            "parameters": costs[name].parameters if name in costs else "",
            "GMACs": costs[name].operations / 1e9 if name in costs else "",
            "CPU s": time["cpu"],
            "CPU / mmseg": time["cpu"] / times[REFERENCE]["cpu"],
        }
        for name, time in times.items()
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("camvid_rows"))
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    rows = compare(arguments.rounds)
    title = f"{keras.backend.backend()}, {machine()}, float32, 360x480"
    text = f"{title}\n\n{markdown(rows)}\n"
    print(text)
    write_record(arguments.output, text, {"machine": title, "rows": rows})


if __name__ == "__main__":
    main()
