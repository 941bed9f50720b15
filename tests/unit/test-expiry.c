/* expiry: which certificates the log is told of, and when, by clocks of our own. */
#include "conf-text.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "conf/image.h"
#include "master/expiry.h"
#include "master/master.h"
#include "master/service.h"
#include "policy/validity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>

#include <cmocka.h>

#define DAY       VALIDITY_DAY
#define DAY_USEC  (DAY * USEC_PER_SEC)
#define HOUR_USEC (3600 * USEC_PER_SEC)

/* 2033-05-18 */
#define NOW INT64_C(2000000000)

/* Services are read so many in a turn. */
#define BATCH 16

static int64_t wall;
static char said[8192]; /* by the log since it was last looked at, a line each */

struct timespec __wrap_clock_wall(void);
void __wrap_log_message(int priority, const char *format, ...) _printf_(2, 3);

struct timespec __wrap_clock_wall(void)
{
	return (struct timespec){.tv_sec = wall};
}

void __wrap_log_message(int priority, const char *format, ...)
{
	size_t len = strlen(said);
	va_list args;

	assert_int_equal(priority, LOG_WARNING);
	va_start(args, format);
	vsnprintf(said + len, sizeof said - len, format, args);
	va_end(args);
	strcat(said, "\n");
}

/* --------------------------------------------------------------------- the master */

struct world {
	struct master master;
	struct cmdline cmdline;
	uint64_t now; /* usec, monotonic */
};

static struct image *make_image(const char *text, const int64_t *ends)
{
	int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct image *image;
	struct conf_text t;

	assert_true(fd >= 0);
	assert_int_equal(conf_text_load(&t, text, &conf_text_user), 0);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	/* As if the files had been there. */
	for (size_t i = 0; i < t.conf.n_services; i++) {
		struct service_conf *service = t.conf.services[i];

		if (!service_conf_has_tls(service) || ends[i] == 0)
			continue;
		free(service->condition);
		service->condition = NULL;
		service->tls_length = 1;
		service->tls_not_after = ends[i];
	}
	assert_int_equal(image_write(&t.conf, fd), 0);
	assert_int_equal(image_open(fd, &image), 0);
	conf_text_done(&t);
	return image;
}

static void drop(struct world *w)
{
	for (size_t i = 0; i < w->master.n_services; i++)
		service_free(w->master.services[i]);
	free(w->master.services);
	image_free(w->master.image);
}

/* What a look at conditions does. */
static void put_in_force(struct world *w, const char *text, const int64_t *ends)
{
	struct master *master = &w->master;
	char name[32];

	drop(w);
	master->cmdline = &w->cmdline;
	master->image = make_image(text, ends);
	master->n_services = image_n_services(master->image);
	master->services = calloc(master->n_services + 1, sizeof(struct service *));
	assert_non_null(master->services);
	for (size_t i = 0; i < master->n_services; i++) {
		snprintf(name, sizeof name, "s%zu", i);
		master->services[i] = service_new(master, name);
		assert_non_null(master->services[i]);
		master->services[i]->index = (uint32_t)i;
	}
	master->generation++;
}

static void reload(struct world *w, const char *text, const int64_t *ends)
{
	put_in_force(w, text, ends);
	w->master.reload.failed = false;
	w->master.reload.finished = w->now;
}

static size_t count_lines(void)
{
	size_t n = 0;

	for (const char *at = said; (at = strchr(at, '\n')) != NULL; at++)
		n++;
	return n;
}

/* Turns until there is nothing left to do now. */
static void run(struct world *w)
{
	int turns = 0;

	do {
		size_t before = count_lines();

		expiry_turn(&w->master, w->now);
		assert_in_range(count_lines() - before, 0, BATCH + 1);
		assert_in_range(turns++, 0, 100);
	} while (w->master.expiry.due <= w->now);
}

static void says(struct world *w, const char *want)
{
	said[0] = '\0';
	run(w);
	assert_string_equal(said, want);
}

