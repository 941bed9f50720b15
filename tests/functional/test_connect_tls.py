"""hatchctl connect tls:HOST:PORT: standard input and output, to who it is meant for."""

import hashlib
import os
import socket
import ssl
import subprocess
import threading

import pytest

from harness import HATCHCTL, TIMEOUT, free_port, have_ipv6, hatchctl

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def has_tls():
    return b"built without TLS" not in hatchctl("connect", "tls:127.0.0.1:1").stderr


needs_tls = pytest.mark.skipif(not has_tls(), reason="built without TLS")


# ---------------------------------------------------------------------------
# Certificates


def openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE)


def certify(folder, name, san=None, by=None, more=()):
    """NAME.pem, with its key, for these names; signed by itself, or by another NAME.pem."""
    key, certificate, both = (folder / f"{name}{end}" for end in (".key", ".crt", ".pem"))
    signer = ["-CA", folder / f"{by}.crt", "-CAkey", folder / f"{by}.key"] if by else []
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", f"/O=Tests/CN={name}", "-days", 2, "-keyout", key, "-out", certificate,
            *(["-addext", f"subjectAltName={san}"] if san else []), *signer, *more)
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    return both


CA_CONF = """
[ca]
default_ca = any
[any]
database = {0}/index
serial = {0}/serial
new_certs_dir = {0}
default_md = sha256
policy = names
copy_extensions = copy
[names]
organizationName = optional
commonName = optional
"""


def certify_between(folder, start, end):
    """The same, signed by itself, for a time that is not now."""
    (folder / "ca.conf").write_text(CA_CONF.format(folder))
    (folder / "index").touch()
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", "/CN=other", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", folder / "other.key", "-out", folder / "other.csr")
    openssl("ca", "-batch", "-notext", "-config", folder / "ca.conf", "-selfsign",
            "-rand_serial", "-keyfile", folder / "other.key", "-in", folder / "other.csr",
            "-startdate", start, "-enddate", end, "-out", folder / "other.crt")
    both = folder / "other.pem"
    both.write_bytes((folder / "other.crt").read_bytes() + (folder / "other.key").read_bytes())
    return both


@pytest.fixture
def pem(folder):
    return certify(folder, "here", "DNS:localhost,DNS:git.example.org,IP:127.0.0.1,IP:::1")


# ---------------------------------------------------------------------------
# Servers


