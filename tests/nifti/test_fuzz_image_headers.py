"""MetaImage and NRRD: any header gives a size and spacing that can be, or a UserError (NIfTI: test_fuzz_parsers.py)."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzzing import BYTES, FAST_IMAGES, SLOW, damaged, survives
from hypothesis import given
from hypothesis import strategies as st

from nnunet_textguided.image_headers import read_image_header

NUMBERS = st.sampled_from(
    [
        "1 1 4",
        "5 4 3",
        "0 0 0",
        "-1 4 3",
        "nan 1 1",
        "inf 1 1",
        "1e300 1 1",
        "1e-300 1 1",
        "9" * 30,
        "5 4",
        "5",
        "",
        "x",
    ]
)
METAIMAGE = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "0 0 0",
    "ElementSpacing": "1 1 4",
    "DimSize": "5 4 3",
    "ElementNumberOfChannels": "1",
    "ElementType": "MET_SHORT",
    "ElementDataFile": "LOCAL",
}
NRRD = {
    "type": "short",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "5 4 3",
    "space directions": "(1,0,0) (0,1,0) (0,0,4)",
    "kinds": "domain domain domain",
    "endian": "little",
    "encoding": "raw",
    "space origin": "(0,0,0)",
}
TEXTS = NUMBERS | st.sampled_from(
    [
        *(
            "3",
            "2",
            "1",
            "0",
            "-3",
            "4",
            "17",
            "2147483648",
            "True",
            "False",
            "MET_DOUBLE",
            "MET_OTHER",
            "double",
            "block",
        ),
        *("gzip", "ascii", "LOCAL", "LIST", "../../etc/passwd", "(nan,0,0) (0,1,0) (0,0,1)", "(1,0) (0,1)", "none"),
        *("(0,0,0) (0,0,0) (0,0,0)", "0 0 0 0 0 0 0 0 0", "x" * 2000, "\u00e9", "%s%n"),
    ]
)


@st.composite
def headers(draw: st.DrawFn, sound: dict[str, str], start: str, colon: str, end: str) -> bytes:
    """A sound header with values replaced, or lines left out or doubled; then voxels, or too few."""
    lines = list(sound.items())
    for _ in range(draw(st.integers(0, 3))):
        place, kind = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, 5))
        name = lines[place][0]
        if kind == 0 and len(lines) > 1:
            del lines[place]
        else:
            lines[place : place + (kind > 1)] = [(name, draw(TEXTS))]
    text = start + "".join(f"{name}{colon}{value}\n" for name, value in lines) + end
    content = text.encode() + bytes(draw(st.sampled_from([120, 120, 119, 0])))
    return draw(damaged(content)) if draw(st.integers(0, 3)) == 0 else content


FORMATS = {
    ".mha": headers(METAIMAGE, "", " = ", ""),
    ".nrrd": headers(NRRD, "NRRD0004\n", ": ", "\n"),
}


def read(folder: Path, ending: str, content: bytes) -> None:
    path = folder / f"image{ending}"
    path.write_bytes(content)
    header = survives(lambda: read_image_header(path))
    if header is not None:
        assert all(voxels > 0 for voxels in header.size)
        assert all(0 < mm < 1e5 for mm in header.spacing)


@pytest.mark.parametrize("ending", FORMATS)
@FAST_IMAGES
@given(data=st.data())
def test_any_header_gives_an_image_or_a_user_error(ending: str, data: st.DataObject, tmp_path_factory):
    read(tmp_path_factory.getbasetemp(), ending, data.draw(BYTES | FORMATS[ending] | FORMATS[ending]))


@pytest.mark.slow
@pytest.mark.parametrize("ending", FORMATS)
@SLOW
@given(data=st.data())
def test_any_header_gives_an_image_or_a_user_error_at_length(ending: str, data: st.DataObject, tmp_path_factory):
    read(tmp_path_factory.getbasetemp(), ending, data.draw(BYTES | FORMATS[ending] | FORMATS[ending]))


def test_the_sound_headers_are_read(tmp_path: Path):
    for ending, sound, start, colon, end in (
        (".mha", METAIMAGE, "", " = ", ""),
        (".nrrd", NRRD, "NRRD0004\n", ": ", "\n"),
    ):
        text = start + "".join(f"{name}{colon}{value}\n" for name, value in sound.items()) + end
        (tmp_path / f"a{ending}").write_bytes(text.encode() + bytes(120))
        header = read_image_header(tmp_path / f"a{ending}")
        assert (header.size, header.spacing) == ((5, 4, 3), (1, 1, 4))
