/* wrappers: rules of hosts_access(5), compiled, asked and damaged. */
#include "policy/wrappers.h"

#include "base/own.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The next one fails. */
static bool fail_malloc;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
	bool fails = fail_malloc;

	fail_malloc = false;
	return fails ? NULL : __real_malloc(size);
}

struct table {
	uint8_t *bytes;
	size_t len;
};

static void table_done(struct table *table)
{
	free(table->bytes);
}
#define _cleanup_table_ _cleanup_(table_done)

#define KIND(k)                      \
	{                            \
		.kind = WRAPPERS_##k \
	}
#define TEXT(k, t)                              \
	{                                       \
		.kind = WRAPPERS_##k, .text = t \
	}
#define PORT_OF(p)                               \
	{                                        \
		.kind = WRAPPERS_PORT, .port = p \
	}
#define NET4(a, b)                                                                     \
	{                                                                              \
		.kind = WRAPPERS_NET, .family = 4, .net = {a, b}, .mask = { 255, 255 } \
	}
#define NET6                                                                              \
	{                                                                                 \
		.kind = WRAPPERS_NET, .family = 6, .net = {0x20, 1}, .mask = { 255, 255 } \
	}
#define EXCEPT KIND(EXCEPT)
#define LIST(...)                      \
	(const struct wrappers_item[]) \
	{                              \
		__VA_ARGS__            \
	}
#define SIZE(...)    (sizeof(LIST(__VA_ARGS__)) / sizeof(struct wrappers_item))
#define CLIENTS(...) .clients = LIST(__VA_ARGS__), .n_clients = SIZE(__VA_ARGS__)
#define LOCALS(...)  .locals = LIST(__VA_ARGS__), .n_locals = SIZE(__VA_ARGS__)
#define ALLOW(l)     .line = l
#define DENY(l)      .line = l, .of_deny = true, .denies = true

static struct table compile(const struct wrappers_rule *rules, size_t n)
{
	struct table table;

	assert_int_equal(wrappers_compile(rules, n, &table.bytes, &table.len), 0);
	assert_int_equal(wrappers_check(table.bytes, table.len), 0);
	return table;
}

static struct addr_source source(const char *text)
{
	struct addr_source source = {0};

	if (!text)
		return source;
	source.family = strchr(text, ':') ? ADDR_SOURCE_IPV6 : ADDR_SOURCE_IPV4;
	assert_int_equal(inet_pton(source.family == ADDR_SOURCE_IPV4 ? AF_INET : AF_INET6, text,
				 source.bytes),
		1);
	return source;
}

/* Of him no name and no user is known, and none will be. */
static struct wrappers_client client(const char *address)
{
	return (struct wrappers_client){
		.peer = source(address), .name_state = WRAPPERS_NAME_NONE};
}

static struct wrappers_client named(const char *address, const char *name)
{
	struct wrappers_client c = client(address);

	c.name_state = WRAPPERS_NAME_KNOWN;
	c.name = name;
	return c;
}

static struct wrappers_client in_state(enum wrappers_name state)
{
	struct wrappers_client c = client("10.1.2.3");

	c.name_state = state;
	return c;
}

static struct wrappers_client user(const char *name)
{
	struct wrappers_client c = client("10.1.2.3");

	c.user_state = name ? WRAPPERS_USER_SAID : WRAPPERS_USER_NOBODY;
	c.user = name;
	return c;
}

/* Whether one rule matches him: it is the only one, and denies. */
static bool matches_rule(const struct wrappers_rule *rule, const struct wrappers_client *c)
{
	_cleanup_table_ struct table table = compile(rule, 1);
	struct wrappers_answer answer = wrappers_ask(table.bytes, c);

	assert_int_not_equal(answer.verdict, WRAPPERS_OPEN);
	assert_int_equal(answer.line, answer.verdict == WRAPPERS_DENIED ? 7 : 0);
	return answer.verdict == WRAPPERS_DENIED;
}

#define matches(c, ...)                                                      \
	matches_rule(&(struct wrappers_rule){DENY(7), CLIENTS(__VA_ARGS__)}, \
		&(struct wrappers_client[]){c}[0])
#define matches_at(c, locals, ...)                                                   \
	matches_rule(&(struct wrappers_rule){DENY(7), locals, CLIENTS(__VA_ARGS__)}, \
		&(struct wrappers_client[]){c}[0])

