"""Clients of TLS: the programs that people have, what they speak, and who they say they are."""

import re
import socket
import ssl
import struct
import subprocess

import pytest

from certificates import NAME, PAST, fingerprint, needs_tls, start
from harness import TIMEOUT, connect, read_all
from test_programs import USER_PATH, need, run
from tlsclient import BROKEN_OFF, Client, environment, talk, trusting

pytestmark = needs_tls

# One line, and nobody has to say that it was the last one.
UPPER = "head -n 1 | tr a-z A-Z"


def speak(*command, data=b""):
    """(what it says, its messages) of a client whose input has no end before its own."""
    with subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env={"PATH": USER_PATH, "LANG": "C"}) as client:
        try:
            client.stdin.write(data)
            client.stdin.flush()
        except BrokenPipeError:
            pass
        try:
            answer = client.stdout.read()
            client.wait(TIMEOUT)
        finally:
            client.kill()
    return answer.decode(errors="backslashreplace")


def s_client(certificates, port, *args, data=b"bom dia\n"):
    """openssl(1), which tells all that it finds out."""
    return speak("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile",
                 certificates.ca(), "-verify_return_error", "-ign_eof", *args, data=data)


# ---------------------------------------------------------------------------
# Programs


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("key", ["P-256", "RSA-2048"])
def test_openssl(hatchd, certificates, version, key):
    _, port = start(hatchd, certificates, shell=UPPER,
                    tls={"certificate": certificates.server(NAME, key=key)})
    said = s_client(certificates, port, version, "-servername", NAME, "-verify_hostname", NAME)
    assert "BOM DIA\n" in said
    assert "Verification: OK" in said and f"Verified peername: {NAME}" in said
    # TLS 1.3 has neither, and later versions of the command say nothing of them there.
    if version == "-tls1_2":
        assert "Compression: NONE" in said and "Secure Renegotiation IS" in said


def test_gnutls(hatchd, certificates):
    (gnutls,) = need("gnutls-cli")
    _, port = start(hatchd, certificates, shell=UPPER)
    said = speak(gnutls, "--x509cafile", certificates.ca(), "--port", port, "--sni-hostname",
                 NAME, "--verify-hostname", NAME, "127.0.0.1", data=b"bom dia\n")
    assert "BOM DIA\n" in said
    assert "The certificate is trusted" in said
    # In order, as close_notify says.
    assert "Peer has closed the GnuTLS connection" in said


def test_socat(hatchd, certificates):
    """It says the end of its input, and goes on reading."""
    (socat,) = need("socat")
    _, port = start(hatchd, certificates, exec=["/usr/bin/tr", "a-z", "A-Z"])
    said = run(socat, "-t20", "STDIO", f"OPENSSL:127.0.0.1:{port},cafile={certificates.ca()},"
               f"commonname={NAME}", input=b"bom dia\n" * 10_000)
    assert said == b"BOM DIA\n" * 10_000


HTTP = ("while read -r line && [ ${#line} -gt 1 ]; do :; done; "
        "printf 'HTTP/1.0 200 OK\\r\\n\\r\\n%s %s' \"$SSL_ALPN\" \"$SSL_TLS_SNI_SERVERNAME\"")


def test_curl(hatchd, certificates):
    (curl,) = need("curl")
    _, port = start(hatchd, certificates, shell=HTTP, tls={"alpn": ["http/1.1"]})
    said = run(curl, "-sS", "--cacert", certificates.ca(), "--resolve",
               f"{NAME}:{port}:127.0.0.1", f"https://{NAME}:{port}/")
    assert said.decode() == f"http/1.1 {NAME}"


def test_python(hatchd, certificates):
    """Its own sockets, which take no end for an end that nobody has said."""
    _, port = start(hatchd, certificates, shell=UPPER)
    context = trusting(certificates)
    context.check_hostname = True
    with connect(port) as plain:
        with context.wrap_socket(
                plain, server_hostname=NAME, suppress_ragged_eofs=False) as client:
            client.sendall(b"bom dia\n")
            assert read_all(client) == b"BOM DIA\n"


# ---------------------------------------------------------------------------
# What is spoken


@pytest.mark.parametrize("floor, accepted", [("1.2", {"1.2", "1.3"}), ("1.3", {"1.3"})])
def test_versions(hatchd, certificates, floor, accepted):
    _, port = start(hatchd, certificates, shell=UPPER, tls={"min_version": floor})
    for version in "1", "1.1", "1.2", "1.3":
        said = s_client(certificates, port, "-tls" + version.replace(".", "_"), "-cipher",
                        "ALL:@SECLEVEL=0")
        assert ("BOM DIA" in said) == (version in accepted), said
        if version not in accepted:
            assert "alert protocol version" in said or "unsupported protocol" in said


