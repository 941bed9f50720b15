"""What hatchctl writes with --json is what the schemas in doc/schema say."""

import json
import pathlib
import signal
import socket

import pytest

from certificates import needs_tls, secure
from harness import (
    TIMEOUT, connect, free_port, hatchctl, put, reload, service, stanza, wait_until,
)
from test_adoption import handed_over, opened

jsonschema = pytest.importorskip("jsonschema", reason="there is no python3-jsonschema")

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "doc/schema"

TABLES = ["bans", "connections", "list", "orphans", "recipes", "selftest", "status"]


def schema_of(command):
    return json.loads((FOLDER / f"{command}.json").read_text())


def told(path, command, *args, status=(0,)):
    """What a command says, which is valid."""
    done = hatchctl(command, "--json", *args, "-s", path)
    assert done.returncode in status and done.stderr == b"", done
    document = json.loads(done.stdout)
    jsonschema.Draft7Validator(schema_of(command)).validate(document)
    return document


def told_all(path, command, *args, **more):
    """The rows with all columns, and that these are the ones of the schema."""
    document = told(path, command, "--output-all", *args, **more)
    (rows,) = [value for key, value in document.items() if key != "hatchd"]
    columns = schema_of(command)["definitions"]["row"]["properties"].keys()
    assert all(row.keys() == columns for row in rows)
    return rows


@pytest.fixture
def path(folder):
    return folder / "run" / "control"


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.json")))
def test_schemas(name):
    """They are some, and say where they are about."""
    schema = schema_of(name)
    jsonschema.Draft7Validator.check_schema(schema)
    assert schema["title"].split()[1] == name


@pytest.mark.parametrize("command", TABLES)
def test_a_schema_refuses(command):
    """Values of other kinds, and members that nobody knows."""
    validator = jsonschema.Draft7Validator(schema_of(command))
    (key,) = [key for key in schema_of(command)["properties"] if key != "hatchd"]
    row = schema_of(command)["definitions"]["row"]["properties"]
    assert not validator.is_valid({})
    assert not validator.is_valid({key: [{"nobody": 1}]})
    for column in row:
        assert not validator.is_valid({key: [{column: True}]}), column


def test_nothing(hatchd, path):
    """No rows: a list without any."""
    hatchd.file(service("a", listen=f"tcp:127.0.0.1:{free_port()}", exec="/bin/cat"),
                f"--control={path}")
    assert told(path, "connections") == {"connections": []}
    assert told(path, "bans") == {"bans": []}
    assert told(path, "orphans") == {"orphans": []}
    assert told(path, "status")["services"] == []


def test_a_socket_that_is_handed_over(hatchd, path):
    with opened(f"tcp:127.0.0.1:{free_port()}") as sock, \
            opened(f"tcp:127.0.0.1:{free_port()}") as other:
        hatchd.file(service("a", listen="fd:web", exec="/bin/cat"), f"--control={path}",
                    **handed_over([sock, other], "web:spare"))
        assert told(path, "status")["hatchd"]["handed_over"] == {"sockets": 2, "unclaimed": 1}
        ((address,),) = [row["addresses"] for row in told_all(path, "list")]
        assert address["handed_over"] == "web"
        assert not jsonschema.Draft7Validator(schema_of("list")).is_valid(
            {"services": [{"addresses": [{**address, "handed_over": None}]}]})


