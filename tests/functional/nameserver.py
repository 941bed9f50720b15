"""A name server and an identd that say what a test wants them to, lies among it.

    with NameServer() as dns, Identd("127.0.0.5", good(b"joe")) as identd:
        dns.host("www.example.org", "127.0.0.5")        # PTR, and A that leads back
        dns.put(reverse("127.0.0.6"), PTR, NXDOMAIN)
        ...
        dns.wait_asked(reverse("127.0.0.5"), PTR)

Each is a thread of its own, that ends with the `with`.  What they were asked is counted, and
a test waits for that as for any other event.
"""

import collections
import contextlib
import ipaddress
import selectors
import socket
import struct
import threading
import time

from harness import TIMEOUT

A, CNAME, PTR, AAAA = 1, 5, 12, 28

# The longest answer over UDP (RFC 1035); a longer one is cut, and asked for over TCP.
UDP_MAX = 512

TRUNCATED = 0x0200
RESPONSE = 0x8180  # to a query that wants recursion, which is available

# Answers that are none: the code of the response.
SERVFAIL, NXDOMAIN, REFUSED = 2, 3, 5


# None at all, until release().
NEVER = object()


def reverse(address):
    """The name under which the names of an address are asked for."""
    return ipaddress.ip_address(address).reverse_pointer


def encode(name):
    """As it is on the wire.  A list of labels may have dots, or any other bytes, in them."""
    labels = name.strip(".").split(".") if isinstance(name, str) else name
    labels = [x if isinstance(x, bytes) else x.encode() for x in labels]
    return b"".join(bytes([len(x)]) + x for x in labels if x) + b"\0"


Record = collections.namedtuple("Record", "owner kind ttl data")


def address(text, ttl=0, owner=None):
    """A or AAAA; owner None: the name that was asked for, here and below."""
    ip = ipaddress.ip_address(text)
    return Record(owner, A if ip.version == 4 else AAAA, ttl, ip.packed)


def pointer(name, ttl=0, owner=None):
    return Record(owner, PTR, ttl, encode(name))


def alias(name, ttl=0, owner=None):
    return Record(owner, CNAME, ttl, encode(name))


class Query:
    """What somebody asks, and answers to it."""

    def __init__(self, data, over_tcp, client):
        self.number = struct.unpack_from("!H", data)[0]
        self.over_tcp, self.client = over_tcp, client
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1:at + 1 + data[at]])
            at += 1 + data[at]
        self.name = b".".join(labels).decode("latin-1").lower()
        self.kind = struct.unpack_from("!H", data, at + 1)[0]
        self.question = data[12:at + 5]

    def answer(self, *records, code=0, flags=0, number=None, question=None):
        """A response of these records; what is given else is a lie."""
        body = b"".join(self._encode(record) for record in records)
        header = struct.pack("!HHHHHH", self.number if number is None else number,
                             RESPONSE | flags | code, 1, len(records), 0, 0)
        return header + (question or self.question) + body

    @staticmethod
    def _encode(record):
        owner = b"\xc0\x0c" if record.owner is None else encode(record.owner)
        fixed = struct.pack("!HHIH", record.kind, 1, record.ttl, len(record.data))
        return owner + fixed + record.data


class Stub:
    """A thread with a set of sockets, that ends with the `with`."""

    def __init__(self):
        self.changed = threading.Condition()
        self.selector = selectors.DefaultSelector()
        self.ends, self.wake = socket.socketpair()
        self.selector.register(self.ends, selectors.EVENT_READ, None)
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _listen(self, host, port):
        """For connections; each is asked after by _heard()."""
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(1024)
        self._watch(sock, self._accept)

    def _watch(self, sock, function):
        sock.setblocking(False)
        self.selector.register(sock, selectors.EVENT_READ, function)

    def _accept(self, sock):
        client, _ = sock.accept()
        self._watch(client, self._heard)

    def _forget(self, sock):
        self.selector.unregister(sock)
        sock.close()

    def _run(self):
        while True:
            for key, _ in self.selector.select():
                if key.data is None:
                    return
                # Whoever has gone is none of our business.
                try:
                    key.data(key.fileobj)
                except OSError:
                    with contextlib.suppress(KeyError, ValueError):
                        self._forget(key.fileobj)

    def _wait(self, predicate, what):
        """Until it is true, which that thread makes it."""
        deadline = time.monotonic() + TIMEOUT
        with self.changed:
            while not predicate():
                if not self.changed.wait(max(deadline - time.monotonic(), 0)):
                    raise AssertionError(f"did not happen in {TIMEOUT} s: {what()}")

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.wake.close()
        self.thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()


