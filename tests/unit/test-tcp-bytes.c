/* tcp-bytes: connections of this very process, as everybody can see them. */
#include "hatchctl/measure/tcp-bytes.h"

#include "base/addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

struct pair {
	int client, server;
	char local[ADDR_TEXT_MAX], peer[ADDR_TEXT_MAX]; /* as the server sees them */
};

static int listen_at(const char *where, struct addr *ret)
{
	struct addr_spec spec;
	const char *why;
	int fd;

	assert_int_equal(addr_parse(where, &spec, &why), 0);
	fd = addr_socket(&spec.addr, SOCK_CLOEXEC);
	if (fd < 0 || bind(fd, &spec.addr.sa, spec.addr.len) < 0)
		return -errno;
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(addr_of_socket(fd, ret), 0);
	return fd;
}

static void write_endpoint(int fd, bool peer, char text[ADDR_TEXT_MAX])
{
	struct sockaddr_storage storage;
	socklen_t len = sizeof storage;
	struct addr addr;
	int r;

	r = peer ? getpeername(fd, (struct sockaddr *)&storage, &len)
	         : getsockname(fd, (struct sockaddr *)&storage, &len);
	assert_int_equal(r, 0);
	addr_from_sockaddr(ADDR_TCP, (struct sockaddr *)&storage, len, &addr);
	addr_format_endpoint(&addr, text);
}

/* A connection to `where`, from a client that dials `host`. */
static struct pair connect_pair(const char *where, const char *host)
{
	struct addr_spec target;
	struct addr addr;
	struct pair pair;
	const char *why;
	int listener = listen_at(where, &addr);

	if (listener < 0 && strchr(where, '['))
		skip(); /* there is no IPv6 */
	assert_true(listener >= 0);
	assert_int_equal(addr_parse(host, &target, &why), 0);
	addr_set_port(&target.addr, addr_port(&addr));
	pair.client = addr_socket(&target.addr, SOCK_CLOEXEC);
	assert_true(pair.client >= 0);
	assert_int_equal(connect(pair.client, &target.addr.sa, target.addr.len), 0);
	pair.server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(pair.server >= 0);
	close(listener);
	write_endpoint(pair.server, false, pair.local);
	write_endpoint(pair.server, true, pair.peer);
	return pair;
}

static void close_pair(const struct pair *pair)
{
	close(pair->client);
	close(pair->server);
}

/* From one end to the other: what has been read there is confirmed, here at once. */
static void move(int from, int to, size_t n)
{
	char buf[4096] = {0};

	assert_true(n <= sizeof buf);
	assert_int_equal(send(from, buf, n, 0), n);
	assert_int_equal(recv(to, buf, n, MSG_WAITALL), n);
}

/* Looks until it is so: a confirmation may take its time, up to the alarm in main(). */
static void expect(const struct pair *pair, uint64_t received, uint64_t sent)
{
	for (;;) {
		_cleanup_tcp_bytes_ struct tcp_bytes bytes = {0};
		const struct tcp_bytes_entry *entry;

		assert_int_equal(tcp_bytes_read(&bytes), 0);
		entry = tcp_bytes_find(&bytes, pair->local, pair->peer);
		assert_non_null(entry);
		assert_true(entry->received <= received && entry->sent <= sent);
		if (entry->received == received && entry->sent == sent)
			return;
	}
}

static void check_pair(struct pair pair)
{
	expect(&pair, 0, 0);
	move(pair.client, pair.server, 5);
	expect(&pair, 5, 0);
	move(pair.server, pair.client, 4096);
	move(pair.client, pair.server, 7);
	expect(&pair, 12, 4096);
	/* Ends are no bytes. */
	assert_int_equal(shutdown(pair.client, SHUT_WR), 0);
	assert_int_equal(recv(pair.server, (char[1]){0}, 1, 0), 0);
	expect(&pair, 12, 4096);
	move(pair.server, pair.client, 3);
	expect(&pair, 12, 4099);
	close_pair(&pair);
}

