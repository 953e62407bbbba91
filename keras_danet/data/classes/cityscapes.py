"""Cityscapes: labelIds of the official files -> 19 trainIds (cityscapesScripts).

The official `license plate` (-1) does not occur in label files.
"""

from keras_danet.data.classes.row import ClassRow as Row

CITYSCAPES = (
    Row("unlabeled", 0, 255, (0, 0, 0)),
    Row("ego vehicle", 1, 255, (0, 0, 0)),
    Row("rectification border", 2, 255, (0, 0, 0)),
    Row("out of roi", 3, 255, (0, 0, 0)),
    Row("static", 4, 255, (0, 0, 0)),
    Row("dynamic", 5, 255, (111, 74, 0)),
    Row("ground", 6, 255, (81, 0, 81)),
    Row("road", 7, 0, (128, 64, 128)),
    Row("sidewalk", 8, 1, (244, 35, 232)),
    Row("parking", 9, 255, (250, 170, 160)),
    Row("rail track", 10, 255, (230, 150, 140)),
    Row("building", 11, 2, (70, 70, 70)),
    Row("wall", 12, 3, (102, 102, 156)),
    Row("fence", 13, 4, (190, 153, 153)),
    Row("guard rail", 14, 255, (180, 165, 180)),
    Row("bridge", 15, 255, (150, 100, 100)),
    Row("tunnel", 16, 255, (150, 120, 90)),
    Row("pole", 17, 5, (153, 153, 153)),
    Row("polegroup", 18, 255, (153, 153, 153)),
    Row("traffic light", 19, 6, (250, 170, 30)),
    Row("traffic sign", 20, 7, (220, 220, 0)),
    Row("vegetation", 21, 8, (107, 142, 35)),
    Row("terrain", 22, 9, (152, 251, 152)),
    Row("sky", 23, 10, (70, 130, 180)),
    Row("person", 24, 11, (220, 20, 60)),
    Row("rider", 25, 12, (255, 0, 0)),
    Row("car", 26, 13, (0, 0, 142)),
    Row("truck", 27, 14, (0, 0, 70)),
    Row("bus", 28, 15, (0, 60, 100)),
    Row("caravan", 29, 255, (0, 0, 90)),
    Row("trailer", 30, 255, (0, 0, 110)),
    Row("train", 31, 16, (0, 80, 100)),
    Row("motorcycle", 32, 17, (0, 0, 230)),
    Row("bicycle", 33, 18, (119, 11, 32)),
)
