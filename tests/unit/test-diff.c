/* diff: what a reload would do, from two texts. */
#include "conf-text.h"

#include "conf/diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>

#include <cmocka.h>

#define SERVICE(name, rest) "service " name " {\nshell = x\nuser = nobody\n" rest "\n}\n"
#define AT(address)         "listen = " address "\n"

/* Two configurations and the way from one to the other. */
struct pair {
	struct conf_text old, new;
	struct diff diff;
};

static void load(struct conf_text *t, const char *text)
{
	assert_int_equal(conf_text_load(t, text, &conf_text_root), 0);
	assert_string_equal(conf_text_said(t, DIAG_ERROR), "");
	assert_string_equal(conf_text_said(t, DIAG_CONDITION), "");
}

static void compare(struct pair *p)
{
	assert_int_equal(diff_make(p->old.conf.services, p->old.conf.n_services,
				 p->new.conf.services, p->new.conf.n_services, &p->diff),
		0);
}

static void make(struct pair *p, const char *old, const char *new)
{
	load(&p->old, old);
	load(&p->new, new);
	compare(p);
}

static void done(struct pair *p)
{
	diff_done(&p->diff);
	conf_text_done(&p->old);
	conf_text_done(&p->new);
}

/* Compare once more, after a field was changed by hand. */
static void again(struct pair *p)
{
	diff_done(&p->diff);
	compare(p);
}

static const char letters[] = {[DIFF_KEPT] = 'k',
	[DIFF_ADJUSTED] = 'a',
	[DIFF_REOPENED] = 'r',
	[DIFF_OPENED] = 'o',
	[DIFF_CLOSED] = 'c'};

static void put_text(FILE *out, const struct service_conf *service, size_t listen)
{
	char text[ADDR_TEXT_MAX];

	fprintf(out, "%s %s", service->name, addr_format(&service->listen[listen].addr, text));
}

static void put_address(FILE *out, const struct pair *p, const struct diff_address *d)
{
	struct service_conf *const *old = p->old.conf.services, *const *new =
									p->new.conf.services;

	fprintf(out, "%c ", letters[d->fate]);
	if (d->service == DIFF_NONE)
		put_text(out, old[d->old_service], d->old_listen);
	else
		put_text(out, new[d->service], d->listen);
	if (d->service != DIFF_NONE && d->old_service != DIFF_NONE &&
		strcmp(old[d->old_service]->name, new[d->service]->name) != 0)
		fprintf(out, " < %s", old[d->old_service]->name);
	for (const struct conf_option *o = conf_options; o->name; o++) {
		if (diff_options_has(&d->changed, o))
			fprintf(out, " %s", o->name);
	}
	fprintf(out, "%s%s\n", d->owner ? " (owner)" : "", d->kind ? " (kind)" : "");
}

static void addresses_are(const struct pair *p, const char *want)
{
	const struct diff *d = &p->diff;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	for (size_t i = 0; i < d->n_addresses; i++)
		put_address(out, p, &d->addresses[i]);
	for (size_t i = 0; i < d->n_closed; i++)
		put_address(out, p, &d->closed[i]);
	fclose(out);
	assert_string_equal(text, want);
	free(text);
}

/* Old and new text of one service, and what becomes of its addresses. */
static void goes(const char *old, const char *new, const char *want)
{
	struct pair p;

	make(&p, old, new);
	addresses_are(&p, want);
	done(&p);
}

static void test_same(void **ctx)
{
	static const char text[] = SERVICE("a", AT("{ tcp:1, unix:@a, fd:x }"))
		SERVICE("b", AT("udp:2") "wait = yes\nrlimit { core = 0 }\nenv = \"A=1\"\n");
	struct pair p;

	(void)ctx;
	make(&p, text, text);
	addresses_are(&p, "k a tcp:1\nk a unix:@a\nk a fd:x\nk b udp:2\n");
	assert_true(diff_is_empty(&p.diff));
	assert_true(p.diff.services[0].same && p.diff.services[1].same);
	assert_int_equal(p.diff.services[1].old, 1);
	assert_int_equal(p.diff.services[1].first, 3);
	assert_int_equal(p.diff.services[1].n_addresses, 1);
	assert_int_equal(p.diff.n_by_fate[DIFF_KEPT], 4);
	done(&p);
}

