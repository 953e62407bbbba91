"""Show what the attention modules of a trained model see in a picture.

    python examples/explain.py IMAGE --model model.keras --points 90,40 60,150

Points are ROW,COLUMN in pixels from the top left, for a DANet alone. The figure has,
for a DANet, where each point looks, some channels after the channel attention and the
learned gammas; for a DF-DAM the channel weights of both stages and the confidence map.
"""

import argparse
from pathlib import Path

import keras

import keras_danet


def point(text):
    row, column = text.split(",")
    return int(row), int(column)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("image", type=Path)
    parser.add_argument("--model", type=Path, required=True, help="a .keras file")
    parser.add_argument("--points", type=point, nargs="+", metavar="ROW,COLUMN")
    parser.add_argument("--channels", type=int, default=3, help="how many to show")
    parser.add_argument("--out", type=Path, default=Path("attention.png"))
    args = parser.parse_args()

    model = keras.saving.load_model(args.model)
    seen = keras_danet.explain(model, args.image, args.points, channels=args.channels)
    seen.plot(args.out)
    for name, gamma in seen.gammas.items():
        print(f"{name}: gamma {gamma:.4g}")
    print(f"Wrote {args.out}")


if __name__ == "__main__":
    main()
