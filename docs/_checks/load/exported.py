"""Send ten megabytes to a gigabyte through each download and upload, and measure the memory.

The flights of the largest export take half a gigabyte on the disk. The files of the archives are
sparse. ``python -m docs.measurements exported /flights.zip`` measures the rows of one path again.
"""

from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.processes import gunicorn
from docs.measurements.lab.recorder import CLOSE, drain
from docs.measurements.lab.results import Cells, recorded
from docs.measurements.speed.memory import peak
from examples.rows import batches, fill_sqlite, read_january

from .queried import filled

MEGABYTES = (10, 100, 1000)
ROW_BYTES = 300  # of a flight as JSON, about
FILES = 10  # in an archive

#: gevent's worker would end a large export, which never waits, after its 30 seconds.
WORKERS = {"gthread": "-k gthread --threads 8", "gevent": "-k gevent --timeout 600"}


def prepared(folder: Path, megabytes: int) -> dict[str, str]:
    """Make a database and files of a size, and return the environment that names them."""
    database, files = folder / f"{megabytes}.sqlite", folder / f"{megabytes}"
    flights = cycle(list(read_january()))
    fill_sqlite(database, batches(islice(flights, megabytes * 1_000_000 // ROW_BYTES)))
    files.mkdir()
    for number in range(FILES):
        with (files / f"{number}.bin").open("wb") as file:
            file.truncate(megabytes * 1_000_000 // FILES)
    return {"DATABASE_URL": f"sqlite:///{database}", "FLASK_ARCHIVE_FOLDER": str(files)}


def one_file(folder: Path, megabytes: int) -> dict[str, str]:
    """Make a file of a size, and return the environment that names its folder."""
    with (folder / "large.bin").open("wb") as file:
        file.truncate(megabytes * 1_000_000)
    return {"FLASK_FILES_FOLDER": str(folder)}


def compressed(port: int, path: str, _: int) -> int:
    """Read a response as a client that decodes zstd, and return its size, in bytes."""
    return drain(port, path, headers=f"{CLOSE}Accept-Encoding: zstd\r\n").size


class Exported(NamedTuple):
    """A download, or an upload.

    :param app: its module.
    :param path: of the request, and without its query the name of the rows.
    :param settings: returns the environment of the app, by an empty folder and the megabytes.
    :param send: sends a request, by the port, the path and the megabytes, and returns the bytes of
        the body that is large. By default it reads the response.
    :param packages: whose versions the row has, besides those of the servers.
    """

    app: str
    path: str
    settings: Callable[[Path, int], dict[str, str]] = lambda *_: {}
    send: Callable[[int, str, int], int] = lambda port, path, _: drain(port, path).size
    packages: tuple[str, ...] = ()

    def name(self) -> str:
        """Return the name of the rows."""
        return self.path.partition("?")[0]

    def row(self, worker: str, megabytes: int) -> Cells:
        """Return the row of a worker and a size, from a new worker."""
        with TemporaryDirectory() as folder:
            settings = self.settings(Path(folder), megabytes)
            with gunicorn(f"{self.app}:app", WORKERS[worker], settings=settings) as served:
                idle = peak(served)
                return {
                    "path": self.name(),
                    "worker": worker,
                    "megabytes": megabytes,
                    "sent, bytes": self.send(served.port, self.path, megabytes),
                    "idle, KiB": idle,
                    "peak, KiB": peak(served),
                    **measured_on("gunicorn", "gevent", *self.packages),
                }


def orders(folder: Path, megabytes: int) -> dict[str, str]:
    """Make a database of orders of a size, and return the environment that names it."""
    url = f"sqlite:///{folder}/orders.sqlite"
    filled(url, megabytes)
    return {"FLASK_ORDERS_URL": url}


#: Three rows for each, by both workers.
CASES = (
    Exported("examples.orders", "/orders.csv?end=marker", orders, packages=("sqlalchemy",)),
    Exported("examples.json_lines", "/flights.jsonl?end=marker", prepared, packages=("orjson",)),
    Exported("examples.json_lines", "/flights.json", prepared, packages=("orjson",)),
    Exported("examples.archive", "/flights.zip", prepared, packages=("zipstream-ng",)),
    Exported("examples.files", "/files/large.bin", one_file),
    Exported("examples.compressed", "/compressed.jsonl", prepared, compressed),
)


def exported_rows(*names: str) -> Iterator[Cells]:
    """Yield a row for each path, worker and size.

    :param names: the paths that are measured again, all where there are none.
    """
    earlier: dict[tuple[str, str], list[Cells]] = {}
    for row in recorded("exported"):
        earlier.setdefault((row["path"], row["worker"]), []).append(dict(row))
    for case in CASES:
        for worker in WORKERS:
            if not names or case.name() in names:
                yield from (case.row(worker, megabytes) for megabytes in MEGABYTES)
            else:
                yield from earlier.get((case.name(), worker), [])