/* Both clocks go on, the one in usec. */
static void pass(struct world *w, uint64_t usec)
{
	w->now += usec;
	wall += (int64_t)(usec / USEC_PER_SEC);
}

static void start(struct world *w, const char *text, const int64_t *ends)
{
	*w = (struct world){.now = 12345};
	wall = NOW;
	put_in_force(w, text, ends);
	said[0] = '\0';
}

#define TLS(name, port)                                        \
	"service " name " { listen = " port " builtin = echo " \
	"tls { certificate = /no/where } }\n"
#define PLAIN(name, port) "service " name " { listen = " port " builtin = echo }\n"

static const char two[] = PLAIN("a", "1") TLS("b", "2") PLAIN("c", "3") TLS("d", "4");

/* -------------------------------------------------------------------------- tests */

static void test_nobody(void **ctx)
{
	const int64_t ends[] = {0, 0, 0, 0};
	struct world w;

	(void)ctx;
	/* One that waits for its certificate has none. */
	start(&w, two, ends);
	says(&w, "");
	assert_int_equal(image_conf(w.master.image)->certificates_end, 0);
	assert_true(w.master.expiry.due == USEC_INFINITY);
	drop(&w);
}

/* The loader has told; from then on it is told once a day, until another one is loaded. */
static void test_daily(void **ctx)
{
	const int64_t ends[] = {0, NOW + 3 * DAY, 0, NOW + 100 * DAY};
	const int64_t renewed[] = {0, NOW + 200 * DAY, 0, NOW + 100 * DAY};
	struct world w;

	(void)ctx;
	start(&w, two, ends);
	says(&w, "");
	assert_int_equal(w.master.expiry.due, w.now + DAY_USEC);
	pass(&w, DAY_USEC - 1);
	says(&w, "");
	pass(&w, 1);
	wall = NOW + DAY;
	says(&w, "s1: a certificate is only valid until 2033-05-21, 2 days from now\n");
	says(&w, "");
	assert_int_equal(w.master.expiry.due, w.now + DAY_USEC);
	pass(&w, DAY_USEC);
	says(&w, "s1: a certificate is only valid until 2033-05-21, 1 day from now\n");
	pass(&w, DAY_USEC);
	says(&w, "s1: a certificate was valid until 2033-05-21; clients will refuse it\n");
	pass(&w, 3 * HOUR_USEC);
	reload(&w, two, renewed);
	says(&w, "");
	assert_int_equal(w.master.expiry.due, w.now + HOUR_USEC);
	drop(&w);
}

/* It is told when there are 14 days left, to the second. */
static void test_from_then_on(void **ctx)
{
	const int64_t ends[] = {0, NOW + 100 * DAY, 0, NOW + 14 * DAY + 5000};
	struct world w;

	(void)ctx;
	start(&w, two, ends);
	says(&w, "");
	assert_int_equal(w.master.expiry.due, w.now + HOUR_USEC);
	pass(&w, HOUR_USEC);
	says(&w, "");
	assert_int_equal(w.master.expiry.due, w.now + 1401 * USEC_PER_SEC);
	pass(&w, 1400 * USEC_PER_SEC);
	says(&w, "");
	pass(&w, USEC_PER_SEC);
	says(&w, "s3: a certificate is only valid until 2033-06-01, 13 days from now\n");
	drop(&w);
}

/* Somebody sets the clock: it is seen within the hour, whatever it was before. */
static void test_jumps(void **ctx)
{
	const int64_t ends[] = {0, NOW + 100 * DAY, 0, NOW + 200 * DAY};
	struct world w;

	(void)ctx;
	start(&w, two, ends);
	wall = 0;
	says(&w, "");
	wall = NOW + 95 * DAY;
	pass(&w, HOUR_USEC);
	wall = NOW + 95 * DAY;
	says(&w, "s1: a certificate is only valid until 2033-08-26, 5 days from now\n");
	/* Back: what was told is told again when it is time. */
	wall = NOW;
	pass(&w, DAY_USEC);
	says(&w, "");
	assert_int_equal(w.master.expiry.due, w.now + HOUR_USEC);
	wall = NOW + 1000 * DAY;
	pass(&w, HOUR_USEC);
	says(&w, "s1: a certificate was valid until 2033-08-26; clients will refuse it\n"
		 "s3: a certificate was valid until 2033-12-04; clients will refuse it\n");
	drop(&w);
}

