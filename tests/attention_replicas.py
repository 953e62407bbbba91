"""Print how far two replicas' attention gradients are from one device's, as JSON."""

import json

import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2
)

from keras_danet.layers.position_attention import position_attention


def gradient(x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        result = tf.reduce_sum(tf.square(position_attention(x, x, x, 10)))
    return tape.gradient(result, x)


def main():
    images = np.random.default_rng(0).normal(size=(4, 37, 5)).astype("float32")
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    halves = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(
            np.split(images, 2)[context.replica_id_in_sync_group]
        )
    )
    step = tf.function(lambda x: strategy.run(gradient, args=(x,)))
    replicas = np.concatenate(strategy.experimental_local_results(step(halves)))
    one = gradient(tf.constant(images)).numpy()
    difference = np.abs(replicas - one).max() / np.abs(one).max()
    print(json.dumps({"largest difference": float(difference)}))


if __name__ == "__main__":
    main()
