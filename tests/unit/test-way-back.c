/* resume: what is handed over is whole until there is no way back, and nobody else's is. */
#include "master/master.h"
#include "master/resume.h"

#include "base/own.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define NAME "hatchd//tcp=7777"

/* A number that is not open. */
#define NOBODYS 900

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int a_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

/* Two listening sockets of one service, and one that the service manager has handed over. */
static void fill(struct handover *handover, uint32_t pid)
{
	*handover = (struct handover){
		.process = {.pid = pid,
			.version = strdup("1"),
			.program = strdup("/hatchd"),
			.cwd = strdup("/"),
			.image = a_socket(),
			.secrets = -EBADF,
			.next_image = a_socket(),
			.next_secrets = -EBADF,
			.pid_file = -EBADF,
			.control = -EBADF},
		.services = calloc(1, sizeof *handover->services),
		.n_services = 1,
		.listeners = calloc(2, sizeof *handover->listeners),
		.n_listeners = 2,
		.spares = calloc(1, sizeof *handover->spares),
		.n_spares = 1,
	};
	handover->services[0].name = strdup("a");
	for (int i = 0; i < 2; i++)
		handover->listeners[i] = (struct handover_listener){
			.fd = a_socket(), .held = -EBADF, .name = strdup(NAME)};
	handover->spares[0] = (struct handover_spare){.name = strdup("web"), .fd = a_socket()};
}

static void close_one(void *userdata, int *fd)
{
	(void)userdata;
	if (*fd >= 0 && is_open(*fd))
		close(*fd);
}

static void release(struct handover *handover)
{
	handover_each_fd(handover, close_one, NULL);
	handover_done(handover);
}

/* As the image before would leave it; the memfd is whoever's who finds it. */
static int announce(struct handover *handover, int old_program)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char value[32];

	assert_int_equal(handover_write(handover, fd), 0);
	snprintf(value, sizeof value, "%d,%d", fd, old_program);
	setenv("HATCHD_HANDOVER", value, 1);
	return fd;
}

static void test_found(void **state)
{
	struct resume resume = RESUME_NONE;
	struct handover handover;

	(void)state;
	fill(&handover, (uint32_t)getpid());
	announce(&handover, dup(STDIN_FILENO));
	assert_int_equal(resume_find(&resume), 0);
	assert_true(resume_is_wanted(&resume) && !resume.back);
	assert_null(getenv("HATCHD_HANDOVER"));
	assert_int_equal(resume.handover.listeners[1].fd, handover.listeners[1].fd);
	resume_done(&resume);
	handover_done(&handover);
}

static void test_of_another_process(void **state)
{
	struct resume resume = RESUME_NONE;
	struct handover handover;
	int fd;

	(void)state;
	fill(&handover, (uint32_t)getpid() + 1);
	fd = announce(&handover, dup(STDIN_FILENO));
	assert_int_equal(resume_find(&resume), 0);
	assert_false(resume_is_wanted(&resume));
	assert_true(resume.old_program < 0);
	assert_null(getenv("HATCHD_HANDOVER"));
	assert_true(is_open(fd));
	close(fd);
	release(&handover);
}

/* On the way there it is a reason to go back, and on the way back none not to go on. */
static void test_closed_numbers(void **state)
{
	struct handover handover;
	int left;

	(void)state;
	fill(&handover, (uint32_t)getpid());
	close(handover.listeners[0].fd);
	handover.listeners[0].fd = NOBODYS;
	left = handover.listeners[1].fd;
	for (int back = 0; back < 2; back++) {
		struct resume resume = RESUME_NONE;
		int fd = announce(&handover, back ? -1 : STDIN_FILENO);

		if (!back) {
			assert_int_equal(resume_find(&resume), -EBADF);
			assert_int_equal(resume.old_program, STDIN_FILENO);
			close(fd);
			handover_done(&resume.handover);
			continue;
		}
		assert_int_equal(resume_find(&resume), 0);
		assert_true(resume.back);
		assert_int_equal(resume.handover.listeners[0].fd, -EBADF);
		assert_int_equal(resume.handover.listeners[1].fd, left);
		resume_done(&resume);
	}
	handover_done(&handover);
}

/* What is given has the number that is handed over, which is only then theirs alone. */
static void test_stay(void **state)
{
	struct resume resume = RESUME_NONE;
	struct master master = {.store = STORE_NONE};
	int first, second, spare;

	(void)state;
	master.store.last = &master.store.first;
	fill(&resume.handover, (uint32_t)getpid());
	resume.state = memfd_create("test", MFD_CLOEXEC);
	resume.old_program = dup(STDIN_FILENO);
	first = resume.handover.listeners[0].fd;
	second = resume.handover.listeners[1].fd;
	spare = resume.handover.spares[0].fd;

	assert_int_equal(resume_sockets(&resume, &master), 0);
	assert_int_equal(master.kept.n, 1);
	assert_int_equal(master.kept.sockets[0]->fd, first);
	assert_int_equal(master.inherited.handed_over.sockets[0]->fd, spare);
	assert_int_equal(resume.handover.listeners[0].fd, first);
	assert_int_equal(resume.handover.listeners[1].fd, second);
	assert_int_equal(resume.handover.spares[0].fd, spare);
	assert_true(is_open(first) && is_open(second) && is_open(resume.old_program));

	/* Of two with one name one is nobody's. */
	resume_stay(&resume, &master);
	assert_true(resume.old_program < 0);
	assert_true(is_open(first) && !is_open(second) && is_open(spare));
	resume_done(&resume);
	assert_true(is_open(first) && is_open(spare));
	kept_done(&master.kept);
	close(spare);
	inherited_done(&master.inherited);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_of_another_process),
		cmocka_unit_test(test_closed_numbers),
		cmocka_unit_test(test_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