class Peer(threading.Thread):
    """A server of one connection, which does what a function says, step by step.

    Unlike a socket of TLS it can end one direction and go on with the other.
    """

    def __init__(self, context, act, host="127.0.0.1"):
        super().__init__(daemon=True)
        self.listener = socket.create_server(
            (host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.port = self.listener.getsockname()[1]
        self.context, self.act = context, act
        self.result = self.error = self.server_name = None
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context.sni_callback = self.note_name
        self.start()

    def note_name(self, tls, name, context):
        self.server_name = name

    def run(self):
        with self.listener:
            self.sock, _ = self.listener.accept()
        with self.sock:
            self.sock.settimeout(TIMEOUT)
            self.tls = self.context.wrap_bio(self.incoming, self.outgoing, server_side=True)
            try:
                self.step(self.tls.do_handshake)
                self.result = self.act(self)
            except (OSError, ssl.SSLError) as error:
                self.error = error

    def flush(self):
        if self.outgoing.pending:
            self.sock.sendall(self.outgoing.read())

    def step(self, function, *args):
        """Of one direction, with what comes from the other one."""
        while True:
            try:
                return function(*args)
            except ssl.SSLWantReadError:
                self.flush()
                part = self.sock.recv(1 << 17)
                if part:
                    self.incoming.write(part)
                else:
                    self.incoming.write_eof()
            finally:
                self.flush()

    def read(self):
        """Some bytes, or none if the other end has said that this was all."""
        try:
            return self.step(self.tls.read, 1 << 14)
        except ssl.SSLZeroReturnError:
            return b""

    def read_all(self):
        return b"".join(iter(self.read, b""))

    def write(self, data):
        self.step(self.tls.write, data)

    def end(self):
        """Say that this was all."""
        try:
            self.tls.unwrap()
        except ssl.SSLError:
            pass  # what the other end has to say is for later
        self.flush()

    def wait(self):
        self.join(TIMEOUT)
        assert not self.is_alive()
        if self.error:
            raise self.error
        return self.result


def upper(peer):
    """All of the question, then all of the answer."""
    text = peer.read_all()
    peer.write(text.upper())
    peer.end()
    return text


def server_context(pem, version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def serve(pem, act=upper, version=None, **more):
    return Peer(server_context(pem, version), act, **more)


def complaint(done):
    """The one line that hatchctl has to say."""
    assert done.returncode == 1, done
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 1 and lines[0].startswith("hatchctl: "), lines
    return lines[0].removeprefix("hatchctl: ")


# ---------------------------------------------------------------------------
# Who it is


@needs_tls
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("form, name", [
    ("tls:127.0.0.1:{}", None), ("tls4:127.0.0.1:{}", None), ("tls:localhost:{}", "localhost"),
    ("tls4:LocalHost:{}", "localhost"), ("tls4:{}", "localhost")])
def test_good(pem, form, name, version):
    """The name is asked for, an address is not; both are what the certificate is for."""
    peer = serve(pem, version=version)
    done = hatchctl("connect", "--ca", pem, form.format(peer.port), input=b"bom dia")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"BOM DIA", b"")
    assert peer.wait() == b"bom dia"
    assert peer.server_name == name


@needs_tls
@pytest.mark.skipif(not have_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("form", ["tls:[::1]:{}", "tls6:[::1]:{}", "tls:{}"])
def test_good_over_ipv6(pem, form):
    peer = serve(pem, host="::1")
    done = hatchctl("connect", "--ca", pem, form.format(peer.port), input=b"bom dia")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"BOM DIA", b"")


@needs_tls
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_trust_of_the_system(folder, pem, variable):
    """What is trusted is found where OpenSSL looks for it."""
    trusted = folder / "trusted"
    trusted.mkdir()
    (trusted / "here.pem").write_bytes((folder / "here.crt").read_bytes())
    openssl("rehash", trusted)
    where = trusted / "here.pem" if variable == "SSL_CERT_FILE" else trusted
    done = hatchctl("connect", f"tls:127.0.0.1:{serve(pem).port}", input=b"x",
                    env={**os.environ, variable: str(where)})
    assert (done.returncode, done.stdout, done.stderr) == (0, b"X", b"")


@needs_tls
def test_servername(pem):
    peer = serve(pem)
    done = hatchctl("connect", "--ca", pem, "--servername", "Git.Example.Org.",
                    f"tls:127.0.0.1:{peer.port}", input=b"x")
    assert (done.returncode, done.stdout) == (0, b"X"), done.stderr
    assert peer.server_name == "git.example.org"


@needs_tls
@pytest.mark.parametrize("san, server, words", [
    ("DNS:git.example.org", "127.0.0.1", "git.example.org, not for 127.0.0.1"),
    ("IP:127.0.0.2,DNS:a", "127.0.0.1", "127.0.0.2, a, not for 127.0.0.1"),
    ("IP:127.0.0.1", "localhost", "127.0.0.1, not for localhost"),
    ("DNS:*.example.org", "a.b.example.org", "*.example.org, not for a.b.example.org"),
    ("DNS:a,DNS:b,DNS:c,DNS:d,DNS:e,DNS:f", "127.0.0.1",
     "a, b, c, d and 2 others, not for 127.0.0.1"),
])
def test_wrong_name(folder, san, server, words):
    pem = certify(folder, "here", san)
    done = hatchctl("connect", "--ca", pem, "--servername", server,
                    f"tls:127.0.0.1:{serve(pem).port}", input=b"secret")
    assert complaint(done).endswith(": the certificate is for " + words)
    assert done.stdout == b""


@needs_tls
def test_no_name_but_the_subject(folder):
    """What a subject is called is no host's name."""
    pem = certify(folder, "localhost")
    done = hatchctl("connect", "--ca", pem, f"tls4:localhost:{serve(pem).port}")
    assert "has no name of a host in it, and so is not for localhost" in complaint(done)


@needs_tls
def test_signed_by_itself(pem):
    peer = serve(pem)
    done = hatchctl("connect", f"tls:127.0.0.1:{peer.port}", input=b"secret")
    assert complaint(done) == (
        f"unable to connect to tls:127.0.0.1:{peer.port}: the certificate is signed by "
        "itself; use --ca FILE if that is right")
    with pytest.raises(ssl.SSLError):
        peer.wait()


@needs_tls
def test_signed_by_another(folder):
    certify(folder, "Authority")
    pem = certify(folder, "here", "IP:127.0.0.1", by="Authority")
    done = hatchctl("connect", f"tls:127.0.0.1:{serve(pem).port}")
    assert complaint(done).endswith(
        "is signed by Authority, which is not trusted here; use --ca FILE if that is right")

    certify(folder, "Stranger")
    done = hatchctl("connect", "--ca", folder / "Stranger.crt",
                    f"tls:127.0.0.1:{serve(pem).port}")
    assert complaint(done).endswith(
        f"is signed by Authority, which is not in {folder}/Stranger.crt")

    # Who signs it, and itself: both are trusted in so many words.
    for trusted in ["Authority.crt", "here.crt"]:
        done = hatchctl("connect", "--ca", folder / trusted,
                        f"tls:127.0.0.1:{serve(pem).port}", input=b"x")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"X", b"")


@needs_tls
@pytest.mark.parametrize("start, end, words", [
    ("20200101000000Z", "20210203040506Z",
     "the certificate expired on 2021-02-03 04:05:06 UTC"),
    ("20990203040506Z", "21000101000000Z",
     "the certificate is valid only from 2099-02-03 04:05:06 UTC on"),
])
def test_another_time(folder, start, end, words):
    pem = certify_between(folder, start, end)
    done = hatchctl("connect", "--ca", pem, f"tls:127.0.0.1:{serve(pem).port}")
    assert complaint(done).endswith(": " + words)


@needs_tls
def test_names_that_could_harm(folder):
    """They come from whoever answers, and are shown on a terminal."""
    pem = certify(folder, "here", "DNS:\x1b[2Jx")
    done = hatchctl("connect", "--ca", pem, f"tls:127.0.0.1:{serve(pem).port}")
    assert r"is for \x1b[2Jx, not for 127.0.0.1" in complaint(done)


@needs_tls
def test_insecure(pem):
    """It goes on, and says each time that nobody has looked."""
    address = f"tls:127.0.0.1:{serve(pem).port}"
    done = hatchctl("connect", "--insecure", address, input=b"x")
    assert (done.returncode, done.stdout) == (0, b"X")
    assert done.stderr.decode().startswith(
        f"hatchctl: whoever answers at {address} is not verified (--insecure): "
        "the certificate is signed by itself")

    done = hatchctl("connect", "--insecure", "--ca", pem, "--servername", "no.example.org",
                    f"tls:127.0.0.1:{serve(pem).port}", input=b"x")
    assert (done.returncode, done.stdout) == (0, b"X")
    assert b"not for no.example.org" in done.stderr

    done = hatchctl("connect", "--insecure", "--ca", pem,
                    f"tls:127.0.0.1:{serve(pem).port}", input=b"x")
    assert (done.returncode, done.stdout) == (0, b"X")
    assert b"is not verified (--insecure), and could have been" in done.stderr


# ---------------------------------------------------------------------------
# Who we are


def wants_client(pem, trusted, version):
    context = server_context(pem, version)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(trusted)
    return context


def tell_subject(peer):
    upper(peer)
    return dict(part[0] for part in peer.tls.getpeercert()["subject"])["commonName"]


@needs_tls
@pytest.mark.parametrize("version", VERSIONS)
def test_client_certificate(folder, pem, version):
    client = certify(folder, "client")
    ways = [
        ["--certificate", client],
        ["--certificate", folder / "client.crt", "--key", folder / "client.key"],
    ]
    for way in ways:
        peer = Peer(wants_client(pem, client, version), tell_subject)
        done = hatchctl("connect", "--ca", pem, *way, f"tls:127.0.0.1:{peer.port}", input=b"x")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"X", b"")
        assert peer.wait() == "client"


