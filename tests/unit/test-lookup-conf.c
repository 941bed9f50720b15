/* lookup-conf: what is looked up about clients and for them, from its words to what the master
 * gets. */
#include "conf-text.h"

#include "base/hostname.h"
#include "conf/diff.h"
#include "conf/image.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#define TCP           "listen = tcp:1\n"
#define PROGRAM(rest) "service a {\nexec = /bin/true\nuser = nobody\n" rest "\n}\n"

static char folder[] = "/tmp/hatchd-lookup-conf-XXXXXX";

static void load(struct conf_text *t, const char *text)
{
	struct build_context context = conf_text_user;

	context.uid = geteuid();
	context.gid = getegid();
	assert_int_equal(conf_text_load(t, text, &context), 0);
}

static void clean(struct conf_text *t, const char *text)
{
	load(t, text);
	assert_string_equal(conf_text_said(t, DIAG_ERROR), "");
	assert_string_equal(conf_text_said(t, DIAG_WARNING), "");
	assert_string_equal(conf_text_said(t, DIAG_CONDITION), "");
}

/* A list file with those lines. */
static const char *put(const char *name, const char *text)
{
	static char path[128];
	int fd;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	return path;
}

static void assert_names(const struct service_conf *service, const char *want)
{
	char got[1024] = "";

	for (char **name = service->names; name && *name; name++) {
		strcat(got, *name);
		strcat(got, " ");
	}
	assert_string_equal(got, want);
}

/*
 * Who may come in.
 */

static void test_names(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	clean(&t,
		PROGRAM(TCP
			"resolve = yes\n"
			"only_from = { 10.0.0.0/8, WWW.Example.org., nowhere, .Example.NET }"));
	assert_names(t.conf.services[0], "www.example.org nowhere .example.net ");
	assert_true(service_conf_has_access(t.conf.services[0]));
	conf_text_done(&t);

	clean(&t, PROGRAM(TCP "resolve = yes\nonly_from = 10.0.0.0/8"));
	assert_null(t.conf.services[0]->names);
	conf_text_done(&t);

	/* The list of proxies has none. */
	clean(&t, PROGRAM(TCP "resolve = yes\nonly_from = www.example.org\n"
			      "proxy_protocol = required\nproxy_from = 10.0.0.1"));
	assert_names(t.conf.services[0], "www.example.org ");
	conf_text_done(&t);

	/* Only names: the list of addresses keeps everybody out. */
	clean(&t, PROGRAM(TCP "resolve = yes\nonly_from = www.example.org"));
	assert_names(t.conf.services[0], "www.example.org ");
	assert_true(service_conf_has_access(t.conf.services[0]));
	conf_text_done(&t);
}

static void test_lists(void **ctx)
{
	char text[1024];
	struct conf_text t;

	(void)ctx;
	snprintf(text, sizeof text,
		PROGRAM(TCP "resolve = yes\nonly_from = { b.example, file:%s, c.example }\n"
			    "no_access = 10.1.0.0/16"),
		put("friends", "# friends\n10.0.0.0/8\n A.example # one\n\n.d.example\n"));
	clean(&t, text);
	assert_names(t.conf.services[0], "b.example a.example .d.example c.example ");
	conf_text_done(&t);
}

/* Nothing but names is a list as well, and not one that lists nobody. */
static void test_list_of_names(void **ctx)
{
	char text[1024];
	struct conf_text t;

	(void)ctx;
	snprintf(text, sizeof text, PROGRAM(TCP "resolve = yes\nonly_from = file:%s"),
		put("names", "a.example\n"));
	clean(&t, text);
	assert_names(t.conf.services[0], "a.example ");
	conf_text_done(&t);
}

static unsigned resolved_of(struct conf_text *old, struct conf_text *new)
{
	unsigned resolved;
	struct diff diff;

	assert_int_equal(diff_make(old->conf.services, old->conf.n_services, new->conf.services,
				 new->conf.n_services, &diff),
		0);
	assert_int_equal(diff.n_services, 1);
	assert_false(diff_options_any(&diff.services[0].changed));
	resolved = diff.services[0].resolved;
	diff_done(&diff);
	return resolved;
}

