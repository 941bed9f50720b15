/* tcp-diag: connections of this very process, asked after without their descriptors. */
#include "base/tcp-diag.h"

#include "base/fd.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct pair {
	int client, server;
	enum addr_kind kind;     /* of the socket where they met */
	struct addr local, peer; /* as the server sees them */
	struct tcp_handle handle;
};

static int diag_fd;

/* IPv4 is never missed: without it nothing would be tested at all. */
static bool lacks_ipv6(const struct addr *addr, int error)
{
	if (addr_family(addr) != AF_INET6)
		return false;
	return error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL;
}

static int listen_at(struct addr *addr)
{
	struct sockaddr_storage storage;
	socklen_t len = sizeof storage;
	int fd = addr_socket(addr, SOCK_CLOEXEC);

	if (lacks_ipv6(addr, fd))
		skip();
	assert_true(fd >= 0);
	if (bind(fd, &addr->sa, addr->len) < 0) {
		if (lacks_ipv6(addr, -errno))
			skip();
		fail_msg("unable to bind: %s", strerror(errno));
	}
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&storage, &len), 0);
	addr_from_sockaddr(addr->kind, (struct sockaddr *)&storage, len, addr);
	return fd;
}

/* Before Linux 5.16 the kernel does not tell about the paths of a connection. */
static void learn(struct pair *pair)
{
	int r = tcp_diag_learn(pair->server, &pair->handle);

	if (pair->kind == ADDR_MPTCP && r == -EPROTONOSUPPORT)
		skip();
	assert_int_equal(r, 0);
}

/* A connection to `text`, from a client that dials `host`. */
static struct pair connect_pair(const char *text, const char *host)
{
	struct sockaddr_storage storage;
	socklen_t len = sizeof storage;
	struct addr_spec spec, target;
	struct pair pair;
	const char *why;
	int listener;

	assert_int_equal(addr_parse(text, &spec, &why), 0);
	assert_int_equal(addr_parse(host, &target, &why), 0);
	listener = listen_at(&spec.addr);
	pair.kind = spec.addr.kind;
	addr_set_port(&target.addr, addr_port(&spec.addr));
	pair.client = addr_socket(&target.addr, SOCK_CLOEXEC);
	assert_true(pair.client >= 0);
	assert_int_equal(connect(pair.client, &target.addr.sa, target.addr.len), 0);
	pair.server = accept4(listener, (struct sockaddr *)&storage, &len, SOCK_CLOEXEC);
	assert_true(pair.server >= 0);
	close(listener);

	addr_from_sockaddr(ADDR_TCP, (struct sockaddr *)&storage, len, &pair.peer);
	len = sizeof storage;
	assert_int_equal(getsockname(pair.server, (struct sockaddr *)&storage, &len), 0);
	addr_from_sockaddr(ADDR_TCP, (struct sockaddr *)&storage, len, &pair.local);
	learn(&pair);
	return pair;
}

static int ask(const struct pair *pair, struct tcp_facts *ret)
{
	return tcp_diag_ask(diag_fd, &pair->local, &pair->peer, &pair->handle, ret);
}

/* What is read is there at the other end; it need not be on its way any more. */
static void say(const struct pair *pair, const char *text)
{
	char buf[64];
	size_t n = strlen(text);

	assert_int_equal(send(pair->client, text, n, 0), n);
	assert_int_equal(recv(pair->server, buf, n, MSG_WAITALL), n);
}

static void check_pair(struct pair pair)
{
	struct tcp_facts facts;
	struct pair other = pair;

	assert_int_equal(ask(&pair, &facts), 0);
	assert_int_equal(facts.received, 0);
	say(&pair, "hello");
	assert_int_equal(ask(&pair, &facts), 0);
	assert_int_equal(facts.received, 5);
	assert_true(facts.silent < 60 * UINT64_C(1000000));

	/* Another one of the same addresses, long ago or not yet. */
	other.handle.cookie++;
	assert_int_equal(ask(&other, &facts), -ENOENT);

	close(pair.client);
	/* It has ended for one side; the other one has it still. */
	assert_int_equal(ask(&pair, &facts), 0);
	close(pair.server);
	assert_int_equal(ask(&pair, &facts), -ENOENT);
}

