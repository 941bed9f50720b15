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
	"total_instances = 99\naccounting { file = /var/log/x size = 1M keep = 3 }\n"
	"service a {\n"
	"\tlisten = { tcp:8000-8003, udp4:53, \"tcp:[fe80::1%lo]:7\", unix:@x, fd:y, "
	"mptcp:8004, udplite:53, vsock:host:4000000000 }\n"
	"\texec = { /bin/sh, \"-c\", \"true\" }\n"
	"\twait = yes\n\tpass_as = listen_fds\n\tnice = -3\n\tv6only = no\n"
	"\ttos = reliability\n\tmark = 0xffffffff\n\tcongestion = reno\n"
	"\tenv = \"A=b\"\n\tstderr = null\n\tstart_timeout = 250ms\n"
	"\taccess_times = { 8:00-12:00, \"sat 22:00-6:00\" }\n\tmax_load = 2.5\n"
	"\ttime_limit = 2h\n\tkill_after = unlimited\n"
	"\trlimit { nofile = 10:20 }\n"
	"\trate = \"100/1min burst 30\"\n\tper_source_rate = 1/d\n\tsource_prefix6 = 56\n"
	"\tlog_on_success = { host, cpu }\n\tlog_on_failure = none\n\tlog_address = hash\n"
	"\toverflow = refuse\n\toverflow_source = \"ban 10min\"\n\tban_scope = all\n"
	"}\n"
	"service b { listen = 7 shell = 'wc -c' disable = yes }\n"
	"service c { listen = 9 exec = /nowhere/x }\n"
	"service d { listen = 1000-1200 exec = /bin/sh }\n"
	"service e { listen = 10 sensor = yes ban_time = 30d }\n"
	"service f { listen = 11 builtin = text text = \"hello\\n\" }\n"
	"service g { listen = 12 redirect = { tcp:127.0.0.1:80, unix:/run/x } }\n"
	"service h { listen = 13 redirect = { tcp:127.0.0.1:80, unix:/run/x }\n"
	"\tbackend { exec = { /bin/sh, x } ready = unix:/run/x idle_stop = unlimited }\n"
	"}\n"
	"service i { listen = 14 redirect = tcp:127.0.0.1:80 sensor = yes\n"
	"\tbackend { shell = cat start_timeout = 1min } }\n";

/* Services of it that are not disabled. */
#define N_SAMPLE 8

/* Where the numbers of an image lie, as image-internal.h says. */
enum {
	AT_VERSION = 15,
	AT_OPTIONS = 19,
	AT_GLOBALS = 23, /* length of the global part */
	AT_COUNT = 27,
	AT_LISTS = 31,  /* number of access lists */
	AT_TABLES = 35, /* ... and of hosts_access */
	PROLOGUE = 39,
	ENTRY = 36,
	ENTRY_OLD = 4,
	ENTRY_NEWS = 8,
	ENTRY_ACCESS = 12,
	ENTRY_MUX = 16,
	ENTRY_PROXIES = 20,
	ENTRY_WRAPPERS = 24,
	ENTRY_OFFSET = 28, /* of its setup of TLS */
	ENTRY_LENGTH = 32,
};

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
	       (uint32_t)at[3] << 24;
}

static void set32(uint8_t *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

/* The entry of service `i` in the index. */
static uint8_t *index_entry(uint8_t *data, size_t i)
{
	return data + PROLOGUE + get32(data + AT_GLOBALS) + i * ENTRY;
}

/* Sealed, `size` bytes long: `data`, and nothing but zeros after it. */
static int make_memfd_of_size(const uint8_t *data, size_t len, off_t size)
{
	int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS,
				 F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE),
		0);
	return fd;
}

static int make_memfd(const uint8_t *data, size_t len)
{
	return make_memfd_of_size(data, len, (off_t)len);
}

/* The descriptor goes to the image, or is closed. */
static int open_or_close(int fd, struct image **ret)
{
	int r = image_open(fd, ret);

	if (r < 0)
		assert_int_equal(close(fd), 0);
	return r;
}

/* Open it and read every service; the first fault. */
static int read_singly(int fd)
{
	struct image *image;
	int error = open_or_close(fd, &image);

	if (error < 0)
		return error;
	for (size_t i = 0; i < image_n_services(image); i++) {
		struct service_conf *service = NULL;
		int r = image_get(image, i, &service);

		assert_int_equal(r == 0, service != NULL);
		if (r < 0 && error == 0)
			error = r;
		service_conf_free(service);
	}
	image_free(image);
	return error;
}

static int open_data(const uint8_t *data, size_t len, struct image **ret)
{
	return open_or_close(make_memfd(data, len), ret);
}

static void assert_not_opened(const uint8_t *data, size_t len)
{
	struct image *image;
	struct conf conf;

	assert_int_equal(open_data(data, len, &image), -EBADMSG);
	assert_int_equal(image_decode(data, len, &conf), -EBADMSG);
	assert_int_equal(conf.n_services, 0);
}

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

