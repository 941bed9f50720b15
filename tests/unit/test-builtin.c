/* builtin: services of hatchd's own, from their words to the image. */
#include "conf-text.h"

#include "base/builtin.h"
#include "conf/diff.h"
#include "conf/explain.h"
#include "conf/image.h"
#include "conf/plan.h"
#include "conf/worker.h"

#include <fcntl.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#define SERVICE(name, rest) "service a {\nlisten = 1000\nbuiltin = " name "\n" rest "\n}\n"

static void clean(struct conf_text *t, const char *text)
{
	assert_int_equal(conf_text_load(t, text, &conf_text_user), 0);
	assert_string_equal(conf_text_said(t, DIAG_ERROR), "");
	assert_string_equal(conf_text_said(t, DIAG_WARNING), "");
	for (size_t i = 0; i < t->conf.n_services; i++)
		assert_null(t->conf.services[i]->condition);
}

static void serve(const char *text)
{
	struct conf_text t;

	clean(&t, text);
	assert_int_equal(t.conf.n_services, 1);
	conf_text_done(&t);
}

static void refuse_in(const char *text, const struct build_context *context, const char *why)
{
	struct conf_text t;

	assert_int_equal(conf_text_load(&t, text, context), 0);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), why);
	assert_int_equal(t.diags.n_by_severity[DIAG_ERROR], 1);
	assert_int_equal(t.conf.n_services, 0);
	conf_text_done(&t);
}

static void refuse(const char *text, const char *why)
{
	refuse_in(text, &conf_text_user, why);
}

static void warned(const char *text, const char *why)
{
	struct conf_text t;

	assert_int_equal(conf_text_load(&t, text, &conf_text_user), 0);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	assert_string_equal(conf_text_said(&t, DIAG_WARNING), why);
	assert_int_equal(t.conf.n_services, 1);
	conf_text_done(&t);
}

/*
 * What all of hatchd agrees about.
 */

static void test_names(void **ctx)
{
	(void)ctx;
	for (int i = 0; i < _BUILTIN_MAX; i++) {
		assert_non_null(builtin_names[i]);
		assert_int_equal(builtin_has_reply((enum service_builtin)i),
			i == BUILTIN_QOTD || i == BUILTIN_TEXT);
	}
	assert_null(builtin_names[_BUILTIN_MAX]);
	assert_string_equal(builtin_names[BUILTIN_NONE], "none");
	assert_string_equal(builtin_names[BUILTIN_CHARGEN], "chargen");
	assert_string_equal(builtin_names[BUILTIN_TEXT], "text");
}

static void assert_quotes(const char *text, const char *const *want)
{
	const char *rest = text, *quote;
	size_t left = strlen(text), len;

	for (; *want; want++) {
		assert_true(builtin_next_quote(&rest, &left, &quote, &len));
		assert_int_equal(len, strlen(*want));
		assert_memory_equal(quote, *want, len);
		assert_true(quote >= text && quote + len <= text + strlen(text));
	}
	assert_false(builtin_next_quote(&rest, &left, &quote, &len));
	assert_int_equal(left, 0);
	assert_ptr_equal(rest, text + strlen(text));
}

#define QUOTES(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void test_quotes(void **ctx)
{
	(void)ctx;
	assert_quotes("", QUOTES());
	assert_quotes("a", QUOTES("a"));
	assert_quotes("a\nb\n", QUOTES("a\nb\n"));
	assert_quotes("a\n%\nb\nc\n", QUOTES("a\n", "b\nc\n"));
	assert_quotes("a\n%\nb\n%\n", QUOTES("a\n", "b\n"));
	assert_quotes("a\n%\nb\n%", QUOTES("a\n", "b\n"));
	assert_quotes("%\n%\na\n%\n%\nb\n", QUOTES("a\n", "b\n"));
	assert_quotes("a\r\n%\r\nb\r\n", QUOTES("a\r\n", "b\r\n"));
	/* Nothing but the sign counts. */
	assert_quotes("a\n%%\nb %\n% c\n %\n", QUOTES("a\n%%\nb %\n% c\n %\n"));
	assert_quotes("%", QUOTES());
	assert_quotes("%\n%\r\n%", QUOTES());
	assert_quotes("\n%\n", QUOTES());
	assert_quotes(" \t\r\n%\n\na\n%\n \n", QUOTES("\na\n"));
}