static void test_nothing(void **ctx)
{
	_cleanup_table_ struct table table = compile(NULL, 0);
	struct wrappers_client c = client("10.1.2.3");

	(void)ctx;
	assert_int_equal(wrappers_ask(table.bytes, &c).verdict, WRAPPERS_OK);
	assert_int_equal(wrappers_ask(table.bytes, &c).line, 0);
}

/* Allow first, then deny; the first one of all. */
static void test_order(void **ctx)
{
	const struct wrappers_rule rules[] = {
		{ALLOW(1), CLIENTS(NET4(10, 1))},
		{.line = 2, .denies = true, CLIENTS(NET4(10, 2))},
		{DENY(3), CLIENTS(NET4(10, 1), NET4(10, 2), NET4(10, 3))},
		{.line = 4, .of_deny = true, CLIENTS(NET4(10, 4))},
		{DENY(5), CLIENTS(NET4(10, 4))},
	};
	static const struct {
		const char *address;
		enum wrappers_verdict verdict;
		uint32_t line;
		bool of_deny;
	} cases[] = {
		{"10.1.0.1", WRAPPERS_OK, 1, false},
		{"10.2.0.1", WRAPPERS_DENIED, 2, false},
		{"10.3.0.1", WRAPPERS_DENIED, 3, true},
		{"10.4.0.1", WRAPPERS_OK, 4, true},
		{"10.5.0.1", WRAPPERS_OK, 0, false},
	};
	_cleanup_table_ struct table table = compile(rules, ARRAY_SIZE(rules));

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct wrappers_client c = client(cases[i].address);
		struct wrappers_answer answer = wrappers_ask(table.bytes, &c);

		assert_int_equal(answer.verdict, cases[i].verdict);
		assert_int_equal(answer.line, cases[i].line);
		assert_int_equal(answer.of_deny, cases[i].of_deny);
	}
}

static void test_addresses(void **ctx)
{
	(void)ctx;
	assert_true(matches(client("10.1.2.3"), KIND(ALL)));
	assert_true(matches(client(NULL), KIND(ALL)));
	assert_true(matches(client("10.1.2.3"), NET4(10, 1)));
	assert_false(matches(client("10.2.2.3"), NET4(10, 1)));
	assert_false(matches(client("2001:db8::1"), NET4(10, 1)));
	assert_true(matches(client("2001:db8::1"), NET6));
	assert_false(matches(client("2002:db8::1"), NET6));
	assert_false(matches(client("32.1.0.1"), NET6));
	assert_false(matches(client(NULL), NET6));
	assert_true(matches(client("10.1.2.3"), TEXT(ADDRESS_LIKE, "10.*.?")));
	assert_true(matches(client("2001:db8::1"), TEXT(ADDRESS_LIKE, "2*1")));
	assert_true(matches(client("10.1.2.3"), TEXT(ADDRESS_LIKE, "11.*"),
		TEXT(ADDRESS_LIKE, "10.1.?.3")));
	assert_false(matches(client("10.1.2.33"), TEXT(ADDRESS_LIKE, "10.*.?")));
	assert_false(matches(client(NULL), TEXT(ADDRESS_LIKE, "*1*")));
	/* A name is no address, whatever it looks like. */
	assert_false(matches(named("192.0.2.1", "10.1.x.org"), TEXT(ADDRESS_LIKE, "10.1.*")));
}

static void test_names(void **ctx)
{
	const struct wrappers_client c = named("10.1.2.3", "www.example.org");

	(void)ctx;
	assert_true(matches(c, TEXT(HOST, "www.example.org")));
	assert_true(matches(c, TEXT(HOST, ".example.org")));
	assert_false(matches(c, TEXT(HOST, ".ample.org")));
	assert_false(matches(c, TEXT(HOST, "example.org")));
	assert_true(matches(c, TEXT(HOST_LIKE, "w*.example.???")));
	assert_false(matches(c, TEXT(HOST_LIKE, "w*.example.??")));
	assert_true(matches(c, TEXT(EITHER_LIKE, "*.*")));
	assert_true(matches(client("10.1.2.3"), TEXT(EITHER_LIKE, "*.*")));
	assert_true(matches(named("2001:db8::1", "a.b"), TEXT(EITHER_LIKE, "?.?")));
	assert_false(matches(client("2001:db8::1"), TEXT(EITHER_LIKE, "?.?")));
	assert_false(matches(c, KIND(LOCAL)));
	assert_true(matches(named("10.1.2.3", "www"), KIND(LOCAL)));
	assert_true(matches(c, KIND(KNOWN)));
	assert_false(matches(c, KIND(UNKNOWN)));
	assert_false(matches(c, KIND(PARANOID)));
}

