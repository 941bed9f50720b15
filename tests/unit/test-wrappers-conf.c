/* wrappers-conf: hosts.allow and hosts.deny, from their text to what the master gets. */
#include "conf-text.h"

#include "conf/diff.h"
#include "conf/image.h"
#include "conf/wrappers.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

static char folder[] = "/tmp/hatchd-wrappers-conf-XXXXXX";

/* Both files, and one of hosts that they may name. */
static char allow[128], deny[128], hosts[128];

#define SERVICE(name, rest)                                                \
	"service " name " {\nlisten = tcp:127.0.0.1:1\nexec = /bin/true\n" \
	"user = nobody\nhosts_access = yes\n" rest "\n}\n"

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void load(struct conf_text *t, const char *text)
{
	struct build_context context = conf_text_user;

	context.uid = geteuid();
	context.gid = getegid();
	context.hosts_allow = allow;
	context.hosts_deny = deny;
	assert_int_equal(conf_text_load(t, text, &context), 0);
}

static void clean(struct conf_text *t, const char *text)
{
	load(t, text);
	assert_string_equal(conf_text_said(t, DIAG_ERROR), "");
	assert_string_equal(conf_text_said(t, DIAG_WARNING), "");
}

/* --------------------------------------------------------------- who comes in */

static struct addr_source source(const char *text)
{
	struct addr_source source = {.family = ADDR_SOURCE_IPV4};

	if (strchr(text, ':'))
		source.family = ADDR_SOURCE_IPV6;
	assert_int_equal(inet_pton(source.family == ADDR_SOURCE_IPV4 ? AF_INET : AF_INET6, text,
				 source.bytes),
		1);
	return source;
}

/* "address", "address=name", "user@address": '+' he comes in, '-' he does not. */
static char ask(const struct service_conf *service, const char *who)
{
	char copy[128], *address = copy, *name, *at;
	struct wrappers_client c = {.local = source("127.0.0.1"), .port = 1};

	snprintf(copy, sizeof copy, "%s", who);
	c.name_state = WRAPPERS_NAME_NONE;
	name = strchr(copy, '=');
	if (name) {
		*name++ = '\0';
		c.name = name;
		c.name_state =
			strcmp(name, "lie") == 0 ? WRAPPERS_NAME_PARANOID : WRAPPERS_NAME_KNOWN;
	}
	at = strchr(copy, '@');
	if (at) {
		*at = '\0';
		c.user = copy;
		c.user_state = WRAPPERS_USER_SAID;
		address = at + 1;
	}
	c.peer = source(address);
	return wrappers_ask(service->wrappers->table, &c).verdict == WRAPPERS_OK ? '+' : '-';
}

/* Each client of the list comes in if '+' is written before him. */
static void assert_asked(const struct service_conf *service, const char *clients)
{
	char copy[512], *rest = copy, *word;

	assert_non_null(service->wrappers);
	snprintf(copy, sizeof copy, "%s", clients);
	while ((word = strsep(&rest, " ")))
		if (ask(service, word + 1) != word[0])
			fail_msg("%s: it is %c", word, ask(service, word + 1));
}

/* Everybody else is left out. */
static void only(const char *rule, const char *clients)
{
	struct conf_text t;
	char text[512];

	snprintf(text, sizeof text, "%s\n", rule);
	put(allow, text);
	put(deny, "ALL: ALL\n");
	clean(&t, SERVICE("a", "resolve = yes ident = yes"));
	assert_asked(t.conf.services[0], clients);
	conf_text_done(&t);
}

