"""Certificates that end soon: what is said when they are loaded, and every day after that."""

import datetime
import re
import shutil
import ssl
import subprocess

import pytest

from harness import IS_SANITIZED, free_port, hatchctl, listed, reload, run_hatchd, service

DAY = 86400

needs_preload = pytest.mark.skipif(IS_SANITIZED, reason="sanitizers must be loaded first")


@pytest.fixture(autouse=True)
def has_tls(folder):
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl to make certificates with")
    if "built without TLS" in run_hatchd("--self-signed", "a.b", cwd=folder).stderr:
        pytest.skip("built without TLS")


def certify(folder, name, days):
    """A certificate with its key in NAME.pem; when it ends, in seconds since 1970."""
    pem, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", "/CN=x", "-days", str(days), "-keyout", key, "-out", pem],
        stderr=subprocess.DEVNULL, check=True)
    pem.chmod(0o600)
    pem.write_text(pem.read_text() + key.read_text())
    end = subprocess.run(
        ["openssl", "x509", "-noout", "-enddate", "-in", pem], stdout=subprocess.PIPE,
        check=True, text=True).stdout
    return ssl.cert_time_to_seconds(end.strip().split("=", 1)[1])


def day(at):
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%d")


def minute(at):
    when = datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
    return when.strftime("%Y-%m-%d %H:%M")


def web(folder, name):
    text = service(name, listen=f"tcp:127.0.0.1:{free_port()}", exec="/bin/cat")
    return re.sub(r"}\s*$", f"\ttls {{ certificate = '{folder}/{name}.pem' }}\n}}\n", text)


def later(daemon, world, seconds):
    """So much later than it is; what has been logged until that was seen twice."""
    mark = daemon.mark()
    for count in 1, 2:
        world.is_later(seconds, daemon)
        daemon.wait_log("state: services: ", after=mark, count=count)
    return [line for line in daemon.log.lines[mark:] if "certificate" in line]


# -- when it is loaded


# The first second may not be over.
@pytest.mark.parametrize("days, said", [
    (10, "is only valid until {}, (9|10) days from now"),
    (1, "is only valid until {}, (1 day|less than a day) from now"),
    (20, None),
])
def test_check(hatchd, folder, days, said):
    end = certify(folder, "web", days)
    done = hatchd.check(web(folder, "web"))
    if said:
        assert re.search(rf"web\.pem: the certificate {said.format(day(end))}\n", done.stderr)
    else:
        assert done.stderr == ""


# -- and every day after that


@needs_preload
def test_every_day(hatchd, folder, world):
    end = certify(folder, "web", 10)
    certify(folder, "good", 400)
    daemon = hatchd.file(web(folder, "web") + web(folder, "good"), env=world.env)
    line = rf"certificate is only valid until {day(end)}, (9|10) days from now"
    daemon.wait_log(rf"web\.pem: the {line}")
    # That it has begun is known when it has looked once.
    assert later(daemon, world, 0) == []
    assert later(daemon, world, DAY - 600) == []
    # It is the same day on the wall: that is another clock.
    said = later(daemon, world, DAY + 600)
    assert len(said) == 1 and re.search(f" web: a {line}", said[0])
    assert later(daemon, world, DAY + 1200) == []
    said = later(daemon, world, 2 * DAY + 1200)
    assert len(said) == 1 and re.search(f" web: a {line}", said[0])

    # With another one it is over.
    certify(folder, "web", 300)
    reload(daemon)
    assert later(daemon, world, 4 * DAY) == []


@needs_preload
def test_clock_is_set(hatchd, folder, world):
    end = certify(folder, "web", 100)
    daemon = hatchd.file(web(folder, "web"), env=world.env)
    assert "the certificate" not in daemon.text()
    assert later(daemon, world, 0) == []
    world.is_at(minute(end - 5 * DAY))
    said = later(daemon, world, 3700)
    assert len(said) == 1 and f"until {day(end)}, 5 days from now" in said[0]
    world.is_at(minute(end + DAY))
    said = later(daemon, world, DAY + 3800)
    assert len(said) == 1
    assert f"web: a certificate was valid until {day(end)}; clients will refuse it" in said[0]


# -- for who asks


def ask(path):
    """What people see below the facts, and what programs see of services by their names."""
    shown = hatchctl("status", f"--control={path}").stdout.decode()
    return shown.partition("\n\n")[2].splitlines(), listed(path)


def test_status(hatchd, folder):
    path = folder / "run" / "control"
    ends = {"web": certify(folder, "web", 10), "good": certify(folder, "good", 400)}
    daemon = hatchd.file(
        web(folder, "web") + web(folder, "good")
        + service("plain", listen=f"tcp:127.0.0.1:{free_port()}", exec="/bin/cat"),
        f"--control={path}")
    shown, services = ask(path)
    assert len(shown) == 2
    assert re.fullmatch(r"web +serving +certificate ends in (9 d 23 h|10 d)", shown[1])
    for name, word in ("web", "ending"), ("good", "good"):
        assert services[name]["certificate_ends"] == ends[name]
        assert services[name]["certificate"] == word
    assert services["plain"]["certificate"] is services["plain"]["certificate_ends"] is None

    certify(folder, "web", 300)
    reload(daemon)
    shown, services = ask(path)
    assert shown == [] and services["web"]["certificate"] == "good"


@needs_preload
def test_status_of_an_old_one(hatchd, folder, world):
    """By the clock of who asks, which is that of hatchd."""
    path = folder / "run" / "control"
    end = certify(folder, "web", 10)
    world.is_at(minute(end + 3 * DAY))
    hatchd.file(web(folder, "web"), f"--control={path}", env=world.env)
    done = hatchctl("status", f"--control={path}", env=world.env)
    assert re.search(r"\nweb +serving +certificate ended [23] d ?(\d+ h)? ago\n",
                     done.stdout.decode())
    assert listed(path, env=world.env)["web"]["certificate"] == "ended"


def test_plan_says_nothing_of_it(hatchd, folder):
    certify(folder, "web", 10)
    daemon = hatchd.file(web(folder, "web"))
    done = run_hatchd("--plan", "-f", daemon.config_path)
    assert done.stdout == "nothing would change\n"
