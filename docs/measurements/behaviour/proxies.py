"""Measure what each proxy does with a stream that gunicorn's threads send.

``nox -s measure -- proxies`` asks them all and writes ``results/recorded/proxies.csv``;
with names of proxies it asks only those, and keeps the other rows.
"""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import NamedTuple

from docs._system.packaged import search_path
from docs._system.ports import free_port
from docs.measurements.behaviour.questions import PATIENT, Target, answers
from docs.measurements.behaviour.servers import (
    SERVERS,
    Served,
    Server,
    command,
)
from docs.measurements.lab.measurement import Measurement, measured_on
from docs.measurements.lab.processes import NotStartedError, event_log, running
from docs.measurements.lab.results import Cells

GUNICORN = next(server for server in SERVERS if server.name == "gunicorn gthread")
UWSGI = next(server for server in SERVERS if server.name == "uWSGI http-socket")

#: Where the app listens beside its port, and what tells its server to do so.
SOCKETS = {
    GUNICORN.name: "-b unix:{folder}/app.socket",
    UWSGI.name: "--uwsgi-socket {folder}/app.socket --chmod-socket=666",
}

NGINX = """
worker_processes 1;
pid {folder}/nginx.pid;
{process_settings}
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  uwsgi_temp_path {folder}/uwsgi;
  {settings}
  server {{
    listen 127.0.0.1:{port};
    {http2_settings}
    location / {{
      {pass_on};
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
  timeout client 60s
  timeout server 60s
listen app
  bind 127.0.0.1:{port}
  server flask 127.0.0.1:{upstream}
  {upstream_settings}
"""

CADDY = """
{{
  admin off
  {http2_settings}
}}
http://127.0.0.1:{port} {{
  bind 127.0.0.1
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

TRAEFIK = """
http:
  routers:
    flask:
      rule: PathPrefix(`/`)
      service: flask
      {settings}
  services:
    flask:
      loadBalancer:
        servers:
          - url: http://127.0.0.1:{upstream}
  {upstream_settings}
"""

ENVOY = """
static_resources:
  listeners:
    - address:
        socket_address: {{address: 127.0.0.1, port_value: {port}}}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/{manager}
                stat_prefix: flask
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": type.googleapis.com/{router}
                route_config:
                  virtual_hosts:
                    - name: flask
                      domains: ["*"]
                      routes:
                        - match: {{prefix: "/"}}
                          route: {{cluster: flask, {upstream_settings}}}
  clusters:
    - name: flask
      load_assignment:
        cluster_name: flask
        endpoints:
          - lb_endpoints:
              - endpoint:
                  address:
                    socket_address: {{address: 127.0.0.1, port_value: {upstream}}}
"""

#: The types that an Envoy configuration spells out, by their places in it.
ENVOY_TYPES = {
    "manager": "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "router": "envoy.extensions.filters.http.router.v3.Router",
}

#: Where Debian keeps its programs, and Apache's modules.
DEBIAN = "/usr/sbin:/usr/bin"
MODULES = "/usr/lib/apache2/modules"


class Program(NamedTuple):
    """The program of a proxy, and how it is started here.

    :param command: what starts it; what stands in braces is filled in.
    :param version: what prints its version.
    :param configuration: what it is started with, in braces too.
    :param release: the release that Debian has, where that is meant and not the newest.
    :param http2: what it needs to speak HTTP/2 without TLS on the port ``{http2}``.
    """

    command: str
    version: str
    configuration: str
    release: str = ""
    http2: str = ""


nginx = Program(
    "nginx -p {folder} -e stderr -c {file} -g 'daemon off;'",
    "nginx -v",
    NGINX,
    http2="listen 127.0.0.1:{http2} http2;",
)
nginx_debian = nginx._replace(release="1.22")
apache = Program("apache2 -DFOREGROUND -f {file}", "apache2 -v", APACHE)
haproxy = Program("haproxy -db -f {file}", "haproxy -v", HAPROXY)
caddy = Program(
    "caddy run --adapter caddyfile --config {file}",
    "caddy version",
    CADDY,
    http2="servers {{\n protocols h1 h2c\n }}",
)
caddy_debian = caddy._replace(release="2.6")
traefik = Program(
    "traefik --entrypoints.web.address=127.0.0.1:{port} --providers.file.filename={file} "
    "--global.checknewversion=false {process_settings}",
    "traefik version",
    TRAEFIK,
)
envoy = Program("envoy -c {file} --disable-hot-restart --concurrency 1", "envoy --version", ENVOY)
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
    :param behind: what serves the app.
    :param pass_on: how nginx reaches the app.
    """

    name: str
    program: Program
    settings: str = ""
    upstream: str = ""
    accel: str = ""
    accept: str = ""
    behind: Server = GUNICORN
    pass_on: str = "proxy_pass http://127.0.0.1:{upstream}"