/* What was read alone does not know its file. */
static void assert_same_origin(const struct origin *a, const struct origin *b, bool alone)
{
	if (alone)
		assert_null(b->file);
	else
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

static void assert_same_service(
	const struct service_conf *a, const struct service_conf *b, bool alone)
{
	assert_string_equal(a->name, b->name);
	assert_same_origin(&a->origin, &b->origin, alone);
	assert_same_options(a, b);
	assert_int_equal(a->per_source, b->per_source);
	assert_int_equal(a->n_listen, b->n_listen);
	for (size_t i = 0; i < a->n_listen; i++) {
		assert_true(addr_equal(&a->listen[i].addr, &b->listen[i].addr));
		assert_same_origin(&a->listen[i].origin, &b->listen[i].origin, alone);
	}
	assert_int_equal(a->reply_len, b->reply_len);
	if (a->reply)
		assert_memory_equal(a->reply, b->reply, a->reply_len);
	assert_int_equal(a->pending_per_source, b->pending_per_source);
	assert_int_equal(a->banner_text_len, b->banner_text_len);
	if (a->banner_text)
		assert_memory_equal(a->banner_text, b->banner_text, a->banner_text_len);
	assert_int_equal(a->banner_success_text_len, b->banner_success_text_len);
	assert_int_equal(a->banner_fail_text_len, b->banner_fail_text_len);
	assert_memory_equal(a->proxies_digest, b->proxies_digest, sizeof a->proxies_digest);
	assert_int_equal(alone || !a->proxies, b->proxies == NULL);
	assert_int_equal(a->backend_target, b->backend_target);
	assert_int_equal(a->backend_start_timeout, b->backend_start_timeout);
	assert_int_equal(a->backend_idle_stop, b->backend_idle_stop);
	assert_int_equal(service_conf_same_backend(a, b), service_conf_has_backend(a));
	assert_same_text(a->path, b->path);
	assert_true(strv_equal(a->argv, b->argv));
	assert_true(strv_equal(a->base_env, b->base_env));
	assert_int_equal(a->stderr_kind, b->stderr_kind);
	assert_int_equal(a->change_identity, b->change_identity);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->gid, b->gid);
	assert_int_equal(a->n_groups, b->n_groups);
	assert_int_equal(a->socket_uid, b->socket_uid);
	assert_memory_equal(a->access_digest, b->access_digest, sizeof a->access_digest);
	assert_int_equal(alone || !a->access, b->access == NULL);
	assert_true(strv_equal(a->names, b->names));
	assert_true(strv_equal(a->target_names, b->target_names));
	assert_same_text(a->condition, b->condition);
	assert_int_equal(a->old, b->old);
	assert_int_equal(a->news, b->news);
	assert_null(b->origins);
}

/* One by one, from an image that is gone when they are looked at. */
static void assert_readable(const struct conf *conf, int fd)
{
	struct service_conf **services = calloc(conf->n_services + 1, sizeof *services);
	struct image *image;
	size_t n = 0;

	assert_int_equal(image_open(fd, &image), 0);
	assert_int_equal(image_fd(image), fd);
	assert_int_equal(image_conf(image)->total_instances, conf->total_instances);
	assert_string_equal(image_conf(image)->main_file, conf->main_file);
	assert_true(strv_equal(image_conf(image)->files, conf->files));
	assert_int_equal(image_conf(image)->n_services, 0);
	for (size_t i = image_n_services(image); i-- > 0;) {
		assert_int_equal(image_get(image, i, &services[i]), 0);
		assert_int_equal(image_entry(image, i).old, services[i]->old);
		assert_int_equal(image_entry(image, i).news, services[i]->news);
	}
	assert_null(image_free(image));
	assert_int_equal(fcntl(fd, F_GETFD), -1);

	for (size_t i = 0; i < conf->n_services; i++) {
		if (conf->services[i]->disable)
			continue;
		assert_same_service(conf->services[i], services[n], true);
		service_conf_free(services[n++]);
	}
	assert_null(services[n]);
	free(services);
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
	assert_readable(&t.conf, fd);

	for (const struct conf_option *o = conf_options; o->name; o++)
		assert_true(!(o->flags & OPTION_GLOBAL) ||
			    conf_option_equal(o, conf_option_field(o, &conf),
				    conf_option_field(o, &t.conf)));
	assert_string_equal(conf.main_file, "/test.conf");
	assert_true(strv_equal(conf.files, t.conf.files));
	for (size_t i = 0; i < t.conf.n_services; i++)
		if (!t.conf.services[i]->disable)
			assert_same_service(t.conf.services[i], conf.services[n++], false);
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
	assert_survives("service a { listen = 7 exec = /bin/sh banner = /etc/passwd "
			"banner_success = /etc/group banner_fail = /etc/passwd }",
		&conf_text_user);
	assert_survives("service a { listen = 1 builtin = tcpmux }\n"
			"service b { exec = /bin/sh tcpmux = plus }\n"
			"service c { listen = 2 exec = /bin/sh proxy_protocol = optional "
			"proxy_from = { 10.0.0.1, unix } }\n",
		&conf_text_user);
	assert_survives(
		"defaults { resolve = yes ident = required lookup_timeout = 100ms }\n"
		"service a { listen = 1 exec = /bin/sh only_from = 10.0.0.1 }\n"
		"service b { listen = 2 redirect = tcp:10.0.0.1:80 ident = no }\n"
		"service c { listen = 3 redirect = { tcp4:App.internal.:80, unix:@x } }\n",
		&conf_text_user);
}

/* What cannot be opened stays the caller's. */
static void assert_refused(int fd, int error)
{
	struct image *image;
	struct conf conf;

	assert_int_equal(image_read(fd, &conf), error);
	assert_int_equal(conf.n_services, 0);
	assert_int_equal(image_open(fd, &image), error);
	assert_true(fcntl(fd, F_GETFD) >= 0);
}