/* What a file names is another one after a reload, though no word of the service is. */
static void test_list_changes(void **ctx)
{
	struct conf_text old, same, other;
	char text[1024];

	(void)ctx;
	snprintf(text, sizeof text, PROGRAM(TCP "resolve = yes\nonly_from = file:%s"),
		put("names", "a.example\n"));
	clean(&old, text);
	put("names", "# A comment\nA.example.\n");
	clean(&same, text);
	put("names", ".a.example\n");
	clean(&other, text);
	assert_int_equal(resolved_of(&old, &same), 0);
	assert_int_equal(resolved_of(&old, &other), DIFF_ACCESS);
	conf_text_done(&old);
	conf_text_done(&same);
	conf_text_done(&other);
}

#define WORDS "only_from = { 10.0.0.0/8, a.example }\n"
#define ONE(name, port, rest) \
	"service " name " {\nlisten = " port "\nexec = /bin/true\nuser = nobody\n" rest "}\n"

/* Services with the same words share what was made of them, but each says for itself
 * whether names may be among them. */
static void test_shared(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	clean(&t, "defaults {\nresolve = yes\n" WORDS "}\n" ONE("a", "1", "")
			  ONE("b", "2", "only_from = 10.0.0.0/8\n") ONE("c", "3", ""));
	assert_names(t.conf.services[0], "a.example ");
	assert_null(t.conf.services[1]->names);
	assert_names(t.conf.services[2], "a.example ");
	assert_ptr_equal(t.conf.services[0]->access, t.conf.services[2]->access);
	conf_text_done(&t);

	load(&t, ONE("a", "1", WORDS "resolve = yes\n") ONE("b", "2", WORDS));
	assert_string_equal(conf_text_said(&t, DIAG_ERROR),
		"only_from: 'a.example' is the name of a host; those need resolve = yes");
	conf_text_done(&t);

	/* Nor are those who may come in by a name proxies because of it. */
	load(&t,
		"defaults {\nresolve = yes\n}\n" ONE("a", "1", WORDS) ONE("b", "2",
			"proxy_protocol = required\nproxy_from = { 10.0.0.0/8, a.example }\n"));
	assert_string_equal(conf_text_said(&t, DIAG_ERROR),
		"proxy_from: 'a.example' is the name of a host; a proxy is known by its "
		"address, since its header comes before names are looked up");
	conf_text_done(&t);
}

static void test_most(void **ctx)
{
	char text[32 * (CONF_NAMES_MAX + 1)];
	struct conf_text t;

	(void)ctx;
	for (int extra = 0; extra <= 1; extra++) {
		size_t used = (size_t)snprintf(text, sizeof text,
			"service a {\nlisten = 1\nexec = /bin/true\nuser = nobody\nresolve = "
			"yes\nonly_from = { ::1");

		for (int i = 0; i < CONF_NAMES_MAX + extra; i++)
			used += (size_t)snprintf(
				text + used, sizeof text - used, ", h%d.example", i);
		snprintf(text + used, sizeof text - used, " }\n}\n");
		load(&t, text);
		assert_string_equal(conf_text_said(&t, DIAG_ERROR),
			extra ? "service 'a' has more than 256 names of hosts and domains who "
				"may come in"
			      : "");
		if (!extra)
			assert_int_equal(
				strv_length(t.conf.services[0]->names), CONF_NAMES_MAX);
		conf_text_done(&t);
	}
}

/* A word that cannot be understood is told alone. */
static void test_mistaken_resolve(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	load(&t, PROGRAM(TCP "resolve = perhaps\nonly_from = a.example"));
	assert_int_equal(t.diags.n, 1);
	assert_string_equal(
		conf_text_said(&t, DIAG_ERROR), "resolve: 'perhaps' is neither yes nor no");
	conf_text_done(&t);
}

