/* build: defaults, rules between options and services, and a made-up world. */
#include "conf-text.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#define SERVICE(body) "service a {\nlisten = tcp:1000\nexec = /bin/sh\n" body "\n}\n"
#define TWO(x, y)                                                      \
	"service a {\nlisten = " x "\nexec = /bin/sh\nwait = yes\n}\n" \
	"service b {\nlisten = " y "\nexec = /bin/sh\nwait = yes\n}\n"

static void load(struct conf_text *t, const char *text, const struct build_context *context)
{
	assert_int_equal(conf_text_load(t, text, context), 0);
}

/* Served, without a word. */
static void clean(struct conf_text *t, const char *text, const struct build_context *context)
{
	load(t, text, context);
	assert_string_equal(conf_text_said(t, DIAG_ERROR), "");
	assert_string_equal(conf_text_said(t, DIAG_CONDITION), "");
	assert_string_equal(conf_text_said(t, DIAG_WARNING), "");
	assert_true(t->conf.n_services > 0);
}

static void serve(const char *text)
{
	struct conf_text t;

	clean(&t, text, &conf_text_user);
	conf_text_done(&t);
}

/* Exactly one mistake, and nothing is served. */
static void refuse_in(const char *text, const struct build_context *context, const char *why)
{
	struct conf_text t;

	load(&t, text, context);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), why);
	assert_int_equal(t.diags.n_by_severity[DIAG_ERROR], 1);
	assert_int_equal(t.conf.n_services, 0);
	conf_text_done(&t);
}

static void refuse(const char *text, const char *why)
{
	refuse_in(text, &conf_text_user, why);
}

static void wait_for(const char *text, const struct build_context *context, const char *why)
{
	struct conf_text t;

	load(&t, text, context);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	assert_string_equal(conf_text_said(&t, DIAG_CONDITION), why);
	assert_int_equal(t.conf.n_services, 1);
	assert_string_equal(t.conf.services[0]->condition, why);
	conf_text_done(&t);
}

static void warned(const char *text, const char *why)
{
	struct conf_text t;

	load(&t, text, &conf_text_user);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	assert_string_equal(conf_text_said(&t, DIAG_WARNING), why);
	assert_int_equal(t.conf.n_services, 1);
	conf_text_done(&t);
}

static void test_plain_service(void **ctx)
{
	const struct service_conf *s;
	struct conf_text t;

	(void)ctx;
	clean(&t, SERVICE(""), &conf_text_user);
	s = t.conf.services[0];
	assert_string_equal(s->name, "a");
	assert_string_equal(s->path, "/bin/sh");
	assert_string_equal(s->argv[0], "/bin/sh");
	assert_null(s->argv[1]);
	assert_int_equal(s->n_listen, 1);
	assert_int_equal(addr_port(&s->listen[0].addr), 1000);
	assert_int_equal(s->listen[0].origin.line, 2);
	assert_int_equal(s->origin.line, 1);
	assert_int_equal(s->instances, 512);
	assert_int_equal(s->per_source, 256);
	assert_int_equal(s->stderr_kind, STDERR_LOG);
	assert_false(s->change_identity);
	assert_int_equal(s->uid, 4242);
	assert_int_equal(s->gid, 4243);
	assert_null(s->condition);
	assert_string_equal(t.conf.files[0], "test.conf");
	conf_text_done(&t);
}

static void test_shell_and_argv0(void **ctx)
{
	char *const argv[] = {"me", "-c", "wc -c", NULL};
	struct conf_text t;

	(void)ctx;
	clean(&t, "service a { listen = 7 shell = 'wc -c' argv0 = me }", &conf_text_user);
	assert_string_equal(t.conf.services[0]->path, "/bin/sh");
	assert_true(strv_equal(t.conf.services[0]->argv, argv));
	conf_text_done(&t);
}

static void test_defaults(void **ctx)
{
	char *const env[] = {"A=1", "B=2", NULL};
	const struct service_conf *s;
	struct conf_text t;

	(void)ctx;
	clean(&t,
		SERVICE("env += \"B=2\"\ninstances = 8") "defaults {\ninstances = 4\nenv = "
							 "\"A=1\"\nnice = 3\n}\n"
							 "service b { listen = 2000 exec = "
							 "/bin/sh env = \"C=3\" }",
		&conf_text_user);
	s = t.conf.services[0];
	assert_int_equal(s->instances, 8);
	assert_int_equal(s->per_source, 4);
	assert_int_equal(s->nice, 3);
	assert_true(strv_equal(s->env, env));
	assert_true(service_conf_given(s, conf_option_find("nice")));
	assert_false(service_conf_given(s, conf_option_find("umask")));
	s = t.conf.services[1];
	assert_int_equal(s->instances, 4);
	assert_int_equal(strv_length(s->env), 1);
	conf_text_done(&t);
}