static void test_seals(void **ctx)
{
	struct conf conf;
	int fd, null;

	(void)ctx;
	fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_refused(fd, -EPERM);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
	assert_refused(fd, -EPERM);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL), 0);
	assert_refused(fd, -EBADMSG);
	close(fd);

	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_refused(null, -EINVAL);
	close(null);

	conf_init(&conf);
	fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(image_write(&conf, fd), 0);
	assert_int_equal(write(fd, "x", 1), -1);
	close(fd);
}

/* More than an image may have is refused before a byte of it is read. */
static void test_size(void **ctx)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t len;
	int fd;

	(void)ctx;
	data = write_image(sample, &len);
	fd = make_memfd_of_size(data, len, (INT64_C(1) << 30) + 1);
	assert_refused(fd, -EFBIG);
	close(fd);
}

/* The pages of an image would count as the master's. */
static void test_not_mapped(void **ctx)
{
	struct service_conf *service;
	uint8_t *data;
	struct image *image;
	char line[4096];
	FILE *maps;
	size_t len;

	(void)ctx;
	data = write_image(sample, &len);
	assert_int_equal(open_data(data, len, &image), 0);
	free(data);
	assert_int_equal(image_get(image, 0, &service), 0);
	maps = fopen("/proc/self/maps", "re");
	while (maps && fgets(line, sizeof line, maps))
		assert_null(strstr(line, "memfd:image"));
	if (maps)
		fclose(maps);
	service_conf_free(service);
	image_free(image);
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
		assert_not_opened(part, cut);
	}
	assert_int_equal(image_decode(data, len, &conf), 0);
	conf_done(&conf);
}

static void test_rest(void **ctx)
{
	_cleanup_free_ uint8_t *data = NULL, *more = NULL;
	size_t len;

	(void)ctx;
	data = write_image(sample, &len);
	more = calloc(len + 1, 1);
	memcpy(more, data, len);
	assert_not_opened(more, len + 1);
}

/* Read as a whole and one by one: no worse than refused, and the same unless
 * two now have one name. */
static void assert_consistent(const uint8_t *data, size_t len)
{
	struct conf conf;
	int whole = image_decode(data, len, &conf);
	int singly = read_singly(make_memfd(data, len));

	assert_true(whole == 0 || whole == -EBADMSG);
	assert_true(singly == whole || singly == 0);
	conf_done(&conf);
}

/* Whatever one byte becomes: decoded or refused, never worse. */
static void test_every_byte(void **ctx)
{
	static const uint8_t values[] = {0x00, 0x01, 0x02, 0x7f, 0x80, 0xfe, 0xff};
	_cleanup_free_ uint8_t *data = NULL;
	size_t len;

	(void)ctx;
	data = write_image("service a { listen = { 7-8, unix:/x } exec = /bin/sh "
			   "no_access = 127.0.0.1 }\n"
			   "service b { listen = 9 exec = /nowhere/x }\n"
			   "service c { tcpmux = yes exec = /bin/sh }\n"
			   "service d { listen = 1 builtin = tcpmux "
			   "proxy_protocol = required proxy_from = 10.0.0.1 }\n",
		&len);
	for (size_t i = 0; i < len; i++) {
		uint8_t was = data[i];

		for (size_t j = 0; j < ARRAY_SIZE(values); j++) {
			data[i] = values[j];
			assert_consistent(data, len);
		}
		data[i] = was;
	}
}

/* With one number changed, it is not even opened. */
static void assert_number_counts(uint8_t *data, size_t len, uint8_t *at, uint32_t value)
{
	uint32_t was = get32(at);

	assert_int_not_equal(was, value);
	set32(at, value);
	assert_not_opened(data, len);
	set32(at, was);
}

static void test_prologue(void **ctx)
{
	static const uint32_t numbers[] = {AT_VERSION, AT_OPTIONS, AT_GLOBALS, AT_COUNT};
	_cleanup_free_ uint8_t *data = NULL;
	size_t len;

	(void)ctx;
	data = write_image(sample, &len);
	assert_int_equal(get32(data + AT_VERSION), IMAGE_VERSION);
	assert_int_equal(get32(data + AT_COUNT), N_SAMPLE);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		uint8_t *at = data + numbers[i];
		uint32_t was = get32(at);

		assert_number_counts(data, len, at, was - 1);
		assert_number_counts(data, len, at, was + 1);
		assert_number_counts(data, len, at, 0);
		assert_number_counts(data, len, at, UINT32_MAX);
		assert_number_counts(data, len, at, UINT32_C(1) << 31);
	}
}

/* A byte too much between the global part and the index. */
static void test_globals_rest(void **ctx)
{
	_cleanup_free_ uint8_t *data = NULL, *more = NULL;
	size_t len, end;

	(void)ctx;
	data = write_image(sample, &len);
	end = PROLOGUE + get32(data + AT_GLOBALS);
	more = calloc(len + 1, 1);
	memcpy(more, data, end);
	memcpy(more + end + 1, data + end, len - end);
	set32(more + AT_GLOBALS, get32(data + AT_GLOBALS) + 1);
	assert_not_opened(more, len + 1);
}

