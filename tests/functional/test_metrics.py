"""What hatchd counts, and how it is told: the request `metrics`, and `hatchctl metrics`."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness import (
    comes_in, connect, free_port, hatchctl, read_all, reload, run_hatchd, service, talk, udp,
    wait_until, workers,
)

SOURCE = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


def cat(name, port, **options):
    return service(name, listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat", **options)


def ask(path, question="metrics"):
    with connect(f"unix:{path}") as client:
        client.sendall(question.encode() + b"\n")
        return [json.loads(line) for line in read_all(client).splitlines()]


def counted(path):
    """What is said of all, and of each service by its name."""
    whole, *services, end = ask(path)
    assert end == {"end": True, "reloaded": False} and "service" not in whole
    return whole, {line["service"]: line for line in services}


def count(histogram):
    return sum(histogram["counts"])


# ---------------------------------------------------------------------------
# What is counted


def test_programs(hatchd, path):
    ports = {name: free_port() for name in ("good", "bad", "killed", "gone", "closed", "idle")}
    text = cat("good", ports["good"]) + cat("closed", ports["closed"], no_access="0.0.0.0/0")
    text += cat("idle", ports["idle"], instances="unlimited")
    text += service("bad", listen=f"tcp:127.0.0.1:{ports['bad']}", exec="/bin/false")
    text += service("killed", listen=f"tcp:127.0.0.1:{ports['killed']}",
                    shell="read line; kill -KILL $$")
    gone = path.parent.parent / "gone"
    gone.write_text("#!/bin/sh\n")
    gone.chmod(0o755)
    text += service("gone", listen=f"tcp:127.0.0.1:{ports['gone']}", exec=gone)
    daemon = hatchd.file(text, f"--control={path}")
    gone.unlink()

    for _ in range(3):
        assert talk(f"tcp:127.0.0.1:{ports['good']}", b"x") == b"x"
    for name in ("bad", "closed", "gone"):
        with connect(ports[name]) as client:
            assert read_all(client) == b""
    assert talk(f"tcp:127.0.0.1:{ports['killed']}", b"x\n") == b""
    daemon.wait_children(0)
    wait_until(lambda: sum(counted(path)[0]["ended"].values()) == 6, what="all ends")
    whole, services = counted(path)

    assert {name: line["accepted"] for name, line in services.items()} == {
        "good": 3, "closed": 1, "idle": 0, "bad": 1, "killed": 1, "gone": 1}
    nothing = {"success": 0, "error": 0, "signal": 0, "not_started": 0}
    ended = {name: line["ended"] for name, line in services.items()}
    assert ended["good"] == {**nothing, "success": 3}
    assert ended["bad"] == {**nothing, "error": 1}
    assert ended["killed"] == {**nothing, "signal": 1}
    assert ended["gone"] == {**nothing, "not_started": 1}
    assert ended["closed"] == ended["idle"] == nothing
    assert services["closed"]["refused"] == {"no_access": 1}
    assert services["idle"]["instances"] is None and "queue" not in services["idle"]

    good = services["good"]
    assert good["started"] == 3 and good["cpu_usec"] > 0
    assert count(good["queue"]) == count(good["wait"]) == count(good["spawn"]) == 3
    assert "wait" not in services["closed"] and count(services["closed"]["queue"]) == 1
    assert "spawn" not in services["gone"]

    assert whole["accepted"] == 7 and whole["refused"] == {"no_access": 1}
    assert whole["ended"] == {"success": 3, "error": 1, "signal": 1, "not_started": 1}
    assert count(whole["spawn"]) == 5 and len(whole["bounds_usec"]) == 15
    assert whole["cpu_usec"] == sum(line["cpu_usec"] for line in services.values())


def test_sessions(hatchd, path):
    echo, lost, datagrams = free_port(), free_port(), free_port()
    text = service("echo", listen=f"tcp:127.0.0.1:{echo}", builtin="echo")
    text += service("lost", listen=f"tcp:127.0.0.1:{lost}",
                    redirect=f"tcp:127.0.0.1:{free_port()}")
    text += service("datagrams", listen=f"udp:127.0.0.1:{datagrams}", exec="/bin/cat",
                    per_datagram=True)
    daemon = hatchd.file(text, f"--control={path}")
    assert talk(f"tcp:127.0.0.1:{echo}", b"hello") == b"hello"
    with connect(lost) as client, pytest.raises(ConnectionResetError):
        read_all(client)
    assert udp(f"udp:127.0.0.1:{datagrams}", b"x") == [b"x"]
    daemon.wait_children(0)
    wait_until(lambda: sum(counted(path)[0]["sessions"].values()) == 2, what="both ends")
    whole, services = counted(path)
    assert services["echo"]["sessions"] == {"finished": 1}
    assert (services["echo"]["bytes_in"], services["echo"]["bytes_out"]) == (5, 5)
    assert services["lost"]["sessions"] == {"unreachable": 1}
    # Nobody is accepted there, but programs run.
    assert services["datagrams"]["accepted"] == 0
    assert whole["accepted"] == 2 and whole["bytes_in"] == 5
    workers = {worker["name"]: worker for worker in whole["workers"]}
    assert workers["hatchd-builtin"]["runs"] and workers["hatchd-builtin"]["started"] == 1


def test_lost_sessions(hatchd, path):
    """A worker that dies takes its sessions along; the next one is another start of it."""
    port = free_port()
    daemon = hatchd.file(service("echo", listen=f"tcp:127.0.0.1:{port}", builtin="echo"),
                         f"--control={path}")
    with connect(port) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        (worker,) = workers(daemon.pid)
        os.kill(worker, signal.SIGKILL)
        with contextlib.suppress(ConnectionResetError):
            read_all(client)
    wait_until(lambda: counted(path)[1]["echo"]["sessions"] == {"lost": 1}, what="the loss")
    wait_until(lambda: comes_in(f"tcp:127.0.0.1:{port}", data=b"x"), what="another worker")
    whole, services = counted(path)
    (worker,) = whole["workers"]
    assert worker["runs"] and worker["started"] == 2
    assert services["echo"]["accepted"] >= 2


def test_bytes_of_programs(hatchd, path):
    """The kernel's counts, where they are asked for; and who listens to them."""
    port = free_port()
    daemon = hatchd.file(cat("counted", port, account_bytes="yes"), f"--control={path}")
    assert talk(f"tcp:127.0.0.1:{port}", b"hello") == b"hello"
    if "unable to count" in daemon.text():
        pytest.skip("the kernel does not tell")
    wait_until(lambda: counted(path)[1]["counted"]["bytes_in"] == 5, what="his bytes")
    whole, services = counted(path)
    assert services["counted"]["bytes_out"] == 5
    assert whole["workers"] == [
        {"name": "hatchd-bytes", "runs": True, "started": 1, "connections": 0}]