/* What is written differently and means the same, in another order of files. */
static void test_spelling(void **ctx)
{
	struct pair p;

	(void)ctx;
	make(&p, SERVICE("a", AT("tcp:[::ffff:127.0.0.1]:80")) SERVICE("b", AT("8000-8001")),
		"# moved\n" SERVICE("b", AT("{ 8000, tcp:8001 }") "instances = 512\n")
			SERVICE("a", AT("tcp4:127.0.0.1:80") "wait = no\nv6only = no"));
	addresses_are(&p, "k b tcp:8000\nk b tcp:8001\nk a tcp:127.0.0.1:80\n");
	assert_true(p.diff.services[0].same);
	assert_int_equal(p.diff.services[0].old, 1);
	/* Told, because it was set; not to the socket, which has no use for it. */
	assert_false(p.diff.services[1].same);
	done(&p);
}

static void test_socket_options(void **ctx)
{
	static const struct {
		const char *address, *option, *want;
	} cases[] = {
		{"fd:x", "wait = yes", "a s fd:x wait\n"},
		{"tcp:1", "backlog = 9", "a s tcp:1 backlog\n"},
		{"unix:@a", "backlog = 9", "a s unix:@a backlog\n"},
		{"fd:x", "backlog = 9", "k s fd:x\n"},
		{"tcp:1", "send_buffer = 64K", "a s tcp:1 send_buffer\n"},
		{"unix:@a", "receive_buffer = 64K", "a s unix:@a receive_buffer\n"},
		{"tcp:1", "keepalive = yes", "a s tcp:1 keepalive\n"},
		{"tcp:1", "nodelay = yes", "a s tcp:1 nodelay\n"},
		{"unix:@a", "nodelay = yes", "k s unix:@a\n"},
		{"tcp:1", "free_bind = yes", "a s tcp:1 free_bind\n"},
		{"unix:/tmp/a", "socket_mode = 0600", "a s unix:/tmp/a socket_mode\n"},
		{"tcp:1", "socket_mode = 0600", "k s tcp:1\n"},
		{"unix:/tmp/a", "socket_user = nobody",
			"a s unix:/tmp/a socket_user (owner)\n"},
		{"tcp:1", "socket_user = nobody", "k s tcp:1\n"},
		{"tcp:1", "reuse_port = yes", "r s tcp:1 reuse_port\n"},
		{"fd:x", "reuse_port = yes", "k s fd:x\n"},
		{"unix:@a", "reuse_port = yes", "k s unix:@a\n"},
		{"tcp:1", "bind_to_device = lo", "r s tcp:1 bind_to_device\n"},
		{"tcp:1", "v6only = yes", "r s tcp:1 v6only\n"},
		{"tcp:1", "v6only = no", "k s tcp:1\n"},
		{"tcp6:1", "v6only = yes", "k s tcp6:1\n"},
		{"tcp6:1", "v6only = no", "r s tcp6:1 v6only\n"},
		{"tcp4:1", "v6only = yes", "k s tcp4:1\n"},
		{"tcp:[::1]:1", "v6only = no", "k s tcp:[::1]:1\n"},
		{"unix:/tmp/a", "symlinks = /tmp/b", "a s unix:/tmp/a symlinks\n"},
		{"unix:/tmp/a", "remove_on_stop = no", "a s unix:/tmp/a remove_on_stop\n"},
		{"unix:/tmp/a", "directory_mode = 0755", "a s unix:/tmp/a directory_mode\n"},
		{"unix:@a", "remove_on_stop = no", "k s unix:@a\n"},
		{"tcp:1", "transparent = yes", "r s tcp:1 transparent\n"},
		{"mptcp:1", "mark = 3", "a s mptcp:1 mark\n"},
		{"tcp:1", "tos = low-delay", "a s tcp:1 tos\n"},
		{"vsock:any:1", "tos = low-delay", "k s vsock:any:1\n"},
		{"tcp:1", "fast_open = 5", "a s tcp:1 fast_open\n"},
		{"tcp:1", "broadcast = yes", "k s tcp:1\n"},
		{"tcp:1", "instances = 5", "k s tcp:1\n"},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char old[256], new[256];

		snprintf(old, sizeof old, SERVICE("s", AT("%s")), cases[i].address);
		snprintf(new, sizeof new, SERVICE("s", AT("%s") "%s"), cases[i].address,
			cases[i].option);
		goes(old, new, cases[i].want);
		if (!strstr(cases[i].option, "_buffer"))
			goes(new, old, cases[i].want);
	}
}

