"""What speaks like a hatchd at a control socket, and says what a test wants to have said.

Its time passes from one `status` to the next, a second each, and counts grow with it, so a
sample of it is always the same, however fast the machine is.  After the sample `last` it
keeps everybody waiting, and what is made of that one can be looked at in peace.

    with StubControl(folder / "control", services=4, connections=2000) as stub:
        ...
        stub.requests     # what it was asked, in order
"""

import contextlib
import json
import socket
import threading

WORDS = ["web", "mail", "git", "upper", "finger", "time", "daytime", "backup-of-the-archive"]
STATES = ["serving", "serving", "serving", "full", "serving", "serving", "waiting", "paused"]
USERS = ["www-data", "mail", "git", "nobody", "hatchd-guest", "nobody", "nobody", "backup"]
SECOND = 1_000_000


def service_name(i):
    return WORDS[i % len(WORDS)] + (f"-{i // len(WORDS)}" if i >= len(WORDS) else "")


def peer(i):
    """Of all kinds, IPv6 with its longest addresses among them."""
    if i % 5 == 3:
        return f"[2001:db8:85a3:8d3:1319:8a2e:370:{i % 0xffff:x}]:{40000 + i % 20000}"
    return f"192.0.2.{i % 250 + 1}:{40000 + i % 20000}"


class StubControl:
    """`services` and `connections` are how many there are; they may be changed."""

    def __init__(self, path, services=4, connections=0, last=None):
        self.path = path
        self.services, self.connections, self.last = services, connections, last
        self.peer = None  # instead of those made up here
        self.names = {}  # of services of single connections
        self.sample = 0
        self.pid = 4711
        self.ended = set()
        self.forbidden = False  # to change anything
        self.requests = []
        self.asked = threading.Condition()
        self.held = []  # clients who are not answered
        self.listener = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(16)
        self.thread = threading.Thread(target=self._serve, args=(self.listener,), daemon=True)
        self.thread.start()

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        self.path.unlink(missing_ok=True)
        while self.held:
            self.held.pop().close()

    def wait_asked(self, word, timeout=20):
        """Wait until there was such a request."""
        with self.asked:
            assert self.asked.wait_for(lambda: word in self.requests, timeout), self.requests

    def _serve(self, listener):
        while True:
            try:
                client = listener.accept()[0]
            except OSError:
                return
            self._answer(client)

    def _answer(self, client):
        with contextlib.suppress(OSError):
            request = client.recv(256).decode().strip()
            if request == "status" and self.sample == self.last:
                self.held.append(client)
            else:
                with client:
                    lines = self.reply(request)
                    client.sendall("".join(json.dumps(x) + "\n" for x in lines).encode())
            with self.asked:
                self.requests.append(request)
                self.asked.notify_all()

    def reply(self, request):
        """Lines, as objects."""
        word, *arguments = request.split()
        end = [{"end": True, "reloaded": False}]
        if word == "status":
            self.sample += 1
            return [self.status(), *end]
        if word == "list":
            return [self.service(i) for i in range(self.services)] + end
        if word == "connections":
            return [self.connection(i) for i in self.living()] + end
        if word == "kill":
            return self.kill(int(arguments[0])) + end
        return [{"error": "unknown request"}]

    def living(self):
        return [i for i in range(self.connections) if i + 1 not in self.ended]

    def kill(self, number):
        if self.forbidden:
            return [{"error": "permission denied"}]
        self.ended.add(number)
        return [{"done": True}]

    def status(self):
        return {
            "hatchd": "0.1.0", "protocol": 2, "pid": self.pid, "state": "serving",
            "since": 1795000000, "up_usec": (7500 + self.sample) * SECOND,
            "config": "/etc/hatchd/hatchd.conf", "spawn": "shared memory",
            "reload": {"running": False, "last": "failed", "ago_usec": 200 * SECOND,
                       "reason": "the files have mistakes"},
            "services": self.services, "removed": 0, "children": len(self.living()),
            "total_instances": 4000, "orphans": 0, "kept": None,
            "connections": 90000 + 17 * self.sample,
            "clients": 3, "remembered": 2, "bans": 0,
            "refused": {"per_source": 100 + 3 * self.sample, "rate": 7 + 2 * self.sample,
                        "only_from": 9},
            "workers": [],
        }

    def service(self, i):
        state = STATES[i % len(STATES)]
        children = sum(j % self.services == i for j in self.living())
        line = {
            "service": service_name(i), "state": state, "children": children,
            "instances": None if i == 1 else 512,
            "started": 1000 * i + 10 * (i + 1) * self.sample,
            "refused": {"rate": (i % 3) * 5 * self.sample},
            "addresses": [{"address": f"tcp:[::]:{1000 + i}", "state": "open"}],
        }
        if i % 4 == 2:
            line["pending"] = i
        if state == "waiting":
            line["reason"] = "no program /usr/local/libexec/daytimed"
        return line

    def connection(self, i):
        number = i % self.services
        relayed = i % 7 == 5
        # 4194304 is the highest that there can be: no process has that number or one above.
        return {
            "connection": i + 1, "service": self.names.get(i, service_name(number)),
            "peer": self.peer or peer(i),
            "local": f"192.0.2.254:{1000 + number}", "pid": None if relayed else 4194305 + i,
            "worker": "hatchd-relay" if relayed else None, "user": USERS[number % len(USERS)],
            "since": 1795000000, "age_usec": (i * i * 7 + self.sample) * SECOND,
            "state": "starting" if i % 11 == 1 else "ending" if i % 13 == 2 else "running",
            "peer_name": f"host{i}.example.org" if i % 2 else None, "peer_user": None,
        }