static void test_clients(void **ctx)
{
	(void)ctx;
	only("a: ALL", "+10.1.2.3 +2001:db8::1");
	only("a: all", "+10.1.2.3");
	only("a: 10.1.2.3", "+10.1.2.3 -10.1.2.4");
	only("a: 10.", "+10.1.2.3 -11.1.2.3");
	only("a: 10.1.", "+10.1.2.3 -10.10.2.3");
	only("a: 10.1.2.", "+10.1.2.3 -10.1.3.3");
	only("a: 10.1.0.0/255.255.0.0", "+10.1.2.3 -10.2.2.3");
	only("a: 10.0.0.3/255.0.0.255", "+10.7.7.3 -10.7.7.4");
	only("a: 10.1.0.0/16", "+10.1.2.3 -10.2.2.3");
	only("a: 10.1.2.3/32", "+10.1.2.3 -10.1.2.4");
	only("a: 0.0.0.0/0.0.0.0", "+10.1.2.3 -2001:db8::1");
	only("a: [2001:db8::1]", "+2001:db8::1 -2001:db8::2");
	only("a: [2001:db8::]/32", "+2001:db8::2 -2001:db9::2 -32.1.13.184");
	only("a: [::ffff:10.1.2.3]", "+10.1.2.3 -10.1.2.4");
	only("a: 10.1.2.?", "+10.1.2.3 -10.1.2.33");
	only("a: 10.*.3", "+10.1.2.3 -11.1.2.3 -10.1.2.4 -192.0.2.1=10.x.3");
	only("a: *", "+10.1.2.3");
	only("a: www.Example.ORG", "+10.1.2.3=www.example.org -10.1.2.3=example.org -10.1.2.3");
	only("a: .example.org", "+10.1.2.3=www.example.org -10.1.2.3=example.org");
	only("a: w*.example.org", "+10.1.2.3=www.example.org -10.1.2.3=ftp.example.org");
	only("a: LOCAL", "+10.1.2.3=www -10.1.2.3=www.example.org -10.1.2.3");
	only("a: KNOWN", "+10.1.2.3=www -10.1.2.3 -10.1.2.3=lie");
	only("a: UNKNOWN", "-10.1.2.3=www +10.1.2.3 -10.1.2.3=lie");
	only("a: PARANOID", "-10.1.2.3=www -10.1.2.3 +10.1.2.3=lie");
	only("a: 10., 11.\t12.", "+10.1.2.3 +11.1.2.3 +12.1.2.3 -13.1.2.3");
}

static void test_users(void **ctx)
{
	(void)ctx;
	only("a: joe@10.", "+joe@10.1.2.3 -jim@10.1.2.3 -joe@11.1.2.3 -10.1.2.3");
	only("a: ALL@10.", "+10.1.2.3 +joe@10.1.2.3 -11.1.2.3");
	only("a: KNOWN@ALL", "+joe@10.1.2.3 -10.1.2.3");
	only("a: UNKNOWN@ALL", "-joe@10.1.2.3 +10.1.2.3");
	only("a: j*@ALL", "+Joe@10.1.2.3 -moe@10.1.2.3");
}

static void test_excepts(void **ctx)
{
	(void)ctx;
	only("a: ALL EXCEPT 10.1.", "+10.2.2.3 -10.1.2.3");
	only("a: ALL EXCEPT 10. EXCEPT 10.1. 10.2.", "+11.1.2.3 -10.3.2.3 +10.1.2.3 +10.2.2.3");
	only("a: ALL except joe@10.", "+jim@10.1.2.3 -joe@10.1.2.3");
}

/* Allow comes first, and what a rule ends in decides wherever it stands. */
static void test_files(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	put(allow, "# comment\n\n  \t\na: 10.1.\na: 10.2. : DENY\na: 10.3. : allow\n");
	put(deny, "a: 10.4.: ALLOW\na: 10.1. 10.3.\na: 10.4. 10.5. : deny\n");
	clean(&t, SERVICE("a", ""));
	assert_asked(t.conf.services[0],
		"+10.1.2.3 -10.2.2.3 +10.3.2.3 +10.4.2.3 -10.5.2.3 +10.6.2.3");
	conf_text_done(&t);
}

/* Lines are joined as tcp_wrappers joins them, comments as well; a rule is where it begins. */
static void test_lines(void **ctx)
{
	static const char text[] = "a: 10.\\\n1.\n# x \\\na: 10.2.\na: \\\n10.3. \\\n10.4.\n";
	struct wrappers_client c = {.peer = source("10.4.1.1")};
	struct wrappers_answer answer;
	struct conf_text t;

	(void)ctx;
	put(allow, text);
	put(deny, "ALL:ALL\n");
	clean(&t, SERVICE("a", ""));
	assert_asked(t.conf.services[0], "+10.1.2.3 -10.2.2.3 +10.3.2.3 +10.4.2.3");
	answer = wrappers_ask(t.conf.services[0]->wrappers->table, &c);
	assert_int_equal(answer.line, 5);
	assert_false(answer.of_deny);
	conf_text_done(&t);
}

