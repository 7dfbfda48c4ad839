"""The networks of networks.py and transformer.py in Keras, channels last."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

layers = keras.layers


def _norm_relu(x: Any) -> Any:
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def keywords() -> Any:
    """DS-CNN: a convolution over a spectrogram, four depthwise separable ones, a dense layer."""
    x = entrance = keras.Input((49, 32, 1))
    x = layers.ZeroPadding2D((5, 1))(x)
    x = _norm_relu(layers.Conv2D(64, (10, 4), 2, use_bias=False, name="first")(x))
    for _ in range(4):
        x = _norm_relu(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x))
        x = _norm_relu(layers.Conv2D(64, 1, use_bias=False)(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(entrance, layers.Dense(10, name="last")(x))


def keywords_gru() -> Any:
    """A GRU over the frames of a spectrogram, the mean of its outputs, a dense layer."""
    entrance = keras.Input((49, 32, 1))
    x = layers.GRU(64, return_sequences=True, name="cells")(layers.Reshape((49, 32))(entrance))
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(entrance, layers.Dense(10, name="last")(x))


def motions() -> Any:
    """Three Conv1D layers and a dense layer, for 128 samples of an accelerometer."""
    x = entrance = keras.Input((128, 3))
    x = _norm_relu(layers.Conv1D(24, 7, padding="same", use_bias=False, name="first")(x))
    x = _norm_relu(layers.Conv1D(48, 5, 2, padding="same", use_bias=False)(x))
    x = _norm_relu(layers.Conv1D(48, 3, 2, padding="same", use_bias=False)(x))
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(entrance, layers.Dense(4, name="last")(x))


def resnet8() -> Any:
    """The image classifier of MLPerf Tiny."""
    x = entrance = keras.Input((32, 32, 3))
    x = _norm_relu(layers.Conv2D(16, 3, padding="same", use_bias=False, name="first")(x))
    for size, strides in ((16, 1), (32, 2), (64, 2)):
        y = layers.Conv2D(size, 3, strides, "same", use_bias=False)(x)
        y = layers.Conv2D(size, 3, padding="same", use_bias=False)(_norm_relu(y))
        y = layers.BatchNormalization(momentum=0.9)(y)
        if strides != 1:
            x = layers.Conv2D(size, 1, strides, name=f"shortcut{size}")(x)
        x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(entrance, layers.Dense(10, name="last")(x))


@keras.saving.register_keras_serializable(package="ternc.examples")
class Places(keras.layers.Layer):  # type: ignore[misc, unused-ignore]
    """Adds what is learned of each token's place."""

    def build(self, shape: Any) -> None:
        self.places = self.add_weight(
            name="places", shape=shape[1:], initializer=keras.initializers.RandomNormal(0.0, 0.02))

    def call(self, x: Any) -> Any:
        return x + self.places


def transformer(size: int = 64, heads: int = 4, depth: int = 4) -> Any:
    """Patches of an image as tokens, blocks of attention and two dense layers, a dense layer."""
    entrance = keras.Input((28, 28, 1))
    x = layers.Reshape((49, size))(layers.Conv2D(size, 4, 4, name="first")(entrance))
    x = Places()(x)
    for _ in range(depth):
        y = layers.Dense(3 * size)(layers.LayerNormalization(epsilon=1e-5)(x))
        y = ops.transpose(layers.Reshape((49, 3, heads, size // heads))(y), (2, 0, 3, 1, 4))
        queries, keys, values = y[0], y[1], y[2]
        scores = ops.matmul(queries, ops.transpose(keys, (0, 1, 3, 2))) * (size // heads) ** -0.5
        mixed = ops.transpose(ops.matmul(ops.softmax(scores), values), (0, 2, 1, 3))
        x = layers.Add()([x, layers.Dense(size)(layers.Reshape((49, size))(mixed))])
        y = layers.Dense(2 * size, "gelu")(layers.LayerNormalization(epsilon=1e-5)(x))
        x = layers.Add()([x, layers.Dense(size)(y)])
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization(epsilon=1e-5)(x))
    return keras.Model(entrance, layers.Dense(10, name="last")(x))
