/* handover: what is written is what is read, and nothing else is. */
#include "master/backend.h"
#include "master/handover/handover.h"
#include "os/channel.h"

#include "base/own.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define FORGOTTEN "hatchd//tcp=7777"

static struct addr address(const char *text)
{
	struct addr_spec spec;
	const char *why;

	assert_int_equal(addr_parse(text, &spec, &why), 0);
	return spec.addr;
}

static struct handover_process a_process(void)
{
	return (struct handover_process){
		.pid = 4711,
		.version = strdup("1.2.3"),
		.program = strdup("/usr/sbin/hatchd"),
		.cwd = strdup("/"),
		.upgrades = 99,
		.nofile_soft = 1024,
		.nofile_hard = UINT64_MAX,
		.image = 20,
		.secrets = -EBADF,
		.next_image = 22,
		.next_secrets = 23,
		.pid_file = -EBADF,
		.control = 25,
		.forgotten = (uint8_t *)strdup(FORGOTTEN),
		.forgotten_len = sizeof FORGOTTEN,
	};
}

static void fill_children(struct handover *handover)
{
	handover->children = calloc(3, sizeof *handover->children);
	handover->n_children = 3;
	handover->children[0] = (struct handover_child){
		.service = 1,
		.setup = HANDOVER_NONE,
		.listener = 0,
		.connection = 7,
		.pid = 100,
		.pidfd = 40,
		.worker = HANDOVER_NONE,
		.carrier = 1,
		.carrier_place = 9,
		.peer = address("tcp:[fe80::1%lo]:80"),
		.local = address("unix:@name"),
		.peer_uid = UINT32_MAX,
		.source = {.family = ADDR_SOURCE_IPV4, .bytes = {10, 0, 0, 1}},
		.readiness = {.there = true,
			.fd = 42,
			.number = UINT64_MAX,
			.awaited = true,
			.state = NOTICE_RELOADING,
			.status = strdup("loading"),
			.ready_by = 99},
	};
	handover->children[1] = (struct handover_child){
		.setup = 0,
		.listener = HANDOVER_NONE,
		.pid = 101,
		.pidfd = 41,
		.worker = HANDOVER_NONE,
		.carrier = HANDOVER_NONE,
		.is_backend = true,
		.backend_state = BACKEND_RUNNING,
		.peer = address("tcp:127.0.0.1:80"),
		.local = address("vsock:2:80"),
		.life_reason = LIFETIME_IDLE,
		.has_ends = true,
		.proxy_local = address("tcp:80"),
		.has_findings = true,
		.findings = {.name = strdup("host.example"), .name_state = 1},
		.readiness = {.fd = -EBADF},
	};
	handover->children[2] = (struct handover_child){
		.setup = HANDOVER_NONE,
		.listener = HANDOVER_NONE,
		.pidfd = -EBADF,
		.worker = 0,
		.place = 3,
		.carrier = HANDOVER_NONE,
		.backend = 8,
		.news = BACKEND_REACHED,
		.readiness = {.fd = -EBADF},
	};
}

static void fill_workers(struct handover *handover)
{
	handover->workers = calloc(2, sizeof *handover->workers);
	handover->n_workers = 2;
	for (int i = 0; i < 2; i++)
		handover->workers[i] = (struct handover_worker){
			.name = strdup("hatchd-relay"),
			.protocol = 4,
			.pid = 200 + i,
			.pidfd = 50 + i,
			.requests = 52 + i,
			.answers = 54 + i,
			.unread = 56 + i,
			.theirs = -EBADF,
			.places = 10,
		};
	handover->carried = calloc(1, sizeof *handover->carried);
	handover->n_carried = 1;
	handover->carried[0] = (struct handover_carried){
		.worker = 1,
		.place = 9,
		.number = 7,
		.service = HANDOVER_NONE,
		.near_end = 58,
		.far_end = -EBADF,
	};
}