static void test_hosts(void **ctx)
{
	char rule[256];

	(void)ctx;
	put(hosts, "10.1.2.3\n10.2.\t.example.org\n\n2001:db8::1\n");
	snprintf(rule, sizeof rule, "a: %s", hosts);
	only(rule, "+10.1.2.3 +10.2.2.3 -10.3.2.3 +10.3.2.3=a.example.org +2001:db8::1");
	snprintf(rule, sizeof rule, "a: ALL EXCEPT %s", hosts);
	only(rule, "-10.1.2.3 +10.3.2.3");
}

/* --------------------------------------------------------------- whose rules */

/* '+': the rule is about the service in.a, whose program is called prog. */
static void is_about(const char *daemons, char how)
{
	struct conf_text t;
	char text[256];

	snprintf(text, sizeof text, "%s: ALL\n", daemons);
	put(allow, text);
	put(deny, "ALL: ALL\n");
	clean(&t, "service in.a {\nlisten = tcp:127.0.0.1:1\nexec = /no/prog\nuser = nobody\n"
		  "hosts_access = yes\n}\n");
	if (ask(t.conf.services[0], "10.1.2.3") != how)
		fail_msg("%s: it is %c", daemons, ask(t.conf.services[0], "10.1.2.3"));
	conf_text_done(&t);
}

static void test_daemons(void **ctx)
{
	(void)ctx;
	is_about("in.a", '+');
	is_about("IN.A", '+');
	is_about("prog", '+');
	is_about("/no/prog", '-');
	is_about("in.b, prog", '+');
	is_about("in.b", '-');
	is_about("ALL", '+');
	is_about("in.*", '+');
	is_about("in.?", '+');
	is_about("*b", '-');
	is_about("in.", '+');
	is_about(".a", '+');
	is_about("ALL EXCEPT in.a", '-');
	is_about("ALL EXCEPT prog", '-');
	is_about("ALL EXCEPT in.b", '+');
	is_about("ALL EXCEPT ALL EXCEPT in.a", '+');
	is_about("in.b EXCEPT in.a", '-');
	is_about("@group", '-');
	is_about("1", '+');
	is_about("2", '-');
	is_about("99999", '-');
	is_about("in.a@127.0.0.1", '+');
	is_about("in.a@127.0.0.2", '-');
	is_about("1@127.", '+');
	is_about("in.b@127.0.0.1", '-');
	is_about("ALL@127.0.0.0/8", '+');
	is_about("ALL EXCEPT in.a@127.0.0.1", '-');
	is_about("ALL EXCEPT in.a@127.0.0.2", '+');
	is_about("ALL EXCEPT in.a@127.0.0.1 EXCEPT prog", '+');
	is_about("in.a@127.*", '+');
}

/* What other programs understand is in nobody's way, as long as it is a rule. */
/* What a program is called is what it goes by in these files. */
static void test_argv0(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	put(allow, "");
	put(deny, "in.telnetd: ALL\n");
	clean(&t, "service a {\nlisten = tcp:127.0.0.1:1\nexec = /no/prog\n"
		  "argv0 = /usr/sbin/in.telnetd\nuser = nobody\nhosts_access = yes\n}\n");
	assert_int_equal(ask(t.conf.services[0], "10.1.2.3"), '-');
	conf_text_done(&t);
}

static void test_others(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	put(allow, "sshd: @friends .example.org : spawn (echo %h) : twist no\n");
	put(deny, "sshd@here: ALL\n");
	clean(&t, SERVICE("a", ""));
	assert_asked(t.conf.services[0], "+10.1.2.3");
	conf_text_done(&t);
}

/* --------------------------------------------------------------- mistakes */

static void is_refused(const char *rule, const char *options, const char *said)
{
	struct conf_text t;
	char conf[512];

	put(allow, rule);
	put(deny, "");
	snprintf(conf, sizeof conf, SERVICE("a", "%s"), options);
	load(&t, conf);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), said);
	assert_int_equal(t.conf.n_services, 0);
	conf_text_done(&t);
}

#define BOTH "resolve = yes ident = yes"