/* Programs may still have it, so nothing is asked of it. */
static void test_in_hand(void **ctx)
{
	static const struct {
		const char *address, *old, *new, *want;
	} cases[] = {
		{"tcp:1", "no", "yes", "a s tcp:1 wait\n"},
		{"tcp:1", "yes", "no", "r s tcp:1 wait\n"},
		{"tcp:1", "yes", "no\nbacklog = 9", "r s tcp:1 wait backlog\n"},
		{"tcp:1", "yes", "yes\nbacklog = 9", "r s tcp:1 backlog\n"},
		{"udp:1", "yes", "yes\nreceive_buffer = 64K", "r s udp:1 receive_buffer\n"},
		{"unix:@a", "yes", "no", "r s unix:@a wait\n"},
		{"unix:/tmp/a", "yes", "yes\nsocket_mode = 0600",
			"r s unix:/tmp/a socket_mode\n"},
		{"unix:/tmp/a", "yes", "yes\nsocket_user = nobody",
			"r s unix:/tmp/a socket_user (owner)\n"},
		{"tcp:1", "yes", "yes\ninstances = 5", "k s tcp:1\n"},
		{"tcp:1", "yes", "yes\nsocket_mode = 0600", "k s tcp:1\n"},
		{"tcp:1", "yes", "yes\numask = 077", "k s tcp:1\n"},
		{"tcp:1", "yes", "yes\ngroup = daemon", "r s tcp:1\n"},
		{"tcp:1", "no", "no\ngroup = daemon", "k s tcp:1\n"},
		{"fd:x", "yes", "no", "a s fd:x wait\n"},
		{"fd:x", "yes", "yes\nbacklog = 9", "k s fd:x\n"},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char old[256], new[256];

		snprintf(old, sizeof old, SERVICE("s", AT("%s") "wait = %s"), cases[i].address,
			cases[i].old);
		snprintf(new, sizeof new, SERVICE("s", AT("%s") "wait = %s"), cases[i].address,
			cases[i].new);
		goes(old, new, cases[i].want);
	}
}

/* An open socket has another size of its buffers at once, but never again the
 * kernel's own. */
static void test_left_to_kernel(void **ctx)
{
	const char *plain = SERVICE("s", AT("{ tcp:1, unix:@a, fd:x }"));
	const char *small = SERVICE("s", AT("{ tcp:1, unix:@a, fd:x }") "send_buffer = 64K");
	const char *large = SERVICE("s", AT("{ tcp:1, unix:@a, fd:x }") "send_buffer = 1M");
	const char *none = SERVICE("s", AT("{ tcp:1, unix:@a, fd:x }") "send_buffer = 0");

	(void)ctx;
	goes(plain, small, "a s tcp:1 send_buffer\na s unix:@a send_buffer\nk s fd:x\n");
	goes(small, large, "a s tcp:1 send_buffer\na s unix:@a send_buffer\nk s fd:x\n");
	goes(large, none, "r s tcp:1 send_buffer\nr s unix:@a send_buffer\nk s fd:x\n");
	goes(large, plain, "r s tcp:1 send_buffer\nr s unix:@a send_buffer\nk s fd:x\n");
	goes(plain, SERVICE("s", AT("{ tcp:1, unix:@a, fd:x }") "congestion = reno"),
		"a s tcp:1 congestion\nk s unix:@a\nk s fd:x\n");
	goes(SERVICE("s", AT("{ tcp:1, unix:@a, fd:x }") "congestion = reno"), plain,
		"r s tcp:1 congestion\nk s unix:@a\nk s fd:x\n");
}

