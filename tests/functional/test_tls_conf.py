"""TLS in configurations: what is said of them, and where keys go."""

import fcntl
import os
import re
import subprocess

import pytest

from harness import HATCHD, TIMEOUT, base_environment, free_port, put, run_hatchd, service
from namespace import Etc

NAMES = ["www.example.org", "*.example.org", "10.0.0.1", "::1"]
SEALS = (fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)


def certify(folder, *names):
    return run_hatchd("--self-signed", *names, cwd=folder)


@pytest.fixture(autouse=True)
def has_tls(folder):
    done = certify(folder, *NAMES)
    if "built without TLS" in done.stderr:
        pytest.skip("built without TLS")
    assert (done.returncode, done.stderr) == (0, "")


def config(folder, *services):
    return put(folder, "".join(services), "hatchd.conf")


def web(port, tls="certificate = www.example.org.pem", **options):
    text = service("web", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat", **options)
    return re.sub(r"}\s*$", f"\ttls {{ {tls} }}\n}}\n", text)


# -- --check and --print-config


def test_check(folder):
    path = config(folder, web(7777))
    done = run_hatchd("--check", "-f", path)
    assert (done.returncode, done.stderr) == (0, "")
    os.chmod(folder / "www.example.org.pem", 0o644)
    done = run_hatchd("--check", "-f", path)
    assert done.returncode == 1
    assert "has a key, and everybody may read it; use chmod 600" in done.stderr
    # What is said to help does.
    subprocess.run(re.search(r"use (chmod .*)", done.stderr)[1], shell=True, check=True)
    assert run_hatchd("--check", "-f", path).returncode == 0


def test_all_flags(folder):
    pem = folder / "www.example.org.pem"
    done = run_hatchd(
        "--print-config", "--tls-certificate=www.example.org.pem",
        "--tls-key=www.example.org.pem", f"--tls-ca={pem}", "--tls-verify=optional",
        "--tls-min-version=1.2", "--tls-ciphers=ECDHE+AESGCM",
        "--tls-ciphersuites=TLS_AES_128_GCM_SHA256", "--tls-alpn=h2", "--tls-alpn=http/1.1",
        "--tls-session-tickets=no", "--tls-handshake-timeout=3s", "--user=nobody", "-l", 7777,
        "--", "/bin/cat", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "PRIVATE" not in done.stdout
    assert done.stdout.endswith(f"""\
	tls {{
		certificate       = www.example.org.pem
		key               = www.example.org.pem
		ca                = {pem}
		verify            = optional
		min_version       = 1.2
		ciphers           = "ECDHE+AESGCM"
		ciphersuites      = TLS_AES_128_GCM_SHA256
		alpn              = {{ h2, http/1.1 }}
		session_tickets   = no
		handshake_timeout = 3s
	}}
}}
""")
    # And says the same again.
    again = run_hatchd("--print-config", "-f", put(folder, done.stdout, "again.conf"))
    assert again.stdout == done.stdout


def test_names(folder):
    path = config(
        folder, "tls_workers = 2\n",
        web(7777, tls="certificate = www.example.org.pem alpn = h2"),
        "service git { listen = tcp:127.0.0.1:7777 exec = /bin/cat user = nobody\n"
        "	tls_name = git.example.org\n	tls_alpn = git\n}\n")
    printed = run_hatchd("--print-config", "-f", path)
    assert (printed.returncode, printed.stderr) == (0, "")
    assert printed.stdout.startswith("tls_workers = 2\n")
    assert "\ttls_name = git.example.org\n\ttls_alpn = git\n" in printed.stdout

    told = run_hatchd("--explain", "git", "127.0.0.1", "-f", path).stdout
    assert "address      tcp:127.0.0.1:7777, by its name, from service web\n" in told
    assert re.search(
        r"\ntls +1\.2 or newer, in hatchd-tls as [^;]*; certificates are valid until 20", told)


@pytest.mark.needs_root
def test_user(folder):
    """Who has the keys is none of the others."""
    passwd = Etc(folder, "passwd")
    passwd.write("".join(line for line in passwd.path.read_text().splitlines(keepends=True)
                         if not line.startswith("_hatchd")))
    path = config(folder, web(7777))

    def told(*args):
        return subprocess.run(
            [*passwd.launcher, HATCHD, *args, "-f", path], env=base_environment(),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=TIMEOUT, text=True)

    explain = "--explain", "web", "127.0.0.1"
    assert "in hatchd-tls as nobody at all (uid 65531)" in told(*explain).stdout
    passwd.add("_hatchd:x:4711:4711::/:/bin/false")
    passwd.add("_hatchd-tls:x:4712:4712::/:/bin/false")
    assert "in hatchd-tls as user _hatchd-tls (uid 4712)" in told(*explain).stdout
    assert told("--check").stderr == ""
    passwd.write(passwd.path.read_text().replace("x:4712:", "x:4711:"))
    assert "in hatchd-tls as nobody at all (uid 65531)" in told(*explain).stdout
    assert re.search("user '_hatchd-tls' has the number of other workers, using number 65531",
                     told("--check").stderr)


def test_weak_key(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:512", "-nodes", "-days", "9", "-subj",
         "/CN=x", "-keyout", folder / "weak.key", "-out", folder / "weak.pem"],
        stderr=subprocess.DEVNULL, check=True)
    done = run_hatchd(
        "--check", "--tls-certificate=weak.pem", "--tls-key=weak.key", "--user=nobody",
        "-l", 7777, "--", "/bin/cat", cwd=folder)
    assert done.returncode == 1
    assert "weak.pem: the certificate cannot be used: ee key too small\n" in done.stderr


# -- who may come in by his certificate

ASKS = "certificate = www.example.org.pem ca = www.example.org.pem verify ="


def fingerprint(pem):
    done = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", pem],
        stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip().split("=")[1]


def test_rules(folder):
    put(folder, "cert:CN=bob # a friend\n", "friends")
    digest = fingerprint(folder / "www.example.org.pem")
    rules = ["10.0.0.0/8", "cert:CN=Alice Smith", "cert:DNS:*.Example.org",
             f"cert:SHA256:{digest}", "file:friends"]
    path = config(folder, web(7777, f"{ASKS} optional", only_from=rules))
    done = run_hatchd("--check", "-f", path)
    assert (done.returncode, done.stderr) == (0, "")

    printed = run_hatchd("--print-config", "-f", path)
    assert '"cert:CN=Alice Smith", "cert:DNS:*.Example.org", cert:SHA256:' in printed.stdout
    again = run_hatchd("--print-config", "-f", put(folder, printed.stdout, "again.conf"))
    assert (again.returncode, again.stdout) == (0, printed.stdout)

    done, image, secrets = load(path)
    assert (done.returncode, done.stderr) == (0, "")
    assert b"cert:SHA256:" + digest.replace(":", "").lower().encode() in content(image)
    assert b"cert:DNS:*.example.org" in content(image) and b"cert:CN=bob" in content(image)
    os.close(image)
    os.close(secrets)


def test_rules_in_a_command(folder):
    args = ["--tls-certificate=www.example.org.pem", "--only-from=cert:CN=a", "--user=nobody",
            "-l", 7777, "--", "/bin/cat"]
    done = run_hatchd("--check", *args, cwd=folder)
    assert done.returncode == 1
    assert "--only-from: nobody is asked for a certificate; write --tls-verify=" in done.stderr
    done = run_hatchd("--check", *args[1:], cwd=folder)
    assert done.returncode == 1
    assert "--only-from: a certificate is shown in TLS, which is not spoken" in done.stderr
    done = run_hatchd("--check", "--tls-ca=www.example.org.pem", "--tls-verify=required",
                      *args, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")


def explain(path, name, client):
    done = run_hatchd("--explain", name, client, "-f", path)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_explain_rules(folder):
    path = config(
        folder,
        web(7777, f"{ASKS} required", only_from=["10.1.0.0/16", "cert:CN=alice", "cert:*"],
            no_access="10.1.2.0/24"),
        web(7778, f"{ASKS} optional", resolve=True,
            only_from=["cert:CN=alice", ".example.net"]).replace("web", "named"),
        service("git", listen="tcp:127.0.0.1:7777", exec="/bin/cat", tls_name="a.example.org",
                only_from=[f"cert:CN=c{i}" for i in range(10)]))

    status, out = explain(path, "web", "192.0.2.9")
    assert status == 1
    assert "192.0.2.9 is refused: only_from, unless he has one of its certificates\n" in out
    assert re.search(r"\ndecided by   \S+:\d+: only_from, by his certificate, which is not "
                     r"shown now: cert:CN=alice cert:\*\n", out)
    for client, verdict in (("10.1.0.1", "is admitted"), ("10.1.2.3", "is refused: no_access")):
        status, out = explain(path, "web", client)
        assert status == ("refused" in verdict)
        assert f"{client} {verdict}\n" in out and "by his certificate" not in out

    status, out = explain(path, "named", "192.0.2.9")
    assert status == 1
    assert "is refused: only_from, unless he has one of its names or certificates\n" in out
    assert re.search(r"\ndecided by   \S+: only_from, by his name, which is not asked now: "
                     r".example.net\n {13}\S+: only_from, by his certificate, which is not "
                     r"shown now: cert:CN=alice\n", out)
    assert "looked up    his name, by resolve" in out

    status, out = explain(path, "git", "192.0.2.9")
    assert status == 1 and " cert:CN=c7 and 2 more\n" in out


# -- what the loader hands on


def load(path, *args, old=None):
    """Run the loader as the master does: image and secrets, and its status."""
    image, secrets = os.memfd_create("image", os.MFD_ALLOW_SEALING), os.memfd_create(
        "secrets", os.MFD_ALLOW_SEALING)
    fds = [image, secrets, *(old or [])]
    flags = ["image-fd", "secrets-fd", "in-force-fd", "old-secrets-fd"]
    done = subprocess.run(
        [os.path.join(os.path.dirname(HATCHD), "hatchd-load"), "-f", path, *args,
         *(f"--{flag}={fd}" for flag, fd in zip(flags, fds))],
        pass_fds=fds, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env=base_environment(), timeout=30, check=False)
    return done, image, secrets


def content(fd):
    return os.pread(fd, os.fstat(fd).st_size, 0)


def test_keys_are_apart(folder):
    done, image, secrets = load(config(folder, web(7777)))
    assert (done.returncode, done.stderr) == (0, "")
    for fd in image, secrets:
        assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) == SEALS
    assert b"BEGIN" not in content(image)
    assert content(secrets).count(b"BEGIN PRIVATE KEY") == 1
    os.close(image)
    os.close(secrets)


def test_no_tls_no_secrets(folder):
    done, image, secrets = load(config(folder, service(
        "web", listen=f"tcp:127.0.0.1:{free_port()}", exec="/bin/cat")))
    assert done.returncode == 0
    assert content(secrets) == b""
    assert fcntl.fcntl(secrets, fcntl.F_GET_SEALS) == SEALS
    os.close(image)
    os.close(secrets)


def test_conditions_keep_setups(folder):
    """Who only looks for what was missing puts no other certificate in force."""
    waiting = service("later", listen="tcp:127.0.0.1:7778", exec=str(folder / "program"))
    path = config(folder, web(7777), waiting)
    done, *old = load(path)
    assert done.returncode == 0
    before = content(old[1])

    (folder / "www.example.org.pem").unlink()
    certify(folder, "www.example.org")
    (folder / "program").symlink_to("/bin/cat")
    done, *new = load(path, "--conditions", old=old)
    assert done.returncode == 0, done.stderr
    assert content(new[1]) == before

    done, *newer = load(path, old=new)
    assert done.returncode == 0, done.stderr
    assert content(newer[1]) != before
    for fd in [*old, *new, *newer]:
        os.close(fd)


def test_missing_waits(folder):
    path = config(folder, web(7777, tls="certificate = later.pem"))
    done, *old = load(path)
    assert done.returncode == 0
    assert "waiting: no file " in done.stderr
    assert content(old[1]) == b""

    (folder / "www.example.org.pem").rename(folder / "later.pem")
    done, *new = load(path, "--conditions", old=old)
    assert done.returncode == 0, done.stderr
    assert content(new[1]).count(b"BEGIN PRIVATE KEY") == 1
    for fd in [*old, *new]:
        os.close(fd)


def test_image_without_a_place_for_secrets(folder):
    """A key never goes anywhere else."""
    image = os.memfd_create("image", os.MFD_ALLOW_SEALING)
    done = subprocess.run(
        [os.path.join(os.path.dirname(HATCHD), "hatchd-load"), "-f", config(folder, web(7777)),
         f"--image-fd={image}"],
        pass_fds=[image], stderr=subprocess.PIPE, text=True, env=base_environment(), timeout=30,
        check=False)
    assert done.returncode == 2
    assert "unable to write the configuration for the master" in done.stderr
    assert content(image) == b""
    os.close(image)


# -- the daemon


@pytest.mark.needs_root
def test_plan(hatchd, folder):
    port = free_port()
    daemon = hatchd.file(service("web", listen=f"tcp:127.0.0.1:{port}", exec="/bin/cat"))
    daemon.write(web(port, tls=f"certificate = '{folder}/www.example.org.pem'"))
    done = run_hatchd("--plan", "-f", daemon.config_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("web: changed:")
    assert "tls.certificate (not set) -> " in done.stdout
    assert f"kept     tcp:127.0.0.1:{port}\n" in done.stdout
    assert "PRIVATE" not in done.stdout
