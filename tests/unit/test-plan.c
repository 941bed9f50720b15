/* plan: what a reload would do, word by word. */
#include "conf-text.h"

#include "conf/plan.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SERVICE(name, address, rest)                          \
	"service " name " {\nlisten = " address "\nexec = { " \
	"/bin/sh, -c, x }\nuser = nobody\n" rest "\n}\n"

struct pair {
	struct conf_text old, new;
};

static void load(struct conf_text *t, const char *text)
{
	assert_int_equal(conf_text_load(t, text, &conf_text_root), 0);
	assert_string_equal(conf_text_said(t, DIAG_ERROR), "");
	assert_string_equal(conf_text_said(t, DIAG_CONDITION), "");
}

static void says(const struct pair *p, const char *want)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(plan_print(&p->old.conf, &p->new.conf, out), 0);
	fclose(out);
	assert_string_equal(text, want);
	free(text);
}

static void make(struct pair *p, const char *old, const char *new)
{
	load(&p->old, old);
	load(&p->new, new);
}

static void done(struct pair *p)
{
	conf_text_done(&p->old);
	conf_text_done(&p->new);
}

static void goes(const char *old, const char *new, const char *want)
{
	struct pair p;

	make(&p, old, new);
	says(&p, want);
	done(&p);
}

static void test_nothing(void **ctx)
{
	(void)ctx;
	goes("", "", "nothing would change\n");
	goes(SERVICE("a", "1", ""), "# more\n" SERVICE("a", "tcp:1", "instances = 512"),
		"nothing would change\n");
	goes(SERVICE("a", "1", "disable = yes"), "", "nothing would change\n");
}

static void test_options(void **ctx)
{
	(void)ctx;
	goes(SERVICE("a", "1", ""), SERVICE("a", "1", "instances = 7\nchroot = /"),
		"a: changed: instances 512 -> 7, chroot (not set) -> /\n"
		"  kept     tcp:1\n"
		"1 kept\n");
	goes(SERVICE("a", "1", "nice = 5\nrlimit { nofile = 9 }\nsend_buffer = 64K"),
		SERVICE("a", "1", "per_source = 4\nv6only = no"),
		"a: changed:\n"
		"  per_source (not set) -> 4\n"
		"  nice 5 -> (not set)\n"
		"  rlimit.nofile 9 -> (not set)\n"
		"  send_buffer 64K -> (not set)\n"
		"  v6only (not set) -> no\n"
		"  reopened tcp:1 (send_buffer)\n"
		"1 reopened\n");
	goes(SERVICE("a", "1", "env = \"A=1\"\n"),
		SERVICE("a", "1", "env = { \"A=1\", \"B=x y\" }"),
		"a: changed: env \"A=1\" -> { \"A=1\", \"B=x y\" }\n"
		"  kept     tcp:1\n"
		"1 kept\n");
	goes("", "total_instances = 9", "for all services: total_instances (not set) -> 9\n");
	goes("accounting { file = /x size = 1M }", "accounting { file = /y }",
		"for all services: accounting.file /x -> /y, accounting.size 1M -> "
		"(not set)\n");
	goes("total_instances = 9\n" SERVICE("a", "1", ""),
		"total_instances = 8\n" SERVICE("a", "1", ""),
		"for all services: total_instances 9 -> 8\n"
		"1 service unchanged\n");
}

static void test_addresses(void **ctx)
{
	(void)ctx;
	goes(SERVICE("a", "{ 8000-8009, unix:/tmp/x, tcp:[::1]:5 }", ""),
		SERVICE("a", "{ 8005-8012, unix:/tmp/x, tcp:[::1]:6 }",
			"reuse_port = yes\nsocket_mode = 0600"),
		"a: changed: reuse_port no -> yes, socket_mode 0666 -> 0600\n"
		"  reopened tcp:8005-8009 (reuse_port)\n"
		"  opened   tcp:8010-8012\n"
		"  adjusted unix:/tmp/x (socket_mode)\n"
		"  opened   tcp:[::1]:6\n"
		"  closed   tcp:8000-8004\n"
		"  closed   tcp:[::1]:5\n"
		"1 adjusted, 5 reopened, 4 opened, 6 closed\n");
	/* The last port of each kind has no next one. */
	goes(SERVICE("a", "1", ""),
		SERVICE("a", "{ 65535, 1, \"vsock:any:4294967292-4294967294\", vsock:any:0 }",
			""),
		"a: changed: addresses\n"
		"  opened   tcp:65535\n"
		"  kept     tcp:1\n"
		"  opened   vsock:any:4294967292-4294967294\n"
		"  opened   vsock:any:0\n"
		"1 kept, 5 opened\n");
	goes(SERVICE("a", "{ 1, 2 }", ""), SERVICE("a", "{ 2, 1 }", ""),
		"a: changed: addresses in another order\n"
		"  kept     tcp:2\n"
		"  kept     tcp:1\n"
		"2 kept\n");
	goes(SERVICE("a", "{ 0, 0 }", ""), SERVICE("a", "{ 0 }", ""),
		"a: changed: addresses\n"
		"  kept     tcp:0\n"
		"  closed   tcp:0\n"
		"1 kept, 1 closed\n");
	goes(SERVICE("a", "unix:/tmp/x", ""), SERVICE("a", "unix-seqpacket:/tmp/x", ""),
		"a: changed: addresses\n"
		"  reopened unix-seqpacket:/tmp/x (another type of socket)\n"
		"1 reopened\n");
}

