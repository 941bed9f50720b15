/* apply: a loader gone mad changes nothing. */
#include "conf-text.h"

#include "base/clock.h"
#include "conf/relate.h"
#include "master/apply.h"
#include "master/master.h"
#include "master/service.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define SERVICE(name, rest) "service " name " {\nshell = x\nuser = nobody\n" rest "\n}\n"
#define AT(address)         "listen = \"" address "\"\n"

/* A master without children. */
struct world {
	struct master master;
	struct cmdline cmdline;
	struct conf_text text; /* the configuration to come */
};

static void fill(struct world *w)
{
	struct spawner_setup setup = {.mode = SPAWN_AUTO, .low_limit = 64};

	*w = (struct world){0};
	w->master.cmdline = &w->cmdline;
	w->master.budget.low_limit = 64;
	assert_int_equal(spawner_new(&setup, &w->master.spawner), 0);
	assert_int_equal(closer_new(64, &w->master.closer), 0);
	assert_int_equal(sd_event_new(&w->master.event), 0);
	w->master.listeners_fd = epoll_create1(EPOLL_CLOEXEC);
	assert_true(w->master.listeners_fd >= 0);
}

/* Read a text, and relate it to what is in force. */
static void prepare(struct world *w, const char *text)
{
	struct conf in_force;

	conf_init(&in_force);
	if (w->master.image)
		assert_int_equal(image_read(image_fd(w->master.image), &in_force), 0);
	assert_int_equal(conf_text_load(&w->text, text, &conf_text_root), 0);
	assert_string_equal(conf_text_said(&w->text, DIAG_ERROR), "");
	assert_int_equal(relate(&w->text.conf, &in_force), 0);
	conf_done(&in_force);
}

/* By the road that it takes from the loader. */
static int take_image(struct world *w, struct image **ret)
{
	int fd = memfd_create(IMAGE_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING), r;

	assert_true(fd >= 0);
	assert_int_equal(image_write(&w->text.conf, fd), 0);
	conf_text_done(&w->text);
	r = image_open(fd, ret);
	if (r < 0)
		close(fd);
	return r;
}

/* An image that is damaged is refused where it is opened or where it is applied. */
static int put_in_force(struct world *w)
{
	struct image *image = NULL;
	struct applied applied;
	int r = take_image(w, &image);

	if (r < 0)
		return r;
	r = apply(&w->master, image, &applied);
	if (r < 0)
		image_free(image);
	return r;
}

static void start(struct world *w, const char *text)
{
	fill(w);
	prepare(w, text);
	assert_int_equal(put_in_force(w), 0);
}

static void wait_for_closes(const struct service *service)
{
	while (service_closing(service) > 0)
		sched_yield();
}

static void finish(struct world *w)
{
	struct master *master = &w->master;

	for (size_t i = 0; i < master->n_services; i++)
		service_close(master->services[i]);
	closer_tend(master->closer, UINT64_MAX, clock_monotonic());
	for (size_t i = 0; i < master->n_services; i++) {
		wait_for_closes(master->services[i]);
		service_free(master->services[i]);
	}
	for (const struct service *s = master->retired; s; s = s->next_retired)
		wait_for_closes(s);
	services_forget_retired(master);
	assert_int_equal(master->n_paces, 0);
	heap_done(&master->pacing);
	free(master->services);
	image_free(master->image);
	close(master->listeners_fd);
	closer_done(master->closer);
	sd_event_unref(master->event);
	spawner_free(master->spawner);
}

#define FDS_MAX 16

/* Descriptors of all listeners, in order. */
static size_t listening(const struct world *w, int fds[FDS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < w->master.n_services; i++)
		for (size_t j = 0; j < w->master.services[i]->n_listeners; j++)
			fds[n++] = w->master.services[i]->listeners[j]->fd;
	return n;
}