@needs_tls
@pytest.mark.parametrize("size", [0, 300000])
@pytest.mark.parametrize("version", VERSIONS)
def test_client_certificate_demanded(folder, pem, version, size):
    """In TLS 1.3 that comes after the handshake, when much has been sent to nobody."""
    peer = Peer(wants_client(pem, certify(folder, "client"), version), upper)
    done = hatchctl("connect", "--ca", pem, f"tls:127.0.0.1:{peer.port}",
                    input=b"x" * size)
    assert complaint(done).endswith(": the server wants a certificate; use --certificate")


@needs_tls
@pytest.mark.parametrize("version", VERSIONS)
def test_client_certificate_refused(folder, pem, version):
    certify(folder, "client")
    stranger = certify(folder, "stranger")
    peer = Peer(wants_client(pem, folder / "client.crt", version), upper)
    done = hatchctl("connect", "--ca", pem, "--certificate", stranger,
                    f"tls:127.0.0.1:{peer.port}")
    assert complaint(done).endswith(f": the server does not take {stranger}: unknown CA")


@needs_tls
def test_files(folder, pem):
    """What is wrong with one is said before anybody is called."""
    for option in ["--ca", "--certificate"]:
        done = hatchctl("connect", option, "/nowhere", "tls:127.0.0.1:1")
        assert complaint(done) == "unable to read /nowhere: No such file or directory"
        done = hatchctl("connect", option, folder / "here.key", "tls:127.0.0.1:1")
        assert complaint(done) == (
            f"unable to use {folder}/here.key: there is no certificate in it")
    certify(folder, "client")
    openssl("pkey", "-aes256", "-passout", "pass:x", "-in", folder / "client.key",
            "-out", folder / "client.aes")
    openssl("genrsa", "-out", folder / "client.rsa", 2048)
    for key, words in [
        ("here.crt", "there is no key in it"),
        ("here.key", f"its key is not for the certificate in {folder}/client.crt"),
        ("client.rsa", f"its key is not for the certificate in {folder}/client.crt"),
        ("client.aes", "its key is encrypted; write it without a password by openssl pkey"),
    ]:
        done = hatchctl("connect", "--certificate", folder / "client.crt",
                        "--key", folder / key, "tls:127.0.0.1:1")
        assert complaint(done) == f"unable to use {folder}/{key}: {words}"


