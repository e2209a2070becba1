"""Show a camera to every viewer as MJPEG, from one process that draws its frames."""

import time
from collections.abc import Collection, Iterator
from contextlib import closing
from functools import cache, partial
from pathlib import Path

from flask import Flask, Response, abort, render_template, request
from PIL import Image, ImageDraw

from examples.kit.frames import IMAGE_HEADERS, SharedCamera, jpeg

#: The pixels of a frame.
SIZES = {"small": (320, 240), "large": (640, 480)}

#: The most frames that a viewer may request for a second. The camera draws ten.
FPS = ("1", "2", "5", "10")

app = Flask(__name__)

#: The environment variable ``FLASK_FRAMES_FOLDER`` sets where the processes share their frames.
app.config.from_mapping(FRAMES_FOLDER=str(Path(__file__).parent.parent / ".frames"))
app.config.from_prefixed_env()


def draw(width: int, height: int) -> Iterator[bytes]:
    """Yield ten frames a second: a clock, and a plane that crosses the picture."""
    while True:
        now = time.time()
        image = Image.new("RGB", (width, height), "#10263f")
        pen = ImageDraw.Draw(image)
        x = int(now % 5 / 5 * width)
        middle = height // 2
        pen.polygon([(x, middle), (x - 30, middle - 10), (x - 30, middle + 10)], "white")
        pen.text((10, 10), f"UA 1545  {time.strftime('%H:%M:%S')}.{int(now * 10) % 10}", "white")
        yield jpeg(image)
        time.sleep(0.1)


@cache
def camera(size: str) -> SharedCamera:
    """Return the camera of a size."""
    return SharedCamera(partial(draw, *SIZES[size]), Path(app.config["FRAMES_FOLDER"]) / size)


def chosen(name: str, allowed: Collection[str], default: str) -> str:
    """Return the value of a query argument, which is one of a few.

    :raises werkzeug.exceptions.BadRequest: for another value, and for two.
    """
    values = request.args.getlist(name) or [default]
    if len(values) > 1 or values[0] not in allowed:
        abort(400, f"{name} is one of {', '.join(allowed)}")
    return values[0]


@app.get("/")
def index() -> str:
    """Show the camera on a page."""
    return render_template("frames.html")


@app.get("/camera")
def stream() -> Response:
    """Send frames: ``?fps=`` of them in a second at most, of a ``?size=``.

    With ``?lengths=yes`` each part has a ``Content-Length``, for programs.
    """
    fps = float(chosen("fps", FPS, "10"))
    lengths = chosen("lengths", ("yes", "no"), "no") == "yes"
    return camera(chosen("size", SIZES, "small")).response(fps, lengths=lengths)


@app.get("/frame.jpg")
def frame() -> Response:
    """Send the latest frame, of a ``?size=``."""
    with closing(camera(chosen("size", SIZES, "small")).frames()) as frames:
        return Response(next(frames), mimetype="image/jpeg", headers=IMAGE_HEADERS)