static void fill_callers(struct handover *handover)
{
	static const char facts[] = "protocol=TLSv1.3";

	handover->callers = calloc(2, sizeof *handover->callers);
	handover->n_callers = 2;
	handover->callers[0] = (struct handover_caller){
		.worker = HANDOVER_NONE,
		.place = HANDOVER_NONE,
		.stage = HANDOVER_CALLER_KNOWN,
		.number = 70,
		.fd = 60,
		.proxy = address("tcp:192.0.2.1:7"),
		.authority = (uint8_t *)strdup("host"),
		.authority_len = 4,
	};
	handover->callers[1] = (struct handover_caller){
		.worker = 0,
		.place = 4,
		.stage = HANDOVER_CALLER_SPEAKS,
		.number = 71,
		.fd = -EBADF,
		.verdict = CHANNEL_NOT_ALLOWED,
		.facts = (uint8_t *)strdup(facts),
		.facts_len = sizeof facts - 1,
		.trust = "trust",
	};
}

/* One of each, and two of some. */
static void fill(struct handover *handover)
{
	*handover = (struct handover){.process = a_process()};
	handover->spares = calloc(1, sizeof *handover->spares);
	handover->n_spares = 1;
	handover->spares[0] = (struct handover_spare){.name = strdup("web"),
		.fd = 30,
		.bound = address("tcp:127.0.0.1:80"),
		.told = true,
		.asked = address("fd:web")};
	handover->strays = calloc(1, sizeof *handover->strays);
	handover->n_strays = 1;
	handover->strays[0].pid = 77;
	handover->services = calloc(2, sizeof *handover->services);
	handover->n_services = 2;
	handover->services[0].name = strdup("first");
	handover->services[0].state = malloc(3);
	memcpy(handover->services[0].state, "abc", 3);
	handover->services[0].state_len = 3;
	handover->services[1].name = strdup("second");
	handover->listeners = calloc(1, sizeof *handover->listeners);
	handover->n_listeners = 1;
	handover->listeners[0] = (struct handover_listener){
		.service = 1,
		.asked = address("unix:/run/x"),
		.bound = address("unix:/run/x"),
		.fd = 31,
		.name = strdup("hatchd//unix=%2frun%2fx"),
		.held = -EBADF,
	};
	handover->setups = calloc(1, sizeof *handover->setups);
	handover->n_setups = 1;
	handover->setups[0].record = malloc(1);
	handover->setups[0].record[0] = 'x';
	handover->setups[0].len = 1;
	handover->setups[0].image_version = 21;
	fill_workers(handover);
	fill_callers(handover);
	fill_children(handover);
}

