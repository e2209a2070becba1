"""Measure what each proxy does with a stream that gunicorn's threads send.

``python -m docs.measurements.proxies`` asks them all and writes ``results/proxies.csv``;
with names of proxies it asks only those, and keeps the other rows.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from docs._blocks.servers import free_port
from docs.measurements.processes import NotStartedError, event_log, running
from docs.measurements.questions import Cells, Target, answers
from docs.measurements.results import RESULTS, update
from docs.measurements.servers import SERVERS, Served, command, measured_on

PROXIES_CSV = RESULTS / "proxies.csv"
BEHIND = next(server for server in SERVERS if server.name == "gunicorn gthread")

NGINX = """
worker_processes 1;
pid {folder}/nginx.pid;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  {settings}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{upstream};
      {upstream_settings}
    }}
  }}
}}
"""

APACHE = """
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule proxy_http_module {modules}/mod_proxy_http.so
User www-data
Group www-data
ServerName localhost
ServerRoot {folder}
DefaultRuntimeDir {folder}
PidFile {folder}/apache.pid
ErrorLog /dev/stderr
Listen 127.0.0.1:{port}
ProxyPass / http://127.0.0.1:{upstream}/
{settings}
{upstream_settings}
"""

HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen app
  bind 127.0.0.1:{port}
  server flask 127.0.0.1:{upstream}
  {upstream_settings}
"""

CADDY = """
{{
  admin off
}}
http://127.0.0.1:{port} {{
  {settings}
  reverse_proxy 127.0.0.1:{upstream} {{
    {upstream_settings}
  }}
}}
"""

VARNISH = """
vcl 4.1;
backend default {{
  .host = "127.0.0.1";
  .port = "{upstream}";
  {upstream_settings}
}}
{settings}
"""

#: Where Debian keeps Apache's modules.
MODULES = "/usr/lib/apache2/modules"


class Program(NamedTuple):
    """The program of a proxy, and how it is started here.

    :param command: what starts it; what stands in braces is filled in.
    :param version: what prints its version.
    :param configuration: what it is started with, in braces too.
    """

    command: str
    version: str
    configuration: str


nginx = Program("nginx -p {folder} -e stderr -c {file} -g 'daemon off;'", "nginx -v", NGINX)
apache = Program("apache2 -DFOREGROUND -f {file}", "apache2 -v", APACHE)
haproxy = Program("haproxy -db -f {file}", "haproxy -v", HAPROXY)
caddy = Program("caddy run --adapter caddyfile --config {file}", "caddy version", CADDY)
varnish = Program(
    "varnishd -F -f {file} -a 127.0.0.1:{port} -n {folder}/varnish -s malloc,64m",
    "varnishd -V",
    VARNISH,
)


class Proxy(NamedTuple):
    """A proxy with some settings.

    :param name: what the guide calls it.
    :param program: its program.
    :param settings: what its configuration has beside what it must have.
    :param upstream: what it has where it names the app.
    :param accel: the ``X-Accel-Buffering`` that the app sends.
    :param accept: the ``Accept-Encoding`` that the client sends.
    """

    name: str
    program: Program
    settings: str = ""
    upstream: str = ""
    accel: str = ""
    accept: str = ""


BEST = "nginx, HTTP/1.1 and buffering off"
NGINX_GZIP = "gzip on; gzip_types text/plain; gzip_proxied any;"
APACHE_DEFLATE = """
LoadModule filter_module {modules}/mod_filter.so
LoadModule deflate_module {modules}/mod_deflate.so
AddOutputFilterByType DEFLATE text/plain
"""