static void test_services(void **ctx)
{
	(void)ctx;
	goes(SERVICE("a", "1", "") SERVICE("b", "2", "wait = yes") SERVICE("c", "{ 3, 4 }", "")
			SERVICE("d", "5", "") SERVICE("e", "6", "disable = yes"),
		SERVICE("f", "1", "wait = yes") SERVICE("d", "5", "disable = yes")
			SERVICE("e", "6", ""),
		"f: new\n"
		"  adjusted tcp:1 (from a, wait)\n"
		"e: enabled\n"
		"  opened   tcp:6\n"
		"a: removed (its children would finish)\n"
		"b: removed (1 address closed; its child would be ended (SIGTERM))\n"
		"  closed   tcp:2\n"
		"c: removed (2 addresses closed; its children would finish)\n"
		"  closed   tcp:3-4\n"
		"d: disabled (1 address closed; its children would finish)\n"
		"  closed   tcp:5\n"
		"1 adjusted, 1 opened, 4 closed\n");
	goes(SERVICE("a", "1", "") SERVICE("b", "2", "") SERVICE("c", "3", ""),
		SERVICE("c", "3", "") SERVICE("b", "1", "") SERVICE("a", "2", ""),
		"b: changed: addresses\n"
		"  kept     tcp:1 (from a)\n"
		"a: changed: addresses\n"
		"  kept     tcp:2 (from b)\n"
		"1 service unchanged\n"
		"2 kept\n");
}

static void test_wait(void **ctx)
{
	(void)ctx;
	goes(SERVICE("a", "udp:1", "wait = yes"),
		SERVICE("a", "udp:1", "wait = yes\numask = 077"),
		"a: changed: umask 0022 -> 0077\n"
		"  its child would be ended (SIGTERM) and started again by the next arrival\n"
		"  kept     udp:1\n"
		"1 kept\n");
	goes(SERVICE("a", "1", "wait = yes"), SERVICE("a", "1", ""),
		"a: changed: wait yes -> no\n"
		"  its child would be ended (SIGTERM)\n"
		"  reopened tcp:1 (wait)\n"
		"1 reopened\n");
	goes(SERVICE("a", "1", ""), SERVICE("a", "1", "wait = yes"),
		"a: changed: wait no -> yes\n"
		"  adjusted tcp:1 (wait)\n"
		"1 adjusted\n");
}

#define BACKEND(listen, options)                                                    \
	"service a { listen = " listen " redirect = tcp:127.0.0.1:80 user = root\n" \
	"backend { exec = /bin/sh }\n" options "}\n"

/* It is not for its clients. */
static void test_backend(void **ctx)
{
	(void)ctx;
	goes(BACKEND("1", ""), BACKEND("1", "instances = 3"),
		"a: changed: instances 512 -> 3\n"
		"  kept     tcp:1\n"
		"1 kept\n");
	goes(BACKEND("1", ""), BACKEND("1", "umask = 077"),
		"a: changed: umask 0022 -> 0077\n"
		"  its backend would be ended (SIGTERM) when it has no connections"
		", and another started by the next client\n"
		"  kept     tcp:1\n"
		"1 kept\n");
	goes(BACKEND("1", "stop = leave"),
		"service a { listen = 1 redirect = tcp:127.0.0.1:80 user = root }\n",
		"a: changed: backend.exec /bin/sh -> (not set)\n"
		"  its backend would be ended (SIGTERM) when it has no connections\n"
		"  kept     tcp:1\n"
		"1 kept\n");
}

static void set_condition(struct conf_text *t, const char *text)
{
	struct service_conf *service = t->conf.services[0];

	free(service->condition);
	service->condition = text ? strdup(text) : NULL;
}

/* As goes(), with what the first service of each waits for; NULL: it does not. */
static void goes_waiting(const char *old, const char *old_condition, const char *new,
	const char *new_condition, const char *want)
{
	struct pair p;

	make(&p, old, new);
	set_condition(&p.old, old_condition);
	set_condition(&p.new, new_condition);
	says(&p, want);
	done(&p);
}