/* An option that sockets are told says so in one way. */
static void test_table(void **ctx)
{
	const unsigned either = OPTION_SOCKET_LIVE | OPTION_SOCKET_BIND;

	(void)ctx;
	for (const struct conf_option *o = conf_options; o->name; o++) {
		assert_true((o->flags & either) != either);
		if (o->sort != SORT_ANY || o->flags & OPTION_SOCKET_PASSED)
			assert_true(o->flags & either);
		if (o->flags & OPTION_SOCKET_STICKY)
			assert_true(o->flags & OPTION_SOCKET_LIVE && !o->fallback);
		assert_false(o->flags & either && o->flags & OPTION_GLOBAL);
	}
}

/* Whatever the table has: equal to itself, and not to another value. */
static void test_option_equal(void **ctx)
{
	_cleanup_service_conf_ struct service_conf *a = service_conf_new("a");
	_cleanup_service_conf_ struct service_conf *b = service_conf_new("b");
	const struct conf_option *limit = conf_option_find("rlimit.core");
	struct rlimit_conf *x = &a->rlimit[RLIMIT_CORE], *y = &b->rlimit[RLIMIT_CORE];

	(void)ctx;
	for (const struct conf_option *o = conf_options; o->name; o++) {
		void *field = conf_option_field(o, a), *other = conf_option_field(o, b);

		if (o->flags & OPTION_GLOBAL)
			continue;
		assert_true(conf_option_equal(o, field, other));
		if (o->type == OPTION_STRING || o->type == OPTION_PATH)
			assert_non_null(*(char **)field = strdup("x"));
		else if (o->type == OPTION_LIST)
			assert_int_equal(strv_add(field, "x"), 0);
		else
			*(uint8_t *)field ^= 1;
		assert_false(conf_option_equal(o, field, other));
		assert_true(conf_option_equal(o, field, field));
	}

	/* What a limit would be counts only where one is given. */
	x->given = y->given = false;
	x->soft = 1;
	assert_true(conf_option_equal(limit, x, y));
	x->given = y->given = true;
	assert_false(conf_option_equal(limit, x, y));
	y->soft = 1;
	y->hard = 2;
	assert_false(conf_option_equal(limit, x, y));
}

static void assert_changed(const struct pair *p, const char *want)
{
	char said[512] = "";

	for (const struct conf_option *o = conf_options; o->name; o++) {
		if (!diff_options_has(&p->diff.services[0].changed, o))
			continue;
		strcat(said, *said ? " " : "");
		strcat(said, o->name);
	}
	assert_string_equal(said, want);
}

static void test_changed_options(void **ctx)
{
	struct pair p;

	(void)ctx;
	make(&p, SERVICE("s", AT("1") "rlimit { core = 0\ncpu = 5s }"),
		SERVICE("s", AT("{ 1, 2 }") "instances = 7\nrlimit { core = 0:1\nnproc = 3 }"));
	assert_changed(&p, "listen instances per_source rlimit.core rlimit.cpu rlimit.nproc");
	assert_false(p.diff.services[0].same);
	addresses_are(&p, "k s tcp:1\no s tcp:2\n");
	assert_int_equal(p.diff.services[0].resolved, 0);
	done(&p);

	/* Sockets that are passed are numbered. */
	make(&p, SERVICE("s", AT("{ 1, 2 }")), SERVICE("s", AT("{ 2, 1 }")));
	assert_changed(&p, "listen");
	addresses_are(&p, "k s tcp:2\nk s tcp:1\n");
	done(&p);
}

