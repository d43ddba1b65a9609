import json

import numpy as np
import pytest

from models.her2.agreement import agreement, bland_altman, confusion, gwet_ac1, kappa, logit
from models.her2.classes import NOT_ASSESSABLE, SCORES

# Fleiss, Cohen and Everitt 1969: two raters, three categories, 100 patients (in per cent)
FLEISS = np.array([[53, 5, 2], [11, 14, 5], [1, 6, 3]])


def spread(matrix, labels=SCORES):
    """The slides of a confusion matrix: given, computed."""
    pairs = [
        (labels[row], labels[column])
        for row, line in enumerate(matrix)
        for column, number in enumerate(line)
        for _ in range(number)
    ]
    return [one for one, _ in pairs], [two for _, two in pairs]


def test_confusion_has_the_given_category_in_rows():
    matrix = confusion(["0", "0", "3+"], ["0", "3+", "3+"], ["0", "3+"])
    assert matrix.tolist() == [[1, 1], [0, 1]]


def test_kappa_by_hand():
    # observed 0.70; margins .60 .30 .10 and .65 .25 .10 -> chance .39 + .075 + .01 = .475
    assert kappa(FLEISS) == pytest.approx((0.70 - 0.475) / (1 - 0.475))
    two = [[20, 5], [10, 15]]
    assert kappa(two) == pytest.approx(0.4)


def test_weighted_kappa_by_hand():
    # |i - j|: observed (5 + 11 + 5 + 6 + 2·(2 + 1)) / 100 = .33
    # chance .60·(.25 + 2·.10) + .30·(.65 + .10) + .10·(2·.65 + .25) = .65
    assert kappa(FLEISS, power=1) == pytest.approx(1 - 0.33 / 0.65)
    # (i - j)²: .27 + 4·.03 = .39; .60·(.25 + .40) + .30·.75 + .10·(2.60 + .25) = .90
    assert kappa(FLEISS, power=2) == pytest.approx(1 - 0.39 / 0.90)


def test_quadratic_kappa_equals_the_concordance_coefficient():
    # Lin 1989 with population moments is the same number
    rng = np.random.default_rng(1)
    a = rng.integers(0, 5, 300)
    b = np.clip(a + rng.integers(-1, 2, 300), 0, 4)
    matrix = confusion([SCORES[k] for k in a], [SCORES[k] for k in b], SCORES)
    covariance = ((a - a.mean()) * (b - b.mean())).mean()
    lin = 2 * covariance / (a.var() + b.var() + (a.mean() - b.mean()) ** 2)
    assert kappa(matrix, power=2) == pytest.approx(lin)


def test_two_categories_leave_no_choice_of_weights():
    two = [[20, 5], [10, 15]]
    assert kappa(two, power=1) == kappa(two, power=2) == pytest.approx(float(kappa(two)))


def test_ac1_by_hand_holds_where_kappa_fails():
    # p = .90, share of "+" (95 + 95) / 200 = .95: chance 2·.95·.05 = .095
    rare = [[90, 5], [5, 0]]
    assert gwet_ac1(rare) == pytest.approx((0.90 - 0.095) / (1 - 0.095))
    assert kappa(rare) < 0
    # three categories: shares .625 .275 .10 -> (.234375 + .199375 + .09) / 2
    chance = (0.625 * 0.375 + 0.275 * 0.725 + 0.1 * 0.9) / 2
    assert gwet_ac1(FLEISS) == pytest.approx((0.70 - chance) / (1 - chance))


def test_many_matrices_at_once_are_each_alone():
    rng = np.random.default_rng(0)
    many = rng.integers(1, 20, (7, 4, 4))
    for measure in (kappa, gwet_ac1):
        np.testing.assert_allclose(measure(many), [measure(each) for each in many])
    np.testing.assert_allclose(kappa(many, power=2), [kappa(each, power=2) for each in many])


MATRIX = [
    [10, 2, 1, 0, 0],
    [3, 4, 3, 0, 0],
    [1, 2, 12, 2, 0],
    [0, 0, 3, 9, 2],
    [0, 0, 0, 1, 15],
]


def test_document_of_agreement_by_hand():
    found = agreement(*spread(MATRIX), seed=4)
    assert found["slides"] == found["patients"] == 70
    assert found["confusion"] == MATRIX
    assert found["concordance"]["hits"] == 50
    assert found["concordance"]["value"] == pytest.approx(5 / 7)
    assert found["three_way"]["confusion"] == [[38, 2, 0], [3, 9, 2], [0, 1, 15]]
    cut = found["cuts"]["1+|2+"]
    assert cut["confusion"] == [[38, 2], [3, 27]]
    assert (cut["positive"]["value"], cut["negative"]["value"]) == (0.9, 0.95)
    # (65/70 - (40·41 + 30·29)/4900) / (1 - …)
    chance = (40 * 41 + 30 * 29) / 4900
    assert cut["kappa"]["value"] == pytest.approx((65 / 70 - chance) / (1 - chance))
    null = found["ultralow_read_as_null"]
    assert (null["hits"], null["n"], null["value"]) == (3, 10, 0.3)
    assert null["low"] < 0.3 < null["high"]
    assert found["cuts"]["0|1+"]["confusion"] == [[19, 4], [3, 44]]
    assert found["cuts"]["0|0+"]["confusion"] == [[10, 3], [4, 53]]
    assert found["cuts"]["2+|3+"]["confusion"] == [[52, 2], [1, 15]]
    for name in ("kappa", "kappa_linear", "kappa_quadratic", "ac1"):
        each = found[name]
        assert each["low"] < each["value"] < each["high"]
    assert found["kappa"]["value"] < found["kappa_linear"]["value"]
    assert found["kappa_linear"]["value"] < found["kappa_quadratic"]["value"]
    json.dumps(found, allow_nan=False)
    assert agreement(*spread(MATRIX), seed=4) == found