static void test_conditions(void **ctx)
{
	(void)ctx;
	goes_waiting(SERVICE("a", "1", ""), NULL, SERVICE("a", "1", ""), "no user 'ftp'",
		"a: would wait: no user 'ftp'\n"
		"  closed   tcp:1\n"
		"1 closed\n");
	goes_waiting(SERVICE("a", "1", ""), "no user 'ftp'", SERVICE("a", "1", ""),
		"no user 'ftp'", "nothing would change, 1 service still waiting\n");
	goes_waiting(SERVICE("a", "1", ""), "no user 'ftp'",
		"total_instances = 5\n" SERVICE("a", "1", ""), "no user 'ftp'",
		"for all services: total_instances (not set) -> 5\n"
		"1 service unchanged, 1 still waiting\n");
	goes_waiting(SERVICE("a", "1", ""), "no user 'ftp'", SERVICE("a", "1", ""),
		"no group 'ftp'", "a: would wait: no group 'ftp'\n");
	goes_waiting(SERVICE("a", "1", ""), "no user 'ftp'", SERVICE("a", "1", "umask = 077"),
		NULL,
		"a: would no longer wait (no user 'ftp'); changed: umask 0022 -> 0077\n"
		"  opened   tcp:1\n"
		"1 opened\n");
	goes_waiting(SERVICE("a", "1", ""), "no user 'a'", SERVICE("b", "2", ""), "no user 'b'",
		"b: new, would wait: no user 'b'\n"
		"a: removed (it was waiting: no user 'a')\n");
}

/* The addresses changed as well: said once, by what becomes of them. */
static void test_conditions_and_addresses(void **ctx)
{
	(void)ctx;
	goes_waiting(SERVICE("a", "1", ""), NULL, SERVICE("a", "2", ""), "no user 'ftp'",
		"a: would wait: no user 'ftp'\n"
		"  closed   tcp:1\n"
		"1 closed\n");
	goes_waiting(SERVICE("a", "1", ""), "no user 'ftp'", SERVICE("a", "2", ""), NULL,
		"a: would no longer wait (no user 'ftp')\n"
		"  opened   tcp:2\n"
		"1 opened\n");
	goes_waiting(SERVICE("a", "1", ""), "no user 'ftp'", SERVICE("a", "2", ""),
		"no group 'ftp'", "a: would wait: no group 'ftp'\n");
}

/* The same words, and another world. */
static void test_resolved(void **ctx)
{
	struct pair p;
	struct service_conf *old, *new;

	(void)ctx;
	make(&p, SERVICE("a", "unix:/tmp/x", "pass_env = TOKEN"),
		SERVICE("a", "unix:/tmp/x", "pass_env = TOKEN"));
	old = p.old.conf.services[0];
	new = p.new.conf.services[0];
	old->uid = 5;
	old->gid = new->gid = 6;
	new->uid = 7;
	says(&p, "a: changed: user nobody is number 7 now, group 6 (before 5, group 6)\n"
		 "  kept     unix:/tmp/x\n"
		 "1 kept\n");
	new->uid = 5;
	new->gid = 8;
	says(&p, "a: changed: the group of user nobody is number 8 now (before 6)\n"
		 "  kept     unix:/tmp/x\n"
		 "1 kept\n");
	new->gid = 6;
	assert_int_equal(strv_env_set(&new->base_env, "TOKEN", "secret"), 0);
	assert_int_equal(strv_env_set(&old->base_env, "GONE", "secret"), 0);
	says(&p, "a: changed: another value of TOKEN, GONE in the environment\n"
		 "  kept     unix:/tmp/x\n"
		 "1 kept\n");
	assert_int_equal(strv_env_set(&old->base_env, "TOKEN", "secret"), 0);
	assert_int_equal(strv_env_set(&new->base_env, "GONE", "secret"), 0);
	new->socket_uid = 9;
	says(&p, "a: changed: the owner of its UNIX sockets has another number now\n"
		 "  adjusted unix:/tmp/x (owner)\n"
		 "1 adjusted\n");
	done(&p);
}

/* The image may be anybody's. */
static void test_hostile(void **ctx)
{
	struct pair p;

	(void)ctx;
	make(&p, SERVICE("a", "1", "argv0 = x"), SERVICE("a", "1", "argv0 = y"));
	strcpy(p.old.conf.services[0]->argv0, "\x1b");
	set_condition(&p.old, "\x9b\xc2\x9b");
	says(&p, "a: would no longer wait (\\x9b\\xc2\\x9b); changed: argv0 \"\\x1b\" -> y\n"
		 "  opened   tcp:1\n"
		 "1 opened\n");
	free(p.old.conf.services[0]->argv0);
	p.old.conf.services[0]->argv0 = NULL;
	set_condition(&p.old, NULL);
	says(&p, "a: changed: argv0 (not set) -> y\n"
		 "  kept     tcp:1\n"
		 "1 kept\n");
	done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_backend),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_conditions_and_addresses),
		cmocka_unit_test(test_resolved),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
