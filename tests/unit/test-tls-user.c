/* Who hatchd-tls is, on machines that know other users than this one. */
#include "conf-text.h"

#include "base/own.h"
#include "conf/explain.h"
#include "conf/image.h"
#include "conf/plan.h"
#include "conf/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>

#include <cmocka.h>

/* --------------------------------------------------------------------- the machine */

/* The users that there are; a name ends them. */
struct user {
	const char *name;
	uid_t uid;
	gid_t gid;
	int error; /* what the name service says instead; 0: it knows him */
};

static const struct user *users;
static unsigned n_asked; /* about hatchd-tls */

int __wrap_getpwnam_r(
	const char *name, struct passwd *entry, char *buf, size_t size, struct passwd **found);

int __wrap_getpwnam_r(
	const char *name, struct passwd *entry, char *buf, size_t size, struct passwd **found)
{
	const struct user *user = users;

	n_asked += strcmp(name, WORKER_TLS_USER) == 0;
	*found = NULL;
	while (user->name && strcmp(user->name, name) != 0)
		user++;
	if (!user->name || user->error)
		return user->name ? user->error : 0;
	snprintf(buf, size, "%s", name);
	*entry = (struct passwd){
		.pw_name = buf, .pw_dir = buf, .pw_uid = user->uid, .pw_gid = user->gid};
	*found = entry;
	return 0;
}

#define NOBODY    \
	{         \
		0 \
	}

static const struct user none[] = {NOBODY};
static const struct user both[] = {
	{.name = "_hatchd", .uid = 4711, .gid = 4712},
	{.name = "_hatchd-tls", .uid = 4713, .gid = 4714},
	NOBODY,
};

/* What is not there yet is waited for: the service speaks TLS all the same. */
#define TLS   "service web { listen = 443 builtin = echo tls { certificate = /no/where } }\n"
#define PLAIN "service a { listen = 7 builtin = echo }\n"

static void load(struct conf_text *t, const char *text, const struct user *there)
{
	users = there;
	n_asked = 0;
	assert_int_equal(conf_text_load(t, text, &conf_text_root), 0);
	assert_string_equal(conf_text_said(t, DIAG_ERROR), "");
}

/* --------------------------------------------------------------------- who it is */

static void is_then(
	const struct user *there, uid_t others, uid_t uid, gid_t gid, const char *said)
{
	struct conf_text t;

	load(&t, PLAIN TLS, there);
	assert_true(t.conf.worker_identity);
	assert_int_equal(t.conf.worker_uid, others);
	assert_int_equal(t.conf.tls_worker_uid, uid);
	assert_int_equal(t.conf.tls_worker_gid, gid);
	assert_int_not_equal(uid, others);
	assert_string_equal(conf_text_said(&t, DIAG_WARNING), said);
	conf_text_done(&t);
}

static void is_alone(struct user user, uid_t uid, gid_t gid, const char *said)
{
	const struct user there[] = {user, NOBODY};

	is_then(there, WORKER_UNPRIVILEGED, uid, gid, said);
}

static void test_user(void **ctx)
{
	(void)ctx;
	is_then(both, 4711, 4713, 4714, "");
	is_alone(
		(struct user){.name = "_hatchd-tls", .uid = 4713, .gid = 4714}, 4713, 4714, "");
	is_then(none, 65532, 65531, 65531, "");
}

/* Never root, nor in its group, nor what means "no change" to the kernel. */
static void test_not_root(void **ctx)
{
	static const char said[] =
		"user '_hatchd-tls' is root or in its group, using number 65531 instead";

	(void)ctx;
	is_alone((struct user){.name = "_hatchd-tls", .uid = 0, .gid = 1}, 65531, 65531, said);
	is_alone((struct user){.name = "_hatchd-tls", .uid = 1, .gid = 0}, 65531, 65531, said);
	is_alone((struct user){.name = "_hatchd-tls", .uid = UINT32_MAX, .gid = 1}, 65531,
		65531, said);
	is_alone((struct user){.name = "_hatchd-tls", .uid = 1, .gid = UINT32_MAX}, 65531,
		65531, said);
}