static void test_ipv4(void **ctx)
{
	(void)ctx;
	check_pair(connect_pair("tcp:127.0.0.1:0", "tcp:127.0.0.1:0"));
}

static void test_ipv6(void **ctx)
{
	(void)ctx;
	check_pair(connect_pair("tcp:[::1]:0", "tcp:[::1]:0"));
}

/* A client of IPv4 at a socket of IPv6. */
static void test_mapped(void **ctx)
{
	(void)ctx;
	check_pair(connect_pair("tcp:0", "tcp:127.0.0.1:0"));
}

static void test_several_paths(void **ctx)
{
	struct pair pair = connect_pair("mptcp:127.0.0.1:0", "mptcp:127.0.0.1:0");

	(void)ctx;
	if (pair.kind != ADDR_MPTCP) /* the kernel has none */
		skip();
	assert_int_not_equal(pair.handle.token, 0);
	check_pair(pair);
}

/* One who knows of no other path, at a socket for those who may. */
static void test_one_of_several_paths(void **ctx)
{
	struct pair pair = connect_pair("mptcp:127.0.0.1:0", "tcp:127.0.0.1:0");

	(void)ctx;
	assert_int_equal(pair.handle.token, 0);
	check_pair(pair);
}

/* What the program has let go of is there while the kernel sends its rest, and nobody's. */
static void test_rest_of_a_closed_one(void **ctx)
{
	struct pair pair = connect_pair("tcp:127.0.0.1:0", "tcp:127.0.0.1:0");
	static const char much[1 << 16];
	uint64_t sent = 0;
	ssize_t n;
	struct tcp_facts facts;

	(void)ctx;
	say(&pair, "hello");
	while ((n = send(pair.server, much, sizeof much, MSG_DONTWAIT)) > 0)
		sent += (uint64_t)n;
	assert_int_equal(ask(&pair, &facts), 0);
	assert_int_equal(facts.held, 1);
	close(pair.server);
	assert_int_equal(ask(&pair, &facts), 0);
	assert_int_equal(facts.held, 0);
	assert_int_equal(facts.bytes.in, 5);
	assert_true(facts.bytes.out > 0 && facts.bytes.out < sent);
	close(pair.client);
}

static void test_not_tcp(void **ctx)
{
	struct tcp_handle handle = {.cookie = 4711};
	int fds[2], udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)ctx;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(tcp_diag_learn(fds[0], &handle), -EPROTONOSUPPORT);
	assert_int_equal(tcp_diag_learn(udp, &handle), -EPROTONOSUPPORT);
	assert_int_equal(tcp_diag_learn(-1, &handle), -EBADF);
	assert_int_equal(handle.cookie, 4711);
	close(fds[0]);
	close(fds[1]);
	close(udp);
}

static void test_probe(void **ctx)
{
	(void)ctx;
	assert_int_equal(tcp_diag_probe(), 0);
}

static void test_nobody_to_ask(void **ctx)
{
	struct pair pair = connect_pair("tcp:127.0.0.1:0", "tcp:127.0.0.1:0");
	struct tcp_facts facts;

	(void)ctx;
	assert_int_equal(
		tcp_diag_ask(-1, &pair.local, &pair.peer, &pair.handle, &facts), -EBADF);
	close(pair.client);
	close(pair.server);
}

static int setup(void **ctx)
{
	(void)ctx;
	diag_fd = tcp_diag_open();
	return diag_fd < 0;
}

static int teardown(void **ctx)
{
	(void)ctx;
	return close(diag_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ipv4),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_mapped),
		cmocka_unit_test(test_several_paths),
		cmocka_unit_test(test_one_of_several_paths),
		cmocka_unit_test(test_rest_of_a_closed_one),
		cmocka_unit_test(test_not_tcp),
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_nobody_to_ask),
	};

	return cmocka_run_group_tests_name("tcp-diag", tests, setup, teardown);
}
