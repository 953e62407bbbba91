"""The doctor: is this data set fit to train on, and if not, what would mend it?

    python examples/check_dataset.py --images DIR --labels DIR --num-classes 19

Reads every pair once, prints the findings with the files they were found in, the
proposed mapping, the class frequencies and suggested class weights, and writes a
contact sheet. Ends with status 1 where something stands in the way of training.

    python examples/check_dataset.py --camvid DIR --split train

checks CamVid as `keras_danet.data.camvid` reads it.
"""

import argparse
import sys

from keras_danet import data


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", help="folder of pictures")
    parser.add_argument("--labels", help="folder of label maps of the same names")
    parser.add_argument("--num-classes", type=int)
    parser.add_argument("--class-names", nargs="+", help="one for each class id")
    parser.add_argument("--camvid", help="folder of CamVid, instead of the above")
    parser.add_argument("--split", default="train")
    parser.add_argument("--sheet", default="contact_sheet.png")
    arguments = parser.parse_args()
    if arguments.camvid:
        dataset = data.camvid(arguments.camvid, arguments.split)
        class_names = data.class_names("camvid")
    elif arguments.images and arguments.labels and arguments.num_classes:
        dataset = arguments.images, arguments.labels
        class_names = arguments.class_names
    else:
        parser.error("pass --images, --labels and --num-classes, or --camvid")
    num_classes = arguments.num_classes or len(class_names)
    report = data.check(dataset, num_classes, class_names=class_names)
    print(report)
    if report.samples:
        report.contact_sheet(arguments.sheet)
        print(f"\nContact sheet: {arguments.sheet}")
    sys.exit(0 if report.ok else 1)


if __name__ == "__main__":
    main()
