"""Damage of a DICOM slide is refused or named, as that of other slides is."""

from pathlib import Path

import pytest

from backend.kit.geometry import Region0
from backend.slides.reading import dicom
from backend.slides.reading.damage import DamagedTile
from backend.slides.reading.dicom import DicomUnsupported
from backend.slides.reading.reader import OpenSlideReader, RegionUnreadable
from tests.support.dicom_slide import dicom_file
from worker.commands.image_files import read_picture
from worker.dicom_damage import check_frames


def frames_of(path: Path) -> list[bytes]:
    level = dicom.read_instance(path)
    assert level is not None
    return list(dicom.frames(level))


def test_a_damaged_frame_is_named_and_not_read(tmp_path: Path) -> None:
    data = bytearray(dicom_file(1024, 768).read_bytes())
    path = tmp_path / "a.dcm"
    path.write_bytes(data)
    frames = frames_of(path)
    assert len(frames) == 12
    assert check_frames(path, OpenSlideReader(path)) == ()
    start = data.index(frames[5]) + len(frames[5]) // 2
    data[start : start + 64] = bytes(64)
    path.write_bytes(data)
    reader = OpenSlideReader(path)
    reader.damaged = check_frames(path, reader)
    assert reader.damaged == (DamagedTile(0, 256, 256, 256, 256),)
    with pytest.raises(RegionUnreadable):
        reader.read(Region0(300, 300, 64, 64), (64, 64))
    assert reader.read(Region0(0, 0, 256, 256), (256, 256)).shape == (256, 256, 3)
    # a command on the file reads by the same door
    with pytest.raises(RegionUnreadable):
        read_picture(path, None)


@pytest.mark.parametrize("share", [0.9, 0.5, 0.2])
def test_a_level_without_all_its_tiles_is_refused(tmp_path: Path, share: float) -> None:
    data = dicom_file(1024, 768).read_bytes()
    path = tmp_path / "a.dcm"
    path.write_bytes(data)
    reader = OpenSlideReader(path)
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(DicomUnsupported, match="of its 12 tiles") as why:
        check_frames(path, reader)
    assert why.value.problem_code == "dicom_damaged"


def test_every_real_dicom_slide_is_whole(shared_data: Path) -> None:
    folders = [shared_data / "wsi_vendor", *(shared_data / "wsi_vendor" / "dicom_cmu1").rglob("*")]
    seen = 0
    for path in [each for folder in folders if folder.is_dir() for each in folder.glob("*.dcm")]:
        level = dicom.read_instance(path)
        if level is not None and level.is_level:
            assert len(list(dicom.frames(level))) in {0, level.number("NumberOfFrames", 1)}
            seen += 1
    assert seen
