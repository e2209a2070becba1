"""Rows from Parquet files, as lines by the workers of a Dask cluster: needs the group ``cluster``.

Each file is a partition, and a task of its own. The workers are a little ahead of the reader, and
the process that serves the stream asks for one partition at a time.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import closing
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import dask
import pyarrow as pa
from distributed import Client
from distributed.utils import LoopRunner
from pyarrow import parquet

from examples.kit.csv_text import Block
from examples.rows import TEXT_COLUMNS, Flight, iter_all_rows
from examples.sources.arrow import batch_text

#: Seconds in which the scheduler must answer when a stream begins.
CONNECT = 5

#: Seconds that a stream waits for a partition. It must be more than a partition ever takes, the
#: time in which it waits for a free worker included.
STALL = 30

#: Rows that a worker turns into text at a time.
BATCH = 1024

#: Rows in the first file at most, because the first byte waits for all of them.
FIRST = 1000

#: The types of the columns, in the files and where they are read.
SCHEMA = pa.schema(
    [(name, pa.string() if name in TEXT_COLUMNS else pa.int64()) for name in Flight._fields]
)

# Dask keeps the last thousand messages of each connection for those who debug it. Every task is
# such a message, so that a stream would grow with its partitions.
dask.config.set({"distributed.admin.low-level-log-length": 0})

LOOP = LoopRunner()
STARTING = Lock()


def blocks(columns: Sequence[str], *, spreadsheet: bool = False) -> Iterator[Block]:
    """Yield the lines of every flight, partition after partition.

    The environment variable ``DASK_SCHEDULER_ADDRESS`` names the scheduler, and
    ``FLIGHTS_PARQUET`` the folder with the partitions, which every worker must see too.
    When the generator ends, fails or is closed, the cluster forgets its tasks.

    :param columns: fields of :class:`examples.rows.Flight`.
    :param spreadsheet: neutralise formulas.
    :raises ValueError: when one of the two is not set, or the folder has no Parquet files.
    :raises ConnectionError: when no scheduler answers, or it goes away.
    :raises TimeoutError: when a partition is not there after :data:`STALL` seconds.
    """
    folder, names = partitions()
    with connect() as client:
        tasks = (
            # Not pure: this reader's tasks are its own, and no other reader waits for them.
            client.submit(
                read_partition, str(folder / name), columns, spreadsheet=spreadsheet, pure=False
            )
            for name in names
        )
        # The first is alone, so that nothing delays the first byte.
        ahead = deque(islice(tasks, 1))
        for name in names:
            try:
                # Workers join and leave while the stream runs.
                most = sum(client.nthreads().values()) + 1
                # With its future gone from here, the worker forgets the partition.
                lines = ahead.popleft().result(timeout=STALL)
            except TimeoutError as error:
                message = f"no worker sent {folder / name} within {STALL} seconds"
                raise TimeoutError(message) from error
            except (CancelledError, OSError) as error:
                raise ConnectionError(f"Dask: {error}") from error
            ahead.extend(islice(tasks, max(0, most - len(ahead))))
            while lines:
                yield lines.pop(0)


def partitions() -> tuple[Path, list[str]]:
    """Return the folder of the partitions and their names, in order.

    There may be thousands, so each gets a path only when it is read.

    :raises ValueError: when ``FLIGHTS_PARQUET`` does not name a folder with Parquet files.
    """
    named = os.environ.get("FLIGHTS_PARQUET")
    folder = Path(named or os.devnull).resolve()
    files = os.scandir(folder) if folder.is_dir() else ()
    names = sorted(file.name for file in files if file.name.endswith(".parquet"))
    if not names:
        raise ValueError(f"FLIGHTS_PARQUET must name a folder with Parquet files, not {named!r}")
    return folder, names


def connect() -> Any:
    """Open a connection to the scheduler, for a ``with`` that closes it.

    :raises ValueError: when ``DASK_SCHEDULER_ADDRESS`` is not set.
    :raises ConnectionError: when no scheduler answers.
    """
    address = os.environ.get("DASK_SCHEDULER_ADDRESS")
    if not address:  # then Dask would start a cluster of its own, in this process
        raise ValueError("DASK_SCHEDULER_ADDRESS must name a scheduler, as in tcp://127.0.0.1:8786")
    try:
        return Client(address, timeout=CONNECT, set_as_default=False, loop=event_loop())
    except OSError as error:
        raise ConnectionError(f"Dask: {error}") from error


def event_loop() -> Any:
    """Return the event loop of this process, which starts with its first stream and then stays.

    Dask would stop a loop of its own with the last client. The timer of a message may end at that
    moment, and then asyncio logs that a future's exception was never retrieved.
    """
    with STARTING:
        if not LOOP.is_started():
            LOOP.start()
    return LOOP.loop


def read_partition(file: str, columns: Sequence[str], *, spreadsheet: bool = False) -> list[Block]:
    """Return the lines of one partition: what a worker does.

    :param file: the path of a Parquet file.
    :param columns: fields of :class:`examples.rows.Flight`. No other column is read.
    :param spreadsheet: neutralise formulas.
    """
    types = pa.schema([SCHEMA.field(name) for name in columns])
    with parquet.ParquetFile(file) as partition:
        return [
            # Other programs write other types, and then a number may look another way.
            Block(batch_text(batch.cast(types), spreadsheet=spreadsheet), batch.num_rows)
            for batch in partition.iter_batches(BATCH, columns=columns)
        ]


def write_partitions(folder: str | Path, rows: int = 5000) -> int:
    """Write every flight to Parquet files, ``part-000000.parquet`` and so on, all or none.

    :param folder: a new or empty one.
    :param rows: how many flights a file has at most, which is what is in memory at a time. The
        first one has :data:`FIRST` at most.
    :returns: the number of files.
    :raises ValueError: when the folder is not empty.
    """
    folder = Path(folder).resolve()
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; name a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory(prefix=".writing-", dir=folder.parent) as temporary,
        closing(iter_all_rows()) as flights,
    ):
        part = Path(temporary, folder.name)
        part.mkdir()
        number = 0
        while partition := list(islice(flights, rows if number else min(rows, FIRST))):
            columns = zip(*partition, strict=True)
            arrays = [pa.array(*column) for column in zip(columns, SCHEMA.types, strict=True)]
            table = pa.table(arrays, schema=SCHEMA)
            parquet.write_table(table, part / f"part-{number:06}.parquet")
            number += 1
        part.replace(folder)
    return number
