"""Pixels of single files: every transfer syntax, rescaling, truncation, missing plugins."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_files import cut, write_slice
from PIL import Image
from pydicom.pixels import get_decoder, get_encoder
from pydicom.uid import (
    JPEG2000,
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    MRImageStorage,
    RLELossless,
)

from nnunet_textguided.dataset_conversion.base.problems import CaseError
from nnunet_textguided.dataset_conversion.dicom.header import read_slice_header
from nnunet_textguided.dataset_conversion.dicom.pixels import GDCM_DECODES, read_pixels

PIXELS = (np.arange(20 * 12, dtype=np.uint16) * 17).reshape(20, 12)
SMOOTH = np.add.outer(np.arange(16), 3 * np.arange(24)).astype(np.uint8)

# the example of ITU-T T.87 (JPEG-LS), annex H.3: a 4 x 4 image and its code stream
JPEG_LS_PIXELS = np.array([[0, 0, 90, 74], [68, 50, 43, 205], [64, 145, 145, 145], [100, 145, 145, 145]], np.uint8)
JPEG_LS_STREAM = bytes.fromhex(
    "ffd8fff7000b08000400040101 1100ffda0008010100000000c000006c80208e01c0000057400000"
    "6ee6000001bc18000005d800009160ffd9"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "slice.dcm"


def pixels_of(path: Path) -> np.ndarray:
    return read_pixels(read_slice_header(path))


def problem_of(path: Path) -> str:
    with pytest.raises(CaseError) as caught:
        pixels_of(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def frame_by_sitk(pixels: np.ndarray, compressor: str, folder: Path) -> bytes:
    """Compress one frame by SimpleITK's own writer."""
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(folder / "compressed.dcm"))
    writer.UseCompressionOn()
    writer.SetCompressor(compressor)
    writer.Execute(sitk.GetImageFromArray(pixels[None]))
    dataset = pydicom.dcmread(folder / "compressed.dcm")
    return next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))


def frame_by_pillow(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def rle_frame(pixels: np.ndarray) -> bytes:
    rows, columns = pixels.shape
    form = {"rows": rows, "columns": columns, "samples_per_pixel": 1, "photometric_interpretation": "MONOCHROME2"}
    bits = {"bits_allocated": 16, "bits_stored": 16, "pixel_representation": 0, "number_of_frames": 1}
    return get_encoder(RLELossless).encode(pixels.tobytes(), index=0, encoding_plugin="pydicom", **form, **bits)


def compressed(syntax: str, folder: Path) -> tuple[np.ndarray, bytes, int]:
    """Pixels, their frame in a transfer syntax, and how far decoded values may be off."""
    if syntax == RLELossless:
        return PIXELS, rle_frame(PIXELS), 0
    if syntax in (JPEGLosslessSV1, JPEGLossless):  # the latter allows any predictor, so also that of the former
        return PIXELS, frame_by_sitk(PIXELS, "JPEG", folder), 0
    if syntax in (JPEGBaseline8Bit, JPEGExtended12Bit):
        return SMOOTH, frame_by_pillow(SMOOTH, "JPEG", quality=95), 2
    if syntax in (JPEGLSLossless, JPEGLSNearLossless):
        return JPEG_LS_PIXELS, JPEG_LS_STREAM, 0
    if syntax == JPEG2000Lossless:
        return PIXELS, frame_by_sitk(PIXELS, "JPEG2000", folder), 0
    return SMOOTH, frame_by_pillow(SMOOTH, "JPEG2000", no_jp2=True, irreversible=True), 2


UNCOMPRESSED = {ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian}


@pytest.mark.parametrize("syntax", sorted(GDCM_DECODES - UNCOMPRESSED), ids=lambda syntax: syntax.name)
def test_every_compressed_transfer_syntax_listed_is_decoded(path, tmp_path, syntax):
    pixels, frame, tolerance = compressed(syntax, tmp_path)
    write_slice(path, pixels, transfer_syntax=syntax, frame=frame, SOPClassUID=None)
    decoded = pixels_of(path)
    assert (decoded.shape, decoded.dtype) == (pixels.shape, pixels.dtype)
    assert np.abs(decoded.astype(int) - pixels).max() <= tolerance


@pytest.mark.parametrize("syntax", sorted(UNCOMPRESSED), ids=lambda syntax: syntax.name)
def test_every_uncompressed_transfer_syntax_is_read(path, syntax):
    dataset = pydicom.dcmread(write_slice(path, PIXELS))
    little = syntax != ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = (PIXELS if little else PIXELS.byteswap()).tobytes()
    pydicom.dcmwrite(path, dataset, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=little)
    np.testing.assert_array_equal(pixels_of(path), PIXELS)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_values_keep_their_type_and_sign(path, dtype):
    pixels = (np.arange(30).reshape(5, 6) * 7).astype(dtype)
    pixels[0, 0] = np.iinfo(dtype).min
    decoded = pixels_of(write_slice(path, pixels))
    assert decoded.dtype == dtype
    np.testing.assert_array_equal(decoded, pixels)


def test_bits_beyond_those_stored_are_no_values(path):
    stored = np.array([[0x0FFF, 0xF001], [0x1002, 0x8003]], dtype=np.uint16)  # 12 bits stored, overlays above them
    write_slice(path, stored, BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(pixels_of(path), [[4095, 1], [2, 3]])


@pytest.mark.parametrize("sop_class", [None, MRImageStorage, EnhancedMRImageStorage])
@pytest.mark.parametrize(("slope", "intercept"), [(2, 10), (0.5, -3.0), (1, -1024)])
def test_slope_and_intercept_are_applied_whatever_the_sop_class(path, sop_class, slope, intercept):
    write_slice(path, PIXELS, SOPClassUID=sop_class, RescaleSlope=slope, RescaleIntercept=intercept)
    np.testing.assert_allclose(pixels_of(path), PIXELS * float(slope) + intercept)


@pytest.mark.parametrize("parts", [{"preamble": False}, {"meta": False}, {"preamble": False, "meta": False}])
def test_pixels_are_read_without_preamble_and_meta_information(path, parts):
    np.testing.assert_array_equal(pixels_of(write_slice(path, PIXELS, SOPClassUID=None, **parts)), PIXELS)


@pytest.mark.parametrize("missing", [1, 2, 100, PIXELS.nbytes])
def test_cut_off_pixels_are_an_error_that_counts_them(path, missing):
    cut(write_slice(path, PIXELS), missing)
    assert f"expected 480 bytes of pixel data (12 x 20 of 16 bits), got {480 - missing};" in problem_of(path)


def test_too_few_pixels_are_an_error_also_where_their_length_is_consistent(path):
    """GDCM reads such a file without a word."""
    write_slice(path, PIXELS[:-1], Rows=20)
    assert sitk.ReadImage(str(path)).GetSize()[:2] == (12, 20)
    assert "got 456" in problem_of(path)


def test_padding_after_the_pixels_does_no_harm(path):
    dataset = pydicom.dcmread(write_slice(path, PIXELS))
    dataset.PixelData += bytes(64)
    dataset.save_as(path)
    np.testing.assert_array_equal(pixels_of(path), PIXELS)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGBaseline8Bit, JPEGLosslessSV1, JPEG2000Lossless, JPEGLSLossless])