BEST = "nginx 1.22, HTTP/1.1 and buffering off"
SOCKET = "proxy_pass http://unix:{folder}/app.socket"
UWSGI_PASS = (
    "uwsgi_param REQUEST_METHOD $request_method; uwsgi_param PATH_INFO $document_uri; "
    "uwsgi_param QUERY_STRING $query_string; uwsgi_param CONTENT_TYPE $content_type; "
    "uwsgi_param CONTENT_LENGTH $content_length; uwsgi_param SERVER_PROTOCOL $server_protocol; "
    "uwsgi_param SERVER_NAME $server_name; uwsgi_param SERVER_PORT $server_port; "
    "uwsgi_pass unix:{folder}/app.socket"
)
NGINX_GZIP = "gzip on; gzip_types text/plain; gzip_proxied any;"
APACHE_DEFLATE = f"""
LoadModule filter_module {MODULES}/mod_filter.so
LoadModule deflate_module {MODULES}/mod_deflate.so
AddOutputFilterByType DEFLATE text/plain
"""
TRAEFIK_MIDDLEWARE = """
      middlewares: [around]
  middlewares:
    around:
      {}
"""

PROXIES = [
    Proxy("nginx", nginx),
    Proxy("nginx, X-Accel-Buffering: no", nginx, accel="no"),
    Proxy("nginx, buffering off", nginx, upstream="proxy_buffering off;"),
    Proxy("nginx, 8 MB on disk", nginx, upstream="proxy_max_temp_file_size 8m;"),
    Proxy("nginx, gzip", nginx, NGINX_GZIP, accept="gzip"),
    Proxy("nginx, buffering off, gzip", nginx, NGINX_GZIP, "proxy_buffering off;", accept="gzip"),
    Proxy("nginx, Unix socket", nginx, pass_on=SOCKET),
    Proxy("nginx, uwsgi_pass", nginx, behind=UWSGI, pass_on=UWSGI_PASS),
    Proxy(
        "nginx, uwsgi_pass, 8 MB on disk",
        nginx,
        upstream="uwsgi_max_temp_file_size 8m;",
        behind=UWSGI,
        pass_on=UWSGI_PASS,
    ),
    Proxy(
        "nginx, uwsgi_pass and buffering off",
        nginx,
        upstream="uwsgi_buffering off;",
        behind=UWSGI,
        pass_on=UWSGI_PASS,
    ),
    Proxy("nginx 1.22", nginx_debian),
    Proxy("nginx 1.22, X-Accel-Buffering: no", nginx_debian, accel="no"),
    Proxy("nginx 1.22, buffering off", nginx_debian, upstream="proxy_buffering off;"),
    Proxy("nginx 1.22, HTTP/1.1", nginx_debian, upstream="proxy_http_version 1.1;"),
    Proxy(BEST, nginx_debian, upstream="proxy_http_version 1.1; proxy_buffering off;"),
    Proxy("nginx 1.22, gzip", nginx_debian, NGINX_GZIP, accept="gzip"),
    Proxy("Apache", apache),
    Proxy("Apache, deflate", apache, APACHE_DEFLATE, accept="gzip"),
    Proxy("HAProxy", haproxy),
    Proxy("HAProxy, http-no-delay", haproxy, upstream="option http-no-delay"),
    Proxy("Caddy", caddy),
    Proxy("Caddy, encode gzip", caddy, "encode gzip", accept="gzip"),
    Proxy("Caddy 2.6", caddy_debian),
    Proxy("Caddy 2.6, encode gzip", caddy_debian, "encode gzip", accept="gzip"),
    Proxy("Traefik", traefik),
    Proxy("Traefik, compress", traefik, TRAEFIK_MIDDLEWARE.format("compress: {}"), accept="gzip"),
    Proxy(
        "Traefik, buffering",
        traefik,
        TRAEFIK_MIDDLEWARE.format("buffering: {memResponseBodyBytes: 1048576}"),
    ),
    Proxy("Envoy", envoy),
    Proxy("Envoy, timeout: 0s", envoy, upstream="timeout: 0s,"),
    Proxy("Varnish", varnish),
    Proxy("Varnish, pass", varnish, "sub vcl_recv { return (pass); }"),
    Proxy("Varnish, pipe", varnish, "sub vcl_recv { return (pipe); }"),
]

