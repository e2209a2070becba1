"""Export ten megabytes to a gigabyte as JSON Lines, as a JSON array and as a ZIP archive.

The flights of the largest export take half a gigabyte on the disk. The files of the archives are
sparse.
"""

from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from docs.measurements.lab.measurement import measured_on
from docs.measurements.lab.processes import gunicorn
from docs.measurements.lab.recorder import drain
from docs.measurements.lab.results import Cells
from docs.measurements.speed.memory import peak
from examples.rows import batches, fill_sqlite, read_january

MEGABYTES = (10, 100, 1000)
ROW_BYTES = 300  # of a flight as JSON, about
FILES = 10  # in an archive

#: gevent's worker would end a large export, which never waits, after its 30 seconds.
WORKERS = {"gthread": "-k gthread --threads 8", "gevent": "-k gevent --timeout 600"}

#: The paths of each app.
PATHS = {
    "examples.json_lines": ("/flights.jsonl?end=marker", "/flights.json"),
    "examples.archive": ("/flights.zip",),
}


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


def exported_rows() -> Iterator[Cells]:
    """Yield a row for each path, worker and size, each from a new worker."""
    with TemporaryDirectory() as folder:
        made = {size: prepared(Path(folder), size) for size in MEGABYTES}
        for app, paths in PATHS.items():
            for path in paths:
                for name, options in WORKERS.items():
                    for size, settings in made.items():
                        with gunicorn(f"{app}:app", options, settings=settings) as served:
                            idle = peak(served)
                            sent = drain(served.port, path)
                            yield {
                                "path": path.partition("?")[0],
                                "worker": name,
                                "megabytes": size,
                                "sent, bytes": sent.size,
                                "idle, KiB": idle,
                                "peak, KiB": peak(served),
                                **measured_on("gunicorn", "gevent", "orjson", "zipstream-ng"),
                            }
