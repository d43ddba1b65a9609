import pytest
import torch
from torch import nn

from models.semisup.teacher import follow


def network(weight, mean=0.0, batches=0):
    made = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    nn.init.constant_(made[0].weight, weight)
    made[1].running_mean.fill_(mean)
    made[1].num_batches_tracked.fill_(batches)
    return made


def test_the_teacher_moves_towards_the_mix_of_both_students():
    teacher = network(10.0)
    follow(teacher, (network(2.0), network(4.0)), decay=0.9, mix=0.75, buffers=False)
    # 0.9 · 10 + 0.1 · (0.75 · 2 + 0.25 · 4)
    assert teacher[0].weight.item() == pytest.approx(9.25)


def test_one_student_alone_is_followed_as_it_is():
    teacher = network(10.0, mean=8.0, batches=5)
    follow(teacher, (network(2.0, mean=2.0, batches=3),), decay=0.9, buffers=True)
    assert teacher[0].weight.item() == pytest.approx(9.2)
    assert float(teacher[1].running_mean) == pytest.approx(7.4)
    assert int(teacher[1].num_batches_tracked) == 3


def test_decay_nought_copies():
    teacher = network(10.0)
    follow(teacher, (network(2.0), network(4.0)), decay=0.0, mix=1.0, buffers=False)
    assert teacher[0].weight.item() == 2.0


@pytest.mark.parametrize(("buffers", "mean", "batches"), [(False, 8.0, 5), (True, 7.4, 3)])
def test_batch_norm_statistics_follow_only_if_asked(buffers, mean, batches):
    teacher = network(1.0, mean=8.0, batches=5)
    students = network(1.0, mean=2.0, batches=3), network(1.0, mean=2.0, batches=4)
    follow(teacher, students, decay=0.9, mix=0.5, buffers=buffers)
    assert float(teacher[1].running_mean) == pytest.approx(mean)
    assert int(teacher[1].num_batches_tracked) == batches


def test_students_and_gradients_are_left_alone():
    teacher, students = network(1.0), (network(2.0), network(4.0))
    follow(teacher, students, decay=0.5, mix=0.5, buffers=True)
    assert [student[0].weight.item() for student in students] == [2.0, 4.0]
    assert teacher[0].weight.grad_fn is None
    assert torch.is_grad_enabled()
