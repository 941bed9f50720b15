"""Real proxies in front of the real daemon: haproxy, nginx and curl write the header."""

import csv
import json
import os
import pathlib
import re
import ssl
import subprocess
import threading
import time

import pytest

from harness import (
    TIMEOUT, connect, free_port, hatchctl, have_ipv6, proc_net, read_all, read_exactly,
    read_line, service, wait_until,
)
from test_programs import USER_PATH, need, run

# Where the proxies are, and where their clients come from.
PROXY = "127.0.0.1"
CLIENT = "127.0.0.9"
OTHER = "127.0.0.10"

HAPROXY = """\
global
	maxconn 100
	stats socket {folder}/stats
defaults
	mode tcp
	timeout connect 20s
	timeout client 20s
	timeout server 20s
	unique-id-format %ci:%cp_%rt
listen front
	bind {bind}
	{checks}
	server hatch {target} {options}
"""

NGINX = """\
{load}daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 100; }}
stream {{
	server {{
		listen {listen};
		proxy_pass {target};
		proxy_protocol on;
	}}
}}
"""

SAY_WHO = ('echo "$REMOTE_ADDR $REMOTE_PORT $SERVER_ADDR $SERVER_PORT $PROXY_ADDR '
           '<$PROXY_AUTHORITY>"; exec cat')


def is_heard(port):
    """Whether somebody listens there.  To try it would be a client too many."""
    return any(fields[3] == "0A" and fields[1].endswith(f":{port:04X}")
               for name in ("tcp", "tcp6") for fields in proc_net("self", name))