def test_while_it_drains(hatchd, path):
    port = free_port()
    daemon = hatchd.file(
        "drain_timeout = 1h\n"
        + service("a", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat"), f"--control={path}")
    with connect(port) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        daemon.signal(signal.SIGTERM)
        daemon.wait_notified("STOPPING=1")
        facts = told(path, "status")["hatchd"]
        assert facts["state"] == "draining" and facts["drain"]["connections"] == 1
        (row,) = told_all(path, "list")
        assert row["state"] == "draining"
    assert daemon.wait_end() == 0


def test_recipes(path):
    """Those of this tree: they need no hatchd."""
    rows = told_all(path, "recipes", f"--recipes={ROOT}/etc/services")
    assert {"echo", "ssh", "metrics"} <= {row["name"] for row in rows}


def test_all_kinds_of_services(hatchd, path, folder):
    port, full, proxied = free_port(), free_port(), free_port()
    daemon = hatchd.file(
        service("upper", listen=[f"tcp:127.0.0.1:{port}", "tcp:192.0.2.99:7"],
                exec="/bin/cat", no_access="127.0.0.2")
        + service("full", listen=f"tcp:127.0.0.1:{full}", exec="/bin/cat", instances=1)
        + service("lacking", listen=f"tcp:127.0.0.1:{free_port()}", exec="/nonexistent/p")
        + service("proxied", listen=f"tcp:127.0.0.1:{proxied}", exec="/bin/cat",
                  instances="unlimited", proxy_protocol="required", proxy_from="127.0.0.1")
        + service("un", listen=f"unix:{folder}/s", exec="/bin/cat")
        + stanza("service", "echo", listen=f"tcp:127.0.0.1:{free_port()}", builtin="echo"),
        f"--control={path}")
    with connect(port), connect(full), connect(proxied) as client:
        client.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n")
        wait_until(lambda: len(told_all(path, "connections")) == 3)
        with connect(port, source="127.0.0.2") as stranger:
            assert stranger.recv(1) == b""
        for _ in range(2):
            services = {row["service"]: row for row in told_all(path, "list")}
            assert len(services) == 6 and services["upper"]["refusals"] == {"no_access": 1}
            assert told(path, "list") and told(path, "list", "-o", "backend,state")
            assert {row["state"] for row in told_all(path, "status")} == {
                "serving", "full", "waiting"}
            # Whoever has tested himself may not have gone yet.
            wait_until(lambda: len(told_all(path, "connections")) == 3)
            assert told(path, "connections")
            told_all(path, "selftest", "echo")
    for name in "upper", "proxied", "un":
        told_all(path, "selftest", name, status=(0, 1))


def test_events(hatchd, path, folder):
    """A line each, which hatchctl hands on; every member of it is in the schema."""
    port = free_port()
    program = put(folder, "#!/bin/sh\n", "program")
    program.chmod(0o755)
    daemon = hatchd.file(
        service("a", listen=f"tcp:127.0.0.1:{port}", exec="/bin/true", no_access="127.0.0.2")
        + service("broken", listen=f"tcp:127.0.0.1:{port + 1}", exec=program),
        f"--control={path}")
    program.write_text("#!/nonexistent\n")
    told = []
    with socket.socket(socket.AF_UNIX) as sock, sock.makefile("rb") as events:
        sock.settimeout(TIMEOUT)
        sock.connect(str(path))
        sock.sendall(b"events\n")
        told.append(json.loads(events.readline()))
        with connect(port) as client:
            assert client.recv(1) == b""
        with connect(port, source="127.0.0.2") as client:
            assert client.recv(1) == b""
        with connect(port + 1) as client:
            assert client.recv(1) == b""
        daemon.wait_log("unable to start")
        reload(daemon)
        while told[-1]["event"] != "reload":
            told.append(json.loads(events.readline()))
    assert {"begin", "open", "close", "refused", "failed", "paused", "reload"} == {
        event["event"] for event in told}
    known = schema_of("events")["properties"].keys()
    for event in told:
        jsonschema.Draft7Validator(schema_of("events")).validate(event)
        assert event.keys() <= known


@needs_tls
def test_tls(hatchd, path, certificates):
    hatchd.file(secure(certificates, "web", free_port()), f"--control={path}")
    (row,) = told_all(path, "list")
    assert row["certificate"] == "good"
    assert told_all(path, "selftest", "web")[0]["result"] == "pending"


def test_bans(hatchd, path):
    """Of one service, and of all."""
    port = free_port()
    hatchd.file(service("a", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat"),
                f"--control={path}")
    for args in ["192.0.2.0/24"], ["192.0.2.1", "1h", "a"]:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            sock.sendall(" ".join(["ban", *args]).encode() + b"\n")
            assert b'"done":true' in sock.makefile("rb").read()
    rows = told_all(path, "bans")
    assert {(row["service"], row["source"], row["by"]) for row in rows} == {
        (None, "192.0.2.0/24", "operator"), ("a", "192.0.2.1", "operator")}
    assert {row["left_usec"] is None for row in rows} == {True, False}
    told(path, "status")
