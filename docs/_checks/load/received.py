"""Measure the memory of uploads from 10 MB to 1 GB."""

import socket
import time
from collections.abc import Iterator
from tempfile import TemporaryDirectory

from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.processes import Gunicorn, gunicorn
from docs.measurements.lab.recorder import CLOSE, request_bytes
from docs.measurements.lab.results import Cells
from docs.measurements.speed.memory import peak

MEGABYTE = 1_000_000
SIZES = 10, 100, 1000  # MB
PIECE = bytes(MEGABYTE)
WORKERS = {"gthread": "-k gthread --threads 100", "gevent": "-k gevent"}

PART = b'--B\r\nContent-Disposition: form-data; name="list"; filename="form"\r\n\r\n'
END = b"\r\n--B--\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"


def send(served: Gunicorn, kind: str, size: int) -> None:
    """Upload a number of MB, in chunks, with a length or in a form.

    :raises ValueError: when the answer is not 200 or 201.
    """
    whole = size * MEGABYTE + (len(PART + END) if kind == "form" else 0)
    head = CHUNKED if kind == "chunked" else f"Content-Length: {whole}\r\n"
    if kind == "form":
        head += "Content-Type: multipart/form-data; boundary=B\r\n"
    method, path = ("POST", "/forms") if kind == "form" else ("PUT", f"/files/{kind}")
    with socket.create_connection(("127.0.0.1", served.port), 120) as client:
        client.sendall(request_bytes(served.port, path, method, headers=CLOSE + head))
        client.sendall(PART if kind == "form" else b"")
        framed = b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if kind == "chunked" else PIECE
        for _ in range(size):
            client.sendall(framed)
        client.sendall({"form": END, "chunked": b"0\r\n\r\n"}.get(kind, b""))
        status = client.makefile("rb").readline().split()[1]
    if status not in (b"200", b"201"):
        raise ValueError(f"{kind}, {size} MB: {status!r}")


def memory(served: Gunicorn) -> Iterator[Cells]:
    """Yield how much the peak memory of the worker grows for each upload, above the idle worker."""
    idle = peak(served)
    for kind in ("length", "chunked", "form"):
        for size in SIZES:
            began = time.monotonic()
            send(served, kind, size)
            yield {
                "upload": kind,
                "size, MB": size,
                "peak grown, MB": round((peak(served) - idle) * 1024 / MEGABYTE, 1),
                "seconds": round(time.monotonic() - began, 1),
            }


def received_rows() -> Iterator[Cells]:
    """Yield the rows of the table."""
    for worker, options in WORKERS.items():
        with TemporaryDirectory() as name:
            settings = {"FLASK_UPLOAD_FOLDER": name}
            with gunicorn("examples.upload:app", options, settings=settings) as served:
                send(served, "length", 1)  # until all is loaded that is loaded once
                for cells in memory(served):
                    yield {"worker": worker, **cells, **measured_on("gunicorn", "gevent")}