class Proxies:
    """Starts proxies, whose files are in the folder of the test; each ends with it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.processes = []

    def _start(self, port, *command):
        log = self.folder / f"proxy{len(self.processes)}.log"
        with open(log, "wb") as file:
            process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=file,
                stderr=file, env={"PATH": USER_PATH})
        self.processes.append(process)
        wait_until(lambda: process.poll() is not None or is_heard(port),
                   what=f"{command[0]} listens")
        assert process.poll() is None, log.read_text()
        return port

    def _write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def haproxy(self, target, options, bind="127.0.0.1:{port}", checks=""):
        """Its port; `options` of the server."""
        (haproxy,) = need("haproxy")
        port = free_port()
        config = self._write("haproxy.cfg", HAPROXY.format(
            bind=bind.format(port=port), target=target, options=options, checks=checks,
            folder=self.folder))
        return self._start(port, haproxy, "-db", "-q", "-f", config)

    def nginx(self, target, listen="127.0.0.1:{port}"):
        (nginx,) = need("nginx")
        port = free_port()
        config = self._write("nginx.conf", NGINX.format(
            load=load_stream(nginx), folder=self.folder, target=target,
            listen=listen.format(port=port)))
        return self._start(port, nginx, "-e", self.folder / "nginx.log", "-c", config)

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(TIMEOUT)
            finally:
                process.kill()
                process.wait()


def load_stream(nginx):
    """The line by which an nginx loads its stream module, if it has to."""
    built = subprocess.run([nginx, "-V"], stderr=subprocess.PIPE, text=True).stderr
    version = re.search(r"nginx/(\d+)\.(\d+)\.(\d+)", built)
    if not version or tuple(map(int, version.groups())) < (1, 19, 5):
        pytest.skip("this nginx cannot be told at once where its log goes (-e)")
    if "--with-stream=dynamic" not in built:
        if not re.search(r"--with-stream\b", built):
            pytest.skip("this nginx has no stream module")
        return ""
    folder = re.search(r"--modules-path=(\S+)", built)
    module = pathlib.Path(folder[1] if folder else "", "ngx_stream_module.so")
    if not module.is_file():
        pytest.skip("the stream module of nginx is not installed")
    return f"load_module {module};\n"


@pytest.fixture
def proxies(folder):
    started = Proxies(folder)
    yield started
    started.stop()


# Who writes which header.
KINDS = {
    "haproxy v1": "send-proxy",
    "haproxy v2": "send-proxy-v2",
    "haproxy v2 ssl": "send-proxy-v2-ssl",
    "haproxy v2 tlvs": "send-proxy-v2 proxy-v2-options authority,crc32c,unique-id",
    "nginx": None,
}


def start_proxy(proxies, kind, target, host="127.0.0.1"):
    """(the port of such a proxy in front of `target`)"""
    listen = host + ":{port}"
    if KINDS[kind] is None:
        return proxies.nginx(target, listen)
    return proxies.haproxy(target, KINDS[kind], listen)


def behind(port, **options):
    """A service behind a proxy of this machine."""
    options.setdefault("proxy_from", PROXY)
    return service("p", listen=f"tcp:127.0.0.1:{port}", proxy_protocol="required", **options)


@pytest.fixture(params=KINDS)
def chain(request, hatchd, proxies):
    """chain(option=value...): (the daemon, the port of a proxy in front of its service)"""

    def make(*args, **options):
        port = free_port()
        daemon = hatchd.file(behind(port, **options), *args)
        return daemon, start_proxy(proxies, request.param, f"127.0.0.1:{port}")

    return make


def say_hello(port, source):
    """(what the service says to who comes from there, his own port)"""
    with connect(port, source=source) as client:
        said = read_line(client).decode()
        client.sendall(b"hello")
        assert read_exactly(client, 5) == b"hello"
        return said, client.getsockname()[1]


def test_who_it_really_is(chain):
    """And of the next client, over a connection of his own."""
    daemon, port = chain(shell=SAY_WHO)
    for source in CLIENT, OTHER, CLIENT:
        said, own = say_hello(port, source)
        assert said == f"{source} {own} 127.0.0.1 {port} 127.0.0.1 <>"
        daemon.wait_log(rf"p: child \d+ ended: .*from {re.escape(source)}:{own}$")


def is_turned_away(port, source, data=b""):
    """Whether the proxy closes the connection, as its server does."""
    with connect(port, source=source) as client:
        client.sendall(data)
        try:
            return read_all(client) == b""
        except ConnectionResetError:
            return True


def test_rules_are_about_the_client(chain):
    daemon, port = chain(shell=SAY_WHO, only_from=CLIENT)
    assert say_hello(port, CLIENT)[0].startswith(CLIENT)
    assert is_turned_away(port, OTHER)
    daemon.wait_log(rf"p: .*refused {re.escape(OTHER)}:\d+: only_from")


def test_limits_are_about_the_client(chain):
    daemon, port = chain(shell=SAY_WHO, per_source=1)
    with connect(port, source=CLIENT) as one, connect(port, source=OTHER) as other:
        assert read_line(one).startswith(CLIENT.encode())
        assert read_line(other).startswith(OTHER.encode())
        assert is_turned_away(port, CLIENT)
        daemon.wait_log(rf"p: .*refused {re.escape(CLIENT)}:\d+: per_source")


def test_much_in_both_directions(chain):
    """Nothing is lost behind the header, or comes twice."""
    _, port = chain(exec="/bin/cat")
    data = os.urandom(1 << 20) * 10
    with connect(port, source=CLIENT) as client:
        sender = threading.Thread(target=client.sendall, args=(data,), daemon=True)
        sender.start()
        answer = bytearray()
        while len(answer) < len(data):
            part = client.recv(1 << 20)
            assert part, f"the end after {len(answer)} bytes"
            answer += part
        sender.join(TIMEOUT)
        assert answer == data


def test_without_a_header(hatchd, proxies):
    """haproxy that was not told to write one: no client of its comes in."""
    port = free_port()
    daemon = hatchd.file(behind(port, shell=SAY_WHO))
    front = proxies.haproxy(f"127.0.0.1:{port}", "")
    assert is_turned_away(front, CLIENT, b"hello\n")
    daemon.wait_log(r"p: .*refused 127\.0\.0\.1:\d+: header")


@pytest.mark.skipif(not have_ipv6(), reason="no IPv6")
@pytest.mark.parametrize("kind", KINDS)
def test_clients_of_ipv6(hatchd, proxies, kind):
    """The proxy comes over IPv4."""
    port = free_port()
    hatchd.file(behind(port, shell=SAY_WHO))
    front = start_proxy(proxies, kind, f"127.0.0.1:{port}", "[::1]")
    said, own = say_hello(f"tcp:[::1]:{front}", "::1")
    assert said == f"::1 {own} ::1 {front} 127.0.0.1 <>"


@pytest.mark.parametrize("kind", KINDS)
def test_over_a_unix_socket(hatchd, proxies, folder, kind):
    path = folder / "s"
    daemon = hatchd.file(service(
        "p", listen=f"unix:{path}", socket_mode="0666", proxy_protocol="required",
        proxy_from=f"unix:uid={os.geteuid()}", shell=SAY_WHO))
    target = f"unix:{path}" if kind == "nginx" else f"unix@{path}"
    front = start_proxy(proxies, kind, target)
    said, own = say_hello(front, CLIENT)
    assert said == f"{CLIENT} {own} 127.0.0.1 {front}  <>"
    daemon.wait_log(rf"p: child \d+ ended: .*from {re.escape(CLIENT)}:{own}$")


def test_host_that_was_asked_for(hatchd, proxies, folder):
    """haproxy ends TLS, and says which name the client has called (SNI)."""
    (openssl,) = need("openssl")
    port = free_port()
    run(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-nodes", "-subj", "/CN=example.org", "-days", "1",
        "-keyout", folder / "tls.key", "-out", folder / "tls.crt")
    (folder / "tls.pem").write_bytes(
        (folder / "tls.crt").read_bytes() + (folder / "tls.key").read_bytes())
    hatchd.file(behind(port, shell=SAY_WHO))
    front = proxies.haproxy(
        f"127.0.0.1:{port}", "send-proxy-v2-ssl-cn proxy-v2-options authority,crc32c",
        bind=f"127.0.0.1:{{port}} ssl crt {folder}/tls.pem")
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    with connect(front, source=CLIENT) as plain:
        with trusting.wrap_socket(plain, server_hostname="www.example.org") as client:
            said = read_line(client).decode()
    assert said.startswith(f"{CLIENT} ")
    assert said.endswith(" <www.example.org>")


# ---------------------------------------------------------------------------
# Is it still there?


def health(folder):
    """What haproxy thinks of hatchd: the word for its last check."""
    with connect(f"unix:{folder}/stats") as client:
        client.sendall(b"show stat\n")
        heads, *rows = csv.reader(read_all(client).decode().removeprefix("# ").splitlines())
    (row,) = [dict(zip(heads, row)) for row in rows if row and row[1] == "hatch"]
    return row["check_status"].removeprefix("* ")


def connections(path):
    """How many hatchd has accepted."""
    done = hatchctl("status", "--json", f"--control={path}")
    return json.loads(done.stdout)["hatchd"]["connections"]


def refusals(daemon):
    return [line for line in daemon.text().splitlines() if "refused" in line]


def test_check_that_nobody_sees(hatchd, proxies, folder):
    """As the manual advises: no program is started for it, and nothing is logged."""
    port = free_port()
    daemon = hatchd.file(behind(port, shell=SAY_WHO, only_from=CLIENT))
    front = proxies.haproxy(f"127.0.0.1:{port}", f"send-proxy-v2 check inter 20ms port {port}")
    wait_until(lambda: health(folder) == "L4OK", what="a health check")
    assert say_hello(front, CLIENT)[0].startswith(CLIENT)
    assert health(folder) == "L4OK"
    assert refusals(daemon) == []
    assert daemon.wait_log(r"child \d+ ended: .*from (.*):")[1] == CLIENT


def test_check_that_says_nothing(hatchd, proxies, folder):
    """Somebody looks whether the port is open, again and again: that is no refusal."""
    port, path = free_port(), folder / "control"
    daemon = hatchd.file(behind(port, shell=SAY_WHO), f"--control={path}")
    front = proxies.haproxy(
        f"127.0.0.1:{port}", "send-proxy-v2 check inter 20ms",
        checks=f"option tcp-check\n\ttcp-check connect port {port} linger")
    wait_until(lambda: connections(path) >= 20, what="20 health checks")
    assert health(folder) in ("L4OK", "L7OK")
    assert say_hello(front, CLIENT)[0].startswith(CLIENT)
    assert refusals(daemon) == []
    assert not re.search(r"ended: .*from 127\.0\.0\.1:", daemon.text())


@pytest.mark.parametrize("options", ["send-proxy", "send-proxy-v2", "check-send-proxy"])
def test_check_that_is_broken_off(hatchd, proxies, folder, options):
    """haproxy writes a header and resets the connection: whether that is a client of whom
    nothing is left, or nobody, depends on who is faster; it is never a refusal."""
    port, path = free_port(), folder / "control"
    daemon = hatchd.file(behind(port, shell=SAY_WHO), f"--control={path}")
    proxies.haproxy(f"127.0.0.1:{port}", f"{options} check inter 20ms")
    wait_until(lambda: connections(path) >= 20, what="20 health checks")
    assert health(folder) == "L4OK"
    assert refusals(daemon) == []


@pytest.mark.parametrize("options", ["send-proxy", "send-proxy-v2"])
def test_check_on_its_own_behalf(hatchd, proxies, options):
    """LOCAL, or UNKNOWN: haproxy itself is the client, and comes in as such."""
    port = free_port()
    daemon = hatchd.file(behind(port, shell=SAY_WHO))
    front = proxies.haproxy(
        f"127.0.0.1:{port}", f"{options} check inter 20ms",
        checks="option tcp-check\n\ttcp-check connect send-proxy linger")
    daemon.wait_log(r"p: child \d+ ended: .*from 127\.0\.0\.1:\d+$", count=5)
    assert say_hello(front, CLIENT)[0].startswith(CLIENT)
    assert refusals(daemon) == []


def test_check_of_whom_no_rule_admits(hatchd, proxies, folder):
    """It is refused each time, and that is told once in a while."""
    port, path = free_port(), folder / "control"
    daemon = hatchd.file(behind(port, shell=SAY_WHO, only_from=CLIENT), f"--control={path}")
    began = time.monotonic()
    front = proxies.haproxy(
        f"127.0.0.1:{port}", "send-proxy-v2 check inter 20ms",
        checks="option tcp-check\n\ttcp-check connect send-proxy linger")
    wait_until(lambda: connections(path) >= 40, what="40 health checks")
    assert health(folder) in ("L4OK", "L7OK")
    assert say_hello(front, CLIENT)[0].startswith(CLIENT)
    told = len(refusals(daemon))
    assert 1 <= told <= 2 * (1 + (time.monotonic() - began) / 10)


# ---------------------------------------------------------------------------
# curl is client and proxy in one

HTTP = ("while read -r line && [ ${#line} -gt 1 ]; do :; done; "
        "printf 'HTTP/1.0 200 OK\\r\\n\\r\\n%s %s' \"$REMOTE_ADDR\" \"$PROXY_ADDR\"")


def test_curl(hatchd):
    (curl,) = need("curl")
    port = free_port()
    daemon = hatchd.file(behind(port, shell=HTTP, proxy_from=CLIENT))
    url = f"http://127.0.0.1:{port}/"
    for _ in range(2):
        said = run(curl, "-sS", "--haproxy-protocol", "--interface", CLIENT, url)
        assert said.decode() == f"{CLIENT} {CLIENT}"
    failed = subprocess.run([curl, "-sS", "--interface", CLIENT, url], stderr=subprocess.PIPE)
    assert failed.returncode != 0
    daemon.wait_log(rf"refused {re.escape(CLIENT)}:\d+: header")


def test_curl_on_behalf_of_somebody(hatchd):
    (curl,) = need("curl")
    if b"--haproxy-clientip" not in run(curl, "--help", "all"):
        pytest.skip("this curl has no --haproxy-clientip")
    port = free_port()
    daemon = hatchd.file(behind(port, shell=HTTP, proxy_from=CLIENT, only_from="192.0.2.7"))
    said = run(curl, "-sS", "--haproxy-protocol", "--haproxy-clientip", "192.0.2.7",
               "--interface", CLIENT, f"http://127.0.0.1:{port}/")
    assert said.decode() == f"192.0.2.7 {CLIENT}"
    daemon.wait_log(r"p: child \d+ ended: .*from 192\.0\.2\.7:\d+$")
