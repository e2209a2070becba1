"""Send files as one ZIP archive that is written while it is sent."""

import re
from collections.abc import Generator, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any
from unicodedata import normalize

from flask import Response

from .chunks import join_chunks, prime
from .closing import close
from .file_name import LONGEST, NO_NAME, download_name

#: Bytes that are read from a file at a time.
SIZE = 64 * 1024

#: What a name may not have where the archive is unpacked: on Windows a colon too.
NOT_EVERYWHERE = re.compile(f"{NO_NAME.pattern}|:")


def send_zip(files: Mapping[str, Path], name: str) -> Response:
    """Return a response that sends files as an archive, without compression and with its length.

    >>> _ = Path("flight.txt").write_text("UA 1545")
    >>> send_zip({"flight.txt": Path("flight.txt")}, "flights.zip").headers["Content-Length"]
    '141'

    :param files: the path of each file, by its name in the archive.
    :param name: the name of the download.
    :raises ValueError: for names that :func:`check_names` refuses.
    :raises OSError: when a file does not exist, or the first file cannot be read.
    """
    from zipstream import ZipStream

    check_names(files)
    archive = ZipStream(sized=True)
    for entry, path in files.items():
        archive.add_path(path, entry, recurse=False)
    return archive_response(archive, name)


def files_of(folder: Path) -> dict[str, Path]:
    """Return the files of a folder and of its sub-folders by name, for :func:`send_zip`.

    Hidden files and folders are left out, such as the part file of an upload. So are empty folders,
    pipes and links, which may lead out of the folder.

    >>> Path("2013").mkdir()
    >>> for name in (".part", "2013/UA.csv"):
    ...     _ = Path(name).write_text("UA 1545")
    >>> files = files_of(Path())
    >>> "2013/UA.csv" in files, ".part" in files
    (True, False)

    :returns: the path of each file. Its name is as :func:`name_everywhere` returns it.
    :raises OSError: when the folder or a sub-folder cannot be read.
    :raises ValueError: when two files would have the same name.
    """
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.is_symlink():
            continue
        name, found = name_everywhere(path.name), {}
        if path.is_dir():
            found = {f"{name}/{inside}": file for inside, file in files_of(path).items()}
        elif path.is_file():
            found = {name: path}
        if twice := files.keys() & found.keys():
            raise ValueError(f"{min(twice)!r} is in the archive twice")
        files |= found
    return files


def name_everywhere(name: str) -> str:
    """Return the name of a file with ``_`` for each character that some systems refuse in it.

    >>> name_everywhere("departures 05:17.csv"), name_everywhere("vols_é.csv")
    ('departures 05_17.csv', 'vols_é.csv')
    """
    compatible = normalize("NFKD", name)  # in which a fullwidth colon is a colon
    if not NOT_EVERYWHERE.search(compatible):
        return name
    return normalize("NFC", NOT_EVERYWHERE.sub("_", compatible))


def archive_response(archive: Any, name: str) -> Response:
    """Return a response that sends an archive, with its length where the archive knows it.

    :param archive: a ``ZipStream`` with its files.
    :param name: the name of the download.
    """
    pieces = within(archive, len(archive)) if archive.sized else archive
    response = Response(prime(join_chunks(pieces)), mimetype="application/zip")
    if archive.sized:
        response.content_length = len(archive)
    response.headers.set("Content-Disposition", "attachment", **download_name(name))
    return response


def check_names(names: Iterable[str]) -> None:
    r"""Check that names are safe where the archive is unpacked.

    >>> check_names(["2013/UA.csv", "2013/Société.csv"])
    >>> check_names(["../UA.csv"])
    Traceback (most recent call last):
    ValueError: '../UA.csv' is no name in an archive
    >>> check_names(["UA.csv", "ua.csv"])
    Traceback (most recent call last):
    ValueError: 'ua.csv' is in the archive twice

    :raises ValueError: for a name with ``..``, a control character, a backslash, a colon or a slash
        at its start, and for a name that some systems treat as an earlier name or as its folder.
    """
    seen = set()
    for name in names:
        parts = normalize("NFKD", name).split("/")
        long = any(len(part.encode(errors="replace")) > LONGEST for part in name.split("/"))
        if long or any(map(NOT_EVERYWHERE.search, parts)):
            raise ValueError(f"{name!r} is no name in an archive")
        same = normalize("NFKD", name).casefold()
        if same in seen:
            raise ValueError(f"{name!r} is in the archive twice")
        seen.add(same)
    in_order = sorted(name.replace("/", "\0") for name in seen)  # what is in a folder follows it
    for name, following in pairwise(in_order):
        if following.startswith(f"{name}\0"):
            raise ValueError(f"{name!r} is a file and a folder in the archive")


def within(pieces: Iterable[bytes], length: int) -> Generator[bytes, None, None]:
    """Yield the pieces of a body, and raise an error before there are more bytes than its length.

    A file may grow while it is sent. Without the error a client would receive a body of the right
    length that is no archive.

    >>> list(within([b"UA", b"1545"], 6))
    [b'UA', b'1545']
    >>> list(within([b"UA", b"1545"], 5))
    Traceback (most recent call last):
    ValueError: the body has more than 5 bytes

    :param pieces: the pieces. They are closed when this generator is closed.
    :param length: the bytes that were promised.
    :raises ValueError: for more bytes.
    """
    left = length
    try:
        for piece in pieces:
            left -= len(piece)
            if left < 0:
                raise ValueError(f"the body has more than {length} bytes")
            yield piece
    finally:
        close(pieces)


def first_bytes(path: Path, size: int) -> Generator[bytes, None, None]:
    """Yield the first bytes of a file, also of one that grows, such as a log.

    >>> _ = Path("flight.log").write_text("UA 1545")
    >>> list(first_bytes(Path("flight.log"), 2))
    [b'UA']
    >>> list(first_bytes(Path("flight.log"), 10))
    Traceback (most recent call last):
    ValueError: flight.log has fewer than 10 bytes

    :param path: the file.
    :param size: the number of bytes, for :meth:`!ZipStream.add`.
    :raises OSError: when the file cannot be read.
    :raises ValueError: when it has fewer bytes.
    """
    left = size
    with path.open("rb") as file:
        while left and (piece := file.read(min(SIZE, left))):
            left -= len(piece)
            yield piece
    if left:
        raise ValueError(f"{path} has fewer than {size} bytes")
