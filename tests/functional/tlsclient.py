"""A client of TLS that ends its own direction and goes on reading, and tells all ends apart.

    with Client(port, trusting(certificates)) as client:
        client.send(b"bom dia")
        client.end()                            # close_notify
        assert client.read_all() == b"BOM DIA"  # up to the other one's close_notify

A connection that ends without close_notify raises one of BROKEN_OFF.
The sockets of Python's ssl cannot do that: their unwrap() throws away what comes.
"""

import select
import socket
import ssl
import struct

from harness import TIMEOUT, connect

# How a connection ends of which nobody says that it is the end.
BROKEN_OFF = (ssl.SSLEOFError, ConnectionError)

CHUNK = 1 << 16


def trusting(certificates, certificate=None, alpn=(), version=None, ciphers=None):
    """Who trusts servers that `ours` certifies, and shows that certificate of his own.

    Names are compared where a client says one.  `version` is the only one that he speaks.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # Python takes the end of a connection for an end that was said, if it is not told.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    context.load_verify_locations(certificates.ca())
    if certificate:
        context.load_cert_chain(certificate)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if version:
        context.minimum_version = context.maximum_version = version
    if ciphers:
        context.set_ciphers(ciphers)
    return context


def call(function, *args):
    """What an end that nobody has said is called depends on the version of OpenSSL."""
    try:
        return function(*args)
    except ssl.SSLError as error:
        if getattr(error, "reason", None) != "UNEXPECTED_EOF_WHILE_READING":
            raise
        raise ssl.SSLEOFError(*error.args) from error


class Client:
    """`name` is asked for (SNI), `before` is said before TLS begins, in the same packet."""

    def __init__(self, address, context, name=None, session=None, before=b"", source=None,
                 begin=True):
        self.sock = connect(address, source=source)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self.incoming, self.outgoing, server_hostname=name, session=session)
        self.unsent = before
        self.early = b""
        self.ended = False  # the other one has said that it was all
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if begin:
            try:
                self.shake_hands()
            except BaseException:
                self.sock.close()
                raise

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.sock.close()

    # -- bytes of the wire

    def _take(self):
        """All that is to be sent now."""
        data = self.unsent + self.outgoing.read()
        self.unsent = b""
        return data

    def _feed(self):
        data = self.sock.recv(CHUNK)
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()

    def _do(self, function, *args):
        """A call of TLS, which gets what it has to wait for."""
        while True:
            try:
                return call(function, *args)
            except ssl.SSLWantReadError:
                self.sock.sendall(self._take())
                self._feed()
            finally:
                # Also an alert.
                if self.outgoing.pending:
                    self.sock.sendall(self._take())

    def shake_hands(self):
        self._do(self.tls.do_handshake)

    def hello(self):
        """The first message of the handshake, not sent."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self._take()

    # -- bytes of whoever is served

    def send(self, data):
        self.tls.write(data)
        self.sock.sendall(self._take())

    def _read(self, count):
        """b"" at the end."""
        try:
            data = call(self.tls.read, count)
        except ssl.SSLZeroReturnError:
            data = b""
        self.ended = self.ended or not data
        return data

    def recv(self, count=CHUNK):
        """Some bytes, at least one; b"": the other one has said that it was all."""
        if self.early:
            data, self.early = self.early[:count], self.early[count:]
            return data
        return b"" if self.ended else self._do(self._read, count)

    def read_exactly(self, count):
        data = bytearray()
        while len(data) < count:
            part = self.recv(count - len(data))
            assert part, f"the end after {len(data)} bytes"
            data += part
        return bytes(data)

    def read_line(self):
        line = b""
        while not line.endswith(b"\n"):
            line += self.read_exactly(1)
        return line[:-1]

    def read_all(self):
        parts = []
        while part := self.recv():
            parts.append(part)
        return b"".join(parts)

    def _mark_end(self):
        """What has come already is read first: OpenSSL looks for the other one's end at
        once, and takes bytes in its place for a mistake."""
        try:
            while not self.ended and (data := self._read(CHUNK)):
                self.early += data
        except ssl.SSLWantReadError:
            pass
        try:
            call(self.tls.unwrap)
        except ssl.SSLWantReadError:
            pass

    def end(self):
        """Nothing more comes from here; reading goes on."""
        self._mark_end()
        self.sock.sendall(self._take())

    def exchange(self, pieces, take, end=True):
        """Send all these and the end; take(data) of what comes meanwhile, up to the end."""
        pieces, left, said_all = iter(pieces), memoryview(b""), False
        self.sock.setblocking(False)
        poll = select.poll()
        while left or not said_all or not self.ended:
            if not left and not said_all:
                piece = next(pieces, None)
                said_all = piece is None
                if not said_all:
                    self.tls.write(piece)
                elif end:
                    self._mark_end()
                left = memoryview(self._take())
            while self.early:
                take(self.recv())
            poll.register(self.sock, (0 if self.ended else select.POLLIN)
                          | (select.POLLOUT if left else 0))
            ready = poll.poll(TIMEOUT * 1000)
            assert ready, "nothing goes on"
            if left and ready[0][1] & (select.POLLOUT | select.POLLERR):
                left = left[self.sock.send(left):]
            if not self.ended and ready[0][1] & ~select.POLLOUT:
                self._feed()
                self._take_all(take)
        self.sock.settimeout(TIMEOUT)

    def _take_all(self, take):
        try:
            while not self.ended and (data := self._read(CHUNK)):
                take(data)
        except ssl.SSLWantReadError:
            pass

    # -- the connection without TLS

    def vanish(self):
        """An end that nobody has said."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        reset(self.sock)


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def talk(address, context, data=b"", **more):
    """Send, end, read everything: the answer of a service, which has said its end too."""
    with Client(address, context, **more) as client:
        answer = []
        client.exchange([data] if data else [], answer.append)
        return b"".join(answer)


def is_turned_away(address, context, data=b"", **more):
    """Whether he hears nothing of a service that says something to whoever comes in."""
    try:
        return talk(address, context, data, **more) == b""
    except BROKEN_OFF:
        return True


def environment(address, context, **more):
    """What a service that runs env(1) says; no value has a new line in it."""
    said = talk(address, context, **more).decode(errors="backslashreplace")
    return dict(line.split("=", 1) for line in said.splitlines())