def test_no_renegotiation(hatchd, certificates):
    """Who asks for it has nothing of it; the program does not notice, and others do not."""
    daemon, port = start(hatchd, certificates, shell="cat >&2; echo its end >&2")
    said = s_client(certificates, port, "-tls1_2", "-no_ign_eof", data=b"R\n")
    assert "RENEGOTIATING" in said
    assert "no renegotiation" in said
    daemon.wait_log("its end")
    assert "R" not in [line.strip() for line in daemon.text().splitlines()]
    assert talk(port, trusting(certificates)) == b""


def test_no_compression(hatchd, certificates):
    _, port = start(hatchd, certificates, shell=UPPER)
    assert "Compression: NONE" in s_client(certificates, port, "-tls1_2", "-comp")


def test_no_early_data(hatchd, certificates, folder):
    """Which somebody could say again."""
    _, port = start(hatchd, certificates, shell=UPPER)
    session, early = folder / "session", folder / "early"
    early.write_bytes(b"early\n")
    said = s_client(certificates, port, "-tls1_3", "-sess_out", session)
    assert "Max Early Data: 0" in said
    said = s_client(certificates, port, "-tls1_3", "-sess_in", session, "-early_data", early)
    assert "Reused, TLSv1.3" in said
    assert "Early data was not sent" in said
    assert "EARLY" not in said and "BOM DIA" in said


GOOD = {f"ECDHE-{auth}-{cipher}" for auth in ("ECDSA", "RSA") for cipher in (
    "AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")}


def test_ciphers_one_by_one(hatchd, certificates):
    """Of all that openssl(1) has: also those that keep nothing secret, or know nobody."""
    pair = [certificates.server(NAME), certificates.server(NAME, key="RSA-2048")]
    _, port = start(hatchd, certificates, shell=UPPER, tls={"certificate": pair})
    names = run("openssl", "ciphers", "-s", "-tls1_2", "ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    names = set(names.decode().strip().split(":"))
    assert GOOD < names and {"NULL-SHA256", "AES128-SHA"} < names
    context = trusting(certificates, version=ssl.TLSVersion.TLSv1_2)
    accepted = set()
    for name in names:
        context.set_ciphers(f"{name}:@SECLEVEL=0")
        try:
            with Client(port, context) as client:
                accepted.add(client.tls.cipher()[0])
        except ssl.SSLError as error:
            assert "HANDSHAKE_FAILURE" in error.reason, (name, error)
    assert accepted == GOOD


def raw_hello(version, *suites):
    """A ClientHello as old clients write it, of ciphers that OpenSSL may have no longer."""
    body = struct.pack("!H32sBH", version, bytes(range(32)), 0, 2 * len(suites))
    body += b"".join(struct.pack("!H", suite) for suite in suites) + b"\x01\x00"
    message = b"\x01" + struct.pack("!I", len(body))[1:] + body
    return struct.pack("!BHH", 22, 0x0301, len(message)) + message


def alert_of(port, hello):
    """The number of the fatal alert that is the answer."""
    with connect(port) as client:
        client.sendall(hello)
        client.shutdown(socket.SHUT_WR)
        kind, _, length, level, number = struct.unpack("!BHHBB", read_all(client))
        assert (kind, length, level) == (21, 2, 2)
        return number


HANDSHAKE_FAILURE, PROTOCOL_VERSION = 40, 70

WEAK = {
    "RSA_WITH_NULL_MD5": 0x0001, "RSA_EXPORT_WITH_RC4_40_MD5": 0x0003,
    "RSA_WITH_RC4_128_SHA": 0x0005, "RSA_EXPORT_WITH_DES40_CBC_SHA": 0x0008,
    "RSA_WITH_DES_CBC_SHA": 0x0009, "RSA_WITH_3DES_EDE_CBC_SHA": 0x000A,
    "DH_anon_WITH_RC4_128_MD5": 0x0018, "DH_anon_WITH_AES_128_CBC_SHA": 0x0034,
    "ECDHE_RSA_WITH_NULL_SHA": 0xC010, "ECDHE_RSA_WITH_RC4_128_SHA": 0xC011,
    "ECDHE_RSA_WITH_3DES_EDE_CBC_SHA": 0xC012, "ECDH_anon_WITH_AES_128_CBC_SHA": 0xC018,
}


def test_what_nobody_should_speak_any_more(hatchd, certificates):
    pair = [certificates.server(NAME), certificates.server(NAME, key="RSA-2048")]
    daemon, port = start(hatchd, certificates, shell=UPPER, tls={"certificate": pair})
    for name, suite in WEAK.items():
        assert alert_of(port, raw_hello(0x0303, suite)) == HANDSHAKE_FAILURE, name
    for version in 0x0300, 0x0301, 0x0302:
        assert alert_of(port, raw_hello(version, 0x002F, 0xC013)) in (
            HANDSHAKE_FAILURE, PROTOCOL_VERSION), version
    daemon.wait_log(r"t: .*refused 127\.0\.0\.1:\d+: handshake")


@pytest.mark.parametrize("version, cipher", [
    (ssl.TLSVersion.TLSv1_2, "ECDHE-ECDSA-AES256-GCM-SHA384"),
    (ssl.TLSVersion.TLSv1_3, "TLS_CHACHA20_POLY1305_SHA256")])
def test_ciphers_that_were_asked_for(hatchd, certificates, version, cipher):
    _, port = start(hatchd, certificates, shell="env", tls={
        "ciphers": "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ciphersuites": "TLS_CHACHA20_POLY1305_SHA256"})
    context = trusting(certificates, version=version)
    assert environment(port, context)["SSL_CIPHER"] == cipher
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        talk(port, trusting(certificates, version=ssl.TLSVersion.TLSv1_2,
                            ciphers="ECDHE-ECDSA-AES128-GCM-SHA256"))


# ---------------------------------------------------------------------------
# Who they are


def facts(port, context, **more):
    """SSL_* of the environment."""
    return {name: value for name, value in environment(port, context, **more).items()
            if name.startswith("SSL_")}


def asking(hatchd, certificates, verify, **options):
    options.setdefault("shell", "env")
    return start(hatchd, certificates,
                 tls={"verify": verify, "ca": certificates.ca()}, **options)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3],
                         ids=["1.2", "1.3"])
