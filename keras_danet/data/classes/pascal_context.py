"""PASCAL-Context: the 59 frequent ones of its 459 labels, in the order of their ids.

Every other label, 0 included, is background: ignored with 59 classes, class 0 with 60.
There are no official colors; these are the VOC color map.
"""

from keras_danet.data.classes.row import ClassRow as Row

PASCAL_CONTEXT = (
    Row("background", 0, 255, (0, 0, 0)),
    Row("aeroplane", 2, 0, (128, 0, 0)),
    Row("bag", 9, 1, (0, 128, 0)),
    Row("bed", 18, 2, (128, 128, 0)),
    Row("bedclothes", 19, 3, (0, 0, 128)),
    Row("bench", 22, 4, (128, 0, 128)),
    Row("bicycle", 23, 5, (0, 128, 128)),
    Row("bird", 25, 6, (128, 128, 128)),
    Row("boat", 31, 7, (64, 0, 0)),
    Row("book", 33, 8, (192, 0, 0)),
    Row("bottle", 34, 9, (64, 128, 0)),
    Row("building", 44, 10, (192, 128, 0)),
    Row("bus", 45, 11, (64, 0, 128)),
    Row("cabinet", 46, 12, (192, 0, 128)),
    Row("car", 59, 13, (64, 128, 128)),
    Row("cat", 65, 14, (192, 128, 128)),
    Row("ceiling", 68, 15, (0, 64, 0)),
    Row("chair", 72, 16, (128, 64, 0)),
    Row("cloth", 80, 17, (0, 192, 0)),
    Row("computer", 85, 18, (128, 192, 0)),
    Row("cow", 98, 19, (0, 64, 128)),
    Row("cup", 104, 20, (128, 64, 128)),
    Row("curtain", 105, 21, (0, 192, 128)),
    Row("dog", 113, 22, (128, 192, 128)),
    Row("door", 115, 23, (64, 64, 0)),
    Row("fence", 144, 24, (192, 64, 0)),
    Row("floor", 158, 25, (64, 192, 0)),
    Row("flower", 159, 26, (192, 192, 0)),
    Row("food", 162, 27, (64, 64, 128)),
    Row("grass", 187, 28, (192, 64, 128)),
    Row("ground", 189, 29, (64, 192, 128)),
    Row("horse", 207, 30, (192, 192, 128)),
    Row("keyboard", 220, 31, (0, 0, 64)),
    Row("light", 232, 32, (128, 0, 64)),
    Row("motorbike", 258, 33, (0, 128, 64)),
    Row("mountain", 259, 34, (128, 128, 64)),
    Row("mouse", 260, 35, (0, 0, 192)),
    Row("person", 284, 36, (128, 0, 192)),
    Row("plate", 295, 37, (0, 128, 192)),
    Row("platform", 296, 38, (128, 128, 192)),
    Row("pottedplant", 308, 39, (64, 0, 64)),
    Row("road", 324, 40, (192, 0, 64)),
    Row("rock", 326, 41, (64, 128, 64)),
    Row("sheep", 347, 42, (192, 128, 64)),
    Row("shelves", 349, 43, (64, 0, 192)),
    Row("sidewalk", 354, 44, (192, 0, 192)),
    Row("sign", 355, 45, (64, 128, 192)),
    Row("sky", 360, 46, (192, 128, 192)),
    Row("snow", 366, 47, (0, 64, 64)),
    Row("sofa", 368, 48, (128, 64, 64)),
    Row("table", 397, 49, (0, 192, 64)),
    Row("track", 415, 50, (128, 192, 64)),
    Row("train", 416, 51, (0, 64, 192)),
    Row("tree", 420, 52, (128, 64, 192)),
    Row("truck", 424, 53, (0, 192, 192)),
    Row("tvmonitor", 427, 54, (128, 192, 192)),
    Row("wall", 440, 55, (64, 64, 64)),
    Row("water", 445, 56, (192, 64, 64)),
    Row("window", 454, 57, (64, 192, 64)),
    Row("wood", 458, 58, (192, 192, 64)),
)

PASCAL_CONTEXT_60 = tuple(
    row._replace(train_id=0 if row.source_id == 0 else row.train_id + 1)
    for row in PASCAL_CONTEXT
)
