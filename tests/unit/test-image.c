/* image: what the loader writes is what the master reads, and nothing else is. */
#include "conf-text.h"

#include "conf/diff.h"
#include "conf/format.h"
#include "conf/image.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

static const char sample[] =
	"total_instances = 99\n"
	"service a {\n"
	"\tlisten = { tcp:8000-8003, udp4:53, \"tcp:[fe80::1%lo]:7\", unix:@x, fd:y }\n"
	"\texec = { /bin/sh, \"-c\", \"true\" }\n"
	"\twait = yes\n\tpass_as = listen_fds\n\tnice = -3\n\tv6only = no\n"
	"\tenv = \"A=b\"\n\tstderr = null\n\tstart_timeout = 250ms\n"
	"\trlimit { nofile = 10:20 }\n"
	"}\n"
	"service b { listen = 7 shell = 'wc -c' disable = yes }\n"
	"service c { listen = 9 exec = /nowhere/x }\n";

/* The image as memory, to be freed. */
static uint8_t *write_image(const char *text, size_t *ret_len)
{
	struct conf_text t;
	uint8_t *data;
	struct stat st;
	int fd;

	assert_int_equal(conf_text_load(&t, text, &conf_text_user), 0);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(fd >= 0);
	assert_int_equal(image_write(&t.conf, fd), 0);
	conf_text_done(&t);

	assert_int_equal(fstat(fd, &st), 0);
	data = malloc((size_t)st.st_size);
	assert_non_null(data);
	assert_int_equal(pread(fd, data, (size_t)st.st_size, 0), st.st_size);
	close(fd);
	*ret_len = (size_t)st.st_size;
	return data;
}

static void assert_same_options(const struct service_conf *a, const struct service_conf *b)
{
	assert_memory_equal(a->given, b->given, sizeof a->given);
	for (const struct conf_option *o = conf_options; o->name; o++) {
		_cleanup_strv_ char **x = NULL, **y = NULL;

		if (o->flags & OPTION_GLOBAL || !service_conf_given(a, o))
			continue;
		assert_int_equal(format_option(o, a, &x), 0);
		assert_int_equal(format_option(o, b, &y), 0);
		assert_true(strv_equal(x, y));
	}
}

static void assert_same_origin(const struct origin *a, const struct origin *b)
{
	assert_string_equal(a->file, b->file);
	assert_int_equal(a->line, b->line);
	assert_int_equal(a->column, b->column);
	assert_int_equal(a->width, b->width);
}

static void assert_same_text(const char *a, const char *b)
{
	assert_int_equal(a == NULL, b == NULL);
	if (a)
		assert_string_equal(a, b);
}

static void assert_same_service(const struct service_conf *a, const struct service_conf *b)
{
	assert_string_equal(a->name, b->name);
	assert_same_origin(&a->origin, &b->origin);
	assert_same_options(a, b);
	assert_int_equal(a->per_source, b->per_source);
	assert_int_equal(a->n_listen, b->n_listen);
	for (size_t i = 0; i < a->n_listen; i++) {
		assert_true(addr_equal(&a->listen[i].addr, &b->listen[i].addr));
		assert_same_origin(&a->listen[i].origin, &b->listen[i].origin);
	}
	assert_same_text(a->path, b->path);
	assert_true(strv_equal(a->argv, b->argv));
	assert_true(strv_equal(a->base_env, b->base_env));
	assert_int_equal(a->stderr_kind, b->stderr_kind);
	assert_int_equal(a->change_identity, b->change_identity);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->gid, b->gid);
	assert_int_equal(a->n_groups, b->n_groups);
	assert_int_equal(a->socket_uid, b->socket_uid);
	assert_same_text(a->condition, b->condition);
	assert_int_equal(a->old, b->old);
	assert_int_equal(a->news, b->news);
	assert_null(b->origins);
}

static void assert_survives(const char *text, const struct build_context *context)
{
	struct conf_text t;
	struct diff diff;
	struct conf conf;
	size_t n = 0;
	int fd;

	assert_int_equal(conf_text_load(&t, text, context), 0);
	fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(image_write(&t.conf, fd), 0);
	assert_int_equal(image_read(fd, &conf), 0);
	close(fd);

	assert_int_equal(conf.total_instances, t.conf.total_instances);
	assert_string_equal(conf.main_file, "/test.conf");
	assert_true(strv_equal(conf.files, t.conf.files));
	for (size_t i = 0; i < t.conf.n_services; i++)
		if (!t.conf.services[i]->disable)
			assert_same_service(t.conf.services[i], conf.services[n++]);
	assert_int_equal(conf.n_services, n);

	/* What is in force does not differ from what would be loaded. */
	assert_int_equal(diff_make(t.conf.services, t.conf.n_services, conf.services,
				 conf.n_services, &diff),
		0);
	assert_true(diff_is_empty(&diff));
	diff_done(&diff);
	conf_done(&conf);
	conf_text_done(&t);
}

static void test_round_trip(void **ctx)
{
	(void)ctx;
	assert_survives(sample, &conf_text_user);
	assert_survives("", &conf_text_user);
	assert_survives("service a { listen = 7 exec = /bin/sh user = root }", &conf_text_root);
}