/* "a" has two addresses, "b" and "c" one; "c" is wait = yes. */
static const char before[] = SERVICE("a", AT("unix:@test-apply/1") "instances = 3")
	SERVICE("b", AT("unix:@test-apply/2") "instances = 3")
		SERVICE("c", AT("unix:@test-apply/3") "wait = yes\ninstances = 3");

static const char after[] = SERVICE("a", AT("unix:@test-apply/1")) SERVICE(
	"b", AT("unix:@test-apply/2")) SERVICE("c", AT("unix:@test-apply/3") "wait = yes");

/* Where the next listener would be. */
static int next_number(void)
{
	int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 64);

	close(fd);
	return fd;
}

/* Whoever goes back from there has all that he had, and nothing else. */
static void test_prepares(void **ctx)
{
	struct image *image = NULL;
	struct applied applied;
	struct apply *apply;
	int fds[FDS_MAX], next;
	struct world w;

	(void)ctx;
	fill(&w);
	prepare(&w, before);
	assert_int_equal(take_image(&w, &image), 0);
	next = next_number();
	assert_int_equal(apply_prepare(&w.master, image, &apply), 0);
	assert_int_equal(next_number(), next);
	assert_null(w.master.image);
	apply_finish(apply, &applied);
	assert_int_equal(listening(&w, fds), 3);
	for (size_t i = 0; i < 3; i++)
		assert_true(fds[i] >= next);
	finish(&w);
}

static void test_keeps(void **ctx)
{
	int old[FDS_MAX], new[FDS_MAX];
	struct world w;

	(void)ctx;
	start(&w, before);
	assert_int_equal(listening(&w, old), 3);
	prepare(&w, after);
	assert_int_equal(put_in_force(&w), 0);
	assert_int_equal(listening(&w, new), 3);
	assert_memory_equal(old, new, 3 * sizeof(int));
	assert_int_equal(w.master.services[0]->instances, 512);
	finish(&w);
}

static void test_exchange(void **ctx)
{
	int old[FDS_MAX], new[FDS_MAX];
	struct world w;

	(void)ctx;
	start(&w, before);
	listening(&w, old);
	prepare(&w,
		SERVICE("b", AT("unix:@test-apply/1")) SERVICE("a", AT("unix:@test-apply/2")));
	assert_int_equal(put_in_force(&w), 0);
	assert_int_equal(listening(&w, new), 2);
	assert_memory_equal(old, new, 2 * sizeof(int));
	assert_string_equal(service_name(w.master.services[0]), "b");
	assert_ptr_equal(w.master.services[0]->listeners[0]->service, w.master.services[0]);
	finish(&w);
}

/* What a loader may say about services 0 and 2. */
typedef void (*lie)(struct service_conf *a, struct service_conf *c);

static void service_of_nowhere(struct service_conf *a, struct service_conf *c)
{
	(void)c;
	a->old = 3;
}

static void service_of_another_name(struct service_conf *a, struct service_conf *c)
{
	a->old = 2;
	c->old = 0;
}

static void service_twice(struct service_conf *a, struct service_conf *c)
{
	c->old = a->old;
}

static void socket_of_no_service(struct service_conf *a, struct service_conf *c)
{
	(void)c;
	a->listen[0].old_service = 3;
}

static void socket_of_nobody(struct service_conf *a, struct service_conf *c)
{
	(void)c;
	a->listen[0].old_service = CONF_NONE;
}

static void socket_of_nowhere(struct service_conf *a, struct service_conf *c)
{
	(void)c;
	a->listen[0].old_listen = 1;
}

static void socket_twice(struct service_conf *a, struct service_conf *c)
{
	c->listen[0].old_service = a->listen[0].old_service;
	c->listen[0].fate = LISTEN_REOPENED;
}

static void socket_of_another_address(struct service_conf *a, struct service_conf *c)
{
	(void)c;
	a->listen[0].addr.un.sun_path[1] = 'T';
}

