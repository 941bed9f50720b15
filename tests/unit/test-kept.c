/* kept: the names of sockets that are kept, and who gets which. */
#include "conf-text.h"

#include "conf/options.h"
#include "master/kept.h"
#include "master/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define SERVICE(name, rest) "service " name " {\nshell = x\nuser = nobody\n" rest "\n}\n"

/* The wish of one address of the first service of a text. */
static struct kept_wish wish_of(const char *text, size_t index)
{
	struct conf_text t;
	struct kept_wish wish;

	assert_int_equal(conf_text_load(&t, text, &conf_text_root), 0);
	assert_string_equal(conf_text_said(&t, DIAG_ERROR), "");
	assert_int_equal(kept_wish_make(t.conf.services[0], index, &wish), 0);
	conf_text_done(&t);
	return wish;
}

static struct kept_wish wish(const char *rest)
{
	char text[1024];

	snprintf(text, sizeof text, SERVICE("s", "%s"), rest);
	return wish_of(text, 0);
}

static struct kept_name parsed(const char *name)
{
	struct kept_name parsed;

	assert_int_equal(kept_name_parse(name, &parsed), 0);
	return parsed;
}

/* Its name, as the service manager gives it back. */
static struct kept_name left_by(const struct kept_wish *wish, bool brief)
{
	char name[KEPT_NAME_MAX];

	return parsed(kept_wish_name(wish, brief, name));
}

static void assert_named(const char *rest, const char *expected)
{
	struct kept_wish w = wish(rest);
	char name[KEPT_NAME_MAX];

	assert_string_equal(kept_wish_name(&w, false, name), expected);
}

static void test_names_can_be_read(void **state)
{
	(void)state;
	assert_named("listen = tcp:7777", "hatchd//tcp=7777");
	assert_named("listen = \"tcp:[::1]:80\"", "hatchd//tcp=[==1]=80");
	assert_named("listen = unix:/run/x.sock", "hatchd//unix=/run/x.sock");
	assert_named("listen = \"unix:@a b=c%\"", "hatchd//unix=@a%20b%3Dc%25");
	assert_named(
		"listen = tcp:7777\nsend_buffer = 64K\npriority = 3", "hatchd/ps/tcp=7777");
	assert_named("listen = tcp:7777\nbacklog = 5", "hatchd//tcp=7777");
}

/* As sd_notify(3) wants them. */
static void assert_is_name(const char *name)
{
	assert_true(strlen(name) > 0 && strlen(name) <= 255);
	for (const char *c = name; *c; c++)
		assert_true(*c > ' ' && *c < 0x7f && *c != ':');
}

static void test_long_names_are_brief(void **state)
{
	char text[600] = "listen = 'unix:/", name[KEPT_NAME_MAX];
	struct kept_wish w;

	(void)state;
	for (int i = 0; i < 100; i++)
		strcat(text, "\\x01");
	strcat(text, "'");
	w = wish(text);
	kept_wish_name(&w, false, name);
	assert_is_name(name);
	assert_int_equal(name[0], '~');
	assert_string_equal(parsed(name).key, w.key);
}

static void test_both_names_lead_to_one_key(void **state)
{
	static const char *const rests[] = {
		"listen = tcp:7777",
		"listen = \"udp:[fe80::1%lo]:53\"",
		"listen = unix:/run/x.sock",
		"listen = \"unix:@a b=c%\"",
		"listen = vsock:any:80\nwait = yes",
		"listen = tcp:0\nreuse_port = yes\nkeepalive_time = 5min",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rests); i++) {
		struct kept_wish w = wish(rests[i]);
		struct kept_name full = left_by(&w, false), brief = left_by(&w, true);
		char name[KEPT_NAME_MAX];

		assert_is_name(kept_wish_name(&w, false, name));
		assert_is_name(kept_wish_name(&w, true, name));
		assert_string_equal(full.key, w.key);
		assert_string_equal(brief.key, w.key);
		assert_string_equal(full.stamp, brief.stamp);
		assert_true(kept_name_fits(&full, &w));
	}
}

