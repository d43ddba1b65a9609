"""The watch of every test names who kept others waiting, and where."""

from pathlib import Path

import pytest

from tests.support.waiting import Watch


def test_the_watch_says_what_it_saw(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    watch.check()
    watch.note("In a writing transaction: a blob was opened")
    with pytest.raises(
        pytest.fail.Exception, match=r"1 times others.*a blob was opened"
    ) as failure:
        watch.check()
    assert Path(__file__).name in str(failure.value), "and by which lines of ours"