def test_facts(hatchd, certificates, version):
    ann = certificates.client("/O=Example/CN=ann", sans=(
        "email:ann@example.org", "DNS:Ann.Example.ORG", "IP:192.0.2.7"))
    _, port = start(hatchd, certificates, shell="env", tls={
        "verify": "required", "ca": certificates.ca(), "alpn": ["one", "two"]})
    context = trusting(certificates, ann, alpn=["two"], version=version)
    found = facts(port, context, name=NAME.upper())
    cipher = found.pop("SSL_CIPHER")
    assert re.fullmatch("(ECDHE-ECDSA|TLS)[-_A-Z0-9]+", cipher)
    assert found == {
        "SSL_PROTOCOL": version.name.replace("_", "."),
        "SSL_TLS_SNI_SERVERNAME": NAME,
        "SSL_ALPN": "two",
        "SSL_CLIENT_VERIFY": "SUCCESS",
        "SSL_CLIENT_S_DN": "CN=ann,O=Example",
        "SSL_CLIENT_SAN": "email:ann@example.org, DNS:ann.example.org, IP:192.0.2.7",
        "SSL_PEER_CERT_HASH": f"SHA256:{fingerprint(ann)}",
    }


def test_facts_of_who_shows_nothing(hatchd, certificates):
    """He was not asked: not even that he has none is said."""
    _, port = start(hatchd, certificates, shell="env")
    ann = certificates.client()
    for context in trusting(certificates), trusting(certificates, ann):
        found = facts(port, context)
        assert set(found) - {"SSL_CLIENT_VERIFY"} == {"SSL_PROTOCOL", "SSL_CIPHER"}
        assert found.get("SSL_CLIENT_VERIFY", "NONE") == "NONE"


def test_facts_of_a_session_that_goes_on(hatchd, certificates):
    """He has shown his certificate the first time."""
    ann = certificates.client()
    _, port = asking(hatchd, certificates, "required", shell="env; cat")
    context = trusting(certificates, ann)
    with Client(port, context) as client:
        client.end()
        first = client.read_all()
        session = client.tls.session
    with Client(port, context, session=session) as client:
        client.end()
        again = client.read_all()
        assert client.tls.session_reused
    wanted = f"SSL_PEER_CERT_HASH=SHA256:{fingerprint(ann)}\n".encode()
    assert wanted in first and wanted in again
    assert b"SSL_CLIENT_VERIFY=SUCCESS\n" in again