static void socket_of_another_kind(struct service_conf *a, struct service_conf *c)
{
	(void)a;
	c->listen[0].addr.kind = ADDR_UNIX_DGRAM;
}

/* Accepting from it would block. */
static void blocking_kept(struct service_conf *a, struct service_conf *c)
{
	(void)a;
	c->wait = false;
}

static void blocking_adjusted(struct service_conf *a, struct service_conf *c)
{
	(void)a;
	c->wait = false;
	c->listen[0].fate = LISTEN_ADJUSTED;
}

static void in_hand_adjusted(struct service_conf *a, struct service_conf *c)
{
	(void)a;
	c->listen[0].fate = LISTEN_ADJUSTED;
}

static void waits_untold(struct service_conf *a, struct service_conf *c)
{
	(void)c;
	a->wait = true;
}

/* Nobody could ever come in, and nothing would say so. */
static void rate_without_burst(struct service_conf *a, struct service_conf *c)
{
	(void)c;
	a->rate = (struct limit){.count = 1, .period = 1};
}

static void ban_for_ever(struct service_conf *a, struct service_conf *c)
{
	(void)c;
	a->overflow_source = UINT64_MAX;
}

static void no_prefix(struct service_conf *a, struct service_conf *c)
{
	(void)c;
	a->source_prefix6 = 129;
}

static void sensor_that_waits(struct service_conf *a, struct service_conf *c)
{
	(void)a;
	c->sensor = true;
}

static void test_lies(void **ctx)
{
	static const lie lies[] = {
		service_of_nowhere,
		service_of_another_name,
		service_twice,
		socket_of_no_service,
		socket_of_nobody,
		socket_of_nowhere,
		socket_twice,
		socket_of_another_address,
		socket_of_another_kind,
		blocking_kept,
		blocking_adjusted,
		in_hand_adjusted,
		waits_untold,
		rate_without_burst,
		ban_for_ever,
		no_prefix,
		sensor_that_waits,
	};
	int old[FDS_MAX], new[FDS_MAX];
	struct world w;

	(void)ctx;
	start(&w, before);
	listening(&w, old);
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		prepare(&w, after);
		lies[i](w.text.conf.services[0], w.text.conf.services[2]);
		if (put_in_force(&w) != -EBADMSG)
			fail_msg("lie %zu was believed", i);
		assert_int_equal(listening(&w, new), 3);
		assert_memory_equal(old, new, 3 * sizeof(int));
		assert_int_equal(w.master.services[0]->instances, 3);
	}

	/* With a new service, whose socket is open already when the lie is found. */
	prepare(&w,
		SERVICE("d", AT("unix:@test-apply/4")) SERVICE("a", AT("unix:@test-apply/1")));
	w.text.conf.services[1]->old = 2;
	assert_int_equal(put_in_force(&w), -EBADMSG);

	/* And then it comes to its senses. */
	prepare(&w, after);
	assert_int_equal(put_in_force(&w), 0);
	listening(&w, new);
	assert_memory_equal(old, new, 3 * sizeof(int));
	finish(&w);
}

/* A service that waits has no sockets that anybody could have. */
static void test_socket_of_waiting(void **ctx)
{
	struct service_conf *service;
	struct world w;

	(void)ctx;
	fill(&w);
	prepare(&w, before);
	assert_non_null(w.text.conf.services[0]->condition = strdup("no user 'x'"));
	assert_int_equal(put_in_force(&w), 0);
	assert_int_equal(w.master.services[0]->state, SERVICE_WAITING);

	prepare(&w, after);
	service = w.text.conf.services[0];
	assert_int_equal(service->listen[0].fate, LISTEN_OPENED);
	service->listen[0].fate = LISTEN_KEPT;
	service->listen[0].old_service = service->listen[0].old_listen = 0;
	assert_int_equal(put_in_force(&w), -EBADMSG);

	prepare(&w, after);
	assert_int_equal(put_in_force(&w), 0);
	assert_int_equal(w.master.services[0]->state, SERVICE_ACTIVE);
	assert_true(service_is_served(w.master.services[0]));
	finish(&w);
}