/* As bytes; the caller's. */
static uint8_t *encode(size_t *ret_len)
{
	_cleanup_handover_ struct handover handover;
	_cleanup_close_ int fd = memfd_create("handover", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint8_t *data;
	off_t len;

	fill(&handover);
	assert_int_equal(handover_write(&handover, fd), 0);
	len = lseek(fd, 0, SEEK_END);
	data = malloc((size_t)len);
	assert_int_equal(pread(fd, data, (size_t)len, 0), len);
	*ret_len = (size_t)len;
	return data;
}

static void test_round_trip(void **state)
{
	_cleanup_free_ uint8_t *data = NULL;
	_cleanup_handover_ struct handover handover;
	size_t len;

	(void)state;
	data = encode(&len);
	assert_int_equal(handover_decode(data, len, &handover), 0);
	assert_int_equal(handover.process.pid, 4711);
	assert_string_equal(handover.process.version, "1.2.3");
	assert_int_equal(handover.process.secrets, -EBADF);
	assert_int_equal(handover.process.control, 25);
	assert_int_equal(handover.process.forgotten_len, sizeof FORGOTTEN);
	assert_memory_equal(handover.process.forgotten, FORGOTTEN, sizeof FORGOTTEN);
	assert_true(handover.process.nofile_hard == UINT64_MAX);
	assert_int_equal(handover.n_spares, 1);
	assert_string_equal(handover.spares[0].name, "web");
	assert_true(addr_equal(
		&handover.spares[0].bound, &(struct addr[]){address("tcp:127.0.0.1:80")}[0]));
	assert_true(handover.spares[0].told);
	assert_true(
		addr_equal(&handover.spares[0].asked, &(struct addr[]){address("fd:web")}[0]));
	assert_int_equal(handover.strays[0].pid, 77);
	assert_int_equal(handover.n_services, 2);
	assert_memory_equal(handover.services[0].state, "abc", 3);
	assert_int_equal(handover.listeners[0].fd, 31);
	assert_int_equal(handover.listeners[0].held, -EBADF);
	assert_int_equal(handover.n_children, 3);
	assert_true(addr_equal(&handover.children[0].peer,
		&(struct addr[]){address("tcp:[fe80::1%lo]:80")}[0]));
	assert_int_equal(handover.children[0].listener, 0);
	assert_true(handover.children[0].readiness.there);
	assert_int_equal(handover.children[0].readiness.fd, 42);
	assert_true(handover.children[0].readiness.number == UINT64_MAX);
	assert_int_equal(handover.children[0].readiness.state, NOTICE_RELOADING);
	assert_string_equal(handover.children[0].readiness.status, "loading");
	assert_int_equal(handover.children[1].life_reason, LIFETIME_IDLE);
	assert_int_equal(handover.children[1].readiness.fd, -EBADF);
	assert_string_equal(handover.children[1].findings.name, "host.example");
	assert_int_equal(handover.children[2].place, 3);
	assert_int_equal(handover.children[2].backend, 8);
	assert_int_equal(handover.n_workers, 2);
	assert_string_equal(handover.workers[1].name, "hatchd-relay");
	assert_int_equal(handover.carried[0].near_end, 58);
	assert_int_equal(handover.n_callers, 2);
	assert_int_equal(handover.callers[0].stage, HANDOVER_CALLER_KNOWN);
	assert_int_equal(handover.callers[0].authority_len, 4);
	assert_memory_equal(handover.callers[0].authority, "host", 4);
	assert_int_equal(handover.callers[1].place, 4);
	assert_string_equal((char *)handover.callers[1].trust, "trust");
	assert_memory_equal(handover.callers[1].facts, "protocol", 8);
}

/* Each shorter file, and each with a byte that is another one. */
static void test_damage(void **state)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t len;

	(void)state;
	data = encode(&len);
	for (size_t i = 0; i < len; i++) {
		_cleanup_handover_ struct handover handover;

		assert_int_equal(handover_decode(data, i, &handover), -EBADMSG);
	}
	for (size_t i = 0; i < len; i++) {
		_cleanup_handover_ struct handover handover;
		int r;

		data[i] ^= 0x41;
		r = handover_decode(data, len, &handover);
		assert_true(r == -EBADMSG || r == -EPROTONOSUPPORT);
		data[i] ^= 0x41;
	}
}

static void test_other_versions(void **state)
{
	static const size_t at = sizeof "hatchd life" - 1;
	_cleanup_free_ uint8_t *data = NULL;
	size_t len;

	(void)state;
	data = encode(&len);
	for (uint8_t version = 0; version < 10; version++) {
		_cleanup_handover_ struct handover handover;
		int expected = version == HANDOVER_VERSION ? 0 : -EPROTONOSUPPORT;

		data[at] = version;
		assert_int_equal(handover_decode(data, len, &handover), expected);
	}
}