/* A program that runs as one of them is warned of; as somebody else it is not. */
static void test_programs(void **ctx)
{
	static const char said[] = "user: that is who processes of hatchd are that clients "
				   "reach; use another one";
	static const struct {
		const char *user, *said;
	} cases[] = {{"4711", said}, {"4713", said}, {"4715", ""}};
	struct conf_text t;
	char text[256];

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(text, sizeof text,
			PLAIN TLS "service p { listen = 9 exec = /bin/true user = %s group = 1 "
				  "}\n",
			cases[i].user);
		load(&t, text, both);
		assert_string_equal(conf_text_said(&t, DIAG_WARNING), cases[i].said);
		conf_text_done(&t);
	}
}

/* Nor who the others are, whoever these are. */
static void test_not_the_others(void **ctx)
{
	static const char said[] = "user '_hatchd-tls' has the number of other workers, using "
				   "number 65531 instead";
	const struct user same[] = {
		{.name = "_hatchd", .uid = 4711, .gid = 4712},
		{.name = "_hatchd-tls", .uid = 4711, .gid = 4714},
		NOBODY,
	};
	const struct user of_tls[] = {
		{.name = "_hatchd", .uid = 65531, .gid = 4712},
		NOBODY,
	};
	const struct user both_of_tls[] = {
		{.name = "_hatchd", .uid = 65531, .gid = 4712},
		{.name = "_hatchd-tls", .uid = 65531, .gid = 4712},
		NOBODY,
	};

	(void)ctx;
	is_then(same, 4711, 65531, 65531, said);
	is_alone((struct user){.name = "_hatchd-tls", .uid = 65532, .gid = 1}, 65531, 65531,
		said);
	is_then(of_tls, 65531, 65532, 65532, "");
	is_then(both_of_tls, 65531, 65532, 65532,
		"user '_hatchd-tls' has the number of other workers, using number 65532 "
		"instead");
}

static void test_unknown(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	is_alone((struct user){.name = "_hatchd-tls", .error = EIO}, 65531, 65531,
		"unable to look up user '_hatchd-tls', using number 65531: Input/output error");
	users = (const struct user[]){{.name = "_hatchd-tls", .error = ENOMEM}, NOBODY};
	assert_int_equal(conf_text_load(&t, TLS, &conf_text_root), -ENOMEM);
	conf_text_done(&t);
}

static void is_nobody(const char *text, const struct build_context *context)
{
	struct conf_text t;

	users = both;
	n_asked = 0;
	assert_int_equal(conf_text_load(&t, text, context), 0);
	assert_int_equal(t.conf.tls_worker_uid, 0);
	assert_int_equal(t.conf.tls_worker_gid, 0);
	assert_int_equal(t.conf.worker_identity, context->uid == 0);
	assert_int_equal(n_asked, 0);
	conf_text_done(&t);
}

/* Who is not needed is not looked for; an ordinary user stays who he is. */
static void test_not_needed(void **ctx)
{
	(void)ctx;
	is_nobody(PLAIN, &conf_text_root);
	is_nobody(PLAIN "service web { listen = 443 builtin = echo disable = yes\n"
			"	tls { certificate = /no/where } }\n",
		&conf_text_root);
	is_nobody(PLAIN TLS, &conf_text_user);
}

/* ----------------------------------------------------------------------- the image */

static int read_again(const struct conf *conf, struct conf *ret)
{
	_cleanup_close_ int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(image_write(conf, fd), 0);
	return image_read(fd, ret);
}

