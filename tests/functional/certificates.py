"""Two small authorities of certificates, made with the command of OpenSSL.

    def test(certificates):
        pem = certificates.server("www.example.org")
        ann = certificates.client("/CN=ann", sans=["email:ann@example.org"])

Each is one file with a certificate and the key to it.  What was made once is there for the
whole session: a key of RSA takes its time.
"""

import os
import pathlib
import re
import shutil
import ssl
import subprocess

import pytest

from harness import HATCHD, free_port, make_folder, service
from test_programs import USER_PATH, run

NAME = "www.example.org"

needs_tls = pytest.mark.skipif(
    not os.access(os.path.join(os.path.dirname(HATCHD), "hatchd-tls"), os.X_OK)
    or not shutil.which("openssl", path=USER_PATH),
    reason="needs hatchd-tls, and the command openssl")

# The subject is the one that was asked for (-preserveDN).
CONFIG = """\
[ca]
default_ca = this
[this]
database = {folder}/index
new_certs_dir = {folder}/new
rand_serial = yes
unique_subject = no
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
policy = any
[any]
commonName = optional
[req]
distinguished_name = nobody
[nobody]
"""

KEYS = {
    "P-256": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "RSA-2048": ["-newkey", "rsa:2048"],
}

PAST = ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"]
NOW = ["-startdate", "20240101000000Z", "-enddate", "20480101000000Z"]


def alternative(sans):
    """Each has a line, where a comma is nothing but a comma."""
    if not sans:
        return ""
    pairs = [san.split(":", 1) for san in sans]
    return "subjectAltName = @names\n[names]\n" + "".join(
        f"{kind}.{number} = {value}\n" for number, (kind, value) in enumerate(pairs))


class Authority:
    def __init__(self, folder, name):
        self.folder = pathlib.Path(folder)
        (self.folder / "new").mkdir(parents=True)
        (self.folder / "index").touch()
        self.config = self.folder / "config"
        self.config.write_text(CONFIG.format(folder=self.folder))
        self.path = self.folder / "ca.pem"
        run("openssl", "req", "-x509", "-config", self.config, *KEYS["P-256"], "-nodes",
            "-subj", f"/CN={name}", "-days", "9000", "-keyout", self.folder / "ca.key", "-out",
            self.path, "-addext", "basicConstraints=critical,CA:TRUE")
        self.path.chmod(0o644)
        self.count = 0

    def issue(self, subject, usage, sans=(), key="P-256", when=NOW):
        """The path of a file with a new certificate and its key."""
        self.count += 1
        path = self.folder / f"{self.count}.pem"
        request, own, made = (path.with_suffix(x) for x in (".csr", ".key", ".crt"))
        extensions = path.with_suffix(".ext")
        extensions.write_text(f"extendedKeyUsage = {usage}\n" + alternative(sans))
        run("openssl", "req", "-new", "-config", self.config, *KEYS[key], "-nodes", "-utf8",
            "-subj", subject, "-keyout", own, "-out", request)
        run("openssl", "ca", "-batch", "-config", self.config, "-in", request, "-out", made,
            "-extfile", extensions, "-notext", "-utf8", "-preserveDN", *when)
        path.touch(mode=0o600)
        path.write_bytes(made.read_bytes() + own.read_bytes())
        return path


class Certificates:
    def __init__(self):
        self.folder = make_folder()
        self.authorities = {}
        self.made = {}

    def _authority(self, name):
        if name not in self.authorities:
            self.authorities[name] = Authority(self.folder / name, name)
        return self.authorities[name]

    def _once(self, name, *args, **more):
        place = (name, *map(str, args), str(more))
        if place not in self.made:
            self.made[place] = self._authority(name).issue(*args, **more)
        return self.made[place]

    def ca(self, name="ours"):
        """The certificate of an authority."""
        return self._authority(name).path

    def server(self, *names, key="P-256"):
        """For a server of these names, and whoever trusts "ours"."""
        return self._once("ours", f"/CN={names[0]}", "serverAuth",
                          [f"DNS:{name}" for name in names], key)

    def another(self, *names):
        """As above, and no two are the same."""
        return self._authority("ours").issue(
            f"/CN={names[0]}", "serverAuth", [f"DNS:{name}" for name in names])

    def client(self, subject="/CN=ann", sans=(), by="ours", when=NOW):
        return self._once(by, subject, "clientAuth", sans, when=when)

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def secure(certificates, name, port, tls=None, **options):
    """A service of TLS: that of cat(1), if nothing else is said."""
    if not {"exec", "shell", "builtin", "redirect"} & set(options):
        options["exec"] = "/bin/cat"
    if "builtin" in options:
        options["user"] = None
    return service(name, listen=f"tcp:127.0.0.1:{port}",
                   tls={"certificate": certificates.server(NAME), **(tls or {})}, **options)


def start(hatchd, certificates, *args, tls=None, **options):
    """(a daemon with such a service "t", its port)"""
    port = free_port()
    return hatchd.file(secure(certificates, "t", port, tls, **options), *args), port


def der(path):
    """The certificate of such a file, as it goes over the wire."""
    text = re.search("-----BEGIN CERT.*?END CERT[^\n]*", path.read_text(), re.DOTALL)[0]
    return ssl.PEM_cert_to_DER_cert(text)


def fingerprint(path):
    """SHA256 in hexadecimal, as the command says it."""
    said = subprocess.run(
        ["openssl", "x509", "-in", path, "-noout", "-fingerprint", "-sha256"],
        stdout=subprocess.PIPE, text=True, check=True).stdout
    return said.strip().partition("=")[2].replace(":", "").lower()