/*
 * Words.
 */

static void test_each(void **ctx)
{
	(void)ctx;
	for (int i = BUILTIN_NONE + 1; i < _BUILTIN_MAX; i++) {
		bool reply = builtin_has_reply((enum service_builtin)i);
		_cleanup_free_ char *text = NULL;
		const struct service_conf *s;
		struct conf_text t;

		assert_true(asprintf(&text, SERVICE("%s", "%s"), builtin_names[i],
				    reply ? "text_file = /etc/passwd" : "") > 0);
		assert_int_equal(conf_text_load(&t, text, &conf_text_user), 0);
		assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
		s = t.conf.services[0];
		assert_int_equal(s->builtin, i);
		assert_true(service_conf_is_builtin(s) && !service_conf_has_program(s));
		assert_int_equal(s->reply != NULL, reply);
		assert_null(s->path);
		assert_null(s->argv);
		assert_null(s->condition);
		assert_false(s->change_identity);
		conf_text_done(&t);
	}
}

static void test_text(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	clean(&t, SERVICE("text", "text = \"a\\tb\\n\""));
	assert_int_equal(t.conf.services[0]->reply_len, 4);
	assert_memory_equal(t.conf.services[0]->reply, "a\tb\n", 4);
	conf_text_done(&t);

	refuse(SERVICE("text", ""), "service 'a' has no text; write text = \"...\" or "
				    "text_file = \"/path/of/file\"");
	refuse(SERVICE("text", "text = x\ntext_file = /etc/passwd"),
		"text_file: a service has either text or text_file, not both");
	refuse(SERVICE("text", "text = ''"), "text: '' is empty");
	refuse(SERVICE("text", "text_file = motd"),
		"text_file: 'motd' is not an absolute path; it must begin with /");
	refuse(SERVICE("qotd", ""),
		"service 'a' has no quotations; write text_file = \"/path/of/file\"");
	refuse(SERVICE("qotd", "text_file = /etc/passwd\ntext = x"),
		"text: is for builtin = text");
	refuse(SERVICE("echo", "text = x"), "text: is for builtin = text");
	refuse(SERVICE("time", "text_file = /etc/passwd"),
		"text_file: is for builtin = qotd or text");
	refuse("service a { listen = 7 exec = /bin/sh text = x }",
		"text: is for builtin = text");
}

static void test_one_handler(void **ctx)
{
	static const char only[] =
		": a service has only one of exec, shell, builtin and redirect";
	char why[128];

	(void)ctx;
	snprintf(why, sizeof why, "builtin%s", only);
	refuse(SERVICE("echo", "exec = /bin/sh"), why);
	refuse(SERVICE("echo", "shell = true"), why);
	refuse(SERVICE("echo", "shell = true\nexec = /bin/sh"), why);
	snprintf(why, sizeof why, "shell%s", only);
	refuse(SERVICE("none", "shell = true\nexec = /bin/sh"), why);
	serve(SERVICE("none", "exec = /bin/sh"));
	refuse(SERVICE("none", ""),
		"service 'a' has no program; write exec = { \"/path/of/program\" }, "
		"shell = '...', builtin = echo or redirect = ADDRESS");
	refuse(SERVICE("ech", ""),
		"builtin: 'ech' is not none, echo, discard, chargen, daytime, time, qotd, text "
		"or tcpmux; did you mean 'echo'?");
	refuse("service a { listen = udp:7 builtin = ech }",
		"builtin: 'ech' is not none, echo, discard, chargen, daytime, time, qotd, text "
		"or tcpmux; did you mean 'echo'?");
	refuse("service a { listen = 7 exec = internal }",
		"exec: what inetd has inside is builtin = echo and so on");
	refuse("defaults { builtin = echo }",
		"option 'builtin' has no default; it belongs in each service");
	warned("service a { listen = 7 builtin = echo sensor = yes }",
		"builtin: has no effect with sensor = yes: nothing is started");
}