class NameServer(Stub):
    """What it is not told of does not exist."""

    def __init__(self, *hosts):
        super().__init__()
        self.zone = {}
        self.asked = collections.Counter()  # (name, kind), or that with "tcp"
        self.received = {}
        self.unanswered = []  # what is to be called with an answer to each
        for host in hosts or ("127.0.0.1",):
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.bind((host, 53))
            self._watch(udp, self._datagram)
            self._listen(host, 53)

    def put(self, name, kind, *answer):
        """Records; or one of SERVFAIL, NXDOMAIN, REFUSED, NEVER; or a function that makes
        all packets that are sent in answer to a Query."""
        with self.changed:
            self.zone[name.lower(), kind] = answer

    def host(self, name, *addresses, names=None):
        """One that has that name, and addresses which lead to it."""
        for text in addresses:
            self.put(reverse(text), PTR, *(pointer(x) for x in names or [name]))
        for kind in A, AAAA:
            found = [x for x in map(address, addresses) if x.kind == kind]
            if found:
                self.put(name, kind, *found)

    def wait_asked(self, name, kind, count=1):
        """Until it was asked that so often."""
        key = name.lower(), kind
        self._wait(lambda: self.asked[key] >= count,
                   lambda: f"{count} questions for {name}, {kind}, but {self.asked}")

    def release(self):
        """Whoever is never answered is told now that there is nothing, and so is the next."""
        with self.changed:
            for key in [key for key, answer in self.zone.items() if NEVER in answer]:
                self.zone[key] = (NXDOMAIN,)
            for query, send in self.unanswered:
                send(query.answer(code=NXDOMAIN))
            self.unanswered.clear()

    def _answer(self, query):
        known = any(name == query.name for name, _ in self.zone)
        answer = self.zone.get((query.name, query.kind))
        if answer is None:
            return [query.answer(code=0 if known else NXDOMAIN)]
        if answer and callable(answer[0]):
            return answer[0](query)
        if answer and isinstance(answer[0], int):
            return [query.answer(code=answer[0])]
        packet = query.answer(*answer)
        if len(packet) > UDP_MAX and not query.over_tcp:
            packet = query.answer(flags=TRUNCATED)
        return [packet]

    def _hear(self, data, over_tcp, client, send):
        """It is counted before whoever asks knows the answer, and waited for until he does."""
        query = Query(data, over_tcp, client)
        with self.changed:
            self.asked[query.name, query.kind] += 1
            if over_tcp:
                self.asked[query.name, query.kind, "tcp"] += 1
            if self.zone.get((query.name, query.kind), ())[:1] == (NEVER,):
                self.unanswered.append((query, send))
            else:
                for packet in self._answer(query):
                    send(packet)
            self.changed.notify_all()

    def _datagram(self, sock):
        data, client = sock.recvfrom(65536)

        def send(packet):
            with contextlib.suppress(OSError):
                sock.sendto(packet, client)

        self._hear(data, False, client, send)

    def _heard(self, sock):
        data = sock.recv(65536)
        if not data:
            self.received.pop(sock, None)
            self._forget(sock)
            return

        def send(packet):
            with contextlib.suppress(OSError):
                sock.sendall(struct.pack("!H", len(packet)) + packet)

        data = self.received.pop(sock, b"") + data
        while len(data) >= 2 and len(data) >= 2 + struct.unpack_from("!H", data)[0]:
            end = 2 + struct.unpack_from("!H", data)[0]
            self._hear(data[2:end], True, sock.getpeername(), send)
            data = data[end:]
        self.received[sock] = data


# ---------------------------------------------------------------------------
# Answers of an identd: what is sent, made of the two ports as they were written


def good(user):
    return lambda ports: ports + b" : USERID : UNIX : " + user + b"\r\n"


def error(word):
    return lambda ports: ports + b" : ERROR : " + word + b"\r\n"


def says(data):
    """Whatever was asked."""
    return lambda ports: data


class Identd(Stub):
    """One at port 113 of that address; without an answer it says nothing, ever.

    Who has been told is closed.
    """

    def __init__(self, host, answer=None, in_steps=False):
        """in_steps: a byte for each step(), instead of all at once."""
        super().__init__()
        self.answer, self.in_steps = answer, in_steps
        self.asked = []  # lines
        self.left = {}   # by connection: what is to be sent yet
        self._listen(host, 113)

    def wait_asked(self, count=1):
        self._wait(lambda: len(self.asked) >= count,
                   lambda: f"{count} questions, but {self.asked}")

    def _heard(self, sock):
        line = sock.recv(1000)
        if not line:
            self._forget(sock)
            return
        # The question is one small packet.
        assert line.endswith(b"\r\n"), line
        answer = self.answer(line[:-2]) if self.answer else None
        with self.changed:
            if answer is not None and self.in_steps:
                self.left[sock] = answer
            self.asked.append(line[:-2])
            self.changed.notify_all()
        if answer is not None and not self.in_steps:
            self._say(sock, answer)

    def _say(self, sock, data):
        """All of it, or as much as is wanted."""
        self.selector.unregister(sock)
        sock.settimeout(TIMEOUT)
        with contextlib.suppress(OSError):
            sock.sendall(data)
        sock.close()

    def step(self):
        """To each who has asked one byte more.  False: that was the last."""
        with self.changed:
            for sock, data in list(self.left.items()):
                with contextlib.suppress(OSError):
                    sock.send(data[:1])
                self.left[sock] = data[1:]
            return any(self.left.values())