static void test_ipv4(void **ctx)
{
	(void)ctx;
	check_pair(connect_pair("tcp4:0", "tcp:127.0.0.1:0"));
}

static void test_ipv6(void **ctx)
{
	(void)ctx;
	check_pair(connect_pair("tcp:[::1]:0", "tcp:[::1]:0"));
}

/* A socket of IPv6, with addresses of IPv4 in it. */
static void test_ipv4_at_ipv6(void **ctx)
{
	(void)ctx;
	check_pair(connect_pair("tcp:0", "tcp:127.0.0.1:0"));
}

/* The other end first: half of it is over, and the peer knows. */
static void test_server_ends(void **ctx)
{
	struct pair pair = connect_pair("tcp4:0", "tcp:127.0.0.1:0");

	(void)ctx;
	move(pair.server, pair.client, 9);
	assert_int_equal(shutdown(pair.server, SHUT_WR), 0);
	assert_int_equal(recv(pair.client, (char[1]){0}, 1, 0), 0);
	expect(&pair, 0, 9);
	move(pair.client, pair.server, 2);
	expect(&pair, 2, 9);
	close_pair(&pair);
}

static void test_nobody(void **ctx)
{
	static const char *const nonsense[] = {"", "unix", "@name", "/run/x.sock", "vsock:2:80",
		"localhost:80", "127.0.0.1", "127.0.0.1:x", "tcp:127.0.0.1:1"};
	_cleanup_tcp_bytes_ struct tcp_bytes bytes = {0}, none = {0};
	struct pair pair = connect_pair("tcp4:0", "tcp:127.0.0.1:0");

	(void)ctx;
	assert_int_equal(tcp_bytes_read(&bytes), 0);
	assert_non_null(tcp_bytes_find(&bytes, pair.local, pair.peer));
	assert_non_null(tcp_bytes_find(&bytes, pair.peer, pair.local));
	assert_null(tcp_bytes_find(&bytes, pair.local, pair.local));
	assert_null(tcp_bytes_find(&none, pair.local, pair.peer));
	for (size_t i = 0; i < ARRAY_SIZE(nonsense); i++) {
		assert_null(tcp_bytes_find(&bytes, nonsense[i], pair.peer));
		assert_null(tcp_bytes_find(&bytes, pair.local, nonsense[i]));
	}
	close_pair(&pair);
}

/* Two of the same addresses: on two links, whose names are not told. */
static void test_two_alike(void **ctx)
{
	struct tcp_bytes_entry entries[2] = {
		{.key = {.local_port = htons(1), .peer_port = htons(2)}}};
	struct tcp_bytes bytes = {.entries = entries, .n_entries = 1};

	(void)ctx;
	assert_ptr_equal(tcp_bytes_find(&bytes, "[::]:1", "[::]:2"), &entries[0]);
	entries[1] = entries[0];
	bytes.n_entries = 2;
	assert_null(tcp_bytes_find(&bytes, "[::]:1", "[::]:2"));
}

/* More than fit into one part of the answer. */
static void test_many(void **ctx)
{
	static struct pair pairs[200];
	_cleanup_tcp_bytes_ struct tcp_bytes bytes = {0};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		pairs[i] = connect_pair("tcp4:0", "tcp:127.0.0.1:0");
		move(pairs[i].client, pairs[i].server, i + 1);
	}
	assert_int_equal(tcp_bytes_read(&bytes), 0);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		const struct tcp_bytes_entry *entry =
			tcp_bytes_find(&bytes, pairs[i].local, pairs[i].peer);

		assert_non_null(entry);
		assert_int_equal(entry->received, i + 1);
		close_pair(&pairs[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ipv4),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_ipv4_at_ipv6),
		cmocka_unit_test(test_server_ends),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_two_alike),
		cmocka_unit_test(test_many),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