static void test_addresses(void **ctx)
{
	static const char kinds[] = "a built-in service is for stream sockets and UDP";
	static const char reach[] =
		"it would answer datagrams of other machines, whoever they say they are; serve "
		"127.0.0.1 and [::1], or write public = yes";

	(void)ctx;
	refuse("service a { listen = udp:7 builtin = echo }", reach);
	refuse("service a { listen = { tcp:7, udplite:7, udp:7 } builtin = echo }", reach);
	refuse("service a { listen = udp:192.0.2.1:7 builtin = echo }", reach);
	refuse("service a { listen = udp:[fe80::1%lo]:7 builtin = echo }", reach);
	serve("service a { listen = { udp:127.0.0.1:7, udp:[::1]:7, 7 } builtin = echo }");
	serve("service a { listen = { udp:7, udplite:7 } public = yes builtin = echo }");
	refuse("service a { listen = udp:7 exec = /bin/cat wait = yes public = yes }",
		"public: is for builtin services");
	warned(SERVICE("echo", "public = yes"),
		"public: has no effect: the service has no UDP socket");
	refuse("service a { listen = unix-dgram:@x builtin = echo }", kinds);
	refuse("service a { listen = unix-seqpacket:@x builtin = echo }", kinds);
	serve("service a { listen = { 7, mptcp:8, unix:@x, vsock:9, fd:y } builtin = echo }");
	refuse(SERVICE("echo", "wait = yes"),
		"builtin: hatchd takes the clients itself; leave out wait = yes");
	refuse("defaults { wait = yes }\n" SERVICE("echo", ""),
		"builtin: hatchd takes the clients itself; leave out wait = yes");
}

/* What is about programs does nothing; everything else does what it always does. */
static void test_other_options(void **ctx)
{
	static const char *const about_programs[] = {"argv0 = x", "pass_as = stdio",
		"start_timeout = 5s", "stderr = null", "user = 4242", "group = 4243",
		"groups = no", "directory = /", "chroot = /", "umask = 077", "nice = 1",
		"env = 'A=1'", "pass_env = A", "env_dialect = cgi"};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(about_programs); i++) {
		const char *option = about_programs[i];
		_cleanup_free_ char *text = NULL, *why = NULL;

		assert_true(asprintf(&text, SERVICE("echo", "%s"), option) > 0);
		assert_true(asprintf(&why,
				    "%.*s: has no effect with builtin: no program is started",
				    (int)strcspn(option, " "), option) > 0);
		warned(text, why);
	}
	warned(SERVICE("echo", "rlimit { core = 0 }"),
		"rlimit.core: has no effect with builtin: no program is started");
	serve(SERVICE("echo",
		"time_limit = 1h\nkill_after = 1s\nfirst_byte_timeout = 1min\n"
		"idle_timeout = 1min\ninstances = 9\nper_source = 3\nrate = 5/s\n"
		"per_source_rate = 1/s\nonly_from = 10.0.0.0/8\nno_access = 10.1.1.1\n"
		"access_times = 8:00-9:00\nmax_load = 3\noverflow = refuse\n"
		"overflow_source = 'ban 1min'\nbacklog = 7\nnodelay = yes"));
}

/* Those are for the others, and need not even be there. */
static void test_defaults(void **ctx)
{
	(void)ctx;
	serve("defaults { user = nobody-is-called-so stderr = null umask = 077 nice = 3\n"
	      "chroot = /no/such/place env = 'A=1' rlimit { nofile = 9 } }\n" SERVICE(
		      "echo", ""));
}

static void test_no_user_needed(void **ctx)
{
	struct build_context thorough = conf_text_root;
	struct conf_text t;

	(void)ctx;
	assert_int_equal(conf_text_load(&t, SERVICE("echo", ""), &conf_text_root), 0);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	assert_int_equal(t.conf.n_services, 1);
	assert_false(t.conf.services[0]->change_identity);
	conf_text_done(&t);

	/* Nor is one missed where something else is wrong. */
	thorough.thorough = true;
	refuse_in(SERVICE("echo", "wait = yes"), &thorough,
		"builtin: hatchd takes the clients itself; leave out wait = yes");
	refuse_in(SERVICE("ech", ""), &thorough,
		"builtin: 'ech' is not none, echo, discard, chargen, daytime, time, qotd, text "
		"or tcpmux; did you mean 'echo'?");
}

/*
 * Files.
 */