static void test_index_lengths(void **ctx)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t len;

	(void)ctx;
	data = write_image(sample, &len);
	for (size_t i = 0; i < N_SAMPLE; i++) {
		uint8_t *at = index_entry(data, i);
		uint32_t was = get32(at);

		assert_number_counts(data, len, at, was - 1);
		assert_number_counts(data, len, at, was + 1);
		assert_number_counts(data, len, at, 0);
		assert_number_counts(data, len, at, UINT32_MAX);
		assert_number_counts(data, len, at, (uint32_t)-was); /* back to the start */
		assert_number_counts(data, len, at, (UINT32_C(1) << 26) + 1);
	}
}

/* One that is too short, and so another that is longer. */
static void test_index_short(void **ctx)
{
	_cleanup_free_ uint8_t *data = NULL;
	uint8_t *a, *b;
	size_t len;

	(void)ctx;
	data = write_image(sample, &len);
	a = index_entry(data, 0);
	b = index_entry(data, 1);
	set32(b, get32(b) + get32(a) - 127);
	set32(a, 127);
	assert_not_opened(data, len);
}

/* One that nobody would have memory for; the file is as long as it says. */
static void test_index_long(void **ctx)
{
	const uint32_t record = (UINT32_C(1) << 26) + 1;
	_cleanup_free_ uint8_t *data = NULL;
	struct image *image;
	size_t len;
	off_t start;
	int fd;

	(void)ctx;
	data = write_image("service a { listen = 7 exec = /bin/sh }", &len);
	start = (off_t)(len - get32(index_entry(data, 0)));
	set32(index_entry(data, 0), record);
	fd = make_memfd_of_size(data, len, start + record);
	assert_int_equal(open_or_close(fd, &image), -EBADMSG);
}

/* Lengths that come back to the end by way of 2^32. */
static void test_index_wraps(void **ctx)
{
	enum { N = 70, LARGE = 64 };
	_cleanup_free_ uint8_t *data = NULL;
	uint32_t taken = 0, last;
	char text[N * 64], *at = text;
	size_t len;

	(void)ctx;
	for (int i = 0; i < N; i++)
		at += snprintf(
			at, 64, "service s%d { listen = %d exec = /bin/sh }\n", i, 100 + i);
	data = write_image(text, &len);
	for (size_t i = 0; i < LARGE; i++) {
		taken += get32(index_entry(data, i));
		set32(index_entry(data, i), UINT32_C(1) << 26);
	}
	last = get32(index_entry(data, N - 1));
	set32(index_entry(data, N - 1), last + taken);
	assert_not_opened(data, len);
}

/* Only the sum is as it should be: found when the services are read. */
static void test_index_shifted(void **ctx)
{
	_cleanup_free_ uint8_t *data = NULL;
	struct service_conf *service;
	struct image *image;
	uint8_t *a, *b;
	size_t len;

	(void)ctx;
	data = write_image(sample, &len);
	a = index_entry(data, 0);
	b = index_entry(data, 1);
	set32(a, get32(a) + 1);
	set32(b, get32(b) - 1);
	assert_int_equal(open_data(data, len, &image), 0);
	assert_int_equal(image_get(image, 0, &service), -EBADMSG);
	assert_int_equal(image_get(image, 1, &service), -EBADMSG);
	assert_int_equal(image_get(image, 2, &service), 0);
	service_conf_free(service);
	image_free(image);
}

/* A record has to say what the index says of it; the others are as good as before. */
static void assert_told_otherwise(
	uint8_t *data, size_t len, size_t i, size_t field, uint32_t value)
{
	uint8_t *at = index_entry(data, i) + field;
	struct service_conf *service;
	uint32_t was = get32(at);
	struct image *image;
	struct conf conf;

	assert_int_not_equal(was, value);
	set32(at, value);
	assert_int_equal(image_decode(data, len, &conf), -EBADMSG);
	assert_int_equal(open_data(data, len, &image), 0);
	for (size_t j = 0; j < image_n_services(image); j++) {
		service = NULL;
		assert_int_equal(image_get(image, j, &service), j == i ? -EBADMSG : 0);
		service_conf_free(service);
	}
	image_free(image);
	set32(at, was);
}

static void test_index_entries(void **ctx)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t len;

	(void)ctx;
	data = write_image(sample, &len);
	for (size_t i = 0; i < N_SAMPLE; i++) {
		uint8_t *entry = index_entry(data, i);

		assert_told_otherwise(data, len, i, ENTRY_OLD, get32(entry + ENTRY_OLD) ^ 1);
		assert_told_otherwise(data, len, i, ENTRY_NEWS, get32(entry + ENTRY_NEWS) ^ 1);
		assert_number_counts(data, len, entry + ENTRY_NEWS, _SERVICE_NEWS_ALL + 1);
		/* Only who speaks TLS has a setup, and a place only who has one. */
		assert_told_otherwise(data, len, i, ENTRY_LENGTH, 1);
		assert_number_counts(data, len, entry + ENTRY_OFFSET, 1);
		assert_number_counts(data, len, entry + ENTRY_LENGTH, CONF_SECRETS_MAX + 1);
	}
}

/* What the loader has found out is known before a service is read. */
static void test_entries(void **ctx)
{
	struct conf_text t;
	struct image *image;
	int fd;

	(void)ctx;
	assert_int_equal(conf_text_load(&t, sample, &conf_text_user), 0);
	t.conf.services[2]->old = 7;
	t.conf.services[2]->news = SERVICE_CONDITION_CHANGED;
	fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(image_write(&t.conf, fd), 0);
	assert_int_equal(open_or_close(fd, &image), 0);
	assert_int_equal(image_n_services(image), N_SAMPLE);
	assert_int_equal(image_entry(image, 0).old, CONF_NONE);
	assert_int_equal(image_entry(image, 0).news, 0);
	assert_int_equal(image_entry(image, 1).old, 7);
	assert_int_equal(image_entry(image, 1).news, SERVICE_CONDITION_CHANGED);
	image_free(image);
	conf_text_done(&t);
}