#: What ends a response after a second, in its configuration where it names the app.
TIME_LIMITS = {
    "nginx": "proxy_read_timeout 1s;",
    BEST: "proxy_read_timeout 1s;",
    "nginx, uwsgi_pass": "uwsgi_read_timeout 1s;",
    "Apache": "ProxyTimeout 1",
    "HAProxy": "timeout server 1s",
    "Caddy": "transport http {\n read_timeout 1s\n }",
    "Caddy 2.6": "transport http {\n read_timeout 1s\n }",
    "Envoy": "timeout: 1s",
    "Envoy, timeout: 0s": "idle_timeout: 1s",
    "Varnish": ".between_bytes_timeout = 1s;",
}

#: The same for Traefik, which has it among the options of its command.
TRAEFIK_LIMIT = "--entrypoints.web.transport.respondingtimeouts.writetimeout=1s"


def version_of(program: Program) -> str:
    """Return the version of a proxy's program.

    :raises NotStartedError: when it is not installed, or another release is.
    """
    name, *options = program.version.split()
    path = find(name, program)
    printed = subprocess.run([path, *options], capture_output=True, text=True)
    found = re.search(r"\d+\.\d+\.\d+", (printed.stdout + printed.stderr).replace(path, ""))
    version = f"{name} {found[0] if found else 'of no version'}"
    if not version.startswith(f"{name} {program.release}"):
        raise NotStartedError(f"{version} is installed")
    return version


def find(name: str, program: Program) -> str:
    """Return the path of a program: Debian's, where that release is meant.

    :raises NotStartedError: when it is not installed.
    """
    found = shutil.which(name, path=DEBIAN if program.release else search_path())
    if not found:
        raise NotStartedError(f"{name} is not installed")
    return found


@contextmanager
def serve(
    proxy: Proxy, *, http2: bool = False, more: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Served]:
    """Run a proxy in front of the measured app until the block ends.

    :param proxy: which one.
    :param http2: whether the target is the port on which it speaks HTTP/2.
    :param more: what its configuration has beside its own, by the place where it goes.
    :raises NotStartedError: when it is not installed, or does not answer.
    """
    program = proxy.program
    version = version_of(program)
    with event_log() as events, TemporaryDirectory(prefix="proxy-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        file = folder / "configuration.yml"
        port, upstream = free_port(), free_port()
        listening = free_port() if http2 and "{http2}" in program.http2 else port
        values: dict[str, object] = ENVOY_TYPES | {
            "folder": folder,
            "file": file,
            "port": port,
            "http2": listening,
            "upstream": upstream,
            "modules": MODULES,
        }
        places = {
            "pass_on": proxy.pass_on,
            "http2_settings": program.http2 if http2 else "",
            "process_settings": "",
        }
        values |= {place: text.format(**values) for place, text in places.items()}
        values |= {"settings": proxy.settings, "upstream_settings": proxy.upstream}
        values |= {place: f"{values[place]} {text}" for place, text in more.items()}
        file.write_text(program.configuration.format(**values), "utf-8")
        executable, *arguments = shlex.split(program.command.format(**values))
        home = {"HOME": name, "STREAM_ACCEL": proxy.accel}
        behind = command(
            proxy.behind, upstream, folder, SOCKETS[proxy.behind.name].format(**values)
        )
        with (
            running(behind, upstream, events, settings=home) as app,
            running(
                [find(executable, program), *arguments], port, events, settings=home
            ) as process,
        ):
            accept = f"Accept-Encoding: {proxy.accept}\r\n" if proxy.accept else ""
            target = Target(listening, events, [app.pid, process.pid], accept)
            yield Served(target, process, version)


def names(proxy: Proxy) -> Cells:
    """Return the name of a proxy, and the settings that set it apart."""
    passing = proxy.pass_on.rpartition("; ")[2]  # without the parameters of uwsgi
    if proxy.pass_on == Proxy._field_defaults["pass_on"]:
        passing = ""
    settings = " ".join(f"{passing} {proxy.settings} {proxy.upstream}".split())
    if proxy.accel:
        settings = f"X-Accel-Buffering: {proxy.accel}"
    return {"proxy": proxy.name, "settings": settings or "its own"}


def ask(proxy: Proxy) -> Cells:
    """Ask a proxy everything that keeps the processor busy."""
    with serve(proxy) as served:
        cells = {"versions": served.versions} | answers(served.target)
    if "uwsgi_pass" in proxy.pass_on:  # the app is told the version of the client's request
        cells["asks the app with"] = "uwsgi"
    return cells


def wait(proxy: Proxy) -> Cells:
    """Ask a proxy what takes long."""
    with serve(proxy) as served:
        return answers(served.target, PATIENT)


MEASUREMENT = Measurement(
    "proxies",
    PROXIES,
    names=names,
    ask=ask,
    wait=wait,
    on=lambda proxy: {"behind it": proxy.behind.name, **measured_on(*proxy.behind.packages)},
)


if __name__ == "__main__":
    MEASUREMENT.run(sys.argv[1:])