static void test_per_source(void **ctx)
{
	static const struct {
		const char *text;
		uint32_t want;
	} cases[] = {
		{SERVICE("instances = 1"), 1},
		{SERVICE("instances = 3"), 1},
		{SERVICE("instances = unlimited"), COUNT_UNLIMITED},
		{SERVICE("per_source = unlimited"), COUNT_UNLIMITED},
		{SERVICE("per_source = 7"), 7},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct conf_text t;

		clean(&t, cases[i].text, &conf_text_user);
		assert_int_equal(t.conf.services[0]->per_source, cases[i].want);
		conf_text_done(&t);
	}
	warned(SERVICE("instances = 0"), "instances: 0 serves nobody; every client waits");
	warned(SERVICE("wait = yes\nper_source = 5"),
		"per_source: has no effect with wait = yes: the program takes its clients "
		"itself");
	serve("defaults { per_source = 5 }\n" SERVICE("wait = yes"));
	warned(SERVICE("instances = 4\nper_source = 5"),
		"per_source: above instances: a single address can take the whole service");
}

static void test_what_is_missing(void **ctx)
{
	(void)ctx;
	refuse("service a { exec = /bin/sh }",
		"service 'a' has no address; write listen = tcp:PORT");
	refuse("service a { listen = 7 }", "service 'a' has no program; write exec = { "
					   "\"/path/of/program\" }, shell = '...', "
					   "builtin = echo or redirect = ADDRESS");
	refuse("service a { listen = {} exec = /bin/sh }", "listen: the address is missing");
	refuse("service a { listen = 7 exec = {} }", "exec: the program is missing");
	refuse(SERVICE("shell = true"),
		"shell: a service has only one of exec, shell, builtin and redirect");
	refuse("service a { listen = 7 exec = sh }",
		"exec: the program must be an absolute path, such as /usr/bin/tr");
}

static void test_rules(void **ctx)
{
	(void)ctx;
	refuse(SERVICE("pass_as = listen_fds"), "pass_as: listen_fds needs wait = yes");
	serve(SERVICE("pass_as = listen_fds\nwait = yes"));
	refuse(SERVICE("stderr = file"),
		"stderr: must be log, socket, null or an absolute path");
	refuse(SERVICE("bind_to_device = sixteenletters16"),
		"bind_to_device: the name of an interface has at most 15 characters");
	serve("service a { listen = udp:7 exec = /bin/sh session_timeout = 5s }");
	serve("service a { listen = unix-dgram:@x exec = /bin/sh per_datagram = yes }");
	serve("service a { listen = fd:x exec = /bin/sh per_datagram = yes }");
	warned("service a { listen = udp:7 exec = /bin/sh wait = yes session_timeout = 5s }",
		"session_timeout: has no effect: no program is started for a datagram");
	warned("service a { listen = udp:127.0.0.1:7 builtin = echo per_datagram = yes }",
		"per_datagram: has no effect: no program is started for a datagram");
	warned(SERVICE("per_datagram = yes"),
		"per_datagram: has no effect: no program is started for a datagram");
	refuse("service a { listen = udp:7 exec = /bin/sh session_timeout = 99ms }",
		"session_timeout: '99ms' is outside the range from 100ms to 366d");
	refuse(SERVICE("instances = lots"),
		"instances: 'lots' is neither a whole number nor 'unlimited'");
	warned(SERVICE("socket_mode = 0600"), "socket_mode: the service has no UNIX socket");
	warned("service a { listen = unix:@x exec = /bin/sh nodelay = yes }",
		"nodelay: the service has no TCP address");
	warned("service a { listen = udp:7 exec = /bin/sh wait = yes backlog = 5 }",
		"backlog: the service has no stream socket");
	warned(SERVICE("remove_on_stop = no"),
		"remove_on_stop: the service has no UNIX socket with a path");
	warned("service a { listen = unix:@x exec = /bin/sh directory_mode = 0755 }",
		"directory_mode: the service has no UNIX socket with a path");
	warned("service a { listen = unix:/tmp/x exec = /bin/sh directory_mode = 0777 }",
		"directory_mode: everybody may put something else in the place of the socket");
	refuse("service a { listen = { unix:/x, unix:/y } exec = /bin/sh symlinks = /z }",
		"symlinks: the service must have exactly one UNIX socket with a path");
	refuse("service a { listen = unix:@x exec = /bin/sh symlinks = /z }",
		"symlinks: the service must have exactly one UNIX socket with a path");
	refuse("service a { listen = unix:/x exec = /bin/sh symlinks = { /y, z } }",
		"symlinks: each link must be a full path, such as /run/upper");
	refuse("service a { listen = unix:/x exec = /bin/sh symlinks = /z/ }",
		"symlinks: each link must be a full path, such as /run/upper");
	refuse("service a { listen = unix:/x exec = /bin/sh symlinks = /x }",
		"symlinks: the socket itself cannot be a link");
	serve("service a { listen = { unix:/tmp/x, tcp:7 } exec = /bin/sh symlinks = /tmp/y }");
	serve("service a { listen = unix:/no/such/x exec = /bin/sh directory_mode = 0755\n"
	      "symlinks = /no/such/y }");
	warned(SERVICE("broadcast = yes"), "broadcast: the service has no UDP address");
	warned("service a { listen = udp:7 wait = yes exec = /bin/sh fast_open = 8 }",
		"fast_open: the service has no TCP address");
	warned("service a { listen = vsock:7 exec = /bin/sh tos = low-delay }",
		"tos: the service has no IP address");
	serve("service a { listen = mptcp:7 exec = /bin/sh nodelay = yes ttl = 9 }");
	serve("service a { listen = udplite:7 wait = yes exec = /bin/sh broadcast = yes }");
	serve(SERVICE("account_bytes = yes"));
	serve("service a { listen = mptcp:7 exec = /bin/sh account_bytes = yes }");
	serve("defaults { account_bytes = yes }\n"
	      "service a { listen = unix:@x exec = /bin/sh }");
	warned(SERVICE("account_bytes = yes\nwait = yes"),
		"account_bytes: has no effect with wait = yes: the program accepts its clients "
		"itself");
	warned("service a { listen = unix:@x exec = /bin/sh account_bytes = yes }",
		"account_bytes: the service has no TCP address");
	warned("service a { listen = tcp:7 builtin = echo account_bytes = yes }",
		"account_bytes: has no effect without a program: of other connections the "
		"bytes "
		"are always recorded");
	warned(SERVICE("keepalive_time = 9"),
		"keepalive_time: has no effect without keepalive = yes");
	serve(SERVICE("keepalive_time = 9\nkeepalive = yes"));
	serve("defaults { keepalive_time = 9 }\n" SERVICE(""));
	refuse(SERVICE("congestion = sixteenletters16"),
		"congestion: the name of a congestion control has at most 15 characters");
	refuse(SERVICE("congestion = a/b"),
		"congestion: this is no name of a congestion control");
	serve("defaults { nodelay = yes }\n"
	      "service a { listen = unix:@x exec = /bin/sh }");
	serve("service a { listen = fd:x exec = /bin/sh nodelay = yes socket_mode = 0 }");
}