/* Two that say the same, one that says nothing, and one that says something else. */
#define ONLY "only_from = { 10.0.0.0/8, \"2001:db8::/32\" }"
static const char listed[] = "service a { listen = 1 exec = /bin/sh " ONLY " }\n"
			     "service b { listen = 2 exec = /bin/sh }\n"
			     "service c { listen = 3 exec = /bin/sh " ONLY " }\n"
			     "service d { listen = 4 exec = /bin/sh no_access = 10.0.0.0/8 }\n";
enum { N_LISTED = 4, N_LISTS = 2 };

static enum access_verdict ask(const uint8_t *table, uint8_t first)
{
	const struct access_peer peer = {.who = {.family = 4, .bytes = {first, 1, 1, 1}}};

	return access_ask(table, &peer).verdict;
}

static void test_lists(void **ctx)
{
	_cleanup_free_ uint8_t *data = NULL;
	struct image *image;
	struct conf conf;
	size_t len;

	(void)ctx;
	data = write_image(listed, &len);
	assert_int_equal(get32(data + AT_LISTS), N_LISTS);
	assert_int_equal(image_decode(data, len, &conf), 0);
	assert_ptr_equal(conf.services[0]->access, conf.services[2]->access);
	assert_null(conf.services[1]->access);
	assert_int_equal(ask(conf.services[0]->access->table, 10), ACCESS_OK);
	assert_int_equal(ask(conf.services[3]->access->table, 10), ACCESS_DENIED);
	conf_done(&conf);

	assert_int_equal(open_data(data, len, &image), 0);
	assert_ptr_equal(image_access(image, 0), image_access(image, 2));
	assert_null(image_access(image, 1));
	assert_int_equal(ask(image_access(image, 0), 10), ACCESS_OK);
	assert_int_equal(ask(image_access(image, 0), 11), ACCESS_NOT_LISTED);
	assert_int_equal(ask(image_access(image, 3), 10), ACCESS_DENIED);
	assert_int_equal(ask(image_access(image, 3), 11), ACCESS_OK);
	image_free(image);
}

/* A list lies behind everything else, so it makes no difference how long that is. */
static void test_lists_at_any_place(void **ctx)
{
	(void)ctx;
	for (int i = 1; i < 9000; i += 701) {
		_cleanup_free_ char *text = NULL;
		_cleanup_free_ uint8_t *data = NULL;
		struct image *image;
		size_t len;

		assert_true(asprintf(&text,
				    "service a { listen = 1 exec = /bin/sh argv0 = '%0*d' "
				    "only_from = 10.0.0.0/8 }\n",
				    i, 0) > 0);
		data = write_image(text, &len);
		assert_int_equal(open_data(data, len, &image), 0);
		assert_int_equal(ask(image_access(image, 0), 10), ACCESS_OK);
		assert_int_equal(ask(image_access(image, 0), 9), ACCESS_NOT_LISTED);
		image_free(image);
	}
}

static void test_lists_damaged(void **ctx)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t len, tables = 0;
	uint8_t *lengths;

	(void)ctx;
	data = write_image(listed, &len);
	assert_told_otherwise(data, len, 0, ENTRY_ACCESS, 1);
	assert_told_otherwise(data, len, 0, ENTRY_ACCESS, CONF_NONE);
	assert_told_otherwise(data, len, 1, ENTRY_ACCESS, 0);
	assert_number_counts(data, len, index_entry(data, 0) + ENTRY_ACCESS, N_LISTS);
	assert_number_counts(data, len, data + AT_LISTS, 0);
	assert_number_counts(data, len, data + AT_LISTS, N_LISTS - 1);
	assert_number_counts(data, len, data + AT_LISTS, N_LISTS + 1);
	assert_number_counts(data, len, data + AT_LISTS, N_LISTED + 1);
	assert_number_counts(data, len, data + AT_LISTS, UINT32_MAX);
	lengths = index_entry(data, N_LISTED);
	for (size_t i = 0; i < N_LISTS; i++) {
		uint32_t was = get32(lengths + 4 * i);

		assert_number_counts(data, len, lengths + 4 * i, was - 1);
		assert_number_counts(data, len, lengths + 4 * i, was + 1);
		assert_number_counts(data, len, lengths + 4 * i, 0);
		assert_number_counts(data, len, lengths + 4 * i, UINT32_MAX);
		tables += was;
	}
	for (size_t i = len - tables; i < len; i++) {
		data[i] ^= 0x80;
		assert_consistent(data, len);
		data[i] ^= 0x80;
	}
}

/* Some have proxies, which may be whom others let in. */
#define BEHIND(from) "proxy_protocol = required proxy_from = " from
static const char fronted[] = "service a { listen = 1 exec = /bin/sh " BEHIND(
	"10.0.0.0/8") " }\n"
		      "service B.b { tcpmux = plus exec = /bin/sh }\n"
		      "service c { listen = 3 exec = /bin/sh only_from = 10.0.0.0/8 pending = "
		      "7 " BEHIND(
			      "11.0.0.0/8") " }\n"
					    "service d { listen = 4 exec = /bin/sh tcpmux = "
					    "yes }\n"
					    "service e { listen = 5 builtin = tcpmux " BEHIND(
						    "10.0.0.0/8") " }\n";