static void test_bad_lines(void **ctx)
{
	static const char no_colon[] = "a rule is DAEMONS : CLIENTS, and there is no ':'";

	(void)ctx;
	is_refused("a ALL\n", "", no_colon);
	is_refused("other ALL\n", "", no_colon);
	is_refused("a [1:2]\n", "", no_colon);
	is_refused("  # a\n", "", "a comment has its # at the beginning of the line");
	is_refused("  # ALL: ALL\n", "", "a comment has its # at the beginning of the line");
	is_refused(": ALL\n", "", "there are no daemons before this ':'");
	is_refused("a :\n", "", "there are no clients behind this ':'");
	is_refused("a : :\n", "", "an option is missing behind this ':'");
	is_refused("a: ALL: : deny\n", "", "an option is missing behind this ':'");
	is_refused(
		"a: ALL", "", "there is no newline behind it, so it may be but half of a rule");
	is_refused("a: ALL\\\n", "",
		"there is no newline behind it, so it may be but half of a rule");
	is_refused(
		"a: ALL EXCEPT\n", "", "EXCEPT has something before and something behind it");
	is_refused(
		"EXCEPT a: ALL\n", "", "EXCEPT has something before and something behind it");
	is_refused("a: 1. EXCEPT 2. EXCEPT 3. EXCEPT 4. EXCEPT 5. EXCEPT 6. EXCEPT 7. EXCEPT "
		   "8. EXCEPT 9.\n",
		"", "there are more than 7 EXCEPT in this list");
	is_refused("\xff\xfe"
		   "a: ALL\n",
		"", "this file is UTF-16; save it as UTF-8");
	/* Of two backslashes the first is nobody's, and the next line is what ends it. */
	is_refused("a: 10.\\\\\n\na: ALL\n", "", "'10.\\\\' is neither an address nor a name");
}

/* libwrap does not read more at once, and goes on in the middle of it. */
static void test_long_rule(void **ctx)
{
	char rule[2100];

	(void)ctx;
	memset(rule, ' ', sizeof rule);
	memcpy(rule, "a: ALL", 6);
	strcpy(rule + 2047, "\n");
	is_refused(rule, "",
		"the rule is too long here: libwrap would take what follows for "
		"another one");
}

static void test_bad_clients(void **ctx)
{
	static const struct {
		const char *word, *said;
	} cases[] = {
		{"@friends", "'@friends' is a netgroup, and those are not asked"},
		{"joe@@friends", "'@friends' is a netgroup, and those are not asked"},
		{"{RBL}.example.org",
			"'{RBL}.example.org' is a list at a name server, and those are not "
			"asked"},
		{"10.1", "'10.1' is no address; for the network write '10.1.'"},
		{"10.1.2.300", "'10.1.2.300' is no address"},
		{"10.1.2.3.", "'10.1.2.3.' ends in a dot, and is not the beginning of an "
			      "address"},
		{"www.", "'www.' ends in a dot, and is not the beginning of an address"},
		{"300.", "'300.' is not the beginning of an address"},
		{"10.1.2.3/8", "'10.1.2.3/8' has bits behind its mask, and never matches; did "
			       "you mean 10.0.0.0/8?"},
		{"10.1.2.3/255.0.0.0",
			"'10.1.2.3/255.0.0.0' has bits behind its mask, and never matches; did "
			"you mean 10.0.0.0/255.0.0.0?"},
		{"10.0.0.1/255.255.255.255",
			"'10.0.0.1/255.255.255.255' never matches; write the address without "
			"a mask"},
		{"0.0.0.0/0", "'0.0.0.0/0' never matches; write 0.0.0.0/0.0.0.0, or ALL"},
		{"10.0.0.0/33", "'10.0.0.0/33' has more bits behind the '/' than an address"},
		{"10/8", "'10/8' is no address of a network"},
		{"10.0.0.0/x", "'10.0.0.0/x' has neither a number of bits nor a mask behind "
			       "the '/'"},
		{"10/255.0.0.0", "'10/255.0.0.0' has no address of IPv4 before the '/'"},
		{"10.*/8", "'10.*/8' has a wildcard and a mask; write the one or the other"},
		{"[2001:db8::1]/32",
			"'[2001:db8::1]/32' has bits behind its mask, and never matches; did "
			"you mean [2001:db8::]/32?"},
		{"[10.0.0.1]", "'[10.0.0.1]' has no address of IPv6 in its brackets"},
		{"[x", "'[x' is not [ADDRESS] or [ADDRESS]/BITS"},
		{"[::1]x", "'[::1]x' is not [ADDRESS] or [ADDRESS]/BITS"},
		{".foo*", "'.foo*' has a wildcard and a dot at its end; write the one or the "
			  "other"},
		{"fe80*", "'fe80*' is of IPv6, which has no wildcards here; write [NET]/BITS"},
		{"2a0?*", "'2a0?*' is of IPv6, which has no wildcards here; write [NET]/BITS"},
		{"f%o*", "'f%o*' is neither a pattern of names nor of addresses"},
		{"UNKOWN", "'UNKOWN' is no word here; did you mean 'UNKNOWN'?"},
		{"-host", "'-host' is neither an address nor a name"},
		{"a#b", "'a#b' is neither an address nor a name"},
		{"ALL # all", "'#' begins no comment: that has its # at the beginning of the "
			      "line"},
		{"joe@", "'' is no host"},
		{"/no/file", "unable to read '/no/file': No such file or directory"},
		{"joe@/no/file", "a user is of one host, and not of a file of them"},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char rule[256];

		snprintf(rule, sizeof rule, "a: %s\n", cases[i].word);
		is_refused(rule, BOTH, cases[i].said);
	}
}