/* All mistakes of the text, one behind the other, with a blank after each. */
static void refuse_all(
	const char *text, const struct build_context *context, const char *const *whys)
{
	struct conf_text t;
	size_t n = 0;

	load(&t, text, context);
	for (size_t i = 0; i < t.diags.n; i++) {
		if (t.diags.items[i].severity != DIAG_ERROR)
			continue;
		assert_non_null(whys[n]);
		assert_string_equal(t.diags.items[i].text, whys[n]);
		n++;
	}
	assert_null(whys[n]);
	assert_int_equal(t.conf.n_services, 0);
	conf_text_done(&t);
}

/* A value that is wrong hides no other rule, and is not judged twice. */
static void test_rules_beside_mistakes(void **ctx)
{
	static const char *const nice[] = {"nice: '99' is outside the range from -20 to 19",
		"service 'a' has no address; write listen = tcp:PORT",
		"exec: the program must be an absolute path, such as /usr/bin/tr",
		"stderr: must be log, socket, null or an absolute path", NULL};
	static const char *const wait[] = {"wait: 'maybe' is neither yes nor no", NULL};
	static const char *const pass_as[] = {"'+=' is for lists only; option 'pass_as' takes "
					      "'='",
		NULL};
	static const char *const unknown[] = {
		"unknown option 'exce'; did you mean 'exec'?", NULL};
	static const char *const section[] = {
		"unknown section 'listn'", "shell: '' is empty", NULL};
	static const char *const defaults[] = {"instances: '-1' is below 0",
		"service 'a' has no address; write listen = tcp:PORT", NULL};
	static const char *const port[] = {
		"unknown port 'no-such-port': no such tcp name in services(5)",
		"stderr: must be log, socket, null or an absolute path", NULL};

	(void)ctx;
	refuse_all("service a { exec = sh nice = 99 stderr = x }", &conf_text_user, nice);
	refuse_all("service a { listen = udp:7 exec = /bin/sh pass_as = listen_fds wait = "
		   "maybe }",
		&conf_text_user, wait);
	refuse_all(SERVICE("pass_as += listen_fds"), &conf_text_user, pass_as);
	refuse_all("service a { exce = /bin/sh }", &conf_text_root, unknown);
	refuse_all("service a { listn { x = y } shell = \"\" }", &conf_text_root, section);
	refuse_all("defaults { instances = -1 } service a { exec = /bin/sh }", &conf_text_user,
		defaults);
	refuse_all("service a { listen = no-such-port socket_mode = 0 exec = /bin/sh stderr = "
		   "x }",
		&conf_text_user, port);
}

/* --check looks at all that can be looked at; a start only at what it serves. */
static void test_thorough(void **ctx)
{
	static const char text[] = "service a { listen = 7 exec = /bin/sh nice = 99 }\n"
				   "service b { listen = 8 exec = /nowhere/x user = 0day }\n"
				   "service c { listen = 9 exec = /nowhere/y umask = 9 }\n"
				   "service d { listen = 10 exec = /bin/sh usr = x }\n";
	struct build_context context = conf_text_root;
	struct conf_text t;

	(void)ctx;
	load(&t, text, &context);
	assert_int_equal(t.diags.n_by_severity[DIAG_ERROR], 3);
	assert_int_equal(t.diags.n_by_severity[DIAG_CONDITION], 0);
	conf_text_done(&t);

	/* `a` and `c` have no user; that `d` has none may be the misspelt name. */
	context.thorough = true;
	load(&t, text, &context);
	assert_int_equal(t.diags.n_by_severity[DIAG_ERROR], 5);
	assert_int_equal(t.diags.n_by_severity[DIAG_CONDITION], 2);
	assert_string_equal(conf_text_said(&t, DIAG_CONDITION), "no program /nowhere/x");
	assert_int_equal(t.conf.n_services, 0);
	conf_text_done(&t);
}