PROXIES = [
    Proxy("nginx", nginx),
    Proxy("nginx, X-Accel-Buffering: no", nginx, accel="no"),
    Proxy("nginx, buffering off", nginx, upstream="proxy_buffering off;"),
    Proxy("nginx, HTTP/1.1", nginx, upstream="proxy_http_version 1.1;"),
    Proxy(BEST, nginx, upstream="proxy_http_version 1.1; proxy_buffering off;"),
    Proxy("nginx, gzip", nginx, NGINX_GZIP, accept="gzip"),
    Proxy(
        f"{BEST}, gzip",
        nginx,
        NGINX_GZIP,
        "proxy_http_version 1.1; proxy_buffering off;",
        accept="gzip",
    ),
    Proxy("Apache", apache),
    Proxy("Apache, deflate", apache, APACHE_DEFLATE.format(modules=MODULES), accept="gzip"),
    Proxy("HAProxy", haproxy),
    Proxy("HAProxy, http-no-delay", haproxy, upstream="option http-no-delay"),
    Proxy("Caddy", caddy),
    Proxy("Caddy, encode gzip", caddy, "encode gzip", accept="gzip"),
    Proxy("Varnish", varnish),
    Proxy("Varnish, pass", varnish, "sub vcl_recv { return (pass); }"),
    Proxy("Varnish, pipe", varnish, "sub vcl_recv { return (pipe); }"),
]

#: What ends a response of the app after a second without a byte.
TIME_LIMITS = {
    "nginx": "proxy_read_timeout 1s;",
    BEST: "proxy_read_timeout 1s;",
    "Apache": "ProxyTimeout 1",
    "HAProxy": "timeout server 1s",
    "Caddy": "transport http {\n read_timeout 1s\n }",
    "Varnish": ".between_bytes_timeout = 1s;",
}


def version_of(proxy: Proxy) -> str:
    """Return the version of a proxy's program.

    :raises NotStartedError: when it is not installed.
    """
    program, *options = proxy.program.version.split()
    printed = subprocess.run([find(program), *options], capture_output=True, text=True)
    found = re.search(r"\d+\.\d+[\w.]*", printed.stdout + printed.stderr)
    return f"{program} {found[0] if found else 'of no version'}"


def find(program: str) -> str:
    """Return the path of a program.

    :raises NotStartedError: when it is not installed.
    """
    # Debian's servers are where only root looks
    found = shutil.which(program, path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if not found:
        raise NotStartedError(f"{program} is not installed")
    return found


@contextmanager
def serve(proxy: Proxy, upstream_settings: str = "") -> Iterator[Served]:
    """Run a proxy in front of the measured app until the block ends.

    :param proxy: which one.
    :param upstream_settings: what its configuration has beside its own, where it names the app.
    :raises NotStartedError: when it is not installed, or does not answer.
    """
    version = version_of(proxy)
    with event_log() as events, TemporaryDirectory(prefix="proxy-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        file = folder / "configuration"
        port, upstream = free_port(), free_port()
        values = {
            "folder": folder,
            "file": file,
            "port": port,
            "upstream": upstream,
            "modules": MODULES,
            "settings": proxy.settings,
            "upstream_settings": f"{proxy.upstream} {upstream_settings}",
        }
        file.write_text(proxy.program.configuration.format(**values), "utf-8")
        program, *arguments = shlex.split(proxy.program.command.format(**values))
        home = {"HOME": name, "STREAM_ACCEL": proxy.accel}
        with (
            running(command(BEHIND, upstream, folder), upstream, events, settings=home) as app,
            running([find(program), *arguments], port, events, settings=home) as process,
        ):
            accept = f"Accept-Encoding: {proxy.accept}\r\n" if proxy.accept else ""
            target = Target(port, events, [app.pid, process.pid], accept)
            yield Served(target, process, version)


def row(proxy: Proxy) -> Cells:
    """Measure one proxy."""
    settings = " ".join([*proxy.settings.split(), *proxy.upstream.split()])
    if proxy.accel:
        settings = f"X-Accel-Buffering: {proxy.accel}"
    cells: Cells = {"proxy": proxy.name, "settings": settings or "its own"}
    try:
        with serve(proxy) as served:
            cells |= {"versions": served.versions} | answers(served.target)
    except NotStartedError as error:
        cells["not measured"] = str(error)
    return cells | {"behind it": BEHIND.name} | measured_on(*BEHIND.packages)


def main(names: list[str]) -> None:
    """Measure the named proxies, or all, and write their rows."""
    for proxy in PROXIES:
        if not names or proxy.name in names:
            print(proxy.name, flush=True)
            update(PROXIES_CSV, row(proxy), key=["proxy"], order=[[each.name] for each in PROXIES])


if __name__ == "__main__":
    main(sys.argv[1:])