static void test_bad_options(void **ctx)
{
	(void)ctx;
	is_refused("a: ALL: /bin/echo %h | mail root &\n", "",
		"'/bin/echo' is no option; commands are not run, and what a rule can end in is "
		"ALLOW or DENY");
	is_refused("a: ALL: spawn echo\\: x\n", "",
		"option 'spawn' is not for hatchd: commands are not run");
	is_refused("a: ALL: twist = /bin/no\n", "",
		"option 'twist' is not for hatchd: write banner_fail = PATH for what he is "
		"told, or a service of its own");
	is_refused("a: ALL: Umask 022\n", "",
		"option 'umask' is not for hatchd: write umask = MODE for the service");
	is_refused("a: ALL: allow: deny\n", "", "ALLOW and DENY are the last of a rule");
	is_refused("a: ALL: deny now\n", "", "ALLOW and DENY have no value");
}

static void test_needs(void **ctx)
{
	(void)ctx;
	is_refused("a: .example.org\n", "",
		"this is about the name of a client, which needs resolve = yes");
	is_refused("a: PARANOID\n", "ident = yes",
		"this is about the name of a client, which needs resolve = yes");
	is_refused("a: joe@10.\n", "resolve = yes",
		"this is about the user of a client, which needs ident = yes");
	is_refused("a@www: ALL\n", BOTH,
		"'www' is about names; those of this machine are not looked up, write its "
		"address");
	is_refused("a@UNKNOWN: ALL\n", BOTH,
		"'UNKNOWN' is about names; those of this machine are not looked up, write its "
		"address");
}

static void is_bad_hosts(const char *text, const char *said)
{
	char rule[256];

	put(hosts, text);
	snprintf(rule, sizeof rule, "a: %s\n", hosts);
	is_refused(rule, BOTH, said);
}

static void test_bad_hosts(void **ctx)
{
	char said[512];

	(void)ctx;
	is_bad_hosts("10.\n/etc/hosts\n", "a file of hosts cannot name another one");
	is_bad_hosts("ALL EXCEPT 10.\n", "EXCEPT is not for a file of hosts");
	is_bad_hosts("10.1\n", "'10.1' is no address; for the network write '10.1.'");
	is_bad_hosts("# friends\n",
		"'#' begins no comment: that has its # at the beginning of the line");
	snprintf(said, sizeof said, "unable to read '%s': it names nobody", hosts);
	is_bad_hosts(" \n", said);
}

/* What decides nothing is but told. */
static void test_warnings(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	put(allow, "a: ALL: severity mail.info : keepalive : linger 5 : deny\n");
	put(deny, "");
	load(&t, SERVICE("a", ""));
	assert_int_equal(t.diags.n_by_severity[DIAG_ERROR], 0);
	assert_int_equal(t.diags.n_by_severity[DIAG_WARNING], 3);
	assert_string_equal(conf_text_said(&t, DIAG_WARNING),
		"option 'severity' has no effect: every connection is logged, see hatchd(8)");
	assert_asked(t.conf.services[0], "-10.1.2.3");
	conf_text_done(&t);
}

