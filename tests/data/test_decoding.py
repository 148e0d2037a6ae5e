"""Untrusted image files: recognised by their first bytes, 8 bits per channel, limited in size."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from falw_cli.data.decoding import decode, size_of
from falw_cli.errors import RequestError

PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def refused(file: Path) -> str:
    with pytest.raises(RequestError) as caught:
        decode(file, "x", 3)
    assert caught.value.hint
    return str(caught.value)


def test_pixels_are_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(PIXELS).save(file)
    assert size_of(file, "a") == (4, 6)
    assert decode(file, "a", 3).permute(1, 2, 0).numpy().tolist() == PIXELS.tolist()
    assert decode(file, "a", 1).shape == (1, 4, 6)


def test_the_first_bytes_decide_the_format(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert decode(tmp_path / "a.jpg", "a", 3).shape == (3, 4, 6)
    Image.fromarray(PIXELS).save(tmp_path / "b.pcx")
    (tmp_path / "b.pcx").rename(tmp_path / "b.png")
    assert "not one of JPEG" in refused(tmp_path / "b.png")
    (tmp_path / "c.png").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    assert "not one of JPEG" in refused(tmp_path / "c.png")


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99)))
    (tmp_path / "bomb.png").write_bytes(bomb)
    assert "pixels" in refused(tmp_path / "bomb.png")


@pytest.mark.parametrize("cut", [8, 30, 45])
def test_a_truncated_image_is_named(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(PIXELS).save(file)
    file.write_bytes(file.read_bytes()[:cut])
    assert refused(file).startswith("image 'x' cannot be read: ")


def test_sixteen_bits_and_several_frames_are_refused(tmp_path: Path) -> None:
    Image.fromarray(PIXELS[..., 0].astype(np.uint16)).save(tmp_path / "deep.png")
    assert "eight bits" in refused(tmp_path / "deep.png")
    frames = [Image.fromarray(PIXELS[..., c]) for c in range(3)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert "several frames" in refused(tmp_path / "moving.gif")
