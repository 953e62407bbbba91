"""Batch normalization as the published weights were trained with."""

import keras
from keras import ops

from keras_danet.layers.fused_normalization import can_fuse, fused_normalization
from keras_danet.replicas import replica_count, sum_across_replicas


@keras.saving.register_keras_serializable(package="keras_danet")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalization with the reference's running variance and sync.

    Use it in place of `keras.layers.BatchNormalization` in a segmentation network
    that is trained on several GPUs with few images each.

    Differs from Keras's layer in three points:

    - `momentum` is 0.9 and `epsilon` 1e-5 (PyTorch's 0.1 and 1e-5).
    - the moving variance follows the unbiased batch variance, `N / (N - 1)` times the
      one that normalizes, `N` being the values per channel, as PyTorch keeps it.
      (A mask in the call, which no model here has, leaves it Keras's biased one.)
    - statistics are taken over all replicas when the layer is created, or loaded,
      inside a `tf.distribute` strategy of more than one. That is never written to the
      config, so that the file loads on JAX, PyTorch and one device.

    Args:
        momentum: float, weight of the old moving statistics.
        epsilon: float added to the variance.
        **kwargs: those of `keras.layers.BatchNormalization` but `synchronized` and
            `renorm`.

    Call arguments:
        inputs: (..., C).
        training: bool; True normalizes by the batch, unless the layer is frozen.

    Returns:
        A tensor of the inputs' shape.

    Example:

    >>> layer = keras_danet.layers.BatchNormalization()
    >>> layer(keras.random.normal((2, 8, 8, 3)), training=True).shape
    (2, 8, 8, 3)

    Reference: DANet, section 4.1 (synchronized batch normalization).
    """

    def __init__(self, momentum=0.9, epsilon=1e-5, **kwargs):
        kwargs.pop("synchronized", None)
        super().__init__(
            momentum=momentum,
            epsilon=epsilon,
            synchronized=replica_count() > 1,
            **kwargs,
        )
        if self.renorm:
            raise ValueError(
                "`renorm` is not supported here; use "
                "`keras.layers.BatchNormalization`. Received: renorm=True"
            )

    def call(self, inputs, training=None, mask=None):
        if not (training and self.trainable) or mask is not None:
            return super().call(inputs, training=training, mask=mask)
        affine = self.center and self.scale
        if affine and not self.synchronized and can_fuse(inputs, self.axis):
            return self._fused(inputs)
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        inputs = ops.cast(inputs, dtype)
        mean, variance = ops.moments(
            inputs, axes=self._reduction_axes, synchronized=self.synchronized
        )
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance * self._unbiased(inputs))
        outputs = ops.batch_normalization(
            inputs,
            mean=mean,
            variance=variance,
            axis=self.axis,
            offset=ops.cast(self.beta, dtype) if self.center else None,
            scale=ops.cast(self.gamma, dtype) if self.scale else None,
            epsilon=self.epsilon,
        )
        return ops.cast(outputs, self.compute_dtype)

    def _fused(self, inputs):
        outputs, mean, variance = fused_normalization(
            inputs, self.gamma, self.beta, self.epsilon
        )
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance)
        return ops.cast(outputs, self.compute_dtype)

    def _unbiased(self, inputs):
        """N / (N - 1), N the values per channel over all replicas."""
        shape = ops.shape(inputs)
        count = 1
        for axis in self._reduction_axes:
            count = count * shape[axis]
        count = ops.cast(count, inputs.dtype)
        if self.synchronized:
            count = sum_across_replicas(count)
        return count / ops.maximum(count - 1, 1)

    def _move(self, variable, value):
        old = ops.cast(variable, value.dtype)
        variable.assign(old * self.momentum + value * (1 - self.momentum))

    def get_config(self):
        config = super().get_config()
        for absent in ("synchronized", "renorm", "renorm_clipping", "renorm_momentum"):
            config.pop(absent, None)
        return config