/* Services that have waited come with certificates of which nobody has told; what was told
 * is not told again for that, nor is it forgotten. */
static void test_conditions(void **ctx)
{
	const int64_t before[] = {0, 0, 0, NOW + 9 * DAY},
		      after[] = {0, NOW + 4 * DAY, 0, NOW + 9 * DAY};
	struct world w;

	(void)ctx;
	start(&w, two, before);
	says(&w, "");
	pass(&w, DAY_USEC / 2);
	put_in_force(&w, two, after);
	says(&w, "");
	/* A reload that fails puts nothing in force, not even in the turn of one. */
	w.master.reload.failed = true;
	w.master.reload.finished = w.now;
	says(&w, "");
	put_in_force(&w, two, after);
	says(&w, "");
	w.master.reload.finished = w.now + 1;
	put_in_force(&w, two, after);
	says(&w, "");
	pass(&w, DAY_USEC / 2);
	says(&w, "s1: a certificate is only valid until 2033-05-22, 3 days from now\n"
		 "s3: a certificate is only valid until 2033-05-27, 8 days from now\n");
	/* None of those in force was near its end: then it is told at once. */
	reload(&w, two, (const int64_t[]){0, 0, 0, NOW + 100 * DAY});
	says(&w, "");
	put_in_force(&w, two, after);
	says(&w, "s1: a certificate is only valid until 2033-05-22, 3 days from now\n"
		 "s3: a certificate is only valid until 2033-05-27, 8 days from now\n");
	drop(&w);
}

#define MANY 100

/* Whatever there is, a day's lines are few, and a turn's services. */
static void test_many(void **ctx)
{
	static char text[MANY * 128];
	int64_t ends[MANY];
	struct world w;
	int turns = 0;

	(void)ctx;
	for (int i = 0; i < MANY; i++) {
		char name[16], port[16];

		snprintf(name, sizeof name, "x%d", i);
		snprintf(port, sizeof port, "%d", i + 1);
		snprintf(text + strlen(text), sizeof text - strlen(text), TLS("%s", "%s"), name,
			port);
		ends[i] = i % 2 ? NOW + 3 * DAY : NOW + 100 * DAY;
	}
	start(&w, text, ends);
	run(&w);
	pass(&w, DAY_USEC);
	do {
		expiry_turn(&w.master, w.now);
		turns++;
	} while (w.master.expiry.due <= w.now);
	assert_int_equal(turns, MANY / BATCH + 1);
	assert_int_equal(count_lines(), EXPIRY_LINES_MAX + 1);
	assert_non_null(strstr(said, "s1: a certificate is only valid until 2033-05-21"));
	assert_non_null(strstr(said, "\ncertificates end soon, or have ended, of 34 more; "));
	/* A look at conditions while they are told: the others are told all the same. */
	pass(&w, DAY_USEC);
	said[0] = '\0';
	expiry_turn(&w.master, w.now);
	put_in_force(&w, text, ends);
	run(&w);
	assert_int_equal(count_lines(), EXPIRY_LINES_MAX + 1);
	/* A reload: the loader has told of all. */
	pass(&w, DAY_USEC);
	said[0] = '\0';
	expiry_turn(&w.master, w.now);
	assert_int_equal(count_lines(), BATCH / 2);
	reload(&w, text, ends);
	says(&w, "");
	assert_int_equal(w.master.expiry.due, w.now + DAY_USEC);
	drop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_daily),
		cmocka_unit_test(test_from_then_on),
		cmocka_unit_test(test_jumps),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