/* A missing file is an empty one; what cannot be trusted is a mistake. */
static void test_missing(void **ctx)
{
	struct conf_text t;
	char said[512];

	(void)ctx;
	unlink(allow);
	put(deny, "ALL: 10.\n");
	clean(&t, SERVICE("a", ""));
	assert_asked(t.conf.services[0], "-10.1.2.3 +11.1.2.3");
	conf_text_done(&t);

	unlink(deny);
	load(&t, SERVICE("a", ""));
	snprintf(said, sizeof said,
		"hosts_access: there is neither %s nor %s, so everybody may come in", allow,
		deny);
	assert_string_equal(conf_text_said(&t, DIAG_WARNING), said);
	assert_asked(t.conf.services[0], "+10.1.2.3");
	conf_text_done(&t);

	put(allow, "");
	assert_int_equal(chmod(allow, 0666), 0);
	load(&t, SERVICE("a", ""));
	snprintf(said, sizeof said,
		"unable to read '%s': everybody may write to it; use chmod o-w", allow);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), said);
	assert_int_equal(t.conf.n_services, 0);
	conf_text_done(&t);
	unlink(allow);
}

static void test_too_large(void **ctx)
{
	struct conf_text t;
	FILE *out;

	(void)ctx;
	put(deny, "");
	out = fopen(allow, "w");
	assert_non_null(out);
	for (int i = 0; i < 1100; i++)
		fprintf(out, "%1000s\n", "");
	fclose(out);
	load(&t, SERVICE("a", ""));
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "it is larger than 1 MB");
	conf_text_done(&t);

	out = fopen(allow, "w");
	assert_non_null(out);
	for (int i = 0; i <= WRAPPERS_TEXTS_MAX; i++)
		fprintf(out, "ALL: a%d.org\n", i);
	fclose(out);
	load(&t, SERVICE("a", "resolve = yes"));
	assert_string_equal(conf_text_said(&t, DIAG_ERROR),
		"hosts_access: more than 32768 patterns are about service 'a', or more than "
		"1024 that are no addresses, or those with several * have more than 512 "
		"letters");
	conf_text_done(&t);
}

/* Each table is short enough, and all of them are not. */
static void test_too_many(void **ctx)
{
	enum { N = 100, LINES = 32000 };
	char *text = NULL;
	struct conf_text t;
	FILE *out;
	size_t len;

	(void)ctx;
	out = fopen(deny, "w");
	assert_non_null(out);
	for (int i = 0; i < LINES; i++)
		fprintf(out, "ALL: 10.%d.%d.7\n", i / 256, i % 256);
	fclose(out);
	out = fopen(allow, "w");
	assert_non_null(out);
	for (int i = 0; i < N; i++)
		fprintf(out, "s%d: ALL\n", i);
	fclose(out);
	out = open_memstream(&text, &len);
	assert_non_null(out);
	for (int i = 0; i < N; i++)
		fprintf(out,
			"service s%d {\nlisten = tcp:127.0.0.1:%d\nexec = /bin/true\n"
			"user = nobody\nhosts_access = yes\n}\n",
			i, i + 1);
	fclose(out);
	load(&t, text);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR),
		"hosts_access: with those of service 's91' the rules of all services take more "
		"than 64 MB");
	conf_text_done(&t);
	free(text);
}

/* It is among what is said; "": nothing is wrong. */
static void is_said(const char *conf, enum diag_severity severity, const char *said)
{
	struct conf_text t;
	bool found = false;

	load(&t, conf);
	for (size_t i = 0; i < t.diags.n && !found; i++)
		found = t.diags.items[i].severity == severity &&
		        strcmp(t.diags.items[i].text, said) == 0;
	assert_true(found || said[0] == '\0');
	if (severity == DIAG_WARNING || said[0] == '\0')
		assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	conf_text_done(&t);
}

