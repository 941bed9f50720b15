/* relate: what the loader notes for the master, and what a look at conditions changes. */
#include "conf-text.h"

#include "conf/relate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>

#include <cmocka.h>

#define SERVICE(name, rest) "service " name " {\nshell = x\nuser = nobody\n" rest "\n}\n"

/* What is in force, and what the files say now. */
struct pair {
	struct conf_text old, new;
};

static void make(struct pair *p, const char *old, const char *new)
{
	assert_int_equal(conf_text_load(&p->old, old, &conf_text_root), 0);
	assert_int_equal(conf_text_load(&p->new, new, &conf_text_root), 0);
}

static void done(struct pair *p)
{
	conf_text_done(&p->old);
	conf_text_done(&p->new);
}

static void wait_for(struct conf_text *t, size_t service, const char *condition)
{
	assert_non_null(t->conf.services[service]->condition = strdup(condition));
}

static void test_relate(void **ctx)
{
	struct service_conf *a, *b;
	struct pair p;

	(void)ctx;
	make(&p, SERVICE("a", "listen = { 1, 2 }") SERVICE("b", "listen = 3"),
		SERVICE("b", "listen = 3") SERVICE("a", "listen = { 2, 4 }\nbacklog = 7")
			SERVICE("c", "listen = 1"));
	assert_int_equal(relate(&p.new.conf, &p.old.conf), 0);
	b = p.new.conf.services[0];
	a = p.new.conf.services[1];
	assert_int_equal(b->old, 1);
	assert_int_equal(b->news, 0);
	assert_int_equal(b->listen[0].fate, LISTEN_KEPT);
	assert_int_equal(a->old, 0);
	assert_int_equal(a->news, SERVICE_OPTIONS_CHANGED);
	assert_int_equal(a->listen[0].fate, LISTEN_ADJUSTED);
	assert_int_equal(a->listen[0].old_service, 0);
	assert_int_equal(a->listen[0].old_listen, 1);
	assert_int_equal(a->listen[1].fate, LISTEN_OPENED);
	assert_int_equal(a->listen[1].old_service, CONF_NONE);
	assert_int_equal(p.new.conf.services[2]->old, CONF_NONE);
	assert_int_equal(p.new.conf.services[2]->listen[0].fate, LISTEN_KEPT);
	assert_int_equal(p.new.conf.services[2]->listen[0].old_listen, 0);
	done(&p);
}

/* What the master is told, as text. */
static char *told(const struct conf *conf)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	for (size_t i = 0; i < conf->n_services; i++) {
		const struct service_conf *s = conf->services[i];

		fprintf(out, "%s %x %x\n", s->name, s->old, s->news);
		for (size_t j = 0; j < s->n_listen; j++)
			fprintf(out, "\t%d %x %x\n", s->listen[j].fate,
				s->listen[j].old_service, s->listen[j].old_listen);
	}
	assert_int_equal(fclose(out), 0);
	return text;
}

/* As relate() says it of the whole, so relate_to_image() does of what is left of it. */
static void assert_same_by_image(const char *old, const char *new, const char *condition)
{
	int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	_cleanup_image_draft_ struct image_draft *draft = NULL;
	_cleanup_free_ char *whole = NULL, *rest = NULL;
	struct conf in_force;
	struct pair p;

	make(&p, old, new);
	if (condition) {
		wait_for(&p.old, 0, "no user 'x'");
		wait_for(&p.new, 0, condition);
	}
	assert_int_equal(image_write(&p.old.conf, fd), 0);
	assert_int_equal(image_draft_new(&p.new.conf, &draft), 0);
	assert_int_equal(relate_to_image(&p.new.conf, draft, fd), 0);
	rest = told(&p.new.conf);
	done(&p);

	make(&p, old, new);
	if (condition)
		wait_for(&p.new, 0, condition);
	assert_int_equal(image_read(fd, &in_force), 0);
	assert_int_equal(relate(&p.new.conf, &in_force), 0);
	whole = told(&p.new.conf);
	assert_string_equal(rest, whole);
	conf_done(&in_force);
	done(&p);
	close(fd);
}

#define A SERVICE("a", "listen = { 1, 2 }")
#define B SERVICE("b", "listen = { unix:/run/b, tcp:0, tcp:0 }")
#define C SERVICE("c", "listen = udp:3\nwait = yes\nenv = \"A=b\"")

