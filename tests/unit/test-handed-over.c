/* handed-over: which socket of the service manager an address asks for. */
#include "listen-try.h"

#include "base/own.h"
#include "master/handed-over.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

static int listening(const char *text)
{
	struct addr addr = address(text);
	int fd = addr_socket(&addr, SOCK_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, &addr.sa, addr.len), 0);
	if (!addr_is_datagram(&addr))
		assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void close_all(struct handed_over *handed_over)
{
	for (size_t i = 0; i < handed_over->n; i++)
		if (handed_over->sockets[i]->fd >= 0)
			close(handed_over->sockets[i]->fd);
	handed_over_done(handed_over);
}

/* Its place among them, or -1. */
static int found(const struct handed_over *handed_over, const struct addr *asked)
{
	size_t at = 0;

	return handed_over_find(handed_over, asked, &at) ? (int)at - 1 : -1;
}

static void test_by_name_and_by_address(void **state)
{
	struct handed_over all = {0};
	struct addr web = address("fd:web"), own, other = address("tcp:127.0.0.1:0");
	struct addr name = address("unix:@test-handed-over");
	size_t at = 0;

	(void)state;
	assert_null(handed_over_last(&all));
	assert_int_equal(found(&all, &web), -1);
	assert_int_equal(handed_over_add(&all, "web", listening("tcp:127.0.0.1:0"), NULL), 0);
	own = handed_over_last(&all)->addr;
	assert_int_equal(
		handed_over_add(&all, "web", listening("unix:@test-handed-over"), NULL), 0);
	assert_int_equal(found(&all, &web), 0);
	assert_int_equal(found(&all, &own), 0);
	assert_int_equal(found(&all, &name), 1);
	assert_int_equal(found(&all, &other), -1);
	assert_ptr_equal(handed_over_find(&all, &web, &at), all.sockets[0]);
	assert_ptr_equal(handed_over_find(&all, &web, &at), all.sockets[1]);
	assert_null(handed_over_find(&all, &web, &at));

	/* A listener has it. */
	close(take_fd(&all.sockets[0]->fd));
	assert_int_equal(found(&all, &own), -1);
	assert_int_equal(found(&all, &web), 1);
	close_all(&all);
}

/* Not the first one that would do. */
static void test_who_had_it(void **state)
{
	struct handed_over all = {0};
	struct addr web = address("fd:web"), own = address("tcp:127.0.0.1:7");

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(handed_over_add(&all, "web", listening("udp:0"), NULL), 0);
	assert_null(handed_over_find_again(&all, &web));
	assert_false(handed_over_is_taken(&all, &web));
	all.sockets[0]->asked = own;
	all.sockets[1]->asked = web;
	assert_ptr_equal(handed_over_find_again(&all, &web), all.sockets[1]);
	assert_ptr_equal(handed_over_find_again(&all, &own), all.sockets[0]);
	close(take_fd(&all.sockets[1]->fd));
	assert_null(handed_over_find_again(&all, &web));
	assert_true(handed_over_is_taken(&all, &web));
	assert_false(handed_over_is_taken(&all, &own));
	close_all(&all);
}

/* Which is not asked then: programs may hold its lock. */
static void test_address_that_is_known(void **state)
{
	struct handed_over all = {0};
	struct addr known = address("tcp:127.0.0.1:7"), unknown = {.kind = ADDR_TCP};

	(void)state;
	assert_int_equal(handed_over_add(&all, "a", listening("udp:127.0.0.1:0"), &known), 0);
	assert_int_equal(found(&all, &known), 0);
	assert_int_equal(handed_over_add(&all, "b", listening("udp:127.0.0.1:0"), &unknown), 0);
	assert_int_equal(handed_over_last(&all)->addr.kind, ADDR_UDP);
	close_all(&all);
}

static void test_kinds(void **state)
{
	struct handed_over all = {0};
	int pair[2], file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int idle = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int foreign = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(handed_over_add(&all, "a", pair[0], NULL), 0);
	assert_int_equal(handed_over_last(&all)->kind, HANDED_CONNECTION);
	assert_int_equal(handed_over_add(&all, "b", file, NULL), 0);
	assert_int_equal(handed_over_last(&all)->kind, HANDED_OTHER);
	assert_int_equal(handed_over_add(&all, "c", idle, NULL), 0);
	assert_int_equal(handed_over_last(&all)->kind, HANDED_SOCKET);
	assert_int_equal(handed_over_add(&all, "d", foreign, NULL), 0);
	assert_int_equal(handed_over_last(&all)->kind, HANDED_OTHER);
	assert_int_equal(handed_over_add(&all, "e", dup(idle), NULL), 0);
	assert_int_equal(handed_over_last(&all)->kind, HANDED_TWICE);
	assert_int_equal(handed_over_add(&all, "f", dup(file), NULL), 0);
	assert_int_equal(handed_over_last(&all)->kind, HANDED_OTHER);
	close(pair[1]);
	close_all(&all);
}

static void test_those_taken_for_good(void **state)
{
	struct handed_over all = {0};

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(
			handed_over_add(&all, i % 2 ? "kept" : "web", listening("udp:0"), NULL),
			0);
	close(take_fd(&all.sockets[1]->fd));
	close(take_fd(&all.sockets[3]->fd));
	handed_over_forget_taken(&all);
	assert_int_equal(all.n, 2);
	for (size_t i = 0; i < all.n; i++)
		assert_string_equal(all.sockets[i]->name, "web");
	close_all(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_name_and_by_address),
		cmocka_unit_test(test_who_had_it),
		cmocka_unit_test(test_address_that_is_known),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_those_taken_for_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
