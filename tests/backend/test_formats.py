"""What a file is, by its content; and zips made by somebody who means harm."""

import io
import stat
import struct
import zipfile
from pathlib import Path

import numpy as np
import openslide
import pytest
from PIL import Image

from backend.kit.errors import MembranaError
from backend.settings import Settings
from backend.slides.reading import archives, formats
from backend.slides.reading.formats import Content, UnsupportedFormat, sniff
from backend.slides.reading.reader import OpenSlideReader

INI = b"[GENERAL]\nSLIDE_ID = x\n"
VMS = (
    b"[Virtual Microscope Specimen]\nNoLayers=1\nNoJpegColumns=1\nNoJpegRows=1\n"
    b"ImageFile=../secret/img.jpg\nMapFile=../secret/img.jpg\n"
)


@pytest.fixture
def limits(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, max_archive_entries=50, free_space_reserve_bytes=0)


def put(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "file"
    path.write_bytes(content)
    return path


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((40, 30, 3), np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def zipped(members: dict[str, bytes], **compression: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def refusal(path: Path, limits: Settings, name: str = "slide") -> str:
    with pytest.raises(MembranaError) as refused:
        sniff(path, name=name, settings=limits)
    assert refused.value.status == 422
    return refused.value.problem_code


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("wsi_her2/tma_3plus.svs", Content.SLIDE),
        ("wsi_her2/tma_1plus_generic_mpp.tif", Content.SLIDE),
        ("wsi_vendor/stritt_dapi.ndpi", Content.SLIDE),
        ("wsi_vendor/boxes_0.dcm", Content.DICOM),
    ],
)
def test_slides_are_known_whatever_they_are_called(
    shared_data: Path, limits: Settings, file: str, content: Content, tmp_path: Path
) -> None:
    path = put(tmp_path, (shared_data / file).read_bytes())
    assert sniff(path, name="holiday.png", settings=limits) is content


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_plain_pictures_are_fields(tmp_path: Path, limits: Settings, kind: str) -> None:
    assert sniff(put(tmp_path, picture(kind)), name="x", settings=limits) is Content.PICTURE


def test_a_picture_that_claims_a_scanner_is_refused_with_the_fix(
    tmp_path: Path, limits: Settings
) -> None:
    assert refusal(put(tmp_path, picture("PNG")), limits, name="A.SVS") == "renamed_file"
    assert sniff(put(tmp_path, picture("PNG")), name="A.PNG", settings=limits) is Content.PICTURE


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_file"),
        (b"<!DOCTYPE html><html>404 - n\xc3\xa4chstes Mal</html>", "not_an_image"),
        (b"%PDF-1.7\n\x00\x01\x02\xff\xfe", "unsupported_format"),
        (bytes(range(256)) * 30, "unsupported_format"),
        (b"II*\0\x08\0\0\0", "slide_truncated"),
        (b"II*\0", "slide_truncated"),
        (b"MM\0+\0\x08\0\0" + b"\xff" * 8, "slide_truncated"),
        (b"PK\x03\x04 not a zip", "archive_unreadable"),
    ],
)
def test_what_is_no_slide_is_refused_at_once(
    tmp_path: Path, limits: Settings, content: bytes, code: str
) -> None:
    assert refusal(put(tmp_path, content), limits) == code


def test_text_cut_inside_a_character_is_still_text() -> None:
    assert formats.is_text(("a" * 4095 + "é").encode()[:4096])


def test_a_tiff_that_points_at_itself_ends(tmp_path: Path, limits: Settings) -> None:
    looped = b"II*\0\x08\0\0\0" + struct.pack("<H", 0) + struct.pack("<I", 8)
    assert sniff(put(tmp_path, looped), name="x", settings=limits) is Content.PICTURE


def test_any_cut_of_a_slide_is_refused_or_read_never_a_crash(
    shared_data: Path, limits: Settings, tmp_path: Path
) -> None:
    whole = (shared_data / "wsi_vendor" / "small.svs").read_bytes()
    codes = set()
    for end in range(0, len(whole), 97):
        try:
            sniff(put(tmp_path, whole[:end]), name="x", settings=limits)
        except MembranaError as refused:
            codes.add(refused.problem_code)
    assert codes == {"empty_file", "slide_truncated"}


def test_zips_of_mirax_and_dicom_are_archives(
    shared_data: Path, tmp_path: Path, limits: Settings
) -> None:
    mirax = zipped({"a.mrxs": b"", "a/Slidedat.ini": INI})
    assert sniff(put(tmp_path, mirax), name="x", settings=limits) is Content.ARCHIVE
    dicom = zipped({"x/1": (shared_data / "wsi_vendor" / "boxes_0.dcm").read_bytes()})
    assert sniff(put(tmp_path, dicom), name="x", settings=limits) is Content.ARCHIVE
    assert refusal(put(tmp_path, zipped({"readme": b"hello"})), limits) == "archive_without_slide"


@pytest.mark.parametrize("before", [b"", b"# a comment\n"])
@pytest.mark.parametrize("kind", [b"[", b"[Uncompressed "])
def test_an_index_of_pictures_elsewhere_is_refused(
    tmp_path: Path, limits: Settings, before: bytes, kind: bytes
) -> None:
    path = put(tmp_path, before + VMS.replace(b"[", kind))
    assert openslide.OpenSlide.detect_format(path) == "hamamatsu"
    assert refusal(path, limits, name="a.vms") == "unsupported_format"