enum { N_FRONTED = 5, N_FRONTED_LISTS = 2 };

static void test_proxies(void **ctx)
{
	_cleanup_free_ uint8_t *data = NULL;
	struct image *image;
	struct conf conf;
	size_t len;

	(void)ctx;
	data = write_image(fronted, &len);
	assert_int_equal(get32(data + AT_LISTS), N_FRONTED_LISTS);
	assert_int_equal(image_decode(data, len, &conf), 0);
	assert_ptr_equal(conf.services[0]->proxies, conf.services[4]->proxies);
	assert_ptr_equal(conf.services[0]->proxies, conf.services[2]->access);
	assert_null(conf.services[1]->proxies);
	assert_int_equal(ask(conf.services[2]->proxies->table, 11), ACCESS_OK);
	assert_int_equal(conf.services[0]->pending_per_source, 500);
	assert_int_equal(conf.services[2]->pending_per_source, 3);
	assert_int_equal(conf.services[1]->n_listen, 0);
	assert_int_equal(conf.services[4]->reply_len, 6);
	assert_memory_equal(conf.services[4]->reply, "b.b\nd\n", 6);
	conf_done(&conf);

	assert_int_equal(open_data(data, len, &image), 0);
	assert_null(image_proxy_from(image, 1));
	assert_null(image_proxy_from(image, 3));
	assert_null(image_access(image, 0));
	assert_ptr_equal(image_proxy_from(image, 0), image_proxy_from(image, 4));
	assert_ptr_equal(image_proxy_from(image, 0), image_access(image, 2));
	assert_int_equal(ask(image_proxy_from(image, 2), 11), ACCESS_OK);
	assert_int_equal(ask(image_proxy_from(image, 2), 10), ACCESS_NOT_LISTED);
	image_free(image);

	assert_told_otherwise(data, len, 0, ENTRY_PROXIES, 1);
	assert_told_otherwise(data, len, 0, ENTRY_PROXIES, CONF_NONE);
	assert_told_otherwise(data, len, 1, ENTRY_PROXIES, 0);
	assert_number_counts(data, len, index_entry(data, 0) + ENTRY_PROXIES, N_FRONTED_LISTS);
}

/* Without reading a service, and in whichever letters. */
static void test_mux(void **ctx)
{
	_cleanup_free_ uint8_t *data = NULL;
	struct image *image;
	uint32_t hash;
	size_t len;

	(void)ctx;
	data = write_image(fronted, &len);
	assert_int_equal(open_data(data, len, &image), 0);
	assert_int_equal(image_find_mux(image, "b.b", 0), 1);
	assert_int_equal(image_find_mux(image, "B.B", 1), 1);
	assert_int_equal(image_find_mux(image, "b.b", 2), N_FRONTED);
	assert_int_equal(image_find_mux(image, "d", 0), 3);
	assert_int_equal(image_find_mux(image, "a", 0), N_FRONTED);
	assert_int_equal(image_find_mux(image, "d", N_FRONTED), N_FRONTED);
	assert_int_equal(image_entry(image, 0).mux, 0);
	image_free(image);

	/* What is told of FNV-1a with 32 bits: "a", and nothing at all. */
	assert_int_equal(service_name_hash("A"), UINT32_C(0xe40c292c));
	assert_int_equal(service_name_hash(""), UINT32_C(0x811c9dc5));
	hash = service_name_hash("d");
	assert_told_otherwise(data, len, 3, ENTRY_MUX, hash ^ 1);
	assert_told_otherwise(data, len, 3, ENTRY_MUX, 0);
	assert_told_otherwise(data, len, 0, ENTRY_MUX, hash);
}

static void assert_damaged(struct conf *conf);

/* What a master relies on where connections begin with something. */
static void test_front_ranges(void **ctx)
{
	struct service_conf *s;
	struct conf_text t;

	(void)ctx;
	assert_int_equal(conf_text_load(&t, fronted, &conf_text_user), 0);

#define HARM(i, field, value)                         \
	do {                                          \
		s = t.conf.services[i];               \
		__typeof__(s->field) was_ = s->field; \
		s->field = (value);                   \
		assert_damaged(&t.conf);              \
		s->field = was_;                      \
	} while (0)

	HARM(0, pending, 0);
	HARM(0, pending, CONF_PENDING_MAX + 1);
	HARM(0, pending_per_source, 0);
	HARM(0, header_timeout, 0);
	HARM(0, proxy_protocol, PROXY_USE_OPTIONAL + 1);
	HARM(3, proxy_protocol, PROXY_USE_REQUIRED);
	HARM(0, banner, (char *)"/etc/passwd");
	HARM(0, banner_success, (char *)"/etc/passwd");
	HARM(0, banner_fail, (char *)"/etc/passwd");
	HARM(1, tcpmux, TCPMUX_USE_NO);
	HARM(1, tcpmux, TCPMUX_USE_PLUS + 1);
	HARM(1, wait, true);
	HARM(4, tcpmux, TCPMUX_USE_YES);
	conf_text_done(&t);
}