static void test_memfd(void **state)
{
	_cleanup_close_ int fd = memfd_create("handover", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	_cleanup_free_ uint8_t *data = NULL;
	struct handover handover;
	size_t len;

	(void)state;
	data = encode(&len);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	assert_int_equal(handover_read(fd, &handover), -EPERM);
	handover_done(&handover);
	assert_int_equal(fcntl(fd, F_ADD_SEALS,
				 F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE),
		0);
	assert_int_equal(handover_read(fd, &handover), 0);
	assert_int_equal(handover.n_children, 3);
	handover_done(&handover);
	assert_int_equal(handover_read(STDIN_FILENO + 1000, &handover), -EBADF);
	handover_done(&handover);
}

/* A sealed memfd with that in it. */
static int sealed(const void *data, size_t len)
{
	int fd = memfd_create("handover", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(write(fd, data, len), (ssize_t)len);
	assert_int_equal(fcntl(fd, F_ADD_SEALS,
				 F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE),
		0);
	return fd;
}

static int owner_of(const void *data, size_t len, uint32_t *ret)
{
	_cleanup_close_ int fd = sealed(data, len);

	return handover_owner(fd, ret);
}

/* It is told of what cannot be read, too; of what is something else nothing is. */
static void test_owner(void **state)
{
	static const size_t version = sizeof "hatchd life" - 1;
	_cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	_cleanup_free_ uint8_t *data = NULL;
	uint32_t pid = 0;
	size_t len;

	(void)state;
	data = encode(&len);
	data[len - 1] ^= 1;
	data[version] ^= 1;
	assert_int_equal(owner_of(data, len, &pid), 0);
	assert_int_equal(pid, 4711);
	assert_int_equal(owner_of(data, 16, &pid), -EBADMSG);
	data[0] ^= 1;
	assert_int_equal(owner_of(data, len, &pid), -EBADMSG);
	assert_int_equal(handover_owner(null, &pid), -EBADMSG);
	assert_int_equal(handover_owner(STDIN_FILENO + 1000, &pid), -EBADF);
}

static void count(void *userdata, int *fd)
{
	int *n = userdata;

	*n += *fd >= 0;
}

/* What refers to something that is not there, or is two things at once. */
static void test_inconsistent(void **state)
{
	(void)state;
	for (int i = 0; i < 16; i++) {
		_cleanup_handover_ struct handover handover, read = {0};
		int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

		fill(&handover);
		switch (i) {
		case 0:
			handover.children[2].worker = 2;
			break;
		case 1:
			handover.children[0].carrier = 2;
			break;
		case 2:
			handover.children[0].worker = 0;
			break;
		case 3:
			handover.children[2].is_backend = true;
			break;
		case 4:
			handover.carried[0].worker = 2;
			break;
		case 5:
			handover.carried[0].service = 2;
			break;
		case 6:
			handover.workers[0].requests = -EBADF;
			break;
		case 7:
			handover.callers[0].service = 2;
			break;
		case 8:
			handover.callers[0].listener = 1;
			break;
		case 9:
			handover.callers[0].fd = -EBADF;
			break;
		case 10:
			handover.callers[1].worker = HANDOVER_NONE;
			break;
		case 11:
			handover.callers[1].stage = _HANDOVER_CALLER_STAGE_MAX;
			break;
		case 12:
			handover.callers[1].shaken = true;
			break;
		case 13:
			handover.children[0].readiness.fd = -EBADF;
			break;
		case 14:
			handover.children[0].readiness.state = _NOTICE_STATE_MAX;
			break;
		default:
			handover.children[2].news = BACKEND_GIVEN_UP + 1;
		}
		assert_int_equal(handover_write(&handover, fd), 0);
		assert_int_equal(handover_read(fd, &read), -EBADMSG);
		close(fd);
	}
}

static void test_descriptors(void **state)
{
	_cleanup_handover_ struct handover handover;
	int n = 0;

	(void)state;
	fill(&handover);
	handover_each_fd(&handover, count, &n);
	/* Of the process 4, a spare, a listener, two children, one of which says how it is,
	 * four of each worker, whom one carries, and a caller. */
	assert_int_equal(n, 19);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_other_versions),
		cmocka_unit_test(test_memfd),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_inconsistent),
		cmocka_unit_test(test_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
