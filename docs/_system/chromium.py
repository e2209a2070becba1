"""Run JavaScript in a page of Chromium, which takes its orders through a pipe (CDP)."""

import json
import os
import select
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urljoin

from docs._system.leftovers import end_program

#: It refuses to run as root inside its sandbox, and would look for updates.
OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --disable-background-networking"
    " --no-first-run --remote-debugging-pipe"
)

#: Runs before the scripts of a page: it keeps what is shown, and the errors that nothing catches.
WATCH = """
globalThis.watched = {shown: [], errors: []};
console.log = (...values) => watched.shown.push(values.map((value) =>
  typeof value !== "object" || value instanceof Error ? String(value) : JSON.stringify(value)
).join(" "));
addEventListener("error", (event) => watched.errors.push(event.error ?? event.message));
addEventListener("unhandledrejection", (event) => watched.errors.push(event.reason));
"""

#: Imports a module when the page has loaded, and waits until a rejection has been reported.
RUN = """(async () => {
  if (document.readyState !== "complete") await new Promise((go) => addEventListener("load", go));
  await import(%s).catch((error) => watched.errors.push(error));
  await new Promise((go) => setTimeout(go));
  return {shown: watched.shown, errors: watched.errors.map((error) => error?.stack ?? `${error}`)};
})()"""


class Ran(NamedTuple):
    """What a module did.

    :param shown: what it and its page gave to ``console.log``, an item for each call.
    :param errors: the stack of each error that it did not catch.
    """

    shown: list[str]
    errors: list[str]


class ChromiumError(RuntimeError):
    """Chromium refuses an order, cannot open a page, or does not answer in time."""


class Chromium:
    """A Chromium without a window.

    :param program: its path.
    :param profile: the folder in which it keeps cookies and the like.
    """

    def __init__(self, program: str, profile: Path) -> None:
        orders, self.orders = os.pipe()
        self.answers, answers = os.pipe()
        script = f'exec "$@" 3<&{orders} 4>&{answers}'
        command = [program, *OPTIONS.split(), f"--user-data-dir={profile}"]
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            pass_fds=[orders, answers],
            start_new_session=True,
        )
        os.close(orders)
        os.close(answers)
        self.received = b""
        self.sent = 0
        self.module = ""

    def close(self) -> None:
        """End the program."""
        end_program(self.process)
        os.close(self.orders)
        os.close(self.answers)

    def messages(self, end: float) -> Iterator[dict[str, Any]]:
        """Yield what Chromium answers and reports.

        :param end: when to give up, as ``time.monotonic()`` counts.
        :raises ChromiumError: when that time has come, or Chromium has ended.
        """
        while True:
            message, found, rest = self.received.partition(b"\0")
            if found:
                self.received = rest
                yield json.loads(message)
            elif not select.select([self.answers], [], [], max(0, end - time.monotonic()))[0]:
                raise ChromiumError("it did not end in time")
            elif received := os.read(self.answers, 65536):
                self.received += received
            else:
                raise ChromiumError("Chromium has ended")

    def send(self, method: str, session: str | None, **parameters: object) -> int:
        """Send an order, and return its number."""
        self.sent += 1
        order = {"id": self.sent, "method": method, "params": parameters}
        if session:
            order["sessionId"] = session
        os.write(self.orders, json.dumps(order).encode() + b"\0")
        return self.sent

    def call(
        self, method: str, session: str | None, end: float, **parameters: object
    ) -> dict[str, Any]:
        """Send an order and return its result.

        :param method: its name in the protocol.
        :param session: the tab that it is for, if it is for one.
        :param end: when to give up, as ``time.monotonic()`` counts.
        :raises ChromiumError: when Chromium refuses it, or does not answer in time.
        """
        number = self.send(method, session, **parameters)
        for message in self.messages(end):
            if message.get("method") == "Fetch.requestPaused":
                self.send(
                    "Fetch.fulfillRequest",
                    session,
                    requestId=message["params"]["requestId"],
                    responseCode=200,
                    responseHeaders=[{"name": "Content-Type", "value": "text/javascript"}],
                    body=b64encode(self.module.encode()).decode(),
                )
            if message.get("id") == number:
                break
        if "error" in message:
            raise ChromiumError(message["error"]["message"])
        result: dict[str, Any] = message["result"]
        if failed := result.get("errorText"):
            raise ChromiumError(failed)
        return result

    def run(self, page: str, module: str, source: str, limit: float) -> Ran:
        """Run a module in a new tab, to its end.

        :param page: the URL that the tab shows.
        :param module: the name of the module, which no server needs to have.
        :param source: its text.
        :param limit: seconds that it may take.
        :raises ChromiumError: when the page cannot be opened, or the module does not end in time.
        """
        end = time.monotonic() + limit
        url = urljoin(page, f"/{module}")
        tab = self.call("Target.createTarget", None, end, url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", None, end, targetId=tab, flatten=True)
        session = attached["sessionId"]
        self.call("Page.enable", session, end)
        self.call("Page.addScriptToEvaluateOnNewDocument", session, end, source=WATCH)
        self.call("Fetch.enable", session, end, patterns=[{"urlPattern": url}])
        self.call("Page.navigate", session, end, url=page)
        self.module = source
        script = {"expression": RUN % json.dumps(url), "awaitPromise": True}
        answer = self.call("Runtime.evaluate", session, end, returnByValue=True, **script)
        self.call("Target.closeTarget", None, end, targetId=tab)
        return Ran(**answer["result"]["value"])
