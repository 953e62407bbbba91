"""PASCAL VOC 2012 (and SBD): 20 classes and background; 255 marks borders."""

from keras_danet.data.classes.row import ClassRow as Row

PASCAL_VOC = (
    Row("background", 0, 0, (0, 0, 0)),
    Row("aeroplane", 1, 1, (128, 0, 0)),
    Row("bicycle", 2, 2, (0, 128, 0)),
    Row("bird", 3, 3, (128, 128, 0)),
    Row("boat", 4, 4, (0, 0, 128)),
    Row("bottle", 5, 5, (128, 0, 128)),
    Row("bus", 6, 6, (0, 128, 128)),
    Row("car", 7, 7, (128, 128, 128)),
    Row("cat", 8, 8, (64, 0, 0)),
    Row("chair", 9, 9, (192, 0, 0)),
    Row("cow", 10, 10, (64, 128, 0)),
    Row("diningtable", 11, 11, (192, 128, 0)),
    Row("dog", 12, 12, (64, 0, 128)),
    Row("horse", 13, 13, (192, 0, 128)),
    Row("motorbike", 14, 14, (64, 128, 128)),
    Row("person", 15, 15, (192, 128, 128)),
    Row("pottedplant", 16, 16, (0, 64, 0)),
    Row("sheep", 17, 17, (128, 64, 0)),
    Row("sofa", 18, 18, (0, 192, 0)),
    Row("train", 19, 19, (128, 192, 0)),
    Row("tvmonitor", 20, 20, (0, 64, 128)),
)
