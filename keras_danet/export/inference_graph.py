"""A model as the TensorFlow graph that converters read best."""

import keras
import tensorflow as tf

# Smaller weights (scales, shifts) become constants, which converters fold; larger ones
# would be copied by each of tf2onnx's passes, 18 GB for the 190 MB of a DANet-50.
_LARGE = 1024


class DilatedConvolution(keras.layers.Conv2D):
    """A dilated convolution of stride 1 as one operation.

    `tf.nn.convolution`, which Keras calls, rearranges the image into smaller ones and
    back again where sizes are unknown; a converter cannot undo that.
    """

    def convolution_op(self, inputs, kernel):
        padding = self.padding.upper()
        if padding == "SAME":
            # In numbers, for onnxruntime has no dilation with "SAME".
            around = [
                (rate * (size - 1) // 2, rate * (size - 1) - rate * (size - 1) // 2)
                for rate, size in zip(self.dilation_rate, self.kernel_size, strict=True)
            ]
            padding = [(0, 0), *around, (0, 0)]
        return tf.nn.conv2d(inputs, kernel, 1, padding, dilations=self.dilation_rate)


def inference_copy(model, dense_attention=False):
    """The main head's graph with weights of its own, in float32.

    Args:
        model: functional `keras.Model` of the TensorFlow backend.
        dense_attention: bool, whether every layer with a `block_size` gets None: no
            loop, and memory quadratic in the number of positions.

    Returns:
        A functional `keras.Model`.
    """
    graph = keras.Model(model.inputs[0], model.output)

    def copy(layer):
        config = {**layer.get_config(), "dtype": "float32"}
        if dense_attention and "block_size" in config:
            config["block_size"] = None
        kind = type(layer)
        if kind is keras.layers.Conv2D and max(layer.dilation_rate) > 1:
            kind = DilatedConvolution
        return kind.from_config(config)

    # Nested models are cloned too, the backbone being one.
    copied = keras.models.clone_model(graph, clone_function=copy, recursive=True)
    copied.set_weights(graph.get_weights())
    return copied


def attention_form(model):
    """How position attention is computed: "blocks", "dense", or None: there is none."""
    layers = [part for part in model._flatten_layers() if hasattr(part, "block_size")]
    if not layers:
        return None
    dense = all(layer.block_size is None for layer in layers)
    return "dense" if dense else "blocks"


def inference_function(model, large_weights_as_inputs=False):
    """The model as a function of images, its weights constants.

    Args:
        model: functional `keras.Model`, such as `inference_copy` gives.
        large_weights_as_inputs: bool, whether weights of many numbers are inputs, to
            be filled in after conversion.

    Returns:
        `(function, weights)`: a `tf.function` of `images` (and of the weights) to
        `{"logits": ...}`, its signature set, and a dict of input name -> array.
    """
    variables = model.trainable_variables + model.non_trainable_variables
    trainable = len(model.trainable_variables)
    values = [variable.numpy() for variable in variables]
    large = [
        index
        for index, value in enumerate(values)
        if large_weights_as_inputs and value.size > _LARGE
    ]
    weights = {f"weight_{index}": values[index] for index in large}
    images = tf.TensorSpec(model.inputs[0].shape, tf.float32, "images")
    specs = [tf.TensorSpec(w.shape, w.dtype, name) for name, w in weights.items()]

    def logits(images, *given):
        given = dict(zip(large, given, strict=True))
        arrays = [
            given[index] if index in given else tf.constant(value)
            for index, value in enumerate(values)
        ]
        result, _ = model.stateless_call(
            arrays[:trainable], arrays[trainable:], images, training=False
        )
        return {"logits": tf.identity(result)}

    return tf.function(logits, input_signature=[images, *specs]), weights
