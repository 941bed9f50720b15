"""hatchctl metrics --http: an endpoint that hatchd itself serves."""

import contextlib
import json
import select
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

from harness import (
    HATCHCTL, connect, free_port, quote, read_all, service, talk, wait_until,
)
from namespace import with_mounts
from test_metrics import ALL, COUNTS, END, SOURCE, Stub

OPENMETRICS = "application/openmetrics-text"
REQUEST = b"GET /metrics HTTP/1.1\r\nHost: a\r\n"
TIME_MAX = 10  # src/hatchctl/metrics/http-serve.h


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


@pytest.fixture
def stub(path):
    path.parent.mkdir()
    with Stub(path, metrics=[ALL, {**COUNTS, "service": "a"}, END], list=[END]):
        yield


@contextlib.contextmanager
def endpoint(path):
    """A connection to one of them, as a client has it, and its process."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [HATCHCTL, "metrics", "--http", "--control", path]
        with subprocess.Popen(command, stdin=theirs, stdout=theirs,
                              stderr=subprocess.PIPE) as process:
            theirs.close()
            ours.settimeout(2 * TIME_MAX)
            try:
                yield ours, process
            finally:
                process.kill()


def read_answer(client):
    """Status, fields and body; the connection has to end with it."""
    head, _, body = read_all(client).partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    version, status, _ = line.split(" ", 2)
    assert version == "HTTP/1.1"
    fields = dict(field.split(": ", 1) for field in fields)
    assert fields["Connection"] == "close"
    return int(status), fields, body


def ask(path, request):
    with endpoint(path) as (client, process):
        client.sendall(request)
        answer = read_answer(client)
        client.close()
        assert process.wait() == 0
        return answer


def test_formats(path, stub):
    status, fields, body = ask(path, REQUEST + b"\r\n")
    assert (status, fields["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert int(fields["Content-Length"]) == len(body) and b"# EOF" not in body
    assert b'\nhatchd_connections_accepted_total{service="a"} 7\n' in body

    accept = f"Accept: {OPENMETRICS};version=1.0.0,text/plain;q=0.5\r\n\r\n".encode()
    status, fields, body = ask(path, REQUEST + accept)
    assert status == 200 and body.endswith(b"\n# EOF\n")
    assert fields["Content-Type"] == f"{OPENMETRICS}; version=1.0.0; charset=utf-8"
    assert int(fields["Content-Length"]) == len(body)

    status, fields, none = ask(path, b"HEAD /metrics HTTP/1.0\r\n" + accept)
    assert (status, none, int(fields["Content-Length"])) == (200, b"", len(body))
    status, fields, page = ask(path, b"GET http://a/?x HTTP/1.1\r\nHost: a\r\n\r\n")
    assert status == 200 and b'href="/metrics"' in page
    assert fields["Content-Type"] == "text/html; charset=utf-8"


EVIL = b"<script>evil</script>"


@pytest.mark.parametrize("request_, status", [
    (b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    (b"GET /metrics/ HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    (b"GET /%6detrics HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    (b"POST /evil HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 404),
    (b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 21\r\n\r\n" + EVIL, 405),
    (b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    (EVIL + b"\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\n", 400),
    (b"GET /metrics\r\n", 400),
    (REQUEST + b"Evil\r\n", 400),
    (REQUEST + b"Evil: " + bytes(1) + b"\r\n", 400),
    (REQUEST + b"Content-Length: 9000\r\n\r\n", 413),
    (REQUEST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
    (REQUEST + b"Evil: " + EVIL * 400, 431),
    (b"GET /metrics HTTP/3.0\r\n\r\n", 505),
], ids=range(15))
def test_refused(path, stub, request_, status):
    got, fields, body = ask(path, request_)
    assert got == status
    assert b"evil" not in body.lower() and len(body) < 100
    assert fields.get("Allow") == ("GET, HEAD" if status == 405 else None)


def test_more_than_is_read(path, stub):
    """The answer comes all the same: nobody is cut off for what he still says."""
    assert ask(path, b"hello\n" + bytes(100_000))[0] == 400


def test_pieces(path, stub):
    """All of a request is read before it is answered, in whatever pieces it comes."""
    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    with endpoint(path) as (client, _):
        for i in range(len(request) - 1):
            client.sendall(request[i:i + 1])
        assert not select.select([client], [], [], 0)[0]
        client.sendall(request[-1:])
        assert read_answer(client)[0] == 405


def test_who_leaves(path, stub):
    """A client who says nothing, or half a word, or does not wait for the answer."""
    with endpoint(path) as (client, process):
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"" and process.wait() == 0
    with endpoint(path) as (client, process):
        client.sendall(REQUEST)
        client.shutdown(socket.SHUT_WR)
        assert read_answer(client)[0] == 400
    with endpoint(path) as (client, process):
        client.sendall(REQUEST + b"\r\n")
        client.close()
        assert process.wait() == 0


def test_without_hatchd(path):
    with endpoint(path) as (client, process):
        client.sendall(REQUEST + b"\r\n")
        assert read_answer(client)[0] == 503
        client.close()
        assert process.wait() == 1
        assert b"is hatchd running?" in process.stderr.read()


def test_a_hatchd_that_hangs(path):
    """He is told so, before the time for his request is over."""
    path.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(path))
        hanging.listen()
        with endpoint(path) as (client, process):
            client.sendall(REQUEST + b"\r\n")
            assert read_answer(client)[0] == 503
            client.close()
            assert process.wait() == 1
            assert b"no answer within 2 s" in process.stderr.read()


def test_who_takes_his_time(path):
    """Nobody stays for longer than ten seconds, be it that he does not come to an end, or that
    he does not read."""
    lines = [{**COUNTS, "service": f"s{i}"} for i in range(1000)]
    path.parent.mkdir()
    with Stub(path, metrics=[ALL, *lines, END], list=[END]), contextlib.ExitStack() as stack:
        start = time.monotonic()
        slow, _ = stack.enter_context(endpoint(path))
        deaf, process = stack.enter_context(endpoint(path))
        deaf.sendall(REQUEST + b"\r\n")
        slow.sendall(REQUEST)
        assert read_answer(slow)[0] == 408
        assert time.monotonic() - start < TIME_MAX
        assert process.wait(2 * TIME_MAX) == 1


# ---------------------------------------------------------------------------
# A real Prometheus


class Prometheus:
    """Scrapes one endpoint each second, and answers queries."""

    def __init__(self, folder, port):
        self.port = free_port()
        config = folder / "prometheus.yml"
        config.write_text(json.dumps({
            "global": {"scrape_interval": "1s"},
            "scrape_configs": [{"job_name": "hatchd", "static_configs": [
                {"targets": [f"127.0.0.1:{port}"]}]}],
        }))
        self.log = open(folder / "prometheus.log", "wb")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/tsdb",
             f"--web.listen-address=127.0.0.1:{self.port}"],
            stdout=self.log, stderr=self.log)

    def query(self, text):
        """Values by the labels that are asked for; {} as long as it says nothing."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?"
        try:
            url += urllib.parse.urlencode({"query": text})
            with urllib.request.urlopen(url) as answer:
                result = json.load(answer)["data"]["result"]
        except OSError:
            return {}
        return {tuple(sorted(item["metric"].items())): float(item["value"][1])
                for item in result}

    def value(self, text):
        return next(iter(self.query(text).values()), None)

    def wait(self, text, value):
        wait_until(lambda: self.value(text) == value, timeout=60, what=f"{text} is {value}")

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.process.kill()
        self.process.wait()
        self.log.close()