def test_such_an_index_in_a_zip_is_not_opened_either(tmp_path: Path, limits: Settings) -> None:
    """Under the name of a MIRAX slide whose Slidedat.ini OpenSlide does not find."""
    folder = tmp_path / "out"
    folder.mkdir()
    path = put(tmp_path, zipped({"a.mrxs": VMS, "a/SLIDEDAT.INI": INI}))
    archives.unpack(path, folder, limits, check=lambda: None)
    assert openslide.OpenSlide.detect_format(folder / "a.mrxs") == "hamamatsu"
    with pytest.raises(UnsupportedFormat):
        OpenSlideReader(folder / "a.mrxs")


@pytest.mark.parametrize(
    "named",
    [
        b"[HIERARCHICAL]\nINDEXFILE = ../../secret/Index.dat\n",
        b"[DATAFILE]\nFILE_0 = /etc/passwd\nFILE_1 = Index.dat\n",
        b"\xef\xbb\xbf[DATAFILE]\r\n  FILE_0=..\\secret.dat\r\n",
        b"[DATAFILE]\nFILE_0 = ..\n",
        b"[DATAFILE]\nFILE_0 =\n",
        b"[DATAFILE]\nFILE_0 = Index.dat\nFILE_0 = Data0000.dat\n",
        b"[DATAFILE]\nFILE_0 = deeper/Data.dat\n",
    ],
)
def test_a_mirax_index_may_name_only_its_neighbours(
    tmp_path: Path, limits: Settings, named: bytes
) -> None:
    members = {"b/a/Index.dat": b"x", "b/a/deeper/Data.dat": b"x", "b/Data0000.dat": b"x"}
    honest = b"[HIERARCHICAL]\nINDEXFILE = Index.dat\n"
    whole = zipped({"b/a/Slidedat.ini": honest, **members})
    assert sniff(put(tmp_path, whole), name="x", settings=limits) is Content.ARCHIVE
    hostile = zipped({"b/a/slideDAT.ini": honest + named, **members})
    assert refusal(put(tmp_path, hostile), limits) == "slide_incomplete"


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/evil",
        "a/../../ev",
        "C:/evil",
        "a\\..\\evil",
        "a/..",
        "..",
    ],
)
def test_no_path_of_a_zip_leads_out(tmp_path: Path, limits: Settings, name: str) -> None:
    content = zipped({"a/Slidedat.ini": INI, "placeholder": b"x"})
    assert len(name) <= 11
    padded = name.ljust(11, "/") if name.endswith("..") else name.ljust(11, "x")
    hostile = content.replace(b"placeholder", padded.encode())
    assert refusal(put(tmp_path, hostile), limits) == "archive_unsafe"
    assert not (tmp_path.parent / "evil").exists()


def test_links_in_a_zip_are_refused(tmp_path: Path, limits: Settings) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/Slidedat.ini", INI)
        link = zipfile.ZipInfo("a/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert refusal(put(tmp_path, buffer.getvalue()), limits) == "archive_unsafe"


def test_two_files_of_one_name_are_refused(tmp_path: Path, limits: Settings) -> None:
    content = zipped({"a/Slidedat.ini": INI, "data.one": b"1", "DATA.ONE": b"2"})
    assert refusal(put(tmp_path, content), limits) == "archive_unsafe"


def test_bombs_and_crowds_are_refused(tmp_path: Path, limits: Settings) -> None:
    deflated = {"compression": zipfile.ZIP_DEFLATED}
    bomb = zipped({"a/Slidedat.ini": INI, "zeros": bytes(100 << 20)}, **deflated)
    assert len(bomb) < 1 << 20
    assert refusal(put(tmp_path, bomb), limits) == "archive_too_large"
    crowd = zipped({f"{number}": b"" for number in range(51)})
    assert refusal(put(tmp_path, crowd), limits) == "archive_too_large"


def test_a_directory_that_lies_about_its_size_is_refused_unread(
    tmp_path: Path, limits: Settings
) -> None:
    content = bytearray(zipped({"a/Slidedat.ini": INI}))
    at = content.rfind(archives.END)
    struct.pack_into("<I", content, at + 12, 500_000_000)
    assert refusal(put(tmp_path, bytes(content)), limits) == "archive_too_large"


def test_a_member_longer_than_its_entry_says_is_not_unpacked(
    tmp_path: Path, limits: Settings
) -> None:
    source = io.BytesIO(b"x" * 100)
    with pytest.raises(archives.ArchiveUnsafe):
        archives.copy_at_most(source, io.BytesIO(), 99)
    content = bytearray(zipped({"a/Slidedat.ini": INI}))
    content[content.find(INI)] ^= 0xFF
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(archives.ArchiveUnreadable):
        archives.unpack(put(tmp_path, bytes(content)), folder, limits, check=lambda: None)


def test_an_honest_zip_is_unpacked_whole(tmp_path: Path, limits: Settings) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    asked = []
    path = put(tmp_path, zipped({"a.mrxs": b"1", "a/Slidedat.ini": INI, "a/b/": b""}))
    archives.unpack(path, folder, limits, check=lambda: asked.append(1))
    assert (folder / "a" / "Slidedat.ini").read_bytes() == INI
    assert (folder / "a" / "b").is_dir()
    assert len(asked) == 3