# ---------------------------------------------------------------------------
# What is spoken


@needs_tls
def test_alpn(pem):
    context = server_context(pem)
    context.set_alpn_protocols(["git", "h2"])
    peer = Peer(context, lambda peer: (upper(peer), peer.tls.selected_alpn_protocol())[1])
    done = hatchctl("connect", "-v", "--ca", pem, "--alpn", "http/1.1", "--alpn=h2",
                    f"tls:127.0.0.1:{peer.port}")
    assert done.returncode == 0
    assert b"\nthe server chooses the protocol h2\n" in done.stderr
    assert peer.wait() == "h2"


@needs_tls
def test_alpn_that_the_server_does_not_know(pem):
    done = hatchctl("connect", "-v", "--ca", pem, "--alpn", "h2",
                    f"tls:127.0.0.1:{serve(pem).port}", input=b"x")
    assert (done.returncode, done.stdout) == (0, b"X")
    assert b"\nthe server chooses no protocol\n" in done.stderr


@needs_tls
@pytest.mark.parametrize("version", VERSIONS)
def test_server_that_cannot(pem, version):
    """What it says of itself has nothing to do with us."""
    def fail(tls, name, context):
        return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR

    context = server_context(pem, version)
    peer = Peer(context, upper)
    context.sni_callback = fail
    done = hatchctl("connect", "--ca", pem, "--servername", "localhost",
                    f"tls:127.0.0.1:{peer.port}")
    assert complaint(done).endswith(": the server says: internal error")


@needs_tls
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_too_old(pem):
    context = server_context(pem)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    peer = Peer(context, upper)
    done = hatchctl("connect", "--ca", pem, f"tls:127.0.0.1:{peer.port}")
    assert complaint(done).endswith(": the server speaks TLS only before version 1.2")
    with pytest.raises(ssl.SSLError):
        peer.wait()