/* Any free port is another one for each who asks. */
static void test_port_zero_is_known_by_its_service(void **state)
{
	struct kept_wish a, b, c;
	char name[KEPT_NAME_MAX];

	(void)state;
	a = wish_of(SERVICE("a", "listen = { tcp:0, tcp:0 }"), 0);
	b = wish_of(SERVICE("a", "listen = { tcp:0, tcp:0 }"), 1);
	c = wish_of(SERVICE("c", "listen = tcp:0"), 0);
	assert_string_equal(kept_wish_name(&b, false, name), "hatchd//tcp=0,a,1");
	assert_string_not_equal(a.key, b.key);
	assert_string_not_equal(a.key, c.key);
}

static bool goes_on(const char *before, const char *after)
{
	struct kept_wish had = wish(before), has = wish(after);
	struct kept_name name = left_by(&had, false);

	assert_string_equal(had.key, has.key);
	return kept_name_fits(&name, &has);
}

#define AT "listen = tcp:7777\n"

static void test_what_can_be_told_goes_on(void **state)
{
	(void)state;
	assert_true(goes_on(AT, AT "backlog = 7\nkeepalive = yes\nttl = 3"));
	assert_true(goes_on(AT "ttl = 3", AT));
	assert_true(goes_on(AT, AT "send_buffer = 64K"));
	assert_true(goes_on(AT "send_buffer = 32K", AT "send_buffer = 64K\npriority = 1"));
	assert_true(goes_on(AT, AT "wait = yes"));
	assert_true(goes_on(AT "reuse_port = yes", AT "reuse_port = yes\nttl = 3"));
}

static void test_what_holds_for_good_does_not(void **state)
{
	(void)state;
	assert_false(goes_on(AT "send_buffer = 32K", AT));
	assert_false(goes_on(AT "send_buffer = 32K", AT "receive_buffer = 32K"));
	assert_false(goes_on(AT "reuse_port = yes", AT));
	assert_false(goes_on(AT, AT "reuse_port = yes"));
	assert_false(goes_on(AT, AT "bind_to_device = lo"));
	assert_false(goes_on(AT "bind_to_device = lo", AT "bind_to_device = eth0"));
	assert_false(goes_on(AT, AT "v6only = yes"));
	assert_true(goes_on(AT "v6only = no", AT));
}

static void test_what_programs_have_had(void **state)
{
	(void)state;
	assert_true(goes_on(AT "wait = yes", AT "wait = yes"));
	assert_true(goes_on(AT "wait = yes", AT "wait = yes\nnice = 3"));
	assert_false(goes_on(AT "wait = yes", AT));
	assert_false(goes_on(AT "wait = yes", AT "wait = yes\nkeepalive = yes"));
	assert_false(goes_on(AT "wait = yes", AT "wait = yes\nbacklog = 7"));
	assert_false(goes_on(AT "wait = yes", AT "wait = yes\nchroot = /"));
}

static void test_each_sticky_option_has_a_letter(void **state)
{
	struct kept_wish w;

	(void)state;
	w = wish(AT "priority = 1\nkeepalive_time = 5\nkeepalive_interval = 5\n"
		    "keepalive_probes = 5\ncongestion = cubic\nsend_buffer = 64K\n"
		    "receive_buffer = 64K");
	for (const struct conf_option *o = conf_options; o->name; o++)
		if (o->flags & OPTION_SOCKET_STICKY)
			w.stamp[0] ? memmove(w.stamp, w.stamp + 1, strlen(w.stamp)) : fail();
	assert_string_equal(w.stamp, "");
}