static void test_opened_and_closed(void **ctx)
{
	(void)ctx;
	goes(SERVICE("s", AT("{ 1, 2 }")), SERVICE("s", AT("{ 2, 3 }")),
		"k s tcp:2\no s tcp:3\nc s tcp:1\n");
	goes(SERVICE("s", AT("8000-8003")), SERVICE("s", AT("8002-8004")),
		"k s tcp:8002\nk s tcp:8003\no s tcp:8004\nc s tcp:8000\nc s tcp:8001\n");
	/* Both families, one of them, one address: three different sockets. */
	goes(SERVICE("s", AT("tcp:1")), SERVICE("s", AT("tcp6:1")), "o s tcp6:1\nc s tcp:1\n");
	goes(SERVICE("s", AT("tcp4:1")), SERVICE("s", AT("tcp:1")), "o s tcp:1\nc s tcp4:1\n");
	goes(SERVICE("s", AT("tcp4:1")), SERVICE("s", AT("tcp:127.0.0.1:1")),
		"o s tcp:127.0.0.1:1\nc s tcp4:1\n");
	goes(SERVICE("s", AT("tcp:1")), SERVICE("s", AT("udp:1") "wait = yes"),
		"o s udp:1\nc s tcp:1\n");
	goes(SERVICE("s", AT("tcp:1")), SERVICE("s", AT("mptcp:1")),
		"o s mptcp:1\nc s tcp:1\n");
	goes(SERVICE("s", AT("unix:@x")), SERVICE("s", AT("unix:/tmp/x")),
		"o s unix:/tmp/x\nc s unix:@x\n");
	goes(SERVICE("s", AT("fd:x")), SERVICE("s", AT("fd:y")), "o s fd:y\nc s fd:x\n");
	goes(SERVICE("s", AT("tcp:[fe80::1%lo]:1")), SERVICE("s", AT("tcp:[fe80::2%lo]:1")),
		"o s tcp:[fe80::2%lo]:1\nc s tcp:[fe80::1%lo]:1\n");
}

static void test_kind(void **ctx)
{
	(void)ctx;
	goes(SERVICE("s", AT("unix:/tmp/x")), SERVICE("s", AT("unix-seqpacket:/tmp/x")),
		"r s unix-seqpacket:/tmp/x (kind)\n");
	/* There each type has names of its own. */
	goes(SERVICE("s", AT("unix:@x")), SERVICE("s", AT("unix-seqpacket:@x")),
		"o s unix-seqpacket:@x\nc s unix:@x\n");
}

static void test_services(void **ctx)
{
	struct pair p;

	(void)ctx;
	make(&p, SERVICE("a", AT("1")) SERVICE("b", AT("2")) SERVICE("c", AT("3")),
		SERVICE("c", AT("3")) SERVICE("d", AT("4")));
	addresses_are(&p, "k c tcp:3\no d tcp:4\nc a tcp:1\nc b tcp:2\n");
	assert_int_equal(p.diff.n_removed, 2);
	assert_int_equal(p.diff.removed[0], 0);
	assert_int_equal(p.diff.removed[1], 1);
	assert_int_equal(p.diff.services[0].old, 2);
	assert_true(p.diff.services[0].same);
	assert_int_equal(p.diff.services[1].old, DIFF_NONE);
	assert_false(p.diff.services[1].same || p.diff.services[1].renamed);
	assert_false(diff_is_empty(&p.diff));
	done(&p);
}

static void test_from_and_to_nothing(void **ctx)
{
	struct pair p;

	(void)ctx;
	make(&p, "", "");
	assert_true(diff_is_empty(&p.diff));
	done(&p);
	make(&p, SERVICE("s", AT("1")), "");
	addresses_are(&p, "c s tcp:1\n");
	assert_false(diff_is_empty(&p.diff));
	done(&p);
	make(&p, "", SERVICE("s", AT("1")));
	addresses_are(&p, "o s tcp:1\n");
	assert_false(diff_is_empty(&p.diff));
	done(&p);
}

static void test_renamed(void **ctx)
{
	struct pair p;

	(void)ctx;
	make(&p, SERVICE("a", AT("{ 1, unix:/tmp/x }")),
		SERVICE("b", AT("{ 1, unix:/tmp/x }") "backlog = 5"));
	addresses_are(&p, "a b tcp:1 < a backlog\na b unix:/tmp/x < a backlog\n");
	assert_true(p.diff.services[0].renamed);
	assert_int_equal(p.diff.services[0].old, DIFF_NONE);
	assert_int_equal(p.diff.n_removed, 1);
	done(&p);
}

