"""The type and size of an image, from its header."""

Measured = tuple[str, int, int]
"""Media type, width, height."""

_MOST_SEGMENTS = 5_000
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})


def measure(image: bytes) -> Measured | None:
    """Return type and size, None where the bytes are no PNG, JPEG, GIF or WebP, or end within the header."""
    for begins, measure_one in _KINDS:
        if image.startswith(begins):
            measured = measure_one(image)
            return measured if measured is not None and measured[1] > 0 and measured[2] > 0 else None
    return None


def _png(image: bytes) -> Measured | None:
    if len(image) < 24 or image[12:16] != b"IHDR":
        return None
    return "image/png", int.from_bytes(image[16:20], "big"), int.from_bytes(image[20:24], "big")


def _gif(image: bytes) -> Measured | None:
    if len(image) < 10 or image[4:6] not in (b"7a", b"9a"):
        return None
    return "image/gif", int.from_bytes(image[6:8], "little"), int.from_bytes(image[8:10], "little")


def _jpeg(image: bytes) -> Measured | None:
    place = 2
    for _ in range(_MOST_SEGMENTS):
        if len(image) < place + 9 or image[place] != 0xFF:
            return None
        marker = image[place + 1]
        if marker in _JPEG_FRAMES:
            height, width = image[place + 5 : place + 7], image[place + 7 : place + 9]
            return "image/jpeg", int.from_bytes(width, "big"), int.from_bytes(height, "big")
        if marker == 0xFF:  # fill
            place += 1
        elif marker in _JPEG_BARE:
            place += 2
        else:
            place += 2 + int.from_bytes(image[place + 2 : place + 4], "big")
    return None


def _webp(image: bytes) -> Measured | None:
    if len(image) < 30 or image[8:12] != b"WEBP":
        return None
    kind = image[12:16]
    if kind == b"VP8X":
        return "image/webp", int.from_bytes(image[24:27], "little") + 1, int.from_bytes(image[27:30], "little") + 1
    if kind == b"VP8L" and image[20] == 0x2F:
        bits = int.from_bytes(image[21:25], "little")
        return "image/webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and image[23:26] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(image[at : at + 2], "little") & 0x3FFF for at in (26, 28))
        return "image/webp", width, height
    return None


_KINDS = ((b"\x89PNG\r\n\x1a\n", _png), (b"GIF8", _gif), (b"\xff\xd8\xff", _jpeg), (b"RIFF", _webp))