/*
 * Who can be asked after.
 */

struct asked {
	const char *rest;
	bool names, ident, lookups, pending;
};

/* With resolve and ident in any service. */
static const struct asked asked[] = {
	{TCP, true, true, true, true},
	{"listen = mptcp:1", true, true, true, true},
	{"listen = fd:x", true, true, true, true},
	{"listen = { udp:1, tcp:1 }", true, true, true, true},
	{"tcpmux = yes", true, true, true, true},
	{"listen = udp:1", false, false, false, false},
	{"listen = unix:@hatchd-x", false, false, false, false},
	{"listen = vsock:1", false, false, false, false},
	{TCP "wait = yes", false, false, false, false},
	{TCP "resolve = no", false, true, true, true},
	{TCP "ident = no", true, false, true, true},
	{TCP "resolve = no\nident = no", false, false, false, false},
	{TCP "resolve = no\nident = no\nbanner = /etc/passwd", false, false, false, true},
	{TCP "proxy_protocol = required\nproxy_from = ::1", true, false, true, true},
	{TCP "proxy_protocol = optional\nproxy_from = ::1", true, true, true, true},
	{"listen = unix:@hatchd-x\nproxy_protocol = optional\nproxy_from = unix", true, false,
		true, true},
};

static void test_asked(void **ctx)
{
	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		const struct service_conf *service;
		struct conf_text t;
		char text[512];

		snprintf(text, sizeof text,
			"defaults {\nresolve = yes\nident = yes\n}\n" PROGRAM("%s"),
			asked[i].rest);
		load(&t, text);
		assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
		service = t.conf.services[0];
		assert_int_equal(service_conf_asks_names(service), asked[i].names);
		assert_int_equal(service_conf_asks_ident(service), asked[i].ident);
		assert_int_equal(service_conf_has_lookups(service), asked[i].lookups);
		assert_int_equal(service_conf_has_pending(service), asked[i].pending);
		conf_text_done(&t);
	}
}

/* It hands its clients to others, who have them looked up. */
static void test_tcpmux(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	load(&t, "defaults {\nresolve = yes\nident = yes\n}\n"
		 "service mux {\nlisten = 1\nbuiltin = tcpmux\n}\n" PROGRAM("tcpmux = yes"));
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	assert_string_equal(conf_text_said(&t, DIAG_WARNING), "");
	assert_false(service_conf_has_lookups(t.conf.services[0]));
	assert_true(service_conf_has_pending(t.conf.services[0]));
	assert_true(service_conf_has_lookups(t.conf.services[1]));
	conf_text_done(&t);
}

static void test_sensor(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	clean(&t, "defaults {\nresolve = yes\nident = yes\n}\n"
		  "service a {\nlisten = 1\nsensor = yes\n}\n");
	assert_false(service_conf_has_pending(t.conf.services[0]));
	conf_text_done(&t);
}

/* What the master provides for is the sum of what may be waiting. */
static uint32_t pending_of(const char *text)
{
	struct conf_text t;
	struct conf conf;
	uint32_t n;
	int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	clean(&t, text);
	assert_int_equal(image_write(&t.conf, fd), 0);
	assert_int_equal(image_read(fd, &conf), 0);
	n = conf.n_pending;
	conf_done(&conf);
	conf_text_done(&t);
	close(fd);
	return n;
}

static void test_pending(void **ctx)
{
	(void)ctx;
	assert_int_equal(pending_of("defaults {\npending = 30\n}\n" ONE("a", "1", "")), 0);
	assert_int_equal(pending_of("defaults {\npending = 30\n}\n" ONE("a", "1", "") ONE(
				 "b", "2", "resolve = yes\n") ONE("c", "3", "ident = yes\n")
					 ONE("d", "4", "banner = /etc/passwd\n")),
		90);
}

/*
 * Where clients are passed on to.
 */