/* What the master looks up and compares with is what can be looked up. */
static void test_lookup_ranges(void **ctx)
{
	static char *domain[] = {(char *)".example.org", NULL},
		    *mixed[] = {(char *)"A.b", NULL}, *address[] = {(char *)"10.0.0.1", NULL},
		    *many[CONF_NAMES_MAX + 2], *name[] = {(char *)"app", NULL},
		    *two[] = {(char *)"a", (char *)"b", NULL};
	struct service_conf *s;
	struct conf_text t;

	(void)ctx;
	for (size_t i = 0; i <= CONF_NAMES_MAX; i++)
		many[i] = (char *)"a.b";
	assert_int_equal(conf_text_load(&t,
				 "service a { listen = 1 exec = /bin/sh resolve = yes "
				 "only_from = 10.0.0.0/8 }\n"
				 "service b { listen = 2 exec = /bin/sh resolve = yes }\n"
				 "service c { listen = 3 redirect = tcp:10.0.0.1:80 }\n"
				 "service d { listen = 4 exec = /bin/sh ident = yes }\n",
				 &conf_text_user),
		0);

	HARM(0, names, mixed);
	HARM(0, names, address);
	HARM(0, names, many);
	HARM(1, names, domain);
	HARM(0, lookup_timeout, 0);
	HARM(0, lookup_timeout, 99999);
	HARM(0, lookup_timeout, 10000001);
	HARM(0, pending_per_source, 0);
	HARM(3, ident, IDENT_USE_REQUIRED + 1);
	HARM(3, pending_per_source, 0);
	HARM(2, target_names, name);
	HARM(2, target_names, domain);
	HARM(2, target_names, two);
	HARM(1, target_names, name);
	conf_text_done(&t);
}

/* The one whose list says something else is not the same, though its words are. */
static void test_changed_list(void **ctx)
{
	_cleanup_image_draft_ struct image_draft *draft = NULL;
	int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint32_t twins[N_LISTED];
	struct conf_text t;
	struct conf conf;

	(void)ctx;
	assert_int_equal(conf_text_load(&t, listed, &conf_text_user), 0);
	assert_int_equal(image_write(&t.conf, fd), 0);
	t.conf.services[3]->access_digest[0] ^= 1;
	t.conf.services[3]->access->table[0] ^= 1;
	assert_int_equal(image_draft_new(&t.conf, &draft), 0);
	assert_int_equal(image_read_changed(fd, draft, &conf, twins), 0);
	for (uint32_t i = 0; i < N_LISTED; i++)
		assert_int_equal(twins[i], i == 3 ? CONF_NONE : i);
	conf_done(&conf);
	conf_text_done(&t);
	close(fd);
}

static void assert_damaged(struct conf *conf)
{
	struct conf again;
	int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(image_write(conf, fd), 0);
	assert_int_equal(image_read(fd, &again), -EBADMSG);
	assert_int_equal(read_singly(fd), -EBADMSG);
}

/* Only who reads all of them can know. */
static void test_double_name(void **ctx)
{
	struct conf_text t;
	struct conf again;
	char *was;
	int fd;

	(void)ctx;
	assert_int_equal(conf_text_load(&t, sample, &conf_text_user), 0);
	was = t.conf.services[0]->name;
	t.conf.services[0]->name = t.conf.services[2]->name;
	fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(image_write(&t.conf, fd), 0);
	assert_int_equal(image_read(fd, &again), -EBADMSG);
	assert_int_equal(again.n_services, 0);
	assert_int_equal(read_singly(fd), 0);
	t.conf.services[0]->name = was;
	conf_text_done(&t);
}

/* What is there as it was is not read, wherever it stands now. */
static void test_read_changed(void **ctx)
{
	static const char other[] = "service new { listen = 1 exec = /bin/sh }\n"
				    "service d { listen = 1000-1200 exec = /bin/sh }\n"
				    "service c { listen = 9 exec = /nowhere/x nice = 1 }\n"
				    "service b { listen = 7 shell = 'wc -c' }\n";
	_cleanup_image_draft_ struct image_draft *draft = NULL;
	int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct conf_text t, u;
	uint32_t twins[N_SAMPLE + 1];
	struct conf conf;

	(void)ctx;
	assert_int_equal(conf_text_load(&t, sample, &conf_text_user), 0);
	assert_int_equal(conf_text_load(&u, other, &conf_text_user), 0);
	assert_int_equal(image_write(&t.conf, fd), 0);
	assert_int_equal(image_draft_new(&u.conf, &draft), 0);
	assert_int_equal(image_read_changed(fd, draft, &conf, twins), 0);
	assert_int_equal(conf.n_services, N_SAMPLE);
	assert_same_service(t.conf.services[0], conf.services[0], false);
	assert_same_service(t.conf.services[2], conf.services[1], false);
	assert_null(conf.services[2]);
	assert_int_equal(twins[0], CONF_NONE);
	assert_int_equal(twins[1], 2);
	assert_int_equal(twins[2], CONF_NONE);
	assert_int_equal(twins[3], CONF_NONE);
	conf_done(&conf);
	conf_text_done(&t);
	conf_text_done(&u);
	close(fd);
}