static void test_swapped(void **ctx)
{
	struct pair p;

	(void)ctx;
	make(&p, SERVICE("a", AT("1")) SERVICE("b", AT("2") "wait = yes"),
		SERVICE("a", AT("2")) SERVICE("b", AT("1") "wait = yes"));
	addresses_are(&p, "r a tcp:2 < b wait\na b tcp:1 < a wait\n");
	assert_false(p.diff.services[0].same || p.diff.services[1].same);
	assert_int_equal(p.diff.n_closed + p.diff.n_removed, 0);
	done(&p);

	/* One socket moves to a service that is there already. */
	goes(SERVICE("a", AT("{ 1, 2 }")) SERVICE("b", AT("3")),
		SERVICE("a", AT("1")) SERVICE("b", AT("{ 2, 3 }")),
		"k a tcp:1\nk b tcp:2 < a\nk b tcp:3\n");
}

static void test_any_port(void **ctx)
{
	(void)ctx;
	goes(SERVICE("s", AT("{ 0, 0, 0 }")), SERVICE("s", AT("{ 0, 0 }")),
		"k s tcp:0\nk s tcp:0\nc s tcp:0\n");
	goes(SERVICE("s", AT("{ 0, 0 }")), SERVICE("s", AT("{ 0, 0, 0 }")),
		"k s tcp:0\nk s tcp:0\no s tcp:0\n");
	goes(SERVICE("a", AT("0")), SERVICE("b", AT("0")), "o b tcp:0\nc a tcp:0\n");
	goes(SERVICE("a", AT("0")) SERVICE("b", AT("0")),
		SERVICE("b", AT("0")) SERVICE("a", AT("0")), "k b tcp:0\nk a tcp:0\n");
	goes(SERVICE("s", AT("tcp4:0")), SERVICE("s", AT("0")), "o s tcp:0\nc s tcp4:0\n");
	goes(SERVICE("a", AT("{ mptcp:0, vsock:any:0 }")),
		SERVICE("a", AT("{ mptcp:0, vsock:any:0, vsock:any:0 }")),
		"k a mptcp:0\nk a vsock:any:0\no a vsock:any:0\n");
	goes(SERVICE("a", AT("vsock:any:0")), SERVICE("b", AT("vsock:any:0")),
		"o b vsock:any:0\nc a vsock:any:0\n");
}

static void test_disabled(void **ctx)
{
	struct pair p;

	(void)ctx;
	make(&p, SERVICE("s", AT("1")), SERVICE("s", AT("1") "disable = yes"));
	addresses_are(&p, "c s tcp:1\n");
	assert_true(p.diff.services[0].absent);
	assert_int_equal(p.diff.n_removed, 1);
	assert_false(diff_is_empty(&p.diff));
	done(&p);

	make(&p, SERVICE("s", AT("1") "disable = yes"), SERVICE("s", AT("1")));
	addresses_are(&p, "o s tcp:1\n");
	assert_int_equal(p.diff.services[0].old, DIFF_NONE);
	done(&p);

	/* Another one may have taken the address over. */
	make(&p, SERVICE("s", AT("1") "disable = yes") SERVICE("t", AT("1")),
		SERVICE("s", AT("1") "disable = yes\ninstances = 5\n") SERVICE("t", AT("1")));
	addresses_are(&p, "k t tcp:1\n");
	assert_true(diff_is_empty(&p.diff));
	done(&p);
}

static void test_waiting(void **ctx)
{
	struct pair p;
	struct service_conf *service;

	(void)ctx;
	make(&p, SERVICE("s", AT("1")), SERVICE("s", AT("1")));
	service = p.new.conf.services[0];
	service->condition = strdup("no user 'x'");
	service->uid = (uid_t)-1;
	again(&p);
	addresses_are(&p, "c s tcp:1\n");
	assert_int_equal(p.diff.services[0].resolved, DIFF_CONDITION);
	assert_false(p.diff.services[0].same);

	/* Waits as it did. */
	p.old.conf.services[0]->condition = strdup("no user 'x'");
	again(&p);
	addresses_are(&p, "");
	assert_true(diff_is_empty(&p.diff));

	free(service->condition);
	service->condition = NULL;
	again(&p);
	addresses_are(&p, "o s tcp:1\n");
	assert_int_equal(p.diff.services[0].resolved, DIFF_CONDITION);
	done(&p);
}