def whoever(certificates):
    """{who: (his certificate, what is said of it when it is optional)}"""
    return {
        "nobody": (None, "NONE"),
        "of somebody else": (certificates.client(by="theirs"), "FAILED:"),
        "too old": (certificates.client(when=PAST), "FAILED:certificate has expired"),
        "for servers": (certificates.server(NAME), "FAILED:"),
    }


def test_optional(hatchd, certificates):
    """They come in; and who somebody says he is, is not said of him."""
    _, port = asking(hatchd, certificates, "optional")
    for who, (path, word) in whoever(certificates).items():
        found = facts(port, trusting(certificates, path))
        assert found["SSL_CLIENT_VERIFY"].startswith(word), who
        assert not {"SSL_CLIENT_S_DN", "SSL_CLIENT_SAN"} & set(found), who
        if path:
            assert found["SSL_PEER_CERT_HASH"] == f"SHA256:{fingerprint(path)}"
    found = facts(port, trusting(certificates, certificates.client()))
    assert found["SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert found["SSL_CLIENT_S_DN"] == "CN=ann"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3],
                         ids=["1.2", "1.3"])
def test_required(hatchd, certificates, version):
    """They are told why, and no program is started."""
    alerts = {
        "nobody": "CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE",
        "of somebody else": "UNKNOWN_CA",
        "too old": "CERTIFICATE_EXPIRED",
        "for servers": "UNSUPPORTED_CERTIFICATE|UNKNOWN",
    }
    daemon, port = asking(hatchd, certificates, "required", shell="echo in >&2; env")
    for who, (path, _) in whoever(certificates).items():
        with pytest.raises(ssl.SSLError) as refused:
            talk(port, trusting(certificates, path, version=version))
        assert re.search(alerts[who], refused.value.reason), (who, refused.value)
        daemon.wait_log(r"t: .*refused 127\.0\.0\.1:\d+: handshake")
    assert "in" not in daemon.text().splitlines()
    found = facts(port, trusting(certificates, certificates.client(), version=version))
    assert found["SSL_CLIENT_S_DN"] == "CN=ann"


def test_subject_with_a_line_of_its_own(hatchd, certificates):
    """Nobody puts another variable into the environment, or another name into a name."""
    eve = certificates.client("/CN=a\nSSL_CLIENT_VERIFY=SUCCESS\t\x7f", sans=(
        "email:a,b@example.org", "URI:http://x/ y"))
    _, port = asking(hatchd, certificates, "required")
    found = environment(port, trusting(certificates, eve))
    assert re.fullmatch(r"CN=a[?\\0-9A-F]+SSL_CLIENT_VERIFY=SUCCESS[?\\0-9A-F]+",
                        found["SSL_CLIENT_S_DN"])
    assert found["SSL_CLIENT_SAN"] == r"email:a\x2cb@example.org, URI:http://x/\x20y"
    theirs = certificates.client("/CN=x\nSSL_CLIENT_VERIFY=SUCCESS", by="theirs")
    _, port = asking(hatchd, certificates, "optional")
    found = environment(port, trusting(certificates, theirs))
    assert found["SSL_CLIENT_VERIFY"].startswith("FAILED:")


def test_subject_that_is_too_long(hatchd, certificates):
    """It is not told, rather than a part of it."""
    subject = "".join(f"/OU={i:02}{'x' * 60}" for i in range(20)) + "/CN=ann"
    _, port = asking(hatchd, certificates, "required")
    found = facts(port, trusting(certificates, certificates.client(subject)))
    assert found["SSL_CLIENT_VERIFY"] == "SUCCESS"
    assert found["SSL_CLIENT_OMITTED"] == "S_DN"
    assert "SSL_CLIENT_S_DN" not in found


def test_client_that_ends_in_the_handshake(hatchd, certificates):
    """Of all moments: he has no use for an answer, and the next one has one."""
    _, port = start(hatchd, certificates)
    context = trusting(certificates)
    with Client(port, context, begin=False) as whole:
        length = len(whole.hello())
    for cut in 1, 5, 6, length // 2, length - 1, length:
        with Client(port, context, begin=False) as client:
            client.sock.sendall(client.hello()[:cut])
            client.vanish()
            try:
                while client.sock.recv(65536):
                    pass
            except BROKEN_OFF:
                pass
    assert talk(port, context, b"x") == b"x"
