"""Numbers at places of a file, in TensorFlow operations, safe beyond its end."""

from typing import NamedTuple

import tensorflow as tf


class ByteReader(NamedTuple):
    """The bytes of one file; whatever lies beyond the end reads as zero.

    Attributes:
        data: uint8 (n + 1,), the bytes and a last zero.
        size: int64 scalar n.
    """

    data: tf.Tensor
    size: tf.Tensor

    @classmethod
    def of(cls, contents):
        """A reader of a scalar string."""
        data = tf.io.decode_raw(tf.strings.join([contents, "\0"]), tf.uint8)
        return cls(data, tf.size(data, tf.int64) - 1)

    def byte(self, position):
        """The byte at `position`, an int64 scalar or tensor of them, as int64."""
        position = tf.clip_by_value(tf.cast(position, tf.int64), 0, self.size)
        return tf.cast(tf.gather(self.data, position), tf.int64)

    def big(self, position, length):
        """An unsigned number of `length` bytes, the highest first."""
        return self._number(position, [256**i for i in reversed(range(length))])

    def little(self, position, length):
        """An unsigned number of `length` bytes, the lowest first."""
        return self._number(position, [256**i for i in range(length)])

    def _number(self, position, weights):
        position = tf.expand_dims(tf.cast(position, tf.int64), -1)
        positions = position + tf.range(len(weights), dtype=tf.int64)
        weights = tf.constant(weights, tf.int64)
        return tf.reduce_sum(self.byte(positions) * weights, axis=-1)

    def starts_with(self, text, position=0):
        """Whether the bytes of `text` stand at `position`."""
        found = self.byte(position + tf.range(len(text), dtype=tf.int64))
        return tf.reduce_all(found == tf.constant(list(text), tf.int64))

    def count(self, text):
        """How often the bytes of `text` stand anywhere in the file."""
        places = self.size + 1 - len(text)
        places = tf.maximum(places, 0)
        found = [self.data[i : places + i] == byte for i, byte in enumerate(text)]
        return tf.math.count_nonzero(tf.reduce_all(tf.stack(found), axis=0))