static void resolved_is(struct pair *p, unsigned want)
{
	again(p);
	assert_int_equal(p->diff.services[0].resolved, want);
	assert_int_equal(p->diff.services[0].same, want == 0);
}

/* What the world made different under the same words. */
static void test_resolved(void **ctx)
{
	struct pair p;
	struct service_conf *service;
	const gid_t groups[] = {1, 2, 3}, turned[] = {1, 3, 2}, other[] = {1, 3, 4};

	(void)ctx;
	make(&p, SERVICE("s", AT("unix:/tmp/x")), SERVICE("s", AT("unix:/tmp/x")));
	service = p.new.conf.services[0];
	resolved_is(&p, 0);

	service->uid++;
	resolved_is(&p, DIFF_IDENTITY);
	service->uid--;
	service->gid++;
	resolved_is(&p, DIFF_IDENTITY);
	service->gid--;
	service->change_identity ^= true;
	resolved_is(&p, DIFF_IDENTITY);
	service->change_identity ^= true;
	service->access_digest[3] = 1;
	resolved_is(&p, DIFF_ACCESS);
	service->access_digest[3] = 0;

	for (int i = 0; i < 2; i++) {
		struct service_conf *one = i ? service : p.old.conf.services[0];

		free(one->groups_list);
		one->groups_list = calloc(3, sizeof(gid_t));
		assert_non_null(one->groups_list);
		memcpy(one->groups_list, i ? turned : groups, sizeof groups);
		one->n_groups = 3;
	}
	resolved_is(&p, 0);
	memcpy(service->groups_list, other, sizeof other);
	resolved_is(&p, DIFF_GROUPS);
	service->n_groups = p.old.conf.services[0]->n_groups = 0;

	service->path[0] = '\0';
	resolved_is(&p, DIFF_PROGRAM);
	service->path[0] = '/';
	assert_int_equal(strv_add(&service->argv, "x"), 0);
	resolved_is(&p, DIFF_ARGV);
	assert_int_equal(strv_add(&service->base_env, "X=1"), 0);
	resolved_is(&p, DIFF_ARGV | DIFF_ENVIRONMENT);
	service->socket_gid = 7;
	resolved_is(&p, DIFF_ARGV | DIFF_ENVIRONMENT | DIFF_OWNER);
	addresses_are(&p, "a s unix:/tmp/x (owner)\n");
	done(&p);
}

enum { MANY = 10000, EACH = 5 };

/* Services named and numbered from `first` on, with addresses of their own. */
static char *many(size_t first)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	for (size_t i = 0; i < MANY; i++) {
		size_t n = first + i;

		fprintf(out, SERVICE("s%zu", AT("{ tcp:127.%zu.%zu.1:1-4, 0 }")), n, n / 256,
			n % 256);
	}
	fclose(out);
	return text;
}

/* Half of them go, half of them stay, half of them are new: in a quadratic
 * comparison this takes minutes. */
static void test_many(void **ctx)
{
	_cleanup_free_ char *old = many(0), *new = many(MANY / 2);
	struct pair p;

	(void)ctx;
	make(&p, old, new);
	assert_int_equal(p.diff.n_by_fate[DIFF_KEPT], EACH * MANY / 2);
	assert_int_equal(p.diff.n_by_fate[DIFF_OPENED], EACH * MANY / 2);
	assert_int_equal(p.diff.n_by_fate[DIFF_CLOSED], EACH * MANY / 2);
	assert_int_equal(p.diff.n_removed, MANY / 2);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(p.diff.services[i].same, i < MANY / 2);
	done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_spelling),
		cmocka_unit_test(test_socket_options),
		cmocka_unit_test(test_in_hand),
		cmocka_unit_test(test_left_to_kernel),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_option_equal),
		cmocka_unit_test(test_changed_options),
		cmocka_unit_test(test_opened_and_closed),
		cmocka_unit_test(test_kind),
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_from_and_to_nothing),
		cmocka_unit_test(test_renamed),
		cmocka_unit_test(test_swapped),
		cmocka_unit_test(test_any_port),
		cmocka_unit_test(test_disabled),
		cmocka_unit_test(test_waiting),
		cmocka_unit_test(test_resolved),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