/* Where they cannot be kept, and where they say little. */
static void test_kinds(void **ctx)
{
	static const char datagrams[] =
		"service 'a': hosts_access cannot be kept for datagrams of what is built in; "
		"write hosts_access = no, and only_from or no_access";

	(void)ctx;
	put(allow, "");
	put(deny, "ALL: .example.org\n");
#define KEPT "hosts_access = yes\nresolve = yes\n"
	is_said("service a {\nlisten = udp:127.0.0.1:1\nbuiltin = echo\n" KEPT "}\n",
		DIAG_ERROR, datagrams);
	is_said("defaults { hosts_access = yes\nresolve = yes }\n"
		"service a {\nlisten = udp:127.0.0.1:1\nbuiltin = echo\n}\n",
		DIAG_ERROR, datagrams);
	/* It may be one of datagrams. */
	is_said("service a {\nlisten = fd:web\nbuiltin = echo\n" KEPT "}\n", DIAG_ERROR,
		datagrams);
	is_said("service a {\nlisten = tcp:127.0.0.1:1\nbuiltin = echo\n" KEPT "}\n",
		DIAG_ERROR, "");
	is_said(SERVICE("a", "wait = yes resolve = yes"), DIAG_ERROR,
		"hosts_access: cannot be kept with wait = yes: the program takes its clients "
		"itself");
	is_said("service a {\nlisten = udp:127.0.0.1:1\nexec = /bin/true\nuser = nobody\n" KEPT
		"}\n",
		DIAG_WARNING,
		"hosts_access: of who sends datagrams neither name nor user is looked up: a "
		"rule "
		"about them lets none of them in, and one that refuses such a name refuses "
		"them all");
	put(deny, "ALL: 10.\n");
	is_said("service a {\nlisten = unix:/run/hatchd-a\nexec = /bin/true\nuser = nobody\n"
		"hosts_access = yes\n}\n",
		DIAG_WARNING,
		"hosts_access: the service has no IP address: all its clients are UNKNOWN");
}

/* --------------------------------------------------------------- to the master */

static int write_memfd(const struct conf *conf)
{
	int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(image_write(conf, fd), 0);
	return fd;
}

/* Services that the same rules are about share them, also with others' lists around. */
static void test_image(void **ctx)
{
	static const char text[] = SERVICE("a",
		"") "service b {\nlisten = tcp:127.0.0.1:2\nexec = /bin/true\nuser = nobody\n"
		    "hosts_access = yes only_from = 10.0.0.0/8\n}\n"
		    "service c {\nlisten = tcp:127.0.0.1:3\nexec = /bin/true\nuser = "
		    "nobody\n}\n"
		    "service d {\nlisten = tcp:127.0.0.1:4\nexec = /bin/true\nuser = nobody\n"
		    "hosts_access = yes\n}\n";
	struct conf_text t;
	struct image *image;
	struct conf conf;
	int fd;

	(void)ctx;
	put(allow, "a b: 10.\nd: 11.\n");
	put(deny, "ALL: ALL\n");
	clean(&t, text);
	assert_ptr_equal(t.conf.services[0]->wrappers, t.conf.services[1]->wrappers);
	fd = write_memfd(&t.conf);
	assert_int_equal(image_read(fd, &conf), 0);
	assert_asked(conf.services[0], "+10.1.2.3 -11.1.2.3");
	assert_ptr_equal(conf.services[0]->wrappers, conf.services[1]->wrappers);
	assert_null(conf.services[2]->wrappers);
	assert_asked(conf.services[3], "-10.1.2.3 +11.1.2.3");
	conf_done(&conf);
	assert_int_equal(image_open(fd, &image), 0);
	assert_ptr_equal(image_wrappers(image, 0), image_wrappers(image, 1));
	assert_null(image_wrappers(image, 2));
	assert_non_null(image_access(image, 1));
	assert_null(image_access(image, 0));
	image_free(image);
	conf_text_done(&t);
}