static char folder[] = "/tmp/hatchd-builtin-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

static void put(const char *name, const void *data, size_t len)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

/* As whoever runs the test, to whom the files belong. */
static void load_file(struct conf_text *t, const char *builtin, const char *name)
{
	struct build_context context = conf_text_user;
	char *text;

	context.uid = geteuid();
	context.gid = getegid();
	assert_true(
		asprintf(&text, SERVICE("%s", "text_file = '%s'"), builtin, path_of(name)) > 0);
	assert_int_equal(conf_text_load(t, text, &context), 0);
	free(text);
}

static void file_waits(
	const char *builtin, const char *name, const char *before, const char *behind)
{
	char why[256];
	struct conf_text t;

	load_file(&t, builtin, name);
	snprintf(why, sizeof why, "%s%s%s", before, path_of(name), behind);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	assert_string_equal(conf_text_said(&t, DIAG_CONDITION), why);
	assert_string_equal(t.conf.services[0]->condition, why);
	conf_text_done(&t);
}

static void file_says(const char *builtin, const char *name, const void *data, size_t len)
{
	struct conf_text t;

	load_file(&t, builtin, name);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	assert_string_equal(conf_text_said(&t, DIAG_WARNING), "");
	assert_null(t.conf.services[0]->condition);
	assert_int_equal(t.conf.services[0]->reply_len, len);
	assert_memory_equal(t.conf.services[0]->reply, data, len);
	conf_text_done(&t);
}

/* Any byte may be in it. */
static void test_files(void **ctx)
{
	static const char bytes[] = "a\0%\n\xff\r\n";
	static char large[BUILTIN_REPLY_MAX + 1];

	(void)ctx;
	put("bytes", bytes, sizeof bytes);
	file_says("text", "bytes", bytes, sizeof bytes);
	file_says("qotd", "bytes", bytes, sizeof bytes);

	memset(large, 'x', sizeof large);
	put("large", large, BUILTIN_REPLY_MAX);
	file_says("text", "large", large, BUILTIN_REPLY_MAX);
	put("large", large, sizeof large);
	file_waits("text", "large", "", " is larger than 64K, the most there is");
	file_waits("qotd", "large", "", " is larger than 64K, the most there is");

	put("empty", "", 0);
	file_waits("text", "empty", "", " is empty");
	file_waits("qotd", "empty", "", " has no quotation");
	put("signs", "%\n%\n", 4);
	file_says("text", "signs", "%\n%\n", 4);
	file_waits("qotd", "signs", "", " has no quotation");
}

static void test_no_files(void **ctx)
{
	(void)ctx;
	file_waits("text", "nowhere", "no file ", "");
	file_waits("qotd", "nowhere", "no file ", "");
	file_waits("text", ".", "unable to read ", ": Is a directory");
	put("plain", "x", 1);
	file_waits("text", "plain/x", "unable to read ", ": Not a directory");
	assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
	file_waits("text", "fifo", "", " is not a regular file");
}

static void quotation_warns(size_t len, bool warns)
{
	static const char start[] = "one\ntwo\n%\n";
	char data[BUILTIN_QUOTE_MAX + 64], why[256] = "";
	struct conf_text t;
	size_t n;

	memcpy(data, start, strlen(start));
	memset(data + strlen(start), 'x', len - 1);
	memcpy(data + strlen(start) + len - 1, "\n%\n", 3);
	n = strlen(start) + len - 1 + 3;
	put("quotes", data, n);
	load_file(&t, "qotd", "quotes");
	if (warns)
		snprintf(why, sizeof why,
			"text_file: the quotation in line 4 of %s has %zu bytes; RFC 865 has "
			"at most 512",
			path_of("quotes"), len);
	assert_string_equal(conf_text_said(&t, DIAG_WARNING), why);
	assert_null(t.conf.services[0]->condition);
	assert_int_equal(t.conf.services[0]->reply_len, n);
	conf_text_done(&t);
}

static void test_long_quotations(void **ctx)
{
	(void)ctx;
	quotation_warns(BUILTIN_QUOTE_MAX, false);
	quotation_warns(BUILTIN_QUOTE_MAX + 1, true);
}

