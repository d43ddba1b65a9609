import pytest

from models.her2.flags import Flag, ordered


def test_severity_belongs_to_the_code():
    severities = [Flag(code).severity for code in ("too_few_cells", "resolution", "borderline")]
    assert severities == ["fatal", "limiting", "warning"]


def test_an_unknown_code_is_refused():
    with pytest.raises(ValueError, match="no flag 'blurry'"):
        Flag("blurry")


def test_each_code_once_the_gravest_first_with_the_first_words_said():
    said = [
        Flag("borderline", "a"),
        Flag("colour"),
        Flag("borderline", "b"),
        Flag("resolution", "c"),
        Flag("colour", "d"),
    ]
    assert ordered(said) == (
        Flag("colour", "d"),
        Flag("resolution", "c"),
        Flag("borderline", "a"),
    )