def recipe(path, port):
    """The recipe, with what is otherwise here."""
    text = (SOURCE / "etc/services/metrics.conf").read_text()
    for there, here in (("tcp:127.0.0.1:9107", f"tcp:127.0.0.1:{port}"),
                        ("/usr/bin/hatchctl", quote(HATCHCTL)), ("hatchd-guest", "nobody"),
                        ("--http", f"--http, {quote(f'--control={path}')}")):
        assert there in text
        text = text.replace(there, here)
    return text


@pytest.mark.needs_root
def test_prometheus(hatchd, path, folder):
    """From a scrape through hatchd itself to what a query says."""
    if not shutil.which("prometheus"):
        pytest.skip("prometheus is not installed")
    groups = folder / "group"
    groups.write_text("root:x:0:\nnogroup:x:65534:\nhatchd-admin:x:54321:\n")
    launcher = with_mounts('mount --bind "$1" /etc/group || exit 99; shift; exec "$@"', groups)
    port, upper, closed = free_port(), free_port(), free_port()
    daemon = hatchd.file(
        recipe(path, port)
        + service("upper", listen=f"tcp:127.0.0.1:{upper}", exec=["/usr/bin/tr", "a-z", "A-Z"])
        + service("closed", listen=f"tcp:127.0.0.1:{closed}", exec="/bin/cat",
                  only_from="192.0.2.1"),
        f"--control={path}", launcher=launcher)
    with Prometheus(folder, port) as prometheus:
        prometheus.wait("up", 1)
        for _ in range(7):
            assert talk(f"tcp:127.0.0.1:{upper}", b"x") == b"X"
        for _ in range(3):
            with connect(closed) as client:
                assert read_all(client) == b""
        prometheus.wait('hatchd_connections_accepted_total{service="upper"}', 7)
        prometheus.wait('hatchd_connections_refused_total{service="closed"}', 3)
        prometheus.wait('hatchd_children_ended_total{service="upper",result="success"}', 7)
        prometheus.wait('hatchd_spawn_seconds_bucket{service="upper",le="+Inf"}', 7)
        prometheus.wait('count(hatchd_service_state{state="serving"})', 3)
        # It asks for OpenMetrics, and has understood all of it.
        assert prometheus.value("hatchd_build_info") == 1
        assert prometheus.value("scrape_samples_scraped") > 100
        assert 0 < prometheus.value(
            "histogram_quantile(0.5, sum by (le) (hatchd_all_spawn_seconds_bucket))") < 30
        assert prometheus.value('hatchd_children{service="metrics"}') == 1
    daemon.stop()