static void test_stderr(void **ctx)
{
	static const struct {
		const char *text;
		int kind;
	} cases[] = {
		{SERVICE("stderr = log"), STDERR_LOG},
		{SERVICE("stderr = socket"), STDERR_SOCKET},
		{SERVICE("stderr = null"), STDERR_NULL},
		{SERVICE("stderr = /var/log/x"), STDERR_FILE},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct conf_text t;

		clean(&t, cases[i].text, &conf_text_user);
		assert_int_equal(t.conf.services[0]->stderr_kind, cases[i].kind);
		conf_text_done(&t);
	}
}

static void test_environment(void **ctx)
{
	char *const *env;
	struct conf_text t;

	(void)ctx;
	clean(&t, SERVICE("env = { \"X=a=b\", \"HOME=/h\" }\npass_env = { LANG, NOT_SET }"),
		&conf_text_user);
	env = t.conf.services[0]->base_env;
	assert_string_equal(strv_env_get(env, "X"), "a=b");
	assert_string_equal(strv_env_get(env, "HOME"), "/h");
	assert_string_equal(strv_env_get(env, "LANG"), "C.UTF-8");
	assert_null(strv_env_get(env, "NOT_SET"));
	assert_null(strv_env_get(env, "TOKEN"));
	assert_string_equal(strv_env_get(env, "PATH"), "/usr/local/bin:/usr/bin:/bin");
	assert_string_equal(strv_env_get(env, "SHELL"), "/bin/sh");
	assert_string_equal(strv_env_get(env, "HATCHD_SERVICE"), "a");
	conf_text_done(&t);

	clean(&t, SERVICE("user = root"), &conf_text_root);
	env = t.conf.services[0]->base_env;
	assert_string_equal(strv_env_get(env, "USER"), "root");
	assert_string_equal(strv_env_get(env, "LOGNAME"), "root");
	assert_string_equal(strv_env_get(env, "PATH"),
		"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	conf_text_done(&t);
}

static void test_environment_names(void **ctx)
{
	(void)ctx;
	refuse(SERVICE("env = X"), "env: write NAME=VALUE, in quotes");
	refuse(SERVICE("env = \"1X=a\""), "env: a name consists of letters, digits and _ and "
					  "does not begin with a digit");
	refuse(SERVICE("env = \"TCPREMOTEIP=a\""),
		"env: hatchd itself sets this variable, for each connection");
	refuse(SERVICE("env = \"PROTO=a\""),
		"env: hatchd itself sets this variable, for each connection");
	refuse(SERVICE("pass_env = \"A=b\""),
		"pass_env: write the name alone; env sets values");
	refuse(SERVICE("pass_env = REMOTE_ADDR"),
		"pass_env: hatchd itself sets this variable, for each connection");
	serve(SERVICE("env = { \"PROTOCOL=a\", \"_=\" }"));
}

static void test_environment_bounds(void **ctx)
{
	_cleanup_free_ char *text = malloc(64 * CONF_ENV_MAX);
	char *at = text;

	(void)ctx;
	assert_non_null(text);
	at = stpcpy(at, "service a { listen = 7 exec = /bin/sh env = { ");
	for (int i = 0; i < CONF_ENV_MAX; i++)
		at += snprintf(at, 32, "\"V%d=\", ", i);
	stpcpy(at, "} }");
	refuse(text, "env: the environment has 262 variables, 256 are allowed");
}

static void test_users_of_root(void **ctx)
{
	const struct service_conf *s;
	struct conf_text t;

	(void)ctx;
	refuse_in(SERVICE(""), &conf_text_root,
		"service 'a' has no user; write user = nobody, or a user of its own, or "
		"user = root");
	clean(&t, SERVICE("user = root"), &conf_text_root);
	s = t.conf.services[0];
	assert_true(s->change_identity);
	assert_int_equal(s->uid, 0);
	assert_int_equal(s->gid, 0);
	assert_true(s->n_groups >= 1);
	conf_text_done(&t);

	clean(&t, SERVICE("user = 54321\ngroup = 54322"), &conf_text_root);
	s = t.conf.services[0];
	assert_int_equal(s->uid, 54321);
	assert_int_equal(s->gid, 54322);
	assert_int_equal(s->n_groups, 1);
	assert_int_equal(s->groups_list[0], 54322);
	assert_string_equal(strv_env_get(s->base_env, "HOME"), "/");
	assert_string_equal(strv_env_get(s->base_env, "USER"), "54321");
	conf_text_done(&t);

	refuse_in(SERVICE("user = 54321"), &conf_text_root,
		"user: 54321 is the number of no user; write its group as well");
}

/* CVE-2017-1000082 and its relatives. */
static void test_users_that_are_none(void **ctx)
{
	(void)ctx;
	wait_for(SERVICE("user = 0day"), &conf_text_root, "no user '0day'");
	wait_for(SERVICE("user = 0x0"), &conf_text_root, "no user '0x0'");
	wait_for(SERVICE("user = root\ngroup = no-such-group"), &conf_text_root,
		"no group 'no-such-group'");
	wait_for("service a { listen = unix:@x exec = /bin/sh socket_user = no-such-user }",
		&conf_text_user, "no user 'no-such-user'");
	refuse_in(SERVICE("user = -1"), &conf_text_root,
		"user: '-1' can be no user; write a name or a number from 0 to 4294967294");
	refuse_in(SERVICE("user = 4294967295"), &conf_text_root,
		"user: '4294967295' can be no user; write a name or a number from 0 to "
		"4294967294");
	refuse_in(SERVICE("user = 00"), &conf_text_root,
		"user: '00' can be no user; write a name or a number from 0 to 4294967294");
}

static void test_users_of_others(void **ctx)
{
	(void)ctx;
	serve(SERVICE("user = 4242"));
	serve(SERVICE("user = 4242\ngroup = 4243"));
	refuse(SERVICE("user = root"),
		"user: hatchd runs as user 4242 and cannot become 'root'; leave user out");
	refuse(SERVICE("chroot = /"), "chroot: hatchd runs as user 4242, and only root can "
				      "change the root directory");
	refuse(SERVICE("group = 0"),
		"group: hatchd runs as user 4242 and cannot change its group; leave group out");
}

static void test_program_not_there(void **ctx)
{
	(void)ctx;
	wait_for("service a { listen = 7 exec = /nowhere/x }", &conf_text_user,
		"no program /nowhere/x");
	wait_for("service a { listen = 7 exec = /etc/passwd }", &conf_text_user,
		"no program /etc/passwd: Permission denied");
	wait_for("service a { listen = 7 exec = /etc }", &conf_text_user,
		"no program /etc: Is a directory");
	wait_for(SERVICE("directory = /nowhere"), &conf_text_user, "no directory /nowhere");
	wait_for(SERVICE("chroot = /nowhere\nuser = root"), &conf_text_root,
		"no directory /nowhere");
	wait_for(SERVICE("stderr = /nowhere/x"), &conf_text_user, "no directory /nowhere");
	wait_for("service a { listen = unix:/nowhere/x exec = /bin/sh }", &conf_text_user,
		"no directory /nowhere; directory_mode = 0755 would make it");
	wait_for("service a { listen = unix:/etc/passwd/x exec = /bin/sh }", &conf_text_user,
		"no directory /etc/passwd: Not a directory");
	wait_for("service a { listen = 7 exec = \"/usr/bin/tr a-z A-Z\" }", &conf_text_user,
		"no program /usr/bin/tr a-z A-Z; arguments stand in "
		"a list: { /usr/bin/tr, a-z, A-Z }");
}

static void test_disabled(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	clean(&t,
		"service a { listen = 7 exec = /nowhere/x disable = yes }\n"
		"service b { listen = 7 exec = /nowhere/x disable = yes }",
		&conf_text_root);
	assert_int_equal(t.conf.n_services, 2);
	conf_text_done(&t);
	refuse("service a { listen = 7 disable = yes nice = 99 exec = /nowhere/x }",
		"nice: '99' is outside the range from -20 to 19");
}

static void write_script(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static char *make_script(char folder[], const char *text)
{
	char *path = NULL;

	assert_non_null(mkdtemp(folder));
	assert_int_equal(chmod(folder, 0777), 0);
	assert_true(asprintf(&path, "%s/script", folder) > 0);
	write_script(path, text);
	return path;
}

static void remove_script(const char *folder, const char *path)
{
	unlink(path);
	rmdir(folder);
}

static void test_writable_program(void **ctx)
{
	char folder[] = "/tmp/test-build-XXXXXX", text[256];
	_cleanup_free_ char *path = make_script(folder, "#!/bin/sh\n");
	struct conf_text t;

	(void)ctx;
	snprintf(text, sizeof text, "service a { listen = 7 exec = %s user = root }", path);
	load(&t, text, &conf_text_root);
	assert_non_null(strstr(conf_text_said(&t, DIAG_ERROR),
		"the service runs as root, but others than root may write to "));
	assert_int_equal(t.conf.n_services, 0);
	conf_text_done(&t);

	snprintf(text, sizeof text, "service a { listen = 7 exec = %s }", path);
	load(&t, text, &conf_text_user);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	assert_non_null(strstr(conf_text_said(&t, DIAG_WARNING),
		"others than root and its user may write to "));
	assert_int_equal(t.conf.n_services, 1);
	conf_text_done(&t);
	remove_script(folder, path);
}

/* Whoever owns a link on the way, or the interpreter, decides what runs. */
static void test_writable_on_the_way(void **ctx)
{
	char folder[] = "/tmp/test-build-XXXXXX", text[512];
	_cleanup_free_ char *path = NULL, *link = NULL, *inner = NULL;
	struct conf_text t;

	(void)ctx;
	if (geteuid() != 0)
		skip();
	path = make_script(folder, "#!/bin/sh\n");
	assert_int_equal(chmod(folder, 0755), 0);
	snprintf(text, sizeof text, "service a { listen = 7 exec = %s/outer user = root }",
		folder);
	assert_true(asprintf(&link, "%s/outer", folder) > 0);
	assert_true(asprintf(&inner, "%s/inner", folder) > 0);
	assert_int_equal(symlink("inner", link), 0);
	assert_int_equal(symlink("/bin/sh", inner), 0);
	clean(&t, text, &conf_text_root);
	conf_text_done(&t);

	assert_int_equal(lchown(inner, 12345, 12345), 0);
	load(&t, text, &conf_text_root);
	assert_non_null(strstr(conf_text_said(&t, DIAG_ERROR), "/inner"));
	conf_text_done(&t);

	/* A link that leads in a circle is a program that is not there. */
	assert_int_equal(unlink(inner), 0);
	assert_int_equal(symlink("outer", inner), 0);
	load(&t, text, &conf_text_root);
	assert_non_null(strstr(conf_text_said(&t, DIAG_CONDITION), "Too many levels"));
	conf_text_done(&t);

	/* The script stays root's; what runs it does not. */
	assert_int_equal(unlink(inner), 0);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(unlink(path), 0);
	write_script(inner, "x");
	snprintf(text, sizeof text, "#!%s\n", inner);
	write_script(path, text);
	snprintf(text, sizeof text, "service a { listen = 7 exec = %s user = root }", path);
	clean(&t, text, &conf_text_root);
	conf_text_done(&t);
	assert_int_equal(chown(inner, 12345, 12345), 0);
	load(&t, text, &conf_text_root);
	assert_non_null(strstr(conf_text_said(&t, DIAG_ERROR), "/inner"));
	conf_text_done(&t);
	unlink(inner);
	remove_script(folder, path);
}

/* Others may not put something else in the place of a UNIX socket. */
static void test_writable_socket_directory(void **ctx)
{
	char folder[] = "/tmp/test-build-XXXXXX", text[256];
	struct conf_text t;

	(void)ctx;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chmod(folder, 0777), 0);
	snprintf(text, sizeof text, "service a { listen = unix:%s/x exec = /bin/sh user = %u }",
		folder, conf_text_user.uid);
	load(&t, text, &conf_text_user);
	assert_non_null(strstr(conf_text_said(&t, DIAG_WARNING), "in the place of the socket"));
	assert_int_equal(t.conf.n_services, 1);
	conf_text_done(&t);

	assert_int_equal(chmod(folder, 01777), 0);
	if (geteuid() == 0)
		clean(&t, text, &conf_text_user);
	else
		load(&t, text, &conf_text_user);
	conf_text_done(&t);
	rmdir(folder);
}

static void test_missing_interpreter(void **ctx)
{
	char folder[] = "/tmp/test-build-XXXXXX", text[256], want[256];
	_cleanup_free_ char *path = make_script(folder, "#! /nowhere/python -u\n");
	struct conf_text t;

	(void)ctx;
	snprintf(text, sizeof text, "service a { listen = 7 exec = %s }", path);
	snprintf(want, sizeof want,
		"the script %s needs '/nowhere/python': No such file or directory", path);
	wait_for(text, &conf_text_user, want);

	/* As env(1) has it: not found, whoever of the two it is. */
	load(&t, text, &conf_text_user);
	assert_int_equal(t.conf.program_error, ENOENT);
	conf_text_done(&t);
	remove_script(folder, path);
}

/* Paths start in the root directory of the service, and links stay in there. */
static void test_chroot(void **ctx)
{
	char folder[] = "/tmp/test-build-XXXXXX", text[256];
	_cleanup_free_ char *path = make_script(folder, "x"), *link = NULL;
	struct conf_text t;

	(void)ctx;
	assert_true(asprintf(&link, "%s/link", folder) > 0);
	assert_int_equal(symlink("/script", link), 0);
	snprintf(text, sizeof text, SERVICE("chroot = %s\nuser = 5\ngroup = 5"), folder);
	wait_for(text, &conf_text_root, "no program /bin/sh in chroot");

	snprintf(text, sizeof text,
		"service a { listen = 7 exec = /link chroot = %s user = 5 group = 5 }", folder);
	load(&t, text, &conf_text_root);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	assert_string_equal(conf_text_said(&t, DIAG_CONDITION), "");
	assert_int_equal(t.conf.n_services, 1);
	conf_text_done(&t);
	unlink(link);
	remove_script(folder, path);
}

static void test_addresses(void **ctx)
{
	const struct service_conf *s;
	struct conf_text t;

	(void)ctx;
	clean(&t,
		"service a { listen = { 8000-8002, tcp:127.0.0.1:80, unix:@x } exec = /bin/sh "
		"}",
		&conf_text_user);
	s = t.conf.services[0];
	assert_int_equal(s->n_listen, 5);
	assert_int_equal(addr_port(&s->listen[2].addr), 8002);
	assert_int_equal(s->listen[2].origin.column, s->listen[0].origin.column);
	assert_true(addr_is_abstract(&s->listen[4].addr));
	conf_text_done(&t);

	refuse("service a { listen = tcp:localhost:7 exec = /bin/sh }",
		"a name cannot be bound; write the address of 'localhost'");
	refuse("service a { listen = tcp:no-such-port exec = /bin/sh }",
		"unknown port 'no-such-port': no such tcp name in services(5)");
	refuse("service a { listen = { 1-65535, udp:1-65535 } exec = /bin/sh wait = yes }",
		"a service can have at most 65536 addresses");
	refuse("service a { listen = vsock:any:1-4294967294 exec = /bin/sh }",
		"a service can have at most 65536 addresses");
}

static void test_overlaps(void **ctx)
{
	(void)ctx;
	refuse(TWO("80", "tcp:80"), "tcp:80 is an address of service 'a' already");
	refuse(TWO("tcp4:80", "tcp:80"), "tcp:80 overlaps with tcp4:80 of service 'a'");
	refuse(TWO("tcp:80", "tcp6:80"), "tcp6:80 overlaps with tcp:80 of service 'a'");
	refuse(TWO("tcp:80", "tcp:127.0.0.1:80"),
		"tcp:127.0.0.1:80 overlaps with tcp:80 of service 'a'");
	refuse(TWO("tcp:[::1]:80", "tcp:80"),
		"tcp:80 overlaps with tcp:[::1]:80 of service 'a'");
	refuse(TWO("tcp:127.0.0.1:80", "tcp:127.0.0.1:80"),
		"tcp:127.0.0.1:80 is an address of service 'a' already");
	refuse(TWO("8000-8100", "8050-8060"), "tcp:8050 is an address of service 'a' already");
	refuse(TWO("unix:/x", "unix-dgram:/x"),
		"unix-dgram:/x overlaps with unix:/x of service 'a'");
	refuse(TWO("unix:@x", "unix:@x"), "unix:@x is an address of service 'a' already");
	refuse(TWO("fd:x", "fd:x"), "fd:x is an address of service 'a' already");
	refuse(TWO("tcp:80", "mptcp:80"), "mptcp:80 overlaps with tcp:80 of service 'a'");
	refuse(TWO("mptcp:127.0.0.1:80", "tcp:127.0.0.1:80"),
		"tcp:127.0.0.1:80 overlaps with mptcp:127.0.0.1:80 of service 'a'");
	refuse(TWO("mptcp4:80", "tcp:127.0.0.1:80"),
		"tcp:127.0.0.1:80 overlaps with mptcp4:80 of service 'a'");
	refuse(TWO("vsock:3:80", "vsock:80"),
		"vsock:any:80 overlaps with vsock:3:80 of service 'a'");
	refuse(TWO("vsock:any:80", "vsock:host:80"),
		"vsock:2:80 overlaps with vsock:any:80 of service 'a'");
	refuse(TWO("vsock:any:80", "vsock:80"),
		"vsock:any:80 is an address of service 'a' already");
	refuse(TWO("vsock:2:80", "vsock:host:80"),
		"vsock:2:80 is an address of service 'a' already");
	refuse("service a { listen = { 80, tcp:80 } exec = /bin/sh }",
		"tcp:80 is an address of this service already");
	refuse("service a { listen = { 80, tcp6:80 } exec = /bin/sh }",
		"tcp6:80 overlaps with tcp:80");
}

static void test_no_overlaps(void **ctx)
{
	(void)ctx;
	serve(TWO("tcp:80", "udp:80"));
	serve(TWO("tcp4:80", "tcp6:80"));
	serve(TWO("tcp4:80", "tcp:[::1]:80"));
	serve(TWO("tcp:127.0.0.1:80", "tcp:127.0.0.2:80"));
	serve(TWO("tcp:0", "tcp:0"));
	serve(TWO("udp:80", "udplite:80"));
	serve(TWO("tcp:127.0.0.1:80", "mptcp:127.0.0.2:80"));
	serve(TWO("tcp:80", "vsock:80"));
	serve(TWO("vsock:2:80", "vsock:3:80"));
	serve(TWO("vsock:any:80", "vsock:any:81"));
	serve(TWO("vsock:any:0", "vsock:any:0"));
	serve(TWO("tcp:127.0.0.1:0", "tcp:127.0.0.1:0"));
	serve(TWO("unix:/x", "unix:@/x"));
	serve("service a { listen = tcp:80 exec = /bin/sh v6only = yes }\n"
	      "service b { listen = tcp4:80 exec = /bin/sh }");
}

static void test_said_once(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	load(&t,
		"defaults { user = no-such-user }\n"
		"service a { listen = 7 exec = /bin/sh }\n"
		"service b { listen = 9 exec = /bin/sh }",
		&conf_text_root);
	assert_int_equal(t.diags.n_by_severity[DIAG_CONDITION], 1);
	assert_int_equal(t.diags.items[0].origin.line, 1);
	assert_string_equal(t.conf.services[0]->condition, "no user 'no-such-user'");
	assert_string_equal(t.conf.services[1]->condition, "no user 'no-such-user'");
	conf_text_done(&t);
}

static void test_globals(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	clean(&t, "total_instances = 77\n" SERVICE(""), &conf_text_user);
	assert_int_equal(t.conf.total_instances, 77);
	conf_text_done(&t);
	refuse("total_instances = 0\n" SERVICE(""),
		"total_instances: '0' is outside the range from 1 to 4294967294");
}

/* A made-up command line, with one option more if `option` is not NULL. */
static int build_adhoc_with(struct conf_text *t, uid_t uid, const char *program,
	const char *option, const char *value)
{
	const struct build_context context = {
		.uid = uid,
		.gid = 7,
		.environ = conf_text_environ,
		.cwd = "/usr",
		.adhoc = true,
	};
	const struct origin origin = {.file = COMMAND_LINE};
	struct raw_section *section;
	struct raw_assign *assign;

	*t = (struct conf_text){0};
	section = raw_add_section(&t->raw, RAW_SERVICE, "x", &origin);
	assign = raw_add_assign(section, conf_option_find("listen"), false, &origin);
	assert_non_null(raw_add_value(assign, "7777", &origin));
	assign = raw_add_assign(section, conf_option_find("exec"), false, &origin);
	assert_non_null(raw_add_value(assign, program, &origin));
	if (option) {
		assign = raw_add_assign(section, conf_option_find(option), false, &origin);
		assert_non_null(raw_add_value(assign, value, &origin));
	}
	return conf_build(&t->raw, &t->sources, &context, &t->conf, &t->diags);
}

static int build_adhoc(struct conf_text *t, uid_t uid, const char *program)
{
	return build_adhoc_with(t, uid, program, NULL, NULL);
}

static void test_adhoc(void **ctx)
{
	const struct service_conf *s;
	struct conf_text t;

	(void)ctx;
	assert_int_equal(build_adhoc(&t, 4242, "env"), 0);
	assert_int_equal(t.diags.n, 0);
	assert_int_equal(t.conf.n_services, 1);
	s = t.conf.services[0];
	assert_string_equal(s->path, "/usr/bin/env");
	assert_string_equal(s->exec[0], "/usr/bin/env");
	assert_string_equal(s->argv[0], "env");
	assert_string_equal(s->directory, "/usr");
	assert_int_equal(s->stop, STOP_TERMINATE);
	assert_string_equal(strv_env_get(s->base_env, "PATH"), "/usr/bin:/bin");
	assert_null(strv_env_get(s->base_env, "LANG"));
	assert_string_equal(t.conf.files[0], COMMAND_LINE);
	conf_text_done(&t);

	assert_int_equal(build_adhoc(&t, 4242, "bin/env"), 0);
	assert_string_equal(t.conf.services[0]->path, "/usr/bin/env");
	conf_text_done(&t);

	assert_int_equal(build_adhoc(&t, 4242, "no-such-program"), 0);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR),
		"there is no program 'no-such-program' in PATH");
	assert_int_equal(t.conf.n_services, 0);
	conf_text_done(&t);

	assert_int_equal(build_adhoc(&t, 4242, "tr a-z A-Z"), 0);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR),
		"there is no program 'tr a-z A-Z' in PATH; without quotes it is -- tr a-z A-Z");
	conf_text_done(&t);

	assert_int_equal(build_adhoc(&t, 0, "/nowhere/x"), 0);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "no program /nowhere/x");
	conf_text_done(&t);

	assert_int_equal(build_adhoc(&t, 0, "env"), 0);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	assert_non_null(strstr(conf_text_said(&t, DIAG_WARNING), "--user NAME"));
	assert_string_equal(t.conf.services[0]->user, "root");
	conf_text_done(&t);

	/* What would have an effect is named as it would be written there. */
	assert_int_equal(build_adhoc_with(&t, 4242, "env", "keepalive_time", "9s"), 0);
	assert_string_equal(conf_text_said(&t, DIAG_WARNING),
		"--keepalive-time: has no effect without --keepalive");
	conf_text_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_service),
		cmocka_unit_test(test_shell_and_argv0),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_per_source),
		cmocka_unit_test(test_what_is_missing),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_rules_beside_mistakes),
		cmocka_unit_test(test_thorough),
		cmocka_unit_test(test_stderr),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_environment_names),
		cmocka_unit_test(test_environment_bounds),
		cmocka_unit_test(test_users_of_root),
		cmocka_unit_test(test_users_that_are_none),
		cmocka_unit_test(test_users_of_others),
		cmocka_unit_test(test_program_not_there),
		cmocka_unit_test(test_disabled),
		cmocka_unit_test(test_writable_program),
		cmocka_unit_test(test_writable_on_the_way),
		cmocka_unit_test(test_writable_socket_directory),
		cmocka_unit_test(test_missing_interpreter),
		cmocka_unit_test(test_chroot),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_overlaps),
		cmocka_unit_test(test_no_overlaps),
		cmocka_unit_test(test_said_once),
		cmocka_unit_test(test_globals),
		cmocka_unit_test(test_adhoc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