def test_chosen_by_name(hatchd, path):
    """Who comes to a tcpmux is accepted there, and let in where he wants to go."""
    port = free_port()
    daemon = hatchd.file(
        service("mux", listen=f"tcp:127.0.0.1:{port}", builtin="tcpmux")
        + service("cat", exec="/bin/cat", tcpmux="yes"),
        f"--control={path}")
    assert talk(f"tcp:127.0.0.1:{port}", b"cat\r\nx").endswith(b"x")
    daemon.wait_children(0)
    wait_until(lambda: counted(path)[1]["cat"]["ended"]["success"] == 1, what="the end")
    _, services = counted(path)
    assert (services["mux"]["accepted"], services["cat"]["accepted"]) == (1, 0)
    assert count(services["mux"]["queue"]) == count(services["cat"]["wait"]) == 1
    assert count(services["cat"]["spawn"]) == 1 and "wait" not in services["mux"]


def test_tls(hatchd, path, folder):
    """The handshake is a part of the wait; when the certificate ends is known."""
    made = run_hatchd("--self-signed", "localhost", cwd=folder)
    if "built without TLS" in made.stderr:
        pytest.skip("built without TLS")
    port = free_port()
    daemon = hatchd.file(
        service("secret", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat",
                tls={"certificate": folder / "localhost.pem"}),
        f"--control={path}")
    done = hatchctl("connect", "--insecure", f"tls:127.0.0.1:{port}", input=b"x")
    assert done.stdout == b"x"
    daemon.wait_children(0)
    wait_until(lambda: counted(path)[0]["ended"]["success"] == 1, what="the end")
    wait_until(lambda: counted(path)[1]["secret"]["bytes_out"] == 1, what="his bytes")
    secret = counted(path)[1]["secret"]
    assert secret["bytes_in"] == 1
    assert secret["accepted"] == count(secret["queue"]) == count(secret["wait"]) == 1
    assert secret["wait"]["sum_usec"] > 0
    found = samples(metrics(path))
    name = "hatchd_certificate_expiry_timestamp_seconds"
    assert found[name, 'service="secret"'] > time.time() + 86400
    assert found["hatchd_worker_up", 'worker="hatchd-tls"'] == 1