/* Who can say which file root reads could have any of them read to him. */
static void test_writers(void **ctx)
{
	struct conf_text t;
	char *text, why[256];

	(void)ctx;
	put("shared", "x", 1);
	assert_int_equal(chmod(path_of("shared"), 0666), 0);
	assert_true(
		asprintf(&text, SERVICE("text", "text_file = '%s'"), path_of("shared")) > 0);

	assert_int_equal(conf_text_load(&t, text, &conf_text_root), 0);
	/* The folder is somebody else's if this is not root. */
	snprintf(why, sizeof why,
		"text_file: root reads it, but others than root may write to %s",
		geteuid() == 0 ? path_of("shared") : folder);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), why);
	assert_int_equal(t.conf.n_services, 0);
	conf_text_done(&t);

	load_file(&t, "text", "shared");
	if (geteuid() != 0) {
		snprintf(why, sizeof why,
			"text_file: others than root and the user of hatchd may write to %s",
			path_of("shared"));
		assert_string_equal(conf_text_said(&t, DIAG_WARNING), why);
		assert_int_equal(t.conf.services[0]->reply_len, 1);
	}
	conf_text_done(&t);
	free(text);
}

/*
 * Who serves them.
 */

static void assert_worker(const char *text, const struct build_context *context, bool want)
{
	const struct passwd *user = getpwnam(WORKER_USER);
	bool there = user && user->pw_uid != 0 && user->pw_gid != 0;
	struct conf_text t;

	assert_int_equal(conf_text_load(&t, text, context), 0);
	assert_int_equal(t.conf.worker_identity, want);
	assert_int_equal(t.conf.worker_uid, !want   ? 0
					    : there ? user->pw_uid
						    : WORKER_UNPRIVILEGED);
	assert_int_equal(t.conf.worker_gid, !want   ? 0
					    : there ? user->pw_gid
						    : WORKER_UNPRIVILEGED);
	conf_text_done(&t);
}

static void test_worker(void **ctx)
{
	(void)ctx;
	assert_worker(SERVICE("echo", ""), &conf_text_root, true);
	assert_worker(SERVICE("echo", ""), &conf_text_user, false);
	assert_worker(SERVICE("echo", "disable = yes"), &conf_text_root, false);
	assert_worker(SERVICE("echo", "sensor = yes"), &conf_text_root, false);
	assert_worker(SERVICE("text", "text_file = /no/where"), &conf_text_root, true);
	assert_worker(
		"service b { listen = 7 exec = /bin/sh user = nobody }\n" SERVICE("echo", ""),
		&conf_text_root, true);
	assert_worker("service b { listen = 7 exec = /bin/sh user = nobody }", &conf_text_root,
		false);
	/* Left out because of its mistake. */
	assert_worker(SERVICE("echo", "wait = yes"), &conf_text_root, false);
}

/*
 * The image.
 */

static const char sample[] =
	"service a { listen = 7 builtin = text text = \"hello\\n\" idle_timeout = 5s }\n"
	"service b { listen = { 8, unix:@b } builtin = echo instances = 3 }\n"
	"service c { listen = 9 exec = /bin/sh user = nobody }\n"
	"service d { listen = 10 sensor = yes builtin = discard }\n"
	"service e { listen = 11 builtin = qotd text_file = /no/where }\n";

static int read_again(const struct conf *conf, struct conf *ret)
{
	_cleanup_close_ int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(image_write(conf, fd), 0);
	return image_read(fd, ret);
}

static void test_round_trip(void **ctx)
{
	struct conf_text t;
	struct conf conf;
	struct diff diff;

	(void)ctx;
	assert_int_equal(conf_text_load(&t, sample, &conf_text_root), 0);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	/* NULs come through as well. */
	t.conf.services[0]->reply[1] = '\0';
	t.conf.worker_uid = 4711;
	t.conf.worker_gid = 4712;
	assert_int_equal(read_again(&t.conf, &conf), 0);
	assert_true(conf.worker_identity);
	assert_int_equal(conf.worker_uid, 4711);
	assert_int_equal(conf.worker_gid, 4712);
	for (size_t i = 0; i < conf.n_services; i++) {
		const struct service_conf *a = t.conf.services[i], *b = conf.services[i];

		assert_int_equal(a->builtin, b->builtin);
		assert_int_equal(a->reply_len, b->reply_len);
		if (a->reply_len > 0)
			assert_memory_equal(a->reply, b->reply, a->reply_len);
	}
	assert_int_equal(conf.services[0]->builtin, BUILTIN_TEXT);
	assert_int_equal(conf.services[0]->reply_len, 6);
	assert_string_equal(conf.services[0]->text, "hello\n");
	assert_string_equal(conf.services[4]->text_file, "/no/where");
	assert_string_equal(conf.services[4]->condition, "no file /no/where");
	assert_int_equal(diff_make(t.conf.services, t.conf.n_services, conf.services,
				 conf.n_services, &diff),
		0);
	assert_true(diff_is_empty(&diff));
	diff_done(&diff);
	conf_done(&conf);
	conf_text_done(&t);
}