#define HOUR (UINT64_C(3600) * USEC_PER_SEC)

static void put(struct world *w, const char *text)
{
	prepare(w, text);
	assert_int_equal(put_in_force(w), 0);
}

/* What was taken stays taken, whatever else is changed. */
static void test_rate_survives(void **ctx)
{
	static const char two[] = SERVICE("a", AT("unix:@test-apply/1") "rate = 2/1h");
	uint64_t now = clock_monotonic(), due;
	const struct pace *pace;
	struct service *a;
	struct world w;

	(void)ctx;
	start(&w, two);
	a = w.master.services[0];
	pace = a->pace;
	assert_non_null(pace);
	service_count_client(a, now);
	service_count_client(a, now);
	assert_false(service_is_paced(a));
	assert_true(a->listeners[0]->polled);

	service_wait_for_token(a, now);
	assert_true(service_is_paced(a));
	assert_false(a->listeners[0]->polled);
	assert_true(paces_due(&w.master) == now + HOUR / 2);
	paces_resume(&w.master, now + HOUR / 2 - 1);
	assert_true(service_is_paced(a));

	/* Nothing of it is changed: it waits on. */
	put(&w, SERVICE("a", AT("unix:@test-apply/1") "rate = 2/1h")
			SERVICE("b", AT("unix:@test-apply/2")));
	assert_true(service_is_paced(a));
	assert_null(w.master.services[1]->pace);

	/* Something else is: it looks again, and finds nothing. */
	put(&w, SERVICE("a", AT("unix:@test-apply/1") "rate = 2/1h\nnice = 3"));
	assert_ptr_equal(a->pace, pace);
	assert_false(service_is_paced(a));
	assert_true(paces_due(&w.master) == USEC_INFINITY);
	assert_true(a->listeners[0]->polled);
	assert_false(bucket_has(&pace->bucket, &pace->limit, now));

	/* One more may come, and from then on the other rate holds. */
	put(&w, SERVICE("a", AT("unix:@test-apply/1") "rate = 3/1h"));
	assert_ptr_equal(a->pace, pace);
	assert_true(bucket_has(&pace->bucket, &pace->limit, now));
	service_count_client(a, now);
	service_wait_for_token(a, now);
	due = paces_due(&w.master);
	assert_true(due >= now + HOUR / 3 && due < now + HOUR / 2);
	paces_resume(&w.master, due);
	assert_false(service_is_paced(a));
	assert_true(a->listeners[0]->polled);

	service_wait_for_token(a, now);
	put(&w, SERVICE("a", AT("unix:@test-apply/1")));
	assert_null(a->pace);
	assert_true(paces_due(&w.master) == USEC_INFINITY);
	assert_true(a->listeners[0]->polled);
	finish(&w);
}

/* Nobody ever comes in, and nothing ever wakes us up for that. */
static void test_rate_of_nobody(void **ctx)
{
	struct world w;

	(void)ctx;
	start(&w, SERVICE("a", AT("unix:@test-apply/1") "rate = 0"));
	service_wait_for_token(w.master.services[0], clock_monotonic());
	assert_true(service_is_paced(w.master.services[0]));
	assert_true(paces_due(&w.master) == USEC_INFINITY);
	paces_resume(&w.master, clock_monotonic());
	assert_true(service_is_paced(w.master.services[0]));
	/* It is gone while it waits. */
	put(&w, SERVICE("b", AT("unix:@test-apply/2") "rate = 0"));
	finish(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prepares),
		cmocka_unit_test(test_keeps),
		cmocka_unit_test(test_exchange),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_socket_of_waiting),
		cmocka_unit_test(test_rate_survives),
		cmocka_unit_test(test_rate_of_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