static const char *target_text(const struct service_conf *service, size_t i)
{
	static char text[ADDR_TEXT_MAX + HOSTNAME_ROOM];
	char addr[ADDR_TEXT_MAX];

	snprintf(text, sizeof text, "%s %s",
		service->target_names ? service->target_names[i] : "-",
		addr_format(&service->targets[i], addr));
	return text;
}

static void test_targets(void **ctx)
{
	static const struct {
		const char *text, *want;
	} targets[] = {
		{"tcp:App.Internal:8080", "app.internal tcp:8080"},
		{"tcp4:localhost:80", "localhost tcp4:80"},
		{"tcp6:app.internal.:http", "app.internal tcp6:80"},
		{"tcp:10.0.0.1:80", "- tcp:10.0.0.1:80"},
		{"unix:/run/x", "- unix:/run/x"},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		const struct service_conf *service;
		struct conf_text t;
		char text[256];

		snprintf(text, sizeof text, "service a {\nlisten = 1\nredirect = %s\n}\n",
			targets[i].text);
		clean(&t, text);
		service = t.conf.services[0];
		assert_int_equal(service->n_targets, 1);
		assert_string_equal(target_text(service, 0), targets[i].want);
		assert_int_equal(service_conf_has_lookups(service), targets[i].want[0] != '-');
		assert_int_equal(service_conf_has_pending(service), targets[i].want[0] != '-');
		conf_text_done(&t);
	}
}

/* Each has its name, or has none. */
static void test_mixed_targets(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	clean(&t,
		"service a {\nlisten = unix:@hatchd-x\nredirect = { tcp:10.0.0.1:80, tcp:b:81, "
		"unix:@c }\n}\n");
	assert_string_equal(target_text(t.conf.services[0], 0), " tcp:10.0.0.1:80");
	assert_string_equal(target_text(t.conf.services[0], 1), "b tcp:81");
	assert_string_equal(target_text(t.conf.services[0], 2), " unix:@c");
	assert_int_equal(strv_length(t.conf.services[0]->target_names), 3);
	conf_text_done(&t);
}

/* Where a name leads is not known at a load, so that it is no way back. */
static void test_target_loops(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	clean(&t, "service a {\nlisten = 81\nredirect = tcp:localhost:81\n}\n");
	conf_text_done(&t);
	load(&t, "service a {\nlisten = 81\nredirect = { tcp:b:81, tcp:127.0.0.1:81 }\n}\n");
	assert_string_equal(conf_text_said(&t, DIAG_ERROR),
		"redirect: tcp:127.0.0.1:81 is this service itself");
	conf_text_done(&t);
}

/*
 * Who looks it up.
 */

/* A worker never does that as root. */
static void test_identity(void **ctx)
{
	static const struct {
		const char *rest;
		bool needed;
	} services[] = {
		{"", false},
		{"resolve = yes", true},
		{"ident = yes", true},
		{"ident = required", true},
		{"lookup_timeout = 1s", false},
		{"wait = yes\nresolve = yes\nident = yes", false},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(services); i++) {
		struct conf_text t;
		char text[256];

		snprintf(text, sizeof text, PROGRAM(TCP "%s"), services[i].rest);
		assert_int_equal(conf_text_load(&t, text, &conf_text_root), 0);
		assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
		assert_int_equal(t.conf.worker_identity, services[i].needed);
		conf_text_done(&t);
	}
}

static int make_folder(void **ctx)
{
	(void)ctx;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **ctx)
{
	static const char *const names[] = {"friends", "names"};
	char path[128];

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		unlink(path);
	}
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_list_of_names),
		cmocka_unit_test(test_list_changes),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_most),
		cmocka_unit_test(test_mistaken_resolve),
		cmocka_unit_test(test_asked),
		cmocka_unit_test(test_tcpmux),
		cmocka_unit_test(test_sensor),
		cmocka_unit_test(test_pending),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_mixed_targets),
		cmocka_unit_test(test_target_loops),
		cmocka_unit_test(test_identity),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