/* Nor can who does not read all of them be told of one service twice. */
static void test_changed_double_name(void **ctx)
{
	_cleanup_image_draft_ struct image_draft *draft = NULL, *twice = NULL;
	int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct conf_text t;
	uint32_t twins[N_SAMPLE + 1];
	struct conf conf;
	char *was;

	(void)ctx;
	assert_int_equal(conf_text_load(&t, sample, &conf_text_user), 0);
	assert_int_equal(image_draft_new(&t.conf, &draft), 0);
	was = t.conf.services[0]->name;
	t.conf.services[0]->name = t.conf.services[2]->name;
	assert_int_equal(image_draft_new(&t.conf, &twice), 0);
	assert_int_equal(image_draft_write(twice, fd), 0);
	assert_int_equal(image_read_changed(fd, draft, &conf, twins), -EBADMSG);
	assert_int_equal(conf.n_services, 0);
	t.conf.services[0]->name = was;
	conf_text_done(&t);
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

	DAMAGE(time_limit, 0);
	DAMAGE(idle_timeout, 1);
	DAMAGE(start_timeout, DURATION_UNLIMITED);
	DAMAGE(max_load, COUNT_UNLIMITED - 1);
	DAMAGE(header_timeout, 1);
	DAMAGE(access_times, s->argv);
	DAMAGE(pass_as, 2);
	DAMAGE(stop, -1);
	DAMAGE(v6only, 2);
	DAMAGE(nice, 20);
	DAMAGE(umask, 01000);
	DAMAGE(backlog, 0);
	DAMAGE(start_timeout, 0);
	DAMAGE(env_dialect, 8);
	DAMAGE(log_on_success, RECORD_ATTEMPT);
	DAMAGE(log_on_failure, RECORD_PID);
	DAMAGE(log_address, 4);
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
	DAMAGE(congestion, (char *)"sixteen-letters-");
	DAMAGE(symlinks, s->argv + 1);
	DAMAGE(directory_mode, 01000);
	DAMAGE(tos, 256);
	DAMAGE(ttl, 256);
	DAMAGE(keepalive_time, 1);
	DAMAGE(user_timeout, UINT64_MAX);
	DAMAGE(name, (char *)"");
	DAMAGE(name, (char *)"a/b");
	DAMAGE(rlimit[7].soft, 21);
	DAMAGE(listen[0].addr.kind, ADDR_FD);
	DAMAGE(listen[0].fate, _LISTEN_FATE_MAX);
	DAMAGE(listen[0].fate, LISTEN_KEPT);
	DAMAGE(listen[0].old_service, 0);
	DAMAGE(news, _SERVICE_NEWS_ALL + 1);
	conf_text_done(&t);
}

static void test_hours(void **ctx)
{
	_cleanup_free_ uint8_t *data = NULL;
	struct conf conf;
	size_t len;

	(void)ctx;
	data = write_image(sample, &len);
	assert_int_equal(image_decode(data, len, &conf), 0);
	assert_non_null(conf.services[0]->hours);
	assert_int_equal(conf.services[0]->hours->n, 2);
	assert_int_equal(conf.services[0]->hours->spans[1].from, 22 * 60);
	assert_null(conf.services[1]->hours);
	conf_done(&conf);
}

static void read_zone(const struct conf_text *t, int error)
{
	int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct conf conf;

	assert_true(fd >= 0);
	assert_int_equal(image_write(&t->conf, fd), 0);
	assert_int_equal(image_read(fd, &conf), error);
	if (error == 0) {
		assert_int_equal(conf.zone.n, t->conf.zone.n);
		assert_memory_equal(&conf.zone, &t->conf.zone, sizeof conf.zone);
	}
	conf_done(&conf);
	close(fd);
}

/* The master looks for the present in it, and relies on its order. */
static void test_zone(void **ctx)
{
	struct hours_zone *zone;
	struct conf_text t;

	(void)ctx;
	assert_int_equal(conf_text_load(&t, sample, &conf_text_user), 0);
	zone = &t.conf.zone;
	read_zone(&t, 0);
	zone->n = HOURS_SHIFTS_MAX;
	for (uint32_t i = 0; i < zone->n; i++)
		zone->shifts[i] = (struct hours_shift){
			.from = (int64_t)i * 1000 - 5000,
			.offset = i % 2 ? HOURS_OFFSET_MAX - 1 : 1 - HOURS_OFFSET_MAX,
		};
	read_zone(&t, 0);
	zone->shifts[7].from = zone->shifts[6].from;
	read_zone(&t, -EBADMSG);
	zone->shifts[7].from++;
	read_zone(&t, 0);
	zone->shifts[7].offset = HOURS_OFFSET_MAX;
	read_zone(&t, -EBADMSG);
	zone->shifts[7].offset = -HOURS_OFFSET_MAX;
	read_zone(&t, -EBADMSG);
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
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_not_mapped),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_rest),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_prologue),
		cmocka_unit_test(test_globals_rest),
		cmocka_unit_test(test_index_lengths),
		cmocka_unit_test(test_index_short),
		cmocka_unit_test(test_index_long),
		cmocka_unit_test(test_index_wraps),
		cmocka_unit_test(test_index_shifted),
		cmocka_unit_test(test_index_entries),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_lists_at_any_place),
		cmocka_unit_test(test_lists_damaged),
		cmocka_unit_test(test_proxies),
		cmocka_unit_test(test_mux),
		cmocka_unit_test(test_front_ranges),
		cmocka_unit_test(test_lookup_ranges),
		cmocka_unit_test(test_changed_list),
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_double_name),
		cmocka_unit_test(test_read_changed),
		cmocka_unit_test(test_changed_double_name),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_hours),
		cmocka_unit_test(test_zone),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