static void test_relate_to_image(void **ctx)
{
	static const char *const changed[] = {
		A B C,
		C B A,
		"\n\n" A "# moved\n" C,
		"",
		A SERVICE("d", "listen = { unix:/run/b, tcp:0 }") C,
		SERVICE("a", "listen = { 2, 1 }") B C,
		A B SERVICE("c", "listen = udp:3\nwait = yes\nenv = \"A=c\""),
		A SERVICE("b", "listen = { unix-dgram:/run/b, tcp:0 }\nwait = yes") C,
		SERVICE("a", "listen = { 1, 2 }\ndisable = yes") B C,
		SERVICE("a", "listen = { 1, 2 }\ndisable = yes")
			SERVICE("e", "listen = { 1, 2 }") B,
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(changed); i++) {
		assert_same_by_image(A B C, changed[i], NULL);
		assert_same_by_image(changed[i], A B C, NULL);
	}
	assert_same_by_image(A B C, A B C, "no user 'x'");
	assert_same_by_image(A B C, A B C, "no program");
	assert_same_by_image("", A, NULL);
}

#undef A
#undef B
#undef C

static void test_no_image(void **ctx)
{
	int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	_cleanup_image_draft_ struct image_draft *draft = NULL;
	struct conf_text t;

	(void)ctx;
	assert_int_equal(conf_text_load(&t, SERVICE("a", "listen = 1"), &conf_text_root), 0);
	assert_int_equal(image_draft_new(&t.conf, &draft), 0);
	assert_int_equal(relate_to_image(&t.conf, draft, fd), -EPERM);
	conf_text_done(&t);
	close(fd);
}

#define TWO(first, second) \
	SERVICE("a", "listen = 1\n" first) SERVICE("b", "listen = 2\n" second)

static void test_condition_has_gone(void **ctx)
{
	struct pair p;

	(void)ctx;
	/* What else the files say now stays there. */
	make(&p, TWO("", ""), SERVICE("c", "listen = 9") TWO("", "instances = 3"));
	wait_for(&p.old, 0, "no user 'x'");
	assert_int_equal(relate_conditions(&p.new.conf, &p.old.conf), 1);
	assert_int_equal(p.old.conf.n_services, 2);
	assert_string_equal(p.old.conf.services[0]->name, "a");
	assert_null(p.old.conf.services[0]->condition);
	assert_int_equal(p.old.conf.services[1]->instances, 512);
	assert_string_equal(p.new.conf.services[1]->condition, "no user 'x'");
	done(&p);
}

static void test_another_condition(void **ctx)
{
	struct pair p;

	(void)ctx;
	make(&p, TWO("", ""), TWO("", ""));
	wait_for(&p.old, 0, "no user 'x'");
	wait_for(&p.new, 0, "no program");
	assert_int_equal(relate_conditions(&p.new.conf, &p.old.conf), 1);
	assert_string_equal(p.old.conf.services[0]->condition, "no program");
	done(&p);
}

static void nothing_comes(const char *new, bool waits, const char *now)
{
	struct pair p;

	make(&p, TWO("", ""), new);
	if (waits)
		wait_for(&p.old, 0, "no user 'x'");
	if (now)
		wait_for(&p.new, 0, now);
	assert_int_equal(relate_conditions(&p.new.conf, &p.old.conf), 0);
	assert_int_equal(p.old.conf.services[0]->condition != NULL, waits);
	done(&p);
}

static void test_nothing_comes(void **ctx)
{
	(void)ctx;
	nothing_comes(TWO("", ""), true, "no user 'x'");
	/* Whoever is served goes on being served. */
	nothing_comes(TWO("", ""), false, "no user 'x'");
	nothing_comes(TWO("instances = 3", ""), true, NULL);
	nothing_comes(TWO("disable = yes", ""), true, NULL);
	nothing_comes(SERVICE("b", "listen = 2"), true, NULL);
	nothing_comes("", true, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_relate),
		cmocka_unit_test(test_relate_to_image),
		cmocka_unit_test(test_no_image),
		cmocka_unit_test(test_condition_has_gone),
		cmocka_unit_test(test_another_condition),
		cmocka_unit_test(test_nothing_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
