"""The distillation loss, for fine-tuning a pretrained network."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def distill(
    student: Tensor, teacher: Tensor, labels: Tensor | None = None, *, temperature: float = 2.0,
    weight: float = 0.5,
) -> Tensor:
    """Weight · T² · KL(softmax(teacher/T) ‖ softmax(student/T)) + (1 - weight) · cross entropy.

    As in Hinton, Vinyals and Dean (2015); without labels the first term alone, with weight 1.

        with torch.no_grad():
            target = teacher(x)
        loss = distill(student(x), target, y)

    Args:
        student: logits of the ternary network, classes along axis 1 (or along a single axis).
        teacher: logits of the float network; no gradient goes there.
        labels: classes as `cross_entropy` takes them.
        temperature: T; higher weighs the small probabilities more.
        weight: the teacher's part.

    Raises:
        ValueError: The shapes differ, the temperature is not above 0, or weight is not in [0, 1].
        TypeError: A network is given instead of its outputs.
    """
    for name, value in (("student", student), ("teacher", teacher)):
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name} is a {type(value).__name__}: the network's outputs are expected")
    if student.shape != teacher.shape:
        raise ValueError(
            f"the student's outputs are {tuple(student.shape)}, "
            f"the teacher's {tuple(teacher.shape)}")
    if not temperature > 0 or not 0 <= weight <= 1:
        raise ValueError(
            f"temperature={temperature} and weight={weight}: above 0, and from 0 to 1, expected")
    axis = min(1, student.dim() - 1)
    # in float32: half precision loses the small probabilities that this is about
    soft = functional.log_softmax(student.float() / temperature, dim=axis)
    target = functional.log_softmax(teacher.detach().float() / temperature, dim=axis)
    divergence = (target.exp() * (target - soft)).sum(dim=axis).mean() * temperature**2
    if labels is None:
        return divergence
    return weight * divergence + (1 - weight) * functional.cross_entropy(student, labels)