/* Where the numbers of an image lie, as image-internal.h says. */
enum {
	AT_GLOBALS = 23,
	AT_LISTS = 31,
	AT_TABLES = 35,
	PROLOGUE = 39,
	ENTRY = 28,
	ENTRY_ACCESS = 12,
	ENTRY_PROXIES = 20,
	ENTRY_WRAPPERS = 24,
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

/* An image with another number there is none. */
static void is_damaged_by(uint8_t *data, size_t len, size_t at, uint32_t value)
{
	uint32_t was = get32(data + at);
	struct conf conf;

	assert_int_not_equal(was, value);
	set32(data + at, value);
	assert_int_equal(image_decode(data, len, &conf), -EBADMSG);
	set32(data + at, was);
	assert_int_equal(image_decode(data, len, &conf), 0);
	conf_done(&conf);
}

/* Services whose number of a table is not theirs, not there, or that of another kind. */
static void test_damaged(void **ctx)
{
	static const char text[] = SERVICE(
		"a", "only_from = 10.0.0.0/8") "service b {\nlisten = tcp:127.0.0.1:2\nexec = "
					       "/bin/true\nuser = nobody\n"
					       "hosts_access = yes\n}\n"
					       "service c {\nlisten = tcp:127.0.0.1:3\nexec = "
					       "/bin/true\nuser = nobody\n}\n";
	_cleanup_free_ uint8_t *data = NULL;
	struct conf_text t;
	size_t len, index;
	struct stat st;
	int fd;

	(void)ctx;
	put(allow, "a: 10.\nb: 11.\n");
	put(deny, "ALL: ALL\n");
	clean(&t, text);
	fd = write_memfd(&t.conf);
	assert_int_equal(fstat(fd, &st), 0);
	len = (size_t)st.st_size;
	data = malloc(len);
	assert_int_equal(pread(fd, data, len, 0), len);
	close(fd);
	conf_text_done(&t);

	index = PROLOGUE + get32(data + AT_GLOBALS);
	assert_int_equal(get32(data + AT_LISTS), 1);
	assert_int_equal(get32(data + AT_TABLES), 2);
	assert_int_equal(get32(data + index + ENTRY_WRAPPERS), 1);
	is_damaged_by(data, len, index + ENTRY_WRAPPERS, 0);
	is_damaged_by(data, len, index + ENTRY_WRAPPERS, 2);
	is_damaged_by(data, len, index + ENTRY_WRAPPERS, 3);
	is_damaged_by(data, len, index + ENTRY_WRAPPERS, CONF_NONE);
	is_damaged_by(data, len, index + 2 * ENTRY + ENTRY_WRAPPERS, 1);
	is_damaged_by(data, len, index + ENTRY_ACCESS, 1);
	is_damaged_by(data, len, index + ENTRY_PROXIES, 1);
	is_damaged_by(data, len, AT_TABLES, 1);
	is_damaged_by(data, len, AT_TABLES, 3);
	is_damaged_by(data, len, AT_TABLES, 4);
	is_damaged_by(data, len, AT_TABLES, UINT32_MAX);
	/* The last table, whatever it says, is asked nothing that is not in it. */
	for (size_t i = len - 32; i < len; i++) {
		struct conf conf;

		data[i] ^= 0x80;
		if (image_decode(data, len, &conf) == 0)
			conf_done(&conf);
		data[i] ^= 0x80;
	}
}

static unsigned resolved_of(const struct conf_text *a, const struct conf_text *b)
{
	struct diff diff;
	unsigned resolved;

	assert_int_equal(diff_make(a->conf.services, a->conf.n_services, b->conf.services,
				 b->conf.n_services, &diff),
		0);
	resolved = diff.services[0].resolved;
	diff_done(&diff);
	return resolved;
}

/* Another file alone is another service. */
static void test_changed(void **ctx)
{
	struct conf_text before, same, after;

	(void)ctx;
	put(allow, "a: 10.\n");
	put(deny, "ALL: ALL\n");
	clean(&before, SERVICE("a", ""));
	clean(&same, SERVICE("a", ""));
	put(deny, "ALL: 10.\n");
	clean(&after, SERVICE("a", ""));
	assert_int_equal(resolved_of(&before, &same), 0);
	assert_int_equal(resolved_of(&before, &after), DIFF_WRAPPERS);
	conf_text_done(&before);
	conf_text_done(&same);
	conf_text_done(&after);
}

static int set_up(void **ctx)
{
	(void)ctx;
	if (!mkdtemp(folder))
		return -1;
	snprintf(allow, sizeof allow, "%s/allow", folder);
	snprintf(deny, sizeof deny, "%s/deny", folder);
	snprintf(hosts, sizeof hosts, "%s/hosts", folder);
	return 0;
}

static int tear_down(void **ctx)
{
	(void)ctx;
	unlink(allow);
	unlink(deny);
	unlink(hosts);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clients),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_excepts),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_daemons),
		cmocka_unit_test(test_argv0),
		cmocka_unit_test(test_long_rule),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_bad_clients),
		cmocka_unit_test(test_bad_options),
		cmocka_unit_test(test_needs),
		cmocka_unit_test(test_bad_hosts),
		cmocka_unit_test(test_warnings),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_image),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_changed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