def test_cut_off_compressed_pixels_are_an_error(path, tmp_path, syntax):
    pixels, frame, _ = compressed(syntax, tmp_path)
    whole = write_slice(path, pixels, transfer_syntax=syntax, frame=frame).read_bytes()
    delimiter = 8  # after the last fragment; without it the pixels are whole
    for missing in (delimiter + 1, delimiter + len(frame)):
        path.write_bytes(whole[:-missing])
        assert "damaged or cut off" in problem_of(path)


def test_a_compressed_frame_of_noise_is_an_error(path):
    noise = np.random.default_rng(0).bytes(200)
    for syntax in (RLELossless, JPEGBaseline8Bit, JPEG2000):
        write_slice(path, PIXELS, transfer_syntax=syntax, frame=noise)
        assert "damaged or cut off" in problem_of(path)


def test_a_frame_of_another_size_than_the_header_says_is_an_error(path):
    write_slice(path, SMOOTH, transfer_syntax=JPEG2000, frame=frame_by_pillow(SMOOTH[:8], "JPEG2000", no_jp2=True))
    problem_of(path)


def test_a_syntax_that_needs_a_plugin_names_the_plugin(path):
    write_slice(path, PIXELS, transfer_syntax=HTJ2KLossless, frame=b"no such code")
    problem = problem_of(path)
    assert "High-Throughput JPEG 2000" in problem
    assert "(1.2.840.10008.1.2.4.201)" in problem
    assert re.search(r"install a plugin of pydicom that does: .*pylibjpeg-openjpeg", problem)


@pytest.mark.parametrize("syntax", [MPEG2MPML, "1.2.3.4.5"])
def test_a_syntax_that_nothing_decodes_is_named(path, syntax):
    write_slice(path, PIXELS, transfer_syntax=syntax, frame=b"moving pictures")
    assert f"({syntax}), which SimpleITK is not known to decode, nor any plugin of pydicom" in problem_of(path)


# what pydicom asks of the module of a plugin
DECODER_DEPENDENCIES = {HTJ2KLossless: ("nothing",)}


def is_available(uid: str) -> bool:
    return True


def _decode_frame(source: bytes, runner: object) -> bytearray:
    runner.set_option("photometric_interpretation", "MONOCHROME2")
    if len(source) < PIXELS.nbytes:
        raise ValueError("too short")
    return bytearray(source[: PIXELS.nbytes])


@pytest.fixture
def _plugin() -> None:
    """An installed plugin for a syntax that SimpleITK cannot read."""
    decoder = get_decoder(HTJ2KLossless)
    decoder.add_plugin("fake", (__name__, "_decode_frame"))
    yield
    decoder.remove_plugin("fake")


@pytest.mark.usefixtures("_plugin")
def test_an_installed_plugin_is_used_and_values_are_rescaled(path):
    write_slice(path, PIXELS, transfer_syntax=HTJ2KLossless, frame=PIXELS.tobytes(), RescaleSlope=3, RescaleIntercept=1)
    np.testing.assert_array_equal(pixels_of(path), PIXELS * 3.0 + 1)


@pytest.mark.usefixtures("_plugin")
def test_what_an_installed_plugin_cannot_decode_is_damaged(path):
    write_slice(path, PIXELS, transfer_syntax=HTJ2KLossless, frame=PIXELS.tobytes()[:-4])
    assert re.search(r"pydicom found it damaged \(.*\); fetch it again", problem_of(path))