static void test_seals(void **ctx)
{
	struct conf conf;
	int fd, null;

	(void)ctx;
	fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(image_read(fd, &conf), -EPERM);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
	assert_int_equal(image_read(fd, &conf), -EPERM);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL), 0);
	assert_int_equal(image_read(fd, &conf), -EBADMSG);
	assert_int_equal(conf.n_services, 0);
	close(fd);

	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(image_read(null, &conf), -EINVAL);
	close(null);

	conf_init(&conf);
	fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(image_write(&conf, fd), 0);
	assert_int_equal(write(fd, "x", 1), -1);
	close(fd);
}

static void test_every_cut(void **ctx)
{
	_cleanup_free_ uint8_t *data = NULL;
	struct conf conf;
	size_t len;

	(void)ctx;
	data = write_image(sample, &len);
	for (size_t cut = 0; cut < len; cut++) {
		_cleanup_free_ uint8_t *part = malloc(cut ? cut : 1);

		memcpy(part, data, cut);
		assert_int_equal(image_decode(part, cut, &conf), -EBADMSG);
		assert_int_equal(conf.n_services, 0);
	}
	assert_int_equal(image_decode(data, len, &conf), 0);
	conf_done(&conf);
}

static void test_rest(void **ctx)
{
	_cleanup_free_ uint8_t *data = NULL, *more = NULL;
	struct conf conf;
	size_t len;

	(void)ctx;
	data = write_image(sample, &len);
	more = calloc(len + 1, 1);
	memcpy(more, data, len);
	assert_int_equal(image_decode(more, len + 1, &conf), -EBADMSG);
}

/* Whatever one byte becomes: decoded or refused, never worse. */
static void test_every_byte(void **ctx)
{
	static const uint8_t values[] = {0x00, 0x01, 0x02, 0x7f, 0x80, 0xfe, 0xff};
	_cleanup_free_ uint8_t *data = NULL;
	struct conf conf;
	size_t len;

	(void)ctx;
	data = write_image(sample, &len);
	for (size_t i = 0; i < len; i++) {
		uint8_t was = data[i];

		for (size_t j = 0; j < ARRAY_SIZE(values); j++) {
			int r;

			data[i] = values[j];
			r = image_decode(data, len, &conf);
			assert_true(r == 0 || r == -EBADMSG);
			conf_done(&conf);
		}
		data[i] = was;
	}
}

static void assert_damaged(struct conf *conf)
{
	struct conf again;
	int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(image_write(conf, fd), 0);
	assert_int_equal(image_read(fd, &again), -EBADMSG);
	close(fd);
}

/* Values that no loader in its right mind writes. */
static void test_ranges(void **ctx)
{
	struct service_conf *s;
	struct conf_text t;

	(void)ctx;
	assert_int_equal(conf_text_load(&t, sample, &conf_text_user), 0);
	s = t.conf.services[0];

#define DAMAGE(field, value)                          \
	do {                                          \
		__typeof__(s->field) was_ = s->field; \
		s->field = (value);                   \
		assert_damaged(&t.conf);              \
		s->field = was_;                      \
	} while (0)

	DAMAGE(pass_as, 2);
	DAMAGE(stop, -1);
	DAMAGE(v6only, 2);
	DAMAGE(nice, 20);
	DAMAGE(umask, 01000);
	DAMAGE(backlog, 0);
	DAMAGE(start_timeout, 0);
	DAMAGE(env_dialect, 8);
	DAMAGE(stderr_kind, 4);
	DAMAGE(stderr_kind, STDERR_FILE);
	DAMAGE(n_listen, 0);
	DAMAGE(wait, false);
	DAMAGE(path, NULL);
	DAMAGE(path, (char *)"sh");
	DAMAGE(directory, NULL);
	DAMAGE(argv, NULL);
	DAMAGE(base_env, NULL);
	DAMAGE(base_env, s->argv);
	DAMAGE(bind_to_device, (char *)"sixteen-letters-");
	DAMAGE(name, (char *)"");
	DAMAGE(name, (char *)"a/b");
	DAMAGE(name, t.conf.services[2]->name);
	DAMAGE(rlimit[7].soft, 21);
	DAMAGE(listen[0].addr.kind, ADDR_FD);
	DAMAGE(listen[0].fate, _LISTEN_FATE_MAX);
	DAMAGE(listen[0].fate, LISTEN_KEPT);
	DAMAGE(listen[0].old_service, 0);
	DAMAGE(news, _SERVICE_NEWS_ALL + 1);
	conf_text_done(&t);
}

/* Ten thousand services: a decoder that is not linear would need minutes. */
static void test_many(void **ctx)
{
	enum { N = 10000 };
	_cleanup_free_ char *text = malloc(N * 64);
	char *at = text;

	(void)ctx;
	for (int i = 0; i < N; i++)
		at += snprintf(
			at, 64, "service s%d { listen = %d exec = /bin/sh }\n", i, 10000 + i);
	assert_survives(text, &conf_text_user);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_seals),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