/* Who has no name, whose name is a lie, and of whom nobody knows. */
static void test_states(void **ctx)
{
	const struct wrappers_client none = in_state(WRAPPERS_NAME_NONE);
	const struct wrappers_client lie = in_state(WRAPPERS_NAME_PARANOID);
	const struct wrappers_client unsure = in_state(WRAPPERS_NAME_UNSURE);

	(void)ctx;
	assert_false(matches(none, KIND(KNOWN)));
	assert_true(matches(none, KIND(UNKNOWN)));
	assert_false(matches(none, KIND(PARANOID)));
	assert_false(matches(none, KIND(LOCAL)));
	assert_false(matches(none, TEXT(HOST, ".org")));
	assert_false(matches(lie, KIND(KNOWN)));
	assert_false(matches(lie, KIND(UNKNOWN)));
	assert_true(matches(lie, KIND(PARANOID)));
	assert_false(matches(lie, KIND(LOCAL)));
	assert_false(matches(lie, TEXT(HOST_LIKE, "*.org")));
	/* Known he is not; what he might be keeps him out. */
	assert_false(matches(unsure, KIND(KNOWN)));
	assert_true(matches(unsure, KIND(UNKNOWN)));
	assert_true(matches(unsure, KIND(PARANOID)));
	assert_true(matches(unsure, KIND(LOCAL)));
	assert_true(matches(unsure, TEXT(HOST, ".org")));
	assert_true(matches(unsure, KIND(ALL), EXCEPT, TEXT(HOST, ".org")));
	assert_false(matches(unsure, NET4(10, 2), EXCEPT, TEXT(HOST, ".org")));
	/* A user of UNIX has no address, so that nothing of him is known. */
	assert_false(matches(client(NULL), KIND(KNOWN)));
	assert_true(matches(client(NULL), KIND(UNKNOWN)));
}

/* ... and does not let him in. */
static void test_unsure_allowed(void **ctx)
{
	const struct wrappers_rule rules[] = {
		{ALLOW(1), CLIENTS(TEXT(HOST, ".org"))},
		{DENY(2), CLIENTS(KIND(ALL))},
	};
	_cleanup_table_ struct table table = compile(rules, 2);
	struct wrappers_client c = in_state(WRAPPERS_NAME_UNSURE);
	struct wrappers_answer answer = wrappers_ask(table.bytes, &c);

	(void)ctx;
	assert_int_equal(answer.verdict, WRAPPERS_DENIED);
	assert_int_equal(answer.line, 2);
}

