"""Certificates that end soon: what is said when they are loaded."""

import datetime
import re
import shutil
import ssl
import subprocess

import pytest

from harness import free_port, run_hatchd, service


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


def web(folder, name):
    text = service(name, listen=f"tcp:127.0.0.1:{free_port()}", exec="/bin/cat")
    return re.sub(r"}\s*$", f"\ttls {{ certificate = '{folder}/{name}.pem' }}\n}}\n", text)


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