static void test_names_of_others(void **state)
{
	static const char *const garbled[] = {
		"hatchd/",
		"hatchd/tcp=7777",
		"hatchd//",
		"hatchd//tcp%3",
		"hatchd//tcp%zz",
		"hatchd//%00",
		"~",
		"~short",
		"hatchd/0123456789012345678901234567890123/x",
		"~AAAAAAAA0123456789012345678901234567890123",
	};
	struct kept_name name;

	(void)state;
	assert_false(kept_name_is_ours("web"));
	assert_false(kept_name_is_ours("hatchd.socket"));
	assert_false(kept_name_is_ours(""));
	assert_int_equal(kept_name_parse("web", &name), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(garbled); i++) {
		assert_true(kept_name_is_ours(garbled[i]));
		assert_int_equal(kept_name_parse(garbled[i], &name), -EINVAL);
	}
}

static void test_each_is_taken_once(void **state)
{
	struct kept kept = {0};
	struct kept_wish here = wish(AT), there = wish("listen = tcp:7778");
	struct kept_socket found;

	(void)state;
	assert_false(kept_take(&kept, &here, &found));
	assert_int_equal(kept_add(&kept, "hatchd//tcp=7777", 1000, NULL), 0);
	assert_int_equal(kept_add(&kept, "hatchd//tcp=7779", -EBADF, NULL), 0);
	assert_false(kept_take(&kept, &there, &found));
	assert_true(kept_take(&kept, &here, &found));
	assert_int_equal(found.fd, 1000);
	assert_false(kept_take(&kept, &here, &found));
	kept_done(&kept);
}

static struct stored *stored_as(const char *name)
{
	struct stored *stored = calloc(1, sizeof *stored + strlen(name) + 1);

	assert_non_null(stored);
	strcpy(stored->name, name);
	stored->sent = true;
	return stored;
}

/* The manager forgets by name, and so both of them. */
static void test_twice_the_same(void **state)
{
	struct kept kept = {0};
	struct kept_wish here = wish(AT);
	struct kept_socket found;

	(void)state;
	assert_int_equal(
		kept_add(&kept, "hatchd//tcp=7777", 1000, stored_as("hatchd//tcp=7777")), 0);
	assert_int_equal(kept_add(&kept, "hatchd/p/tcp=7777", 1001, NULL), -EEXIST);
	assert_true(kept.sockets[0]->stored->sent);
	assert_int_equal(kept_add(&kept, "hatchd//tcp=7777", 1002, NULL), -EEXIST);
	assert_false(kept.sockets[0]->stored->sent);
	assert_true(kept_take(&kept, &here, &found));
	assert_int_equal(found.fd, 1000);
	free(found.stored);
	kept_done(&kept);
}

/* One that does not fit is left, to be closed with the rest. */
static void test_one_that_does_not_fit_stays(void **state)
{
	struct kept kept = {0};
	struct kept_wish here = wish(AT);
	struct kept_socket found;

	(void)state;
	assert_int_equal(kept_add(&kept, "hatchd/s/tcp=7777", -EBADF, NULL), 0);
	assert_false(kept_take(&kept, &here, &found));
	assert_non_null(kept.sockets[0]);
	kept_done(&kept);
}

static void test_many(void **state)
{
	struct kept kept = {0};
	char name[64];

	(void)state;
	for (int i = 0; i < KEPT_MAX; i++) {
		snprintf(name, sizeof name, "hatchd//tcp=%d", i);
		assert_int_equal(kept_add(&kept, name, -EBADF, NULL), 0);
	}
	assert_int_equal(kept_add(&kept, "hatchd//udp=1", -EBADF, NULL), -ENOSPC);
	kept_done(&kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_can_be_read),
		cmocka_unit_test(test_long_names_are_brief),
		cmocka_unit_test(test_both_names_lead_to_one_key),
		cmocka_unit_test(test_port_zero_is_known_by_its_service),
		cmocka_unit_test(test_what_can_be_told_goes_on),
		cmocka_unit_test(test_what_holds_for_good_does_not),
		cmocka_unit_test(test_what_programs_have_had),
		cmocka_unit_test(test_each_sticky_option_has_a_letter),
		cmocka_unit_test(test_names_of_others),
		cmocka_unit_test(test_each_is_taken_once),
		cmocka_unit_test(test_twice_the_same),
		cmocka_unit_test(test_one_that_does_not_fit_stays),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests_name("kept", tests, NULL, NULL);
}
