"""Measure what a client sees that speaks HTTP/2 to a proxy, without TLS."""

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import closing

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)

from docs.measurements.behaviour.proxies import PROXIES, Proxy, running_proxy
from docs.measurements.behaviour.responses import arrival_of_ticks
from docs.measurements.behaviour.target import ANSWERED, NO_CURL, Target, with_id
from docs.measurements.lab.environments import printed_version
from docs.measurements.lab.measurement import Measurement, measured_on
from docs.measurements.lab.processes import new_id
from docs.measurements.lab.recorder import Arrival, Exchange
from docs.measurements.lab.results import Cells


class Stream:
    """A request over HTTP/2, on a connection of its own.

    :param port: of the proxy.
    :param path: what is requested, in ASCII.
    """

    def __init__(self, port: int, path: str) -> None:
        self.http2 = H2Connection(H2Configuration(client_side=True))
        self.http2.initiate_connection()
        names = (":method", ":scheme", ":authority", ":path")
        values = ("GET", "http", f"127.0.0.1:{port}", path)
        self.http2.send_headers(1, list(zip(names, values, strict=True)), end_stream=True)
        self.connection = socket.create_connection(("127.0.0.1", port), ANSWERED)
        self.send()

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def send(self) -> None:
        """Send what the protocol wants to be sent."""
        self.connection.sendall(self.http2.data_to_send())

    def events(self) -> Iterator[Event]:
        """Yield what arrives, until the stream or the connection ends.

        :raises TimeoutError: when nothing arrived for :data:`ANSWERED` seconds.
        """
        while data := self.connection.recv(65536):
            for event in self.http2.receive_data(data):
                if isinstance(event, DataReceived):
                    self.http2.acknowledge_received_data(event.flow_controlled_length, 1)
                yield event
                if isinstance(event, (StreamEnded, StreamReset, ConnectionTerminated)):
                    return
            self.send()

    def reset(self) -> None:
        """Leave the stream and keep the connection, as a browser whose other tabs are open."""
        self.http2.reset_stream(1, ErrorCodes.CANCEL)
        self.send()


class Http2Target(Target):
    """A proxy that is asked over HTTP/2."""

    def fetch(self, path: str, *_: object, **__: object) -> Exchange:
        """Send a request whose events can be found, and return what came of it."""
        answer = Exchange(request=new_id())
        with closing(Stream(self.port, with_id(path, answer.request))) as stream:
            for event in stream.events():
                if isinstance(event, ResponseReceived):
                    answer.response.status = int(dict(event.headers)[b":status"])
                    answer.ended = "cut"
                elif isinstance(event, DataReceived) and event.data:
                    answer.parts.append(Arrival(time.monotonic() - answer.began, event.data))
                elif isinstance(event, StreamEnded):
                    answer.ended = "complete"
                elif isinstance(event, StreamReset):
                    answer.ended = "reset"
        return answer


def error_midway(target: Http2Target) -> Cells:
    """Ask what a client sees when the generator raises: an error of HTTP/2, or ``silent``."""
    seen = "cut"
    with closing(Stream(target.port, "/error?after=3")) as stream:
        for event in stream.events():
            if isinstance(event, StreamReset):
                seen = f"RST_STREAM {ErrorCodes(event.error_code).name}"
            elif isinstance(event, ConnectionTerminated):
                seen = f"GOAWAY {ErrorCodes(event.error_code or 0).name}"
            elif isinstance(event, StreamEnded):
                seen = "silent"
    return {
        "error midway": seen,
        "curl, error midway": target.curl("/error?after=3", "--http2-prior-knowledge"),
    }


def departure(target: Http2Target) -> Cells:
    """Reset a stream when its first piece has come, and see whether the app learns of it."""
    request = new_id()
    with closing(Stream(target.port, f"/endless?id={request}")) as stream:
        for event in stream.events():
            if isinstance(event, DataReceived):
                break
        stream.reset()
        left = time.monotonic()
        closed = target.events.wait(request, "closed", ANSWERED)
    return {
        "client leaves, busy": "yes" if closed else "never",
        "busy, seconds": round((closed or time.monotonic()) - left, 2),
    }


def ask(proxy: Proxy) -> Cells:
    """Ask a proxy everything over HTTP/2."""
    with running_proxy(proxy, http2=True) as proxied:
        target = Http2Target(proxied.port, proxied.events)
        curl = shutil.which("curl")
        printed = f"curl {printed_version(curl, '--version')}" if curl else NO_CURL
        cells: Cells = {
            "versions": f"{proxied.versions}, {printed}",
            "small pieces": arrival_of_ticks(target, 6),
            "large pieces": arrival_of_ticks(target, 16 * 1024),
        }
        return cells | error_midway(target) | departure(target)


MEASUREMENT = Measurement(
    "http2",
    [proxy for proxy in PROXIES.values() if proxy.http2],
    names=lambda proxy: {"proxy": proxy.name},
    ask=ask,
    on=lambda proxy: measured_on(*proxy.server.packages),
)