/* What no loader in its right mind writes. */
static void test_damaged(void **ctx)
{
	static char large[BUILTIN_REPLY_MAX + 1];
	struct service_conf *s;
	struct conf_text t;
	struct conf conf;

	(void)ctx;
	assert_int_equal(conf_text_load(&t, sample, &conf_text_root), 0);
	s = t.conf.services[0];

#define DAMAGE(place, value)                                            \
	do {                                                            \
		__typeof__(place) was_ = place;                         \
		place = (value);                                        \
		assert_int_equal(read_again(&t.conf, &conf), -EBADMSG); \
		place = was_;                                           \
		assert_int_equal(read_again(&t.conf, &conf), 0);        \
		conf_done(&conf);                                       \
	} while (0)

	DAMAGE(s->builtin, _BUILTIN_MAX);
	DAMAGE(s->builtin, -1);
	DAMAGE(s->builtin, BUILTIN_NONE);
	DAMAGE(s->reply_len, 0);
	DAMAGE(s->wait, true);
	DAMAGE(s->text_file, (char *)"relative");
	DAMAGE(t.conf.services[1]->listen[1].addr.kind, ADDR_UNIX_DGRAM);
	DAMAGE(t.conf.services[1]->listen[1].addr.kind, ADDR_UNIX_SEQPACKET);
	DAMAGE(t.conf.services[2]->builtin, BUILTIN_QOTD);
	DAMAGE(t.conf.worker_uid, 0);
	DAMAGE(t.conf.worker_gid, 0);
	DAMAGE(t.conf.worker_uid, (uid_t)-1);
	DAMAGE(t.conf.worker_gid, (gid_t)-1);
	DAMAGE(t.conf.worker_identity, false);

	free(s->reply);
	s->reply = large;
	DAMAGE(s->reply_len, sizeof large);
	s->reply = NULL;
	s->reply_len = 0;
	conf_text_done(&t);
}

/*
 * What is said about them.
 */

static void plan_says(const struct conf *old, const struct conf *new, const char *want)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(plan_print(old, new, out), 0);
	fclose(out);
	assert_string_equal(text, want);
	free(text);
}

static void plan_goes(const char *old, const char *new, const char *want)
{
	struct conf_text a, b;

	assert_int_equal(conf_text_load(&a, old, &conf_text_root), 0);
	assert_int_equal(conf_text_load(&b, new, &conf_text_root), 0);
	plan_says(&a.conf, &b.conf, want);
	conf_text_done(&a);
	conf_text_done(&b);
}

static void test_plan(void **ctx)
{
	(void)ctx;
	plan_goes(SERVICE("echo", ""), SERVICE("echo", ""), "nothing would change\n");
	plan_goes(SERVICE("echo", ""), SERVICE("discard", ""),
		"a: changed: builtin echo -> discard\n  kept     tcp:1000\n1 kept\n");
	plan_goes(SERVICE("text", "text = x"), SERVICE("text", "text = 'y z'"),
		"a: changed: text x -> \"y z\"\n  kept     tcp:1000\n1 kept\n");
	plan_goes(SERVICE("none", "exec = /bin/true\nuser = nobody"), SERVICE("echo", ""),
		"a: changed:\n  exec /bin/true -> (not set)\n  builtin none -> echo\n"
		"  user nobody -> (not set)\n  kept     tcp:1000\n1 kept\n");
	/* Nor is there anything else to say where the user was that of all. */
	plan_goes("defaults { user = nobody }\n" SERVICE("none", "exec = /bin/true"),
		"defaults { user = nobody }\n" SERVICE("text", "text = x"),
		"a: changed:\n  exec /bin/true -> (not set)\n  builtin none -> text\n"
		"  text (not set) -> x\n  kept     tcp:1000\n1 kept\n");
	plan_goes("defaults { user = nobody }\n" SERVICE("text", "text = x"),
		"defaults { user = nobody }\n" SERVICE("none", "shell = x"),
		"a: changed: shell (not set) -> x, builtin text -> none, text x -> (not set)\n"
		"  kept     tcp:1000\n1 kept\n");
}