@needs_tls
@pytest.mark.parametrize("answer, words", [
    (b"220 mail.example.org ESMTP\r\n", "what answers there does not speak TLS"),
    (b"", "the peer closed within the handshake"),
])
def test_no_tls_there(answer, words):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = subprocess.Popen(
            [HATCHCTL, "connect", f"tls:127.0.0.1:{listener.getsockname()[1]}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with client:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)
            assert client.wait(TIMEOUT) == 1
            assert words in client.stderr.read().decode()


@needs_tls
def test_verbose_narrates(pem):
    peer = serve(pem, version=ssl.TLSVersion.TLSv1_3)
    done = hatchctl("connect", "-v", "--ca", pem, "--servername", "git.example.org",
                    f"tls:127.0.0.1:{peer.port}", input=b"x")
    lines = done.stderr.decode().splitlines()
    until = subprocess.run(
        ["openssl", "x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in", pem],
        stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    until = until.removeprefix("notAfter=").removesuffix("Z")
    assert lines[:3] == ["socket tcp4", f"connect 127.0.0.1:{peer.port}",
                         "TLS handshake, asking for git.example.org"]
    assert lines[3].startswith("TLSv1.3 with TLS_")
    assert lines[4:] == [
        "certificate of localhost, git.example.org, 127.0.0.1, ::1, signed by here, "
        f"valid until {until} UTC",
        "end of input: close_notify", "end of answer: close_notify"]


# ---------------------------------------------------------------------------
# Both directions


def client_of(peer, *args, **more):
    return subprocess.Popen(
        [HATCHCTL, "connect", *map(str, args), f"tls:127.0.0.1:{peer.port}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


@needs_tls
@pytest.mark.parametrize("version", VERSIONS)
def test_input_after_the_end_of_the_answer(pem, version):
    def say_and_listen(peer):
        peer.write(b"no more from here\n")
        peer.end()
        return peer.read_all()

    peer = serve(pem, say_and_listen, version)
    with client_of(peer, "--ca", pem) as client:
        assert client.stdout.read() == b"no more from here\n"
        client.stdin.write(b"x" * 1000000)
        client.stdin.close()
        assert client.wait(TIMEOUT) == 0
    assert peer.wait() == b"x" * 1000000


@needs_tls
@pytest.mark.parametrize("version", VERSIONS)
def test_truncation(pem, version):
    """Who cuts the connection could pass off a part of the answer as the whole."""
    def say_half(peer):
        peer.write(b"half of an ans")

    peer = serve(pem, say_half, version)
    with client_of(peer, "--ca", pem) as client:
        assert client.stdout.read() == b"half of an ans"
        assert client.wait(TIMEOUT) == 1
        assert client.stderr.read().decode() == (
            f"hatchctl: the connection to tls:127.0.0.1:{peer.port} broke off: "
            "the peer closed without saying so\n")


@needs_tls
def test_reset(pem):
    def cut(peer):
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with client_of(serve(pem, cut), "--ca", pem) as client:
        assert client.wait(TIMEOUT) == 1
        assert b"broke off: Connection reset by peer\n" in client.stderr.read()


@needs_tls
def test_input_that_nobody_takes(pem):
    """The answer is whole, and what is sent after it gets nowhere."""
    def say_and_go(peer):
        peer.write(b"bye")
        peer.end()
        peer.sock.shutdown(socket.SHUT_RDWR)

    peer = serve(pem, say_and_go)
    with client_of(peer, "--ca", pem, bufsize=0) as client:
        assert client.stdout.read() == b"bye"
        peer.wait()
        with pytest.raises(BrokenPipeError):
            while True:
                client.stdin.write(b"x" * 65536)
        assert client.wait(TIMEOUT) == 1
        assert b"hatchctl: unable to write to tls:" in client.stderr.read()


def feed(client, block, count):
    def write():
        for _ in range(count):
            client.stdin.write(block)
        client.stdin.close()

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def read_digest(file):
    digest, count = hashlib.sha256(), 0
    for part in iter(lambda: file.read(1 << 18), b""):
        digest.update(part)
        count += len(part)
    return count, digest.digest()


@needs_tls
@pytest.mark.parametrize("version", VERSIONS)
def test_a_hundred_megabytes_both_ways(pem, version):
    """Byte for byte, with both directions busy at once."""
    def echo(peer):
        for part in iter(peer.read, b""):
            peer.write(part)
        peer.end()

    peer = serve(pem, echo, version)
    block = os.urandom(1 << 20)
    with client_of(peer, "--ca", pem) as client:
        feed(client, block, 100)
        count, digest = read_digest(client.stdout)
        assert client.wait(TIMEOUT) == 0, client.stderr.read()
    peer.wait()
    expected = hashlib.sha256()
    for _ in range(100):
        expected.update(block)
    assert (count, digest) == (100 << 20, expected.digest())


@needs_tls
def test_answer_while_nobody_listens_to_us(pem):
    """A server that says all of it first: what is to be sent waits, and reading goes on."""
    def say_then_listen(peer):
        for _ in range(32):
            peer.write(b"a" * (1 << 20))
        return len(peer.read_all())

    peer = serve(pem, lambda peer: (say_then_listen(peer), peer.end())[0])
    with client_of(peer, "--ca", pem) as client:
        feed(client, b"q" * (1 << 20), 32)
        assert read_digest(client.stdout)[0] == 32 << 20
        assert client.wait(TIMEOUT) == 0, client.stderr.read()
    assert peer.wait() == 32 << 20


@needs_tls
def test_input_while_nobody_reads_the_answer(pem):
    """Much of it waits for who reads standard output, and what is said still gets through."""
    heard = threading.Event()

    def say_and_listen(peer):
        peer.write(b"a" * (1 << 18))
        count = len(peer.read_all())
        heard.set()
        peer.end()
        return count

    peer = serve(pem, say_and_listen)
    with client_of(peer, "--ca", pem) as client:
        feed(client, b"q" * (1 << 20), 32)
        assert heard.wait(TIMEOUT)
        assert read_digest(client.stdout)[0] == 1 << 18
        assert client.wait(TIMEOUT) == 0, client.stderr.read()
    assert peer.wait() == 32 << 20


@needs_tls
def test_output_that_nobody_reads(pem):
    """Like a pipe into head: it ends, without a word."""
    def say_for_ever(peer):
        while True:
            peer.write(b"y\n" * 8192)

    peer = serve(pem, say_for_ever)
    done = subprocess.run(
        f"'{HATCHCTL}' connect --ca '{pem}' tls:127.0.0.1:{peer.port} </dev/null | head -n1",
        shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT)
    assert (done.stdout, done.stderr) == (b"y\n", b"")


@needs_tls
def test_a_person_ends_with_the_answer(pem):
    """Nothing is waited for that he could still type, and the end is said."""
    def greet(peer):
        peer.write(b"hello")
        peer.end()
        return peer.read_all()

    peer = serve(pem, greet)
    main, terminal = os.openpty()
    done = subprocess.run(
        [HATCHCTL, "connect", "--ca", pem, f"tls:127.0.0.1:{peer.port}"], stdin=terminal,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT)
    os.close(main)
    os.close(terminal)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"hello", b"")
    assert peer.wait() == b""


# ---------------------------------------------------------------------------
# The command line


@needs_tls
def test_nobody_is_there():
    done = hatchctl("connect", f"tls:127.0.0.1:{free_port()}", input=b"x")
    assert complaint(done).endswith(": Connection refused")


@pytest.mark.parametrize("args, words", [
    (["--ca", "x", "7777"], "the option '--ca' is for addresses of TLS"),
    (["--insecure", "unix:/tmp/x"], "the option '--insecure' is for addresses of TLS"),
    (["--key", "x", "tls:7777"], "'--certificate' names"),
    (["--alpn", "", "tls:7777"], "invalid protocol ''"),
    (["--alpn", "x" * 256, "tls:7777"], "write 1 to 255 characters"),
    (["--alpn=x"] * 33 + ["tls:7777"], "more than 32 protocols"),
    (["--servername", "a b", "tls:7777"], "invalid name 'a b'"),
    (["--servername", "10.0.0.0/8", "tls:7777"], "invalid name '10.0.0.0/8'"),
    (["--servername", "", "tls:7777"], "invalid name ''"),
    (["tls:0"], "port 0"),
    (["tls:1-2"], "not to a range"),
    (["tls:[::1:80"], "invalid address 'tls:[::1:80'"),
    (["tls:" + "x" * 500 + ":80"], "longer than any address"),
    (["tls://127.0.0.1:80"], "did you mean 'tls:127.0.0.1:80'?"),
])
def test_usage_errors(args, words):
    done = hatchctl("connect", *args)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr.decode()
    assert done.stdout == b""


@pytest.mark.skipif(has_tls(), reason="built with TLS")
def test_without_tls():
    done = hatchctl("connect", "tls:127.0.0.1:443", input=b"x")
    assert complaint(done) == ("unable to connect to tls:127.0.0.1:443: this hatchd was "
                               "built without TLS (--without-tls)")