static void test_users(void **ctx)
{
	static const struct {
		const char *pattern, *user;
		bool matches;
	} cases[] = {
		{"joe", "joe", true},
		{"joe", "JOE", true},
		{"joe", "joel", false},
		{"joe", "jo", false},
		{"joe", "jim", false},
		{"j*", "Joe", true},
		{"j?", "joe", false},
		{".net", "a.NET", true},
		{".net", ".net", false},
		{".net", "a.org", false},
		{"a.", "a.b", true},
		{"a.", "a.", true},
		{"a.", "a", false},
		{"a.", "b.b", false},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(matches(user(cases[i].user), TEXT(USER_LIKE, cases[i].pattern),
					 KIND(ALL)),
			cases[i].matches);
	assert_true(matches(user("joe"), KIND(USER_KNOWN), KIND(ALL)));
	assert_false(matches(user(NULL), KIND(USER_KNOWN), KIND(ALL)));
	/* As libwrap calls one whom nobody knows. */
	assert_true(matches(user(NULL), TEXT(USER_LIKE, "?*"), KIND(ALL)));
	assert_true(matches(user(NULL), TEXT(USER_LIKE, "unk*"), KIND(ALL)));
	assert_false(matches(user(NULL), TEXT(USER_LIKE, "j*"), KIND(ALL)));
	assert_false(matches(user("joe"), KIND(USER_UNKNOWN), KIND(ALL)));
	assert_true(matches(user(NULL), KIND(USER_UNKNOWN), KIND(ALL)));
	/* The user and the host. */
	assert_false(matches(user("joe"), TEXT(USER_LIKE, "joe"), NET4(10, 2)));
	assert_true(matches(user("joe"), TEXT(USER_LIKE, "jim"), KIND(ALL), NET4(10, 1)));
}

/* That it is not known is nobody's but our doing: it does not help him. */
static void test_user_who_could_not_be_asked_for(void **ctx)
{
	struct wrappers_client c = user(NULL);

	(void)ctx;
	c.user_state = WRAPPERS_USER_UNSURE;
	assert_true(matches(c, TEXT(USER_LIKE, "joe"), KIND(ALL)));
	assert_true(matches(c, KIND(USER_KNOWN), KIND(ALL)));
	assert_true(matches(c, KIND(USER_UNKNOWN), KIND(ALL)));
	assert_false(matches(c, TEXT(USER_LIKE, "joe"), NET4(10, 2)));
	assert_true(matches(c, KIND(ALL), EXCEPT, TEXT(USER_LIKE, "joe"), KIND(ALL)));
}

/* (a EXCEPT (b EXCEPT c)). */
static void test_except(void **ctx)
{
	(void)ctx;
#define NESTED KIND(ALL), EXCEPT, NET4(10, 1), NET4(10, 2), EXCEPT, NET4(10, 2)
	assert_true(matches(client("10.3.0.1"), NESTED));
	assert_false(matches(client("10.1.0.1"), NESTED));
	assert_true(matches(client("10.2.0.1"), NESTED));
	assert_false(matches(client("10.3.0.1"), NET4(10, 1), EXCEPT, NET4(10, 3)));
	/* What comes behind a match is skipped, with what belongs to it. */
	assert_false(matches(client("10.1.0.1"), KIND(ALL), TEXT(USER_LIKE, "x"), KIND(ALL),
		NET6, EXCEPT, NET4(10, 1)));
}

static struct wrappers_client come_to(const char *address, uint16_t port)
{
	struct wrappers_client c = client("10.1.2.3");

	c.local = source(address);
	c.local_unsure = !address && port > 0;
	c.port = port;
	return c;
}

static void test_locals(void **ctx)
{
	(void)ctx;
	assert_true(matches_at(come_to("10.9.1.1", 22), LOCALS(NET4(10, 9)), KIND(ALL)));
	assert_false(matches_at(come_to("10.8.1.1", 22), LOCALS(NET4(10, 9)), KIND(ALL)));
	assert_false(matches_at(come_to("10.9.1.1", 22), LOCALS(NET4(10, 9)), NET4(10, 2)));
	assert_true(
		matches_at(come_to("10.9.1.1", 22), LOCALS(PORT_OF(22), KIND(ALL)), KIND(ALL)));
	/* A port of something else, such as vsock, is none. */
	assert_false(
		matches_at(come_to("10.9.1.1", 0), LOCALS(PORT_OF(0), KIND(ALL)), KIND(ALL)));
	assert_false(matches_at(
		come_to("10.9.1.1", 278), LOCALS(PORT_OF(22), KIND(ALL)), KIND(ALL)));
	/* Where nobody knows which of ours he has come to. */
	assert_true(matches_at(come_to(NULL, 22), LOCALS(NET4(10, 9)), KIND(ALL)));
	assert_true(
		matches_at(come_to(NULL, 22), LOCALS(TEXT(ADDRESS_LIKE, "10.*")), KIND(ALL)));
	assert_false(matches_at(come_to(NULL, 0), LOCALS(NET4(10, 9)), KIND(ALL)));
}

/* --------------------------------------------------------------- what is not known yet */

static const struct wrappers_rule by_name[] = {
	{ALLOW(1), CLIENTS(TEXT(HOST, ".org"), NET4(10, 1))},
	{ALLOW(2), CLIENTS(TEXT(HOST, ".net"))},
	{ALLOW(3), CLIENTS(NET4(10, 2))},
	{ALLOW(4), CLIENTS(TEXT(USER_LIKE, "joe"), NET4(10, 4))},
	{DENY(5), CLIENTS(KIND(PARANOID))},
	{DENY(6), CLIENTS(NET4(10, 3))},
	{DENY(7), CLIENTS(NET4(10, 4))},
};

static struct wrappers_answer ask_early(const char *address)
{
	_cleanup_table_ struct table table = compile(by_name, ARRAY_SIZE(by_name));
	struct wrappers_client c = client(address);

	c.name_state = WRAPPERS_NAME_UNASKED;
	c.user_state = WRAPPERS_USER_UNASKED;
	return wrappers_ask(table.bytes, &c);
}

static void test_early(void **ctx)
{
	struct wrappers_answer answer;

	(void)ctx;
	/* His address does. */
	answer = ask_early("10.1.0.1");
	assert_int_equal(answer.verdict, WRAPPERS_OK);
	assert_int_equal(answer.line, 1);
	/* What might match before it says the same. */
	answer = ask_early("10.2.0.1");
	assert_int_equal(answer.verdict, WRAPPERS_OK);
	assert_int_equal(answer.line, 3);
	assert_int_equal(answer.needs, 0);
	/* The name decides, or both; the first such rule is told. */
	answer = ask_early("10.3.0.1");
	assert_int_equal(answer.verdict, WRAPPERS_OPEN);
	assert_int_equal(answer.needs, WRAPPERS_NEEDS_NAME);
	assert_int_equal(answer.line, 1);
	answer = ask_early("10.4.0.1");
	assert_int_equal(answer.verdict, WRAPPERS_OPEN);
	assert_int_equal(answer.needs, WRAPPERS_NEEDS_NAME | WRAPPERS_NEEDS_USER);
	/* Nobody denies him but by his name. */
	answer = ask_early("10.5.0.1");
	assert_int_equal(answer.verdict, WRAPPERS_OPEN);
}

static enum wrappers_verdict ask_one(
	const struct wrappers_rule *rule, enum wrappers_name state, const char *address)
{
	_cleanup_table_ struct table table = compile(rule, 1);
	struct wrappers_client c = client(address);

	c.name_state = state;
	return wrappers_ask(table.bytes, &c).verdict;
}

#define EARLY(...)                                                                             \
	ask_one(&(struct wrappers_rule){DENY(1), CLIENTS(__VA_ARGS__)}, WRAPPERS_NAME_UNASKED, \
		"10.1.0.1")

/* Each word about names waits for one, but where it makes no difference. */
static void test_early_words(void **ctx)
{
	(void)ctx;
	assert_int_equal(EARLY(KIND(KNOWN)), WRAPPERS_OPEN);
	assert_int_equal(EARLY(KIND(UNKNOWN)), WRAPPERS_OPEN);
	assert_int_equal(EARLY(KIND(LOCAL)), WRAPPERS_OPEN);
	assert_int_equal(EARLY(TEXT(HOST_LIKE, "*.org")), WRAPPERS_OPEN);
	assert_int_equal(EARLY(TEXT(EITHER_LIKE, "?.?")), WRAPPERS_OPEN);
	assert_int_equal(EARLY(KIND(ALL), EXCEPT, KIND(KNOWN)), WRAPPERS_OPEN);
	assert_int_equal(EARLY(KIND(KNOWN), EXCEPT, NET4(10, 1)), WRAPPERS_OK);
	assert_int_equal(EARLY(KIND(KNOWN), KIND(ALL)), WRAPPERS_DENIED);
	assert_int_equal(ask_one(&(struct wrappers_rule){ALLOW(1), CLIENTS(KIND(KNOWN))},
				 WRAPPERS_NAME_UNASKED, "10.1.0.1"),
		WRAPPERS_OK);
}

/* --------------------------------------------------------------- likeness */

static void test_like(void **ctx)
{
	static const struct {
		const char *text, *pattern;
		bool is;
	} cases[] = {
		{"", "", true},
		{"", "*", true},
		{"", "?", false},
		{"a", "", false},
		{"abc", "abc", true},
		{"aBC", "abc", true},
		{"abc", "a?c", true},
		{"abc", "a*", true},
		{"abc", "*c", true},
		{"abc", "*b", false},
		{"abcbc", "a*bc", true},
		{"abcb", "a*bc", false},
		{"abc", "a*b*c*", true},
		{"abc", "*a*b*", true},
		{"abc", "*b*a*", false},
		{"abcabd", "*ab*abd", true},
		{"abab", "ab*ab", true},
		{"aba", "ab*ba", false},
		{"aXbXc", "a*x*x*c", true},
		{"aXbc", "a*x*x*c", false},
		{"abcd", "a**d", true},
		{"abcd", "a*?*d", true},
		{"ad", "a*?*d", false},
		{"abcd", "*?????*", false},
		{"abcd", "*????*", true},
		{"abc", "abcd", false},
		{"abcd", "abc", false},
		{"a@b", "a[b", false},
	};

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(
			wrappers_is_like(cases[i].text, cases[i].pattern), cases[i].is);
}

/* --------------------------------------------------------------- bounds */

static int compile_many(const struct wrappers_item *item, size_t n, size_t n_rules)
{
	_cleanup_free_ struct wrappers_item *items = calloc(n, sizeof *items);
	_cleanup_free_ struct wrappers_rule *rules = calloc(n_rules, sizeof *rules);
	_cleanup_table_ struct table table = {0};
	int r;

	for (size_t i = 0; i < n; i++)
		items[i] = *item;
	for (size_t i = 0; i < n_rules; i++)
		rules[i] = (struct wrappers_rule){.line = 1, .clients = items, .n_clients = n};
	r = wrappers_compile(rules, n_rules, &table.bytes, &table.len);
	if (r == 0)
		assert_int_equal(wrappers_check(table.bytes, table.len), 0);
	return r;
}

/* Only with several * they take long. */
static void test_bound_of_labour(void **ctx)
{
	static const struct wrappers_item one = TEXT(HOST_LIKE, "*.example.org"),
					  several = TEXT(HOST_LIKE, "*.e*.o*g");

	(void)ctx;
	assert_int_equal(wrappers_labour(one.text), 0);
	assert_int_equal(wrappers_labour("none"), 0);
	assert_int_equal(wrappers_labour(several.text), 8);
	assert_int_equal(compile_many(&one, WRAPPERS_TEXTS_MAX, 1), 0);
	assert_int_equal(compile_many(&several, WRAPPERS_LABOUR_MAX / 8, 1), 0);
	assert_int_equal(compile_many(&several, WRAPPERS_LABOUR_MAX / 8 + 1, 1), -E2BIG);
}

static void test_bounds(void **ctx)
{
	static const struct wrappers_item all = KIND(ALL), host = TEXT(HOST, "a.b");

	(void)ctx;
	assert_int_equal(compile_many(&all, WRAPPERS_ITEMS_MAX, 1), 0);
	assert_int_equal(compile_many(&all, WRAPPERS_ITEMS_MAX + 1, 1), -E2BIG);
	assert_int_equal(compile_many(&all, 1, WRAPPERS_ITEMS_MAX), 0);
	assert_int_equal(compile_many(&all, 1, WRAPPERS_ITEMS_MAX + 2), -E2BIG);
	assert_int_equal(compile_many(&host, WRAPPERS_TEXTS_MAX, 1), 0);
	assert_int_equal(compile_many(&host, WRAPPERS_TEXTS_MAX + 1, 1), -E2BIG);
}

static void test_no_memory(void **ctx)
{
	struct table table;

	(void)ctx;
	fail_malloc = true;
	assert_int_equal(wrappers_compile(by_name, 1, &table.bytes, &table.len), -ENOMEM);
}

/* The digest tells what lines and lists say. */
static void test_digest(void **ctx)
{
	const struct wrappers_rule a[] = {{ALLOW(1), CLIENTS(KIND(ALL))}};
	const struct wrappers_rule b[] = {{ALLOW(2), CLIENTS(KIND(ALL))}};
	_cleanup_table_ struct table x = compile(a, 1), y = compile(a, 1), z = compile(b, 1);

	(void)ctx;
	assert_memory_equal(x.bytes, y.bytes, WRAPPERS_DIGEST_LEN);
	assert_memory_not_equal(x.bytes, z.bytes, WRAPPERS_DIGEST_LEN);
}

/* --------------------------------------------------------------- damage */

static bool check(const struct table *table)
{
	_cleanup_free_ uint8_t *copy = malloc(table->len ? table->len : 1);

	/* Where nothing lies behind it. */
	memcpy(copy, table->bytes, table->len);
	return wrappers_check(copy, table->len) == 0;
}

static const struct wrappers_rule varied[] = {
	{ALLOW(1), LOCALS(PORT_OF(22), NET4(10, 1)), CLIENTS(TEXT(HOST, ".a"), NET6)},
	{ALLOW(2), CLIENTS(TEXT(USER_LIKE, "joe"), KIND(ALL), EXCEPT, NET4(10, 9))},
	{DENY(3), CLIENTS(TEXT(ADDRESS_LIKE, "1*"), KIND(KNOWN))},
};

/* Whatever is in the bytes, it holds and can be asked, or it does not hold. */
static void test_damaged(void **ctx)
{
	_cleanup_table_ struct table table = compile(varied, ARRAY_SIZE(varied));
	struct wrappers_client c = named("10.1.2.3", "b.a");

	(void)ctx;
	for (size_t i = WRAPPERS_DIGEST_LEN; i < table.len; i++) {
		for (unsigned value = 0; value < 256; value++) {
			uint8_t was = table.bytes[i];

			table.bytes[i] = (uint8_t)value;
			if (check(&table))
				wrappers_ask(table.bytes, &c);
			table.bytes[i] = was;
		}
	}
}

static void test_cut(void **ctx)
{
	_cleanup_table_ struct table table = compile(varied, ARRAY_SIZE(varied));

	(void)ctx;
	assert_true(check(&table));
	while (table.len-- > 0)
		assert_false(check(&table));
	table.len = 0;
}

/* Where the first rule is, and its lists if it has no locals. */
enum {
	AT_LENGTH = WRAPPERS_DIGEST_LEN,
	AT_RULE = AT_LENGTH + 4,
	AT_FLAGS = AT_RULE + 4,
	AT_LOCALS_LEN = AT_FLAGS + 1,
	AT_CLIENTS_LEN = AT_LOCALS_LEN + 4,
	AT_ITEMS = AT_CLIENTS_LEN + 4,
};

static bool holds_with(const struct wrappers_rule *rules, size_t n, size_t at, uint8_t value)
{
	_cleanup_table_ struct table table = compile(rules, n);

	table.bytes[at] = value;
	return check(&table);
}

static bool form_holds(const struct wrappers_item *items, size_t n)
{
	const struct wrappers_rule rule = {.line = 1, .clients = items, .n_clients = n};
	_cleanup_table_ struct table table = {0};

	assert_int_equal(wrappers_compile(&rule, 1, &table.bytes, &table.len), 0);
	return check(&table);
}
#define form(...) form_holds(LIST(__VA_ARGS__), SIZE(__VA_ARGS__))

static void test_forms(void **ctx)
{
	struct wrappers_item levels[2 * WRAPPERS_LEVELS_MAX + 1];
	char longest[WRAPPERS_TEXT_MAX + 2] = {0};

	(void)ctx;
	assert_true(form(KIND(ALL)));
	assert_false(form(EXCEPT));
	assert_false(form(EXCEPT, KIND(ALL)));
	assert_false(form(KIND(ALL), EXCEPT));
	assert_false(form(KIND(ALL), EXCEPT, EXCEPT, KIND(ALL)));
	assert_false(form(KIND(USER_KNOWN)));
	assert_false(form(KIND(USER_KNOWN), EXCEPT, KIND(ALL)));
	assert_false(form(KIND(USER_KNOWN), PORT_OF(1), KIND(ALL)));
	assert_false(form(KIND(ALL), PORT_OF(1)));
	assert_true(form(KIND(ALL), PORT_OF(1), KIND(ALL)));
	assert_false(form(TEXT(HOST, "-")));
	assert_false(form(TEXT(HOST_LIKE, "")));
	assert_false(form_holds(NULL, 0));
	memset(longest, 'x', WRAPPERS_TEXT_MAX);
	assert_true(form(TEXT(HOST_LIKE, longest)));
	longest[WRAPPERS_TEXT_MAX] = 'x';
	assert_false(form(TEXT(HOST_LIKE, longest)));
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		levels[i] =
			(struct wrappers_item){.kind = i % 2 ? WRAPPERS_EXCEPT : WRAPPERS_ALL};
	assert_true(form_holds(levels, 2 * WRAPPERS_LEVELS_MAX - 1));
	assert_false(form_holds(levels, 2 * WRAPPERS_LEVELS_MAX + 1));
}

static void test_numbers(void **ctx)
{
	const struct wrappers_rule all[] = {{ALLOW(1), CLIENTS(KIND(ALL), KIND(ALL))}};
	const struct wrappers_rule net[] = {{ALLOW(1), CLIENTS(NET4(10, 1))}};
	const struct wrappers_rule text[] = {{ALLOW(1), CLIENTS(TEXT(HOST_LIKE, "ab"))}};
	const struct wrappers_rule local[] = {
		{ALLOW(1), LOCALS(KIND(ALL)), CLIENTS(KIND(ALL))}};
	const struct wrappers_rule two[] = {
		{DENY(1), CLIENTS(KIND(ALL))}, {DENY(2), CLIENTS(KIND(ALL))}};

	(void)ctx;
	assert_true(holds_with(all, 1, AT_FLAGS, 3));
	assert_false(holds_with(all, 1, AT_FLAGS, 4));
	assert_false(holds_with(all, 1, AT_LENGTH, 1));
	assert_false(holds_with(all, 1, AT_CLIENTS_LEN, 5));
	assert_false(holds_with(all, 1, AT_CLIENTS_LEN, 3));
	assert_false(holds_with(all, 1, AT_CLIENTS_LEN, 2));
	assert_false(holds_with(all, 1, AT_LOCALS_LEN + 3, 255));
	assert_false(holds_with(all, 1, AT_ITEMS, _WRAPPERS_KIND_MAX));
	assert_false(holds_with(all, 1, AT_ITEMS + 1, 2));
	assert_false(holds_with(all, 1, AT_ITEMS + 3, 1));
	assert_false(holds_with(net, 1, AT_ITEMS + 1, 7));
	assert_false(holds_with(text, 1, AT_ITEMS + 2, 0));
	assert_false(holds_with(text, 1, AT_ITEMS + 4, 'c'));
	assert_false(holds_with(local, 1, AT_ITEMS, WRAPPERS_EXCEPT));
	/* Rules of hosts.allow come first. */
	assert_false(holds_with(two, 2, AT_ITEMS + 2 + 4, 0));
}

/* More than the compiler makes. */
static void test_too_many(void **ctx)
{
	size_t rule = 13 + 2 * (WRAPPERS_ITEMS_MAX + 1), len = AT_RULE + rule;
	_cleanup_free_ uint8_t *bytes = calloc(1, WRAPPERS_TABLE_MAX + 1);

	(void)ctx;
	for (int i = 0; i < 4; i++) {
		bytes[AT_LENGTH + i] = (uint8_t)(rule >> 8 * i);
		bytes[AT_CLIENTS_LEN + i] = (uint8_t)((rule - 13) >> 8 * i);
	}
	assert_int_equal(wrappers_check(bytes, len), -EBADMSG);
	assert_int_equal(wrappers_check(bytes, WRAPPERS_TABLE_MAX + 1), -EBADMSG);
}

static void test_too_many_texts(void **ctx)
{
	size_t each = 4, rule = 13 + each * (WRAPPERS_TEXTS_MAX + 1);
	_cleanup_free_ uint8_t *bytes = calloc(1, AT_RULE + rule);

	(void)ctx;
	for (int i = 0; i < 4; i++) {
		bytes[AT_LENGTH + i] = (uint8_t)(rule >> 8 * i);
		bytes[AT_CLIENTS_LEN + i] = (uint8_t)((rule - 13) >> 8 * i);
	}
	for (size_t i = 0; i <= WRAPPERS_TEXTS_MAX; i++)
		memcpy(bytes + AT_ITEMS + i * each,
			(const uint8_t[]){WRAPPERS_HOST_LIKE, 2, '*', 0}, each);
	assert_int_equal(wrappers_check(bytes, AT_RULE + rule), -EBADMSG);
}

/* A table of many long texts. */
static void test_too_long(void **ctx)
{
	static const struct wrappers_item net = NET6;

	(void)ctx;
	/* 32768 networks of IPv6 with a rule for each are what there may be at most. */
	assert_int_equal(compile_many(&net, 1, WRAPPERS_ITEMS_MAX), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_unsure_allowed),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_except),
		cmocka_unit_test(test_locals),
		cmocka_unit_test(test_early),
		cmocka_unit_test(test_early_words),
		cmocka_unit_test(test_like),
		cmocka_unit_test(test_user_who_could_not_be_asked_for),
		cmocka_unit_test(test_bound_of_labour),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_digest),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_too_many_texts),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