def test_over_a_reload(hatchd, path):
    """Whoever stays keeps his counts, whoever goes takes them along; the sums stay."""
    ports = free_port(), free_port()
    both = cat("stays", ports[0]) + cat("goes", ports[1])
    daemon = hatchd.file(both, f"--control={path}")
    for port in ports:
        assert talk(f"tcp:127.0.0.1:{port}", b"x") == b"x"
    reload(daemon, cat("stays", ports[0], instances=7))
    whole, services = counted(path)
    assert services["stays"]["accepted"] == 1 and services["stays"]["instances"] == 7
    assert list(services) == ["stays"] and whole["accepted"] == 2
    assert whole["reloads"] == {"done": 1, "failed": 0} and not whole["reload_failed"]

    wait_until(lambda: counted(path)[0]["ended"]["success"] == 2, what="both ends")
    reload(daemon, both)
    assert counted(path)[1]["goes"]["accepted"] == 0
    daemon.write("service {")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("unable to reload")
    whole, _ = counted(path)
    assert whole["reloads"] == {"done": 2, "failed": 1} and whole["reload_failed"]


def test_who_waits_is_seen(hatchd, path):
    """A client in the queue of a full service, and one whose header takes its time."""
    full, slow = free_port(), free_port()
    daemon = hatchd.file(
        cat("full", full, instances=1)
        + cat("slow", slow, proxy_protocol="required", proxy_from="127.0.0.1"),
        f"--control={path}")
    with connect(full) as first, connect(full) as second, connect(slow) as third:
        first.sendall(b"x")
        assert first.recv(1) == b"x"
        accepted = counted(path)[0]["up_usec"]
        long_enough = accepted + 50_000
        wait_until(lambda: counted(path)[0]["up_usec"] > long_enough, what="a while")
        first.close()
        second.sendall(b"y")
        assert second.recv(1) == b"y"
        third.sendall(b"PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\nz")
        assert third.recv(1) == b"z"
        daemon.wait_children(2)
    _, services = counted(path)
    assert services["full"]["queue"]["sum_usec"] >= 40_000
    assert count(services["full"]["queue"]) == 2
    assert services["full"]["wait"]["sum_usec"] < services["full"]["queue"]["sum_usec"]
    assert services["slow"]["wait"]["sum_usec"] >= 40_000
    assert count(services["slow"]["wait"]) == 1


def test_more_than_one_piece(hatchd, path):
    """Each service has its line, in the order of the configuration."""
    ports = [free_port() for _ in range(100)]
    text = "".join(cat(f"s{i}", port) for i, port in enumerate(ports))
    hatchd.file(text, f"--control={path}")
    _, services = counted(path)
    assert list(services) == [f"s{i}" for i in range(100)]


def test_adhoc(hatchd, path):
    port = free_port()
    daemon = hatchd.adhoc("-l", f"tcp:127.0.0.1:{port}", f"--control={path}", "--", "/bin/cat")
    assert talk(f"tcp:127.0.0.1:{port}", b"x") == b"x"
    daemon.wait_children(0)
    _, services = counted(path)
    assert [line["accepted"] for line in services.values()] == [1]


# ---------------------------------------------------------------------------
# hatchctl metrics

# A line with a sample, in both formats: its name, labels and value.
SAMPLE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)+)\})? ([0-9.]+)')
LABEL = re.compile(r'([a-z]+)="((?:[^"\\]|\\.)*)"')


def samples(text):
    """What each sample says, by its name and the text of its labels."""
    found = {}
    for line in text.splitlines():
        if line.startswith("# "):
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        key = match[1], match[2] or ""
        assert key not in found, line
        found[key] = float(match[3])
    return found