static void test_image(void **ctx)
{
	struct conf_text t;
	struct conf conf;

	(void)ctx;
	load(&t, PLAIN TLS, both);
	assert_int_equal(read_again(&t.conf, &conf), 0);
	assert_int_equal(conf.worker_uid, 4711);
	assert_int_equal(conf.worker_gid, 4712);
	assert_int_equal(conf.tls_worker_uid, 4713);
	assert_int_equal(conf.tls_worker_gid, 4714);
	conf_done(&conf);
	conf_text_done(&t);
}

static void damage(struct conf_text *t, uid_t uid, gid_t gid)
{
	const uid_t uid_was = t->conf.tls_worker_uid;
	const gid_t gid_was = t->conf.tls_worker_gid;
	struct conf conf;

	t->conf.tls_worker_uid = uid;
	t->conf.tls_worker_gid = gid;
	assert_int_equal(read_again(&t->conf, &conf), -EBADMSG);
	t->conf.tls_worker_uid = uid_was;
	t->conf.tls_worker_gid = gid_was;
	assert_int_equal(read_again(&t->conf, &conf), 0);
	conf_done(&conf);
}

/* What no loader in its right mind writes. */
static void test_damaged(void **ctx)
{
	struct conf_text t;
	struct conf conf;

	(void)ctx;
	load(&t, PLAIN TLS, both);
	damage(&t, 0, 4714);
	damage(&t, 4713, 0);
	damage(&t, UINT32_MAX, 4714);
	damage(&t, 4713, UINT32_MAX);
	damage(&t, 4711, 4714);
	t.conf.worker_identity = false;
	t.conf.worker_uid = t.conf.worker_gid = 0;
	assert_int_equal(read_again(&t.conf, &conf), -EBADMSG);
	conf_text_done(&t);
}

/* ------------------------------------------------------------- what is said about it */

static void plan_says(const char *old, const struct user *before, const char *new,
	const struct user *after, const char *want)
{
	_cleanup_free_ char *text = NULL;
	struct conf_text a, b;
	FILE *out;
	size_t len;

	load(&a, old, before);
	load(&b, new, after);
	out = open_memstream(&text, &len);
	assert_non_null(out);
	assert_int_equal(plan_print(&a.conf, &b.conf, out), 0);
	assert_int_equal(fclose(out), 0);
	if (!strstr(text, want))
		fail_msg("%s", text);
	if (!strstr(want, "speaks TLS"))
		assert_null(strstr(text, "speaks TLS"));
	conf_text_done(&a);
	conf_text_done(&b);
}

static void test_plan(void **ctx)
{
	(void)ctx;
	plan_says(TLS, both, TLS, both, "nothing would change");
	plan_says(TLS, none, TLS, both,
		"  what workers serve runs as number 4711 now, group 4712 (before 65532, group "
		"65532)\n"
		"  what speaks TLS runs as number 4713 now, group 4714 (before 65531, group "
		"65531)\n");
	plan_says(PLAIN, none, PLAIN TLS, none, "web: new, would wait");
}

static void explain_says(const struct conf *conf, const char *want)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(explain_print(conf, "web", "10.1.2.3", 0, out, out), EXPLAIN_ADMITTED);
	assert_int_equal(fclose(out), 0);
	if (!strstr(text, want))
		fail_msg("%s", text);
}

static void test_explain(void **ctx)
{
	struct conf_text t;

	(void)ctx;
	load(&t, TLS, both);
	free(t.conf.services[0]->condition);
	t.conf.services[0]->condition = NULL;
	explain_says(&t.conf, "1.2 or newer, in hatchd-tls as user _hatchd-tls (uid 4713)\n");
	t.conf.tls_worker_uid = 65531;
	explain_says(&t.conf, "1.2 or newer, in hatchd-tls as nobody at all (uid 65531)\n");
	t.conf.worker_identity = false;
	explain_says(&t.conf, "1.2 or newer, in hatchd-tls as who hatchd is\n");
	conf_text_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_user),
		cmocka_unit_test(test_not_root),
		cmocka_unit_test(test_programs),
		cmocka_unit_test(test_not_the_others),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_not_needed),
		cmocka_unit_test(test_image),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_explain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