def test_a_reference_without_0_plus_merges_it():
    found = agreement(*spread(MATRIX), merge_zero_plus=True)
    assert found["labels"] == ["0", "1+", "2+", "3+"]
    assert found["confusion"][0] == [19, 4, 0, 0]
    assert set(found["cuts"]) == {"0|1+", "1+|2+", "2+|3+"}
    assert found["ultralow_read_as_null"] is None


def test_not_assessable_is_counted_apart():
    given, computed = spread(MATRIX)
    found = agreement([*given, "3+", NOT_ASSESSABLE], [*computed, NOT_ASSESSABLE, "0"])
    assert found["not_assessable"] == {"given": 1, "computed": 1}
    assert found["slides"] == 72
    assert found["confusion"] == MATRIX


def test_slides_of_one_patient_are_drawn_together():
    given, computed = spread(MATRIX)
    alone = agreement(given, computed)["kappa"]
    four = agreement(
        [each for each in given for _ in range(4)],
        [each for each in computed for _ in range(4)],
        [str(patient) for patient in range(70) for _ in range(4)],
    )
    assert four["patients"] == 70
    assert four["kappa"]["value"] == pytest.approx(alone["value"])
    width = four["kappa"]["high"] - four["kappa"]["low"]
    assert width == pytest.approx(alone["high"] - alone["low"], rel=0.1)
    independent = agreement(
        [each for each in given for _ in range(4)], [each for each in computed for _ in range(4)]
    )["kappa"]
    assert independent["high"] - independent["low"] < 0.65 * width


def test_what_is_undefined_is_none():
    same = agreement(["3+"] * 5, ["3+"] * 5)
    assert same["concordance"]["value"] == 1
    assert same["kappa"] == {"value": None, "low": None, "high": None}
    assert same["cuts"]["1+|2+"]["negative"]["value"] is None
    one = agreement(["0", "3+"], ["0", "3+"], ["a", "a"])
    assert one["kappa"] == {"value": 1.0, "low": None, "high": None}
    none = agreement([], [])
    assert (none["slides"], none["kappa"]["value"], none["concordance"]["value"]) == (0, None, None)
    json.dumps([same, one, none], allow_nan=False)


def test_perfect_agreement_is_one():
    found = agreement(*spread(np.eye(5, dtype=int) * 4))
    assert found["kappa"] == {"value": 1, "low": 1, "high": 1}
    assert found["concordance"]["low"] == pytest.approx(20 / (20 + 3.8415), abs=1e-4)


@pytest.mark.parametrize(
    ("given", "computed", "patients", "match"),
    [
        (["0"], ["2"], None, "unknown"),
        (["0", "0"], ["0"], None, "one entry"),
        (["0"], ["0"], ["a", "b"], "one entry"),
    ],
)
def test_what_does_not_fit_is_refused(given, computed, patients, match):
    with pytest.raises(ValueError, match=match):
        agreement(given, computed, patients)


def test_bland_altman_by_hand():
    found = bland_altman([10, 20, 30, 40], [12, 21, 33, 42])
    # differences 2 1 3 2: mean 2, sd √(2/3) = .81650, t(3) = 3.18245
    assert found["n"] == 4
    assert found["bias"] == 2
    assert found["sd"] == pytest.approx(0.816497, abs=1e-5)
    assert found["upper"] == pytest.approx(2 + 1.959964 * 0.816497, abs=1e-5)
    assert found["lower"] == pytest.approx(2 - 1.959964 * 0.816497, abs=1e-5)
    assert found["bias_low"] == pytest.approx(2 - 3.182446 * 0.816497 / 2, abs=1e-5)
    # √(1/4 + 3.841459/6) = .943527
    assert found["upper_high"] == pytest.approx(
        found["upper"] + 3.182446 * 0.816497 * 0.943527, abs=1e-5
    )
    assert found["lower_low"] == pytest.approx(
        found["lower"] - 3.182446 * 0.816497 * 0.943527, abs=1e-5
    )


def test_limits_of_agreement_hold_19_of_20_differences():
    rng = np.random.default_rng(3)
    truth = rng.random(4000) * 100
    found = bland_altman(truth, truth + 1.5 + rng.normal(0, 4, 4000))
    assert found["bias_low"] < 1.5 < found["bias_high"]
    assert found["upper_low"] < 1.5 + 1.96 * 4 < found["upper_high"]
    assert found["lower_low"] < 1.5 - 1.96 * 4 < found["lower_high"]


def test_bland_altman_of_too_few_says_none():
    assert bland_altman([10], [12])["bias"] == 2
    assert bland_altman([10], [12])["upper"] is None
    assert bland_altman([], [])["bias"] is None


@pytest.mark.parametrize("wrong", [([1, 2], [1]), ([1.0], [float("nan")]), ([[1]], [[1]])])
def test_bland_altman_refuses_what_is_no_pair_of_lists(wrong):
    with pytest.raises(ValueError, match="given and computed"):
        bland_altman(*wrong)


def test_logit_by_hand():
    # 10 of 100: ln(10.5 / 90.5); both ends are finite and mirrored
    assert logit(10, 100) == pytest.approx(np.log(10.5 / 90.5))
    assert logit(0, 100) == -logit(100, 100)
    assert logit(50, 100) == 0
