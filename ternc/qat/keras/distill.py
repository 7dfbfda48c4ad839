"""The distillation loss, for fine-tuning a pretrained network."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def distill(
    student: Any, teacher: Any, labels: Any = None, *, temperature: float = 2.0,
    weight: float = 0.5, from_logits: bool = True,
) -> Any:
    """Weight · T² · KL(softmax(teacher/T) ‖ softmax(student/T)) + (1 - weight) · cross entropy.

    As in Hinton, Vinyals and Dean (2015); without labels the first term alone, with weight 1.

    Args:
        student: outputs of the ternary network, classes along the last axis.
        teacher: outputs of the float network; no gradient goes there.
        labels: classes as integers, or one-hot in the student's shape.
        temperature: T; higher weighs the small probabilities more.
        weight: the teacher's part.
        from_logits: False where both networks end in a softmax.

    Returns:
        The mean over the samples.

    Raises:
        ValueError: The shapes differ, the temperature is not above 0, or weight is not in [0, 1].
        TypeError: A network is given instead of its outputs.
    """
    for name, value in (("student", student), ("teacher", teacher)):
        if isinstance(value, keras.layers.Layer):
            raise TypeError(
                f"{name} is a {type(value).__name__}: the network's outputs are expected")
    _check(temperature, weight)
    if tuple(student.shape) != tuple(teacher.shape):
        raise ValueError(
            f"the student's outputs are {tuple(student.shape)}, "
            f"the teacher's {tuple(teacher.shape)}")
    # in float32: half precision loses the small probabilities that this is about
    given = ops.stop_gradient(_logits(teacher, from_logits))
    logits = _logits(student, from_logits)
    soft = ops.log_softmax(logits / temperature, axis=-1)
    target = ops.log_softmax(given / temperature, axis=-1)
    divergence = ops.mean(ops.sum(ops.exp(target) * (target - soft), axis=-1)) * temperature**2
    if labels is None:
        return divergence
    if len(labels.shape) == len(student.shape) and labels.shape[-1] == student.shape[-1]:
        entropy = ops.categorical_crossentropy(labels, logits, from_logits=True)
    else:
        entropy = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    return weight * divergence + (1 - weight) * ops.mean(entropy)


def _logits(outputs: Any, from_logits: bool) -> Any:
    outputs = ops.cast(outputs, "float32")
    return outputs if from_logits else ops.log(ops.maximum(outputs, keras.config.epsilon()))


def _check(temperature: float, weight: float) -> None:
    if not temperature > 0 or not 0 <= weight <= 1:
        raise ValueError(
            f"temperature={temperature} and weight={weight}: above 0, and from 0 to 1, expected")


class _Beside:
    """Holds a model without Keras counting its weights among its holder's."""

    def __init__(self, model: Any) -> None:
        self.model = model


class Distiller(keras.Model):  # type: ignore[misc, unused-ignore]
    """Trains `student` with the loss of `distill` against what `teacher` answers.

        trainer = Distiller(student, teacher)
        trainer.compile("adam", metrics=["accuracy"])
        trainer.fit(x, y)                               # afterwards `student` is trained

    Only the student's weights are trained, and only they are this model's.
    """

    def __init__(
        self, student: Any, teacher: Any, *, temperature: float = 2.0, weight: float = 0.5,
        from_logits: bool = True, **kwargs: Any,
    ) -> None:
        """Takes both networks; the other arguments are those of `distill`."""
        super().__init__(**kwargs)
        _check(temperature, weight)
        self.student = student
        self._teacher = _Beside(teacher)
        self.options: dict[str, Any] = {
            "temperature": temperature, "weight": weight, "from_logits": from_logits}

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.student(inputs, training=training)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The loss of `distill`, and what regularizers of the student add.

        Raises:
            ValueError: There are sample weights, which this loss does not have.
        """
        if sample_weight is not None:
            raise ValueError("distillation has no sample weights")
        answer = self._teacher.model(x, training=False)
        loss = distill(y_pred, answer, y, **self.options)
        for extra in self.losses:
            loss = loss + extra
        return loss
