"""The synthetic street scenes."""

from keras_danet.data.classes.row import ClassRow as Row

SKY, BUILDING, ROAD, PAVEMENT, TREE, CAR, PERSON, POLE, SIGN = range(9)

SCENES = (
    Row("sky", SKY, SKY, (70, 130, 180)),
    Row("building", BUILDING, BUILDING, (70, 70, 70)),
    Row("road", ROAD, ROAD, (128, 64, 128)),
    Row("pavement", PAVEMENT, PAVEMENT, (244, 35, 232)),
    Row("tree", TREE, TREE, (107, 142, 35)),
    Row("car", CAR, CAR, (0, 0, 142)),
    Row("person", PERSON, PERSON, (220, 20, 60)),
    Row("pole", POLE, POLE, (153, 153, 153)),
    Row("sign", SIGN, SIGN, (220, 220, 0)),
)
