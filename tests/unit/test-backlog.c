/* backlog: who waits in the queue of a socket is found by its address. */
#include "hatchctl/metrics/backlog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define CLIENTS 3

static struct addr parse(const char *text)
{
	struct addr_spec spec;
	const char *why;

	assert_int_equal(addr_parse(text, &spec, &why), 0);
	return spec.addr;
}

/* A socket that listens there, with clients whom nobody accepts; its address is what it is
 * bound to. */
static int listen_there(struct addr *addr, int clients[CLIENTS])
{
	int fd = addr_socket(addr, SOCK_CLOEXEC);
	socklen_t len = addr->len;

	if (fd < 0 || bind(fd, &addr->sa, addr->len) < 0)
		return -1;
	assert_int_equal(listen(fd, 7), 0);
	if (addr_is_ip(addr))
		assert_int_equal(getsockname(fd, &addr->sa, &len), 0);
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = socket(addr_family(addr), addr_socktype(addr), 0);
		assert_int_equal(connect(clients[i], &addr->sa, addr->len), 0);
	}
	return fd;
}

static void test_found(void **ctx)
{
	char name[64];
	const char *const texts[] = {"tcp:127.0.0.1:0", "tcp:[::1]:0", "tcp4:0", name};

	(void)ctx;
	snprintf(name, sizeof name, "unix:@hatchd-test-%d", getpid());
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct addr addr = parse(texts[i]);
		int clients[CLIENTS], fd = listen_there(&addr, clients);
		struct backlogs backlogs;
		struct backlog backlog;

		/* Without IPv6 there is nothing to be found. */
		if (fd < 0)
			continue;
		assert_int_equal(backlogs_get(&backlogs), 0);
		assert_true(backlogs_find(&backlogs, &addr, &backlog));
		assert_int_equal(backlog.waiting, CLIENTS);
		assert_int_equal(backlog.limit, 7);
		close(fd);
		backlogs_done(&backlogs);
		assert_int_equal(backlogs_get(&backlogs), 0);
		assert_false(backlogs_find(&backlogs, &addr, &backlog));
		backlogs_done(&backlogs);
		for (int k = 0; k < CLIENTS; k++)
			close(clients[k]);
	}
}

/* A path is the same with and without the NUL behind it. */
static void test_path(void **ctx)
{
	char folder[] = "/tmp/hatchd-test-XXXXXX", text[80];
	int clients[CLIENTS], fd;
	struct backlogs backlogs;
	struct backlog backlog;
	struct addr addr;

	(void)ctx;
	assert_non_null(mkdtemp(folder));
	snprintf(text, sizeof text, "unix:%s/s", folder);
	addr = parse(text);
	fd = listen_there(&addr, clients);
	assert_true(fd >= 0);
	assert_int_equal(backlogs_get(&backlogs), 0);
	assert_true(backlogs_find(&backlogs, &addr, &backlog));
	assert_int_equal(backlog.waiting, CLIENTS);
	addr.kind = ADDR_UNIX_SEQPACKET;
	assert_false(backlogs_find(&backlogs, &addr, &backlog));
	addr.kind = ADDR_UNIX_DGRAM;
	assert_false(backlogs_find(&backlogs, &addr, &backlog));
	backlogs_done(&backlogs);
	close(fd);
	for (int k = 0; k < CLIENTS; k++)
		close(clients[k]);
	unlink(text + strlen("unix:"));
	rmdir(folder);
}

static void test_not_found(void **ctx)
{
	static const char *const texts[] = {"udp:127.0.0.1:1", "vsock:any:1", "fd:web",
		"unix:@hatchd-nobody", "tcp:192.0.2.1:1"};
	struct backlogs none = {0}, backlogs;
	struct backlog backlog;

	(void)ctx;
	assert_int_equal(backlogs_get(&backlogs), 0);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct addr addr = parse(texts[i]);

		assert_false(backlogs_find(&backlogs, &addr, &backlog));
		assert_false(backlogs_find(&none, &addr, &backlog));
	}
	backlogs_done(&backlogs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