def metrics(path, *args):
    done = hatchctl("metrics", f"--control={path}", *args)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def promtool(text):
    """What `promtool check metrics` says of it; nothing: it is as it should be."""
    if not shutil.which("promtool"):
        pytest.skip("promtool is not installed")
    done = subprocess.run(["promtool", "check", "metrics"], input=text.encode(),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout.decode()


def test_metrics(hatchd, path):
    port, unix = free_port(), path.parent.parent / "s"
    daemon = hatchd.file(
        service("upper", listen=[f"tcp:127.0.0.1:{port}", f"unix:{unix}"],
                exec=["/usr/bin/tr", "a-z", "A-Z"], instances=1, backlog=5),
        f"--control={path}")
    assert talk(f"tcp:127.0.0.1:{port}", b"x") == b"X"
    daemon.wait_children(0)
    with contextlib.ExitStack() as stack:
        # One who is served, and those who wait for him to leave.
        first = stack.enter_context(connect(port))
        daemon.wait_children(1)
        for address in (port, f"unix:{unix}", f"unix:{unix}"):
            stack.enter_context(connect(address))
        wait_until(lambda: count(counted(path)[1]["upper"]["spawn"]) == 2, what="the exec")
        old, new = metrics(path, "--format=prometheus"), metrics(path)
        first.close()

    found = samples(new)
    tcp, named = f'address="tcp:127.0.0.1:{port}"', f'address="unix:{unix}"'
    assert found["hatchd_connections_accepted_total", 'service="upper"'] == 2
    assert found["hatchd_all_connections_accepted_total", ""] == 2
    assert found["hatchd_children_ended_total", 'service="upper",result="success"'] == 1
    assert found["hatchd_service_state", 'service="upper",state="full"'] == 1
    assert found["hatchd_children_limit", 'service="upper"'] == 1
    assert found["hatchd_listener_open", f'service="upper",{tcp}'] == 1
    assert found["hatchd_listener_queue", f'service="upper",{tcp}'] == 1
    assert found["hatchd_listener_queue", f'service="upper",{named}'] == 2
    assert found["hatchd_listener_queue_limit", f'service="upper",{named}'] == 5
    assert found["hatchd_queue_seconds_count", 'service="upper"'] == 2
    assert found["hatchd_queue_seconds_bucket", 'service="upper",le="+Inf"'] == 2
    buckets = [value for (name, labels), value in found.items()
               if name == "hatchd_all_spawn_seconds_bucket"]
    assert len(buckets) == 16 and buckets == sorted(buckets)

    # The same samples in both; and each is good as what it is meant to be.
    times = {"hatchd_uptime_seconds", "hatchd_start_time_seconds"}
    still = {key for key in found if key[0] not in times}
    assert samples(old).keys() == found.keys()
    assert {key: samples(old)[key] for key in still} == {key: found[key] for key in still}
    assert new.endswith("\n# EOF\n") and "# EOF" not in old
    assert "# TYPE hatchd_bans counter\n" in new
    assert "# TYPE hatchd_bans_total counter\n" in old
    assert promtool(old) == (0, "")


class Stub:
    """Somebody at a control socket who says what he likes."""

    def __init__(self, path, **answers):
        self.answers = {question: b"".join(json.dumps(line).encode() + b"\n" for line in lines)
                        for question, lines in answers.items()}
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(str(path))
        self.sock.listen()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.sock.accept()
                with client:
                    client.sendall(self.answers[client.recv(256).decode().strip()])

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.sock.close()


END = {"end": True, "reloaded": False}
DURATIONS = {"sum_usec": 1500000, "counts": [0, 2, 1]}
COUNTS = {
    "accepted": 7, "refused": {"only_from": 1}, "ended": {"success": 2}, "cpu_usec": 10,
    "sessions": {"lost": 3}, "bytes_in": 4, "bytes_out": 5, "queue": DURATIONS,
    "wait": DURATIONS, "spawn": DURATIONS, "children": 6, "started": 8,
}
ALL = {
    "hatchd": "1", "since": 1, "up_usec": 2500000, "spawn_mode": "private",
    "bounds_usec": [5, 9],
    "reloads": {"done": 1, "failed": 2}, "reload_failed": True, "log_lost": 1, "services": 1,
    "removed": 0, "total_instances": 9, "orphans": 2,
    "sources": {"connected": 1, "remembered": 2}, "forgotten": 3, "bans": 4,
    "workers": [{"name": "hatchd-relay", "runs": True, "started": 2, "connections": 3}],
    **COUNTS,
}
LISTED = {
    "service": "a", "state": "serving", "pending": 2, "certificate_ends": 99,
    "addresses": [{"address": "tcp:127.0.0.1:9", "state": "open"}],
}


def family(name):
    """Without what stands behind the name of a histogram."""
    return re.sub("_(bucket|sum|count)$", "", name)


def test_all_that_is_described(folder, path):
    """doc/metrics.md has a row for each metric that there is, and no other."""
    port = free_port()
    listed = {**LISTED, "addresses": [{"address": f"tcp:127.0.0.1:{port}", "state": "open"}]}
    line = {**COUNTS, "service": "a", "instances": 5, "backend_started": 1}
    path.parent.mkdir()
    with socket.create_server(("127.0.0.1", port)), Stub(
            path, metrics=[ALL, line, END], list=[listed, END]):
        text = metrics(path, "--format=prometheus")
    assert promtool(text) == (0, "")
    described = set()
    for row in (SOURCE / "doc" / "metrics.md").read_text().splitlines():
        match = re.match(r"\| `(hatchd_\w+)`( \*\*\+\*\*)? \| \w+ \|([^|]*)\|", row)
        if match:
            described.add((match[1], match[3].strip().replace("`", "")))
        if match and match[2]:
            labels = [label for label in match[3].replace("`", "").split(",")
                      if label.strip() != "service"]
            described.add((match[1].replace("hatchd_", "hatchd_all_"),
                           ",".join(labels).strip()))
    told = {(family(name), ", ".join(label for label, _ in LABEL.findall(labels)
                                     if label != "le"))
            for name, labels in samples(text)}
    assert told == described


def test_believes_nobody(folder, path):
    """Whatever a text says, it stays within its label; what is missing has no sample."""
    evil = 'a"} 1\nhatchd_evil 1\n\\'
    path.parent.mkdir()
    listed = {"service": evil, "state": evil,
              "addresses": [{"address": evil, "state": "open"}]}
    line = {"service": evil, "accepted": "x", "queue": {"counts": [1] * 99},
            "sessions": {evil: 1}, "ended": 7, "refused": []}
    with Stub(path, metrics=[{"bounds_usec": [*range(99)]}, line, END], list=[listed, END]):
        text = metrics(path, "--format=prometheus")
        assert metrics(path).endswith("# EOF\n")
    found = samples(text)
    escaped = 'a\\"} 1\\nhatchd_evil 1\\n\\\\'
    assert all(LABEL.findall(labels)[0] == ("service", escaped) for _, labels in found)
    assert not any(name == "hatchd_evil" for name, _ in found)
    assert {name for name, _ in found} == {
        "hatchd_sessions_ended_total", "hatchd_queue_seconds_bucket",
        "hatchd_queue_seconds_sum", "hatchd_queue_seconds_count", "hatchd_service_state",
        "hatchd_listener_open"}


@pytest.mark.parametrize("lines", [[END], [{}, {"accepted": 1}, END]])
def test_no_metrics(folder, path, lines):
    path.parent.mkdir()
    with Stub(path, metrics=lines, list=[END]):
        done = hatchctl("metrics", f"--control={path}")
    assert (done.returncode, done.stderr) == (
        1, b"hatchctl: unable to write metrics: that is no answer of hatchd\n")


@pytest.mark.parametrize("args, message", [
    (["now"], "unexpected argument 'now'"),
    (["--format=xml"], "unknown format 'xml': openmetrics or prometheus"),
    (["--form"], "the option '--form' needs a value"),
    (["--jsn"], "unknown option '--jsn'"),
])
def test_usage(args, message):
    done = hatchctl("metrics", *args)
    assert (done.returncode, done.stdout) == (2, b"")
    assert f"hatchctl: {message}\n" in done.stderr.decode()


def test_help_and_nobody_there(folder, path):
    done = hatchctl("metrics", "--help")
    assert done.returncode == 0 and done.stdout.startswith(b"Usage: hatchctl metrics")
    done = hatchctl("metrics", "-s", path)
    assert done.returncode == 1 and b"is hatchd running?" in done.stderr