static void load_motd(struct conf_text *t, const char *motd)
{
	put("motd", motd, strlen(motd));
	load_file(t, "text", "motd");
	t->conf.worker_identity = true;
	t->conf.worker_uid = t->conf.worker_gid = WORKER_UNPRIVILEGED;
}

/* The same words, but the machine has changed. */
static void test_plan_of_the_machine(void **ctx)
{
	struct conf_text a, b;
	char want[256];

	(void)ctx;
	load_motd(&a, "one\n");
	load_motd(&b, "two\n");
	snprintf(want, sizeof want,
		"a: changed: other text in %s\n  kept     tcp:1000\n1 kept\n", path_of("motd"));
	plan_says(&a.conf, &b.conf, want);
	conf_text_done(&b);

	/* Nobody has written down who serves it. */
	load_motd(&b, "one\n");
	b.conf.worker_uid = 4711;
	b.conf.worker_gid = 4712;
	plan_says(&a.conf, &b.conf,
		"for all services:\n  what workers serve runs as number 4711 now, group 4712 "
		"(before 65532, group 65532)\n1 service unchanged\n");
	conf_text_done(&a);
	conf_text_done(&b);
}

static void explain_says(const struct conf *conf, const char *want)
{
	char *text = NULL, *at;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(explain_print(conf, "a", "10.1.2.3", 0, out, out), EXPLAIN_ADMITTED);
	fclose(out);
	at = strstr(text, "program ");
	assert_non_null(at);
	assert_string_equal(at, want);
	free(text);
}

static void test_explain(void **ctx)
{
	struct conf_text t;
	char want[256];

	(void)ctx;
	assert_int_equal(conf_text_load(&t, SERVICE("echo", ""), &conf_text_user), 0);
	explain_says(
		&t.conf, "program      built-in echo, in hatchd-builtin as who hatchd is\n");
	conf_text_done(&t);

	assert_int_equal(
		conf_text_load(&t, SERVICE("text", "text = hello"), &conf_text_root), 0);
	t.conf.worker_uid = WORKER_UNPRIVILEGED;
	explain_says(&t.conf,
		"program      built-in text, in hatchd-builtin as nobody at all (uid 65532)\n"
		"says         5 bytes of text\n");
	t.conf.worker_uid = 4711;
	explain_says(&t.conf,
		"program      built-in text, in hatchd-builtin as user _hatchd (uid 4711)\n"
		"says         5 bytes of text\n");
	conf_text_done(&t);

	put("quotes", "one\n%\n", 6);
	load_file(&t, "qotd", "quotes");
	t.conf.worker_identity = false;
	snprintf(want, sizeof want,
		"program      built-in qotd, in hatchd-builtin as who hatchd is\n"
		"says         a quotation out of 6 bytes of %s\n",
		path_of("quotes"));
	explain_says(&t.conf, want);
	conf_text_done(&t);
}

static int make_folder(void **ctx)
{
	(void)ctx;
	return mkdtemp(folder) && chmod(folder, 0755) == 0 ? 0 : -1;
}

static int remove_folder(void **ctx)
{
	static const char *const names[] = {"bytes", "large", "empty", "signs", "plain", "fifo",
		"quotes", "shared", "motd"};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unlink(path_of(names[i]));
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_quotes),
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_one_handler),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_other_options),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_no_user_needed),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_no_files),
		cmocka_unit_test(test_long_quotations),
		cmocka_unit_test(test_writers),
		cmocka_unit_test(test_worker),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_plan_of_the_machine),
		cmocka_unit_test(test_explain),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
