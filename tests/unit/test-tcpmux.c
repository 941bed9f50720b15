/*
 * tcpmux: which service a client names, and not a byte of what it says to it.
 *
 * Whatever is tried is fed in one piece, byte by byte, and in two pieces cut at every
 * place.
 */
#include "workers/front/tcpmux.h"

#include "base/own.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

/* A text with its NULs, without the last one. */
#define BYTES(text) text, sizeof(text) - 1

#define PAYLOAD "upper\r\nHELP\r\n"

static void assert_same(const struct tcpmux_parser *a, const struct tcpmux_parser *b)
{
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->fault, b->fault);
	assert_string_equal(a->name, b->name);
}

/* In pieces; returns how many bytes were taken. */
static size_t feed(struct tcpmux_parser *p, const char *data, size_t len, size_t cut)
{
	size_t used, more = 0;

	if (tcpmux_feed(p, data, cut, &used) == TCPMUX_MORE)
		tcpmux_feed(p, data + cut, len - cut, &more);
	return used + more;
}

static void try_pieces(
	const char *data, size_t len, const struct tcpmux_parser *whole, size_t whole_used)
{
	struct tcpmux_parser p;
	size_t used = 0, n;

	for (size_t cut = 0; cut <= len; cut++) {
		tcpmux_init(&p);
		assert_int_equal(feed(&p, data, len, cut), whole_used);
		assert_same(whole, &p);
	}
	tcpmux_init(&p);
	for (size_t i = 0; i < len; i++) {
		tcpmux_feed(&p, data + i, 1, &n);
		used += n;
	}
	assert_int_equal(used, whole_used);
	assert_same(whole, &p);
}

/* Feed all of it; *ret_used are the bytes taken. */
static struct tcpmux_parser parse(const char *data, size_t len, size_t *ret_used)
{
	struct tcpmux_parser p;

	tcpmux_init(&p);
	tcpmux_feed(&p, data, len, ret_used);
	try_pieces(data, len, &p, *ret_used);
	return p;
}

/* What never becomes complete names nobody. */
static void try_beginnings(const char *line, size_t len)
{
	struct tcpmux_parser p;
	size_t used;

	for (size_t n = 0; n < len; n++) {
		tcpmux_init(&p);
		assert_int_equal(tcpmux_feed(&p, line, n, &used), TCPMUX_MORE);
		assert_int_equal(used, n);
		assert_in_range(tcpmux_wants(&p), 1, TCPMUX_LINE_MAX - n);
		assert_int_equal(tcpmux_end(&p), TCPMUX_REFUSED);
		assert_int_equal(p.fault, n == 0 ? TCPMUX_NO_LINE : TCPMUX_CUT_SHORT);
		assert_string_equal(p.name, "");
	}
}

/* `line`, with something behind it. */
static void accept_line(const char *line, enum tcpmux_state state, const char *name)
{
	char all[2 * TCPMUX_LINE_MAX + sizeof PAYLOAD];
	struct tcpmux_parser p;
	size_t used;

	strcpy(stpcpy(all, line), PAYLOAD);
	p = parse(all, strlen(all), &used);
	assert_int_equal(p.state, state);
	assert_int_equal(p.fault, TCPMUX_FAULTLESS);
	assert_int_equal(used, strlen(line));
	assert_string_equal(p.name, name);
	assert_int_equal(tcpmux_wants(&p), 0);
	assert_int_equal(tcpmux_end(&p), state);
	try_beginnings(line, strlen(line));
}

static void refuse(const char *line, size_t len, enum tcpmux_fault fault)
{
	struct tcpmux_parser p;
	size_t used;

	p = parse(line, len, &used);
	assert_int_equal(p.state, TCPMUX_REFUSED);
	assert_string_equal(tcpmux_fault_text(p.fault), tcpmux_fault_text(fault));
	assert_string_equal(p.name, "");
	assert_int_equal(tcpmux_wants(&p), 0);
	assert_int_equal(tcpmux_end(&p), TCPMUX_REFUSED);
	assert_int_equal(p.fault, fault);
}

/* "The service name is never case sensitive." */
static void test_names(void **ctx)
{
	(void)ctx;
	accept_line("upper\r\n", TCPMUX_NAMED, "upper");
	accept_line("UPPER\r\n", TCPMUX_NAMED, "upper");
	accept_line("UpPeR\r\n", TCPMUX_NAMED, "upper");
	accept_line("a\r\n", TCPMUX_NAMED, "a");
	accept_line("0\r\n", TCPMUX_NAMED, "0");
	accept_line("x-9_Y.z\r\n", TCPMUX_NAMED, "x-9_y.z");
	accept_line("helper\r\n", TCPMUX_NAMED, "helper");
	accept_line("hel\r\n", TCPMUX_NAMED, "hel");
	accept_line("tcpmux\r\n", TCPMUX_NAMED, "tcpmux");
}

/* "The name HELP is reserved." */
static void test_help(void **ctx)
{
	(void)ctx;
	accept_line("HELP\r\n", TCPMUX_HELP, "");
	accept_line("help\r\n", TCPMUX_HELP, "");
	accept_line("hElP\r\n", TCPMUX_HELP, "");
	accept_line("help\n", TCPMUX_HELP, "");
}

/* As people type it. */
static void test_single_lf(void **ctx)
{
	(void)ctx;
	accept_line("upper\n", TCPMUX_NAMED, "upper");
}

static void test_refused(void **ctx)
{
	(void)ctx;
	refuse(BYTES("\r\n"), TCPMUX_NO_NAME);
	refuse(BYTES("\n"), TCPMUX_NO_NAME);
	refuse(BYTES("upper \r\n"), TCPMUX_BAD_NAME);
	refuse(BYTES(" upper\r\n"), TCPMUX_BAD_NAME);
	refuse(BYTES("up per\r\n"), TCPMUX_BAD_NAME);
	refuse(BYTES("up\0per\r\n"), TCPMUX_BAD_NAME);
	refuse(BYTES("\0\r\n"), TCPMUX_BAD_NAME);
	refuse(BYTES("upper\r\r\n"), TCPMUX_BAD_NAME);
	refuse(BYTES("upper\rlower\r\n"), TCPMUX_BAD_NAME);
	refuse(BYTES("+upper\r\n"), TCPMUX_BAD_NAME);
	refuse(BYTES("%n%n\r\n"), TCPMUX_BAD_NAME);
	refuse(BYTES("../upper\r\n"), TCPMUX_BAD_NAME);
	refuse(BYTES("tcpmux/upper\r\n"), TCPMUX_BAD_NAME);
	refuse(BYTES("GET / HTTP/1.0\r\n"), TCPMUX_BAD_NAME);
	refuse(BYTES("\x1b[2J\r\n"), TCPMUX_BAD_NAME);
	refuse(BYTES("gr\xc3\xbc\xc3\x9f\r\n"), TCPMUX_BAD_NAME);
}

/* Each byte there is, alone and behind a letter. */
static void test_each_byte(void **ctx)
{
	static const char more[] = "_.-";
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789";

	(void)ctx;
	for (int c = 0; c < 256; c++) {
		bool letter = memchr(letters, c, sizeof letters - 1) != NULL;
		bool mark = memchr(more, c, sizeof more - 1) != NULL;
		char line[] = {'a', (char)c, '\r', '\n'};
		struct tcpmux_parser p;
		size_t used;

		if (c == '\r' || c == '\n')
			continue;
		p = parse(line, 4, &used);
		assert_int_equal(p.state, letter || mark ? TCPMUX_NAMED : TCPMUX_REFUSED);
		p = parse(line + 1, 3, &used);
		assert_int_equal(p.state, letter ? TCPMUX_NAMED : TCPMUX_REFUSED);
	}
}

/* A longer one is refused at its first byte too many, and needs no end for that. */
static void test_length(void **ctx)
{
	char line[TCPMUX_LINE_MAX + 2], name[TCPMUX_NAME_MAX + 1];

	(void)ctx;
	memset(name, 'n', TCPMUX_NAME_MAX);
	name[TCPMUX_NAME_MAX] = '\0';
	strcpy(stpcpy(line, name), "\r\n");
	accept_line(line, TCPMUX_NAMED, name);

	memset(line, 'n', sizeof line);
	refuse(line, TCPMUX_NAME_MAX + 1, TCPMUX_LONG_NAME);
	refuse(line, sizeof line, TCPMUX_LONG_NAME);
}

/* Reading as the header file says leaves the service what is the service's. */
static void test_reader(void **ctx)
{
	char buf[TCPMUX_LINE_MAX], rest[64];
	struct tcpmux_parser p;
	int sv[2];

	(void)ctx;
	for (size_t size = 1; size <= sizeof buf; size++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
		assert_int_equal(send(sv[0], "lower\r\n" PAYLOAD, 7 + 13, 0), 7 + 13);
		tcpmux_init(&p);
		while (p.state == TCPMUX_MORE) {
			size_t n = tcpmux_wants(&p), used;
			ssize_t got = recv(sv[1], buf, n < size ? n : size, MSG_PEEK);

			assert_true(got > 0);
			tcpmux_feed(&p, buf, (size_t)got, &used);
			assert_int_equal(recv(sv[1], buf, used, 0), used);
		}
		assert_int_equal(p.state, TCPMUX_NAMED);
		assert_int_equal(recv(sv[1], rest, sizeof rest, 0), 13);
		assert_memory_equal(rest, PAYLOAD, 13);
		close(sv[0]);
		close(sv[1]);
	}
}

/*
 * Answers.
 */

static void assert_answer(bool positive, const char *text, const char *want)
{
	char *buf = malloc(TCPMUX_ANSWER_MAX);
	size_t len;

	assert_non_null(buf);
	len = tcpmux_write_answer(positive, text, buf);
	assert_int_equal(len, strlen(want));
	assert_memory_equal(buf, want, len);
	free(buf);
}

static void test_answers(void **ctx)
{
	(void)ctx;
	assert_answer(true, "go", "+go\r\n");
	assert_answer(true, "", "+\r\n");
	assert_answer(false, "no such service", "-no such service\r\n");
	assert_answer(false, "a\r\n+go\r\n\x1b", "-a\\x0d\\x0a+go\\x0d\\x0a\\x1b\r\n");
}

/* Cut to the room there is, and still one line. */
static void test_long_answer(void **ctx)
{
	char text[2 * TCPMUX_ANSWER_MAX], want[TCPMUX_ANSWER_MAX + 1];

	(void)ctx;
	memset(text, 'x', sizeof text);
	memset(want, 'x', sizeof want);
	want[0] = '-';
	for (size_t len = TCPMUX_ANSWER_MAX - 5; len < sizeof text; len++) {
		size_t shown = len < TCPMUX_ANSWER_MAX - 3 ? len : TCPMUX_ANSWER_MAX - 3;

		text[len] = '\0';
		strcpy(want + 1 + shown, "\r\n");
		assert_answer(false, text, want);
		text[len] = want[1 + shown] = 'x';
	}
}

/* The whole list, in pieces of `size` bytes. */
static void assert_help(
	const char *const *names, size_t n, size_t size, const char *want, size_t max_pieces)
{
	char *buf = malloc(size), all[512] = "";
	size_t at = 0, len = 0, pieces = 0;

	assert_non_null(buf);
	while (at < n) {
		size_t before = at, used = tcpmux_write_help(names, n, &at, buf, size);

		assert_in_range(used, 1, size);
		assert_in_range(at, before + 1, n);
		assert_memory_equal(buf + used - 2, "\r\n", 2);
		memcpy(all + len, buf, used);
		len += used;
		pieces++;
	}
	all[len] = '\0';
	assert_string_equal(all, want);
	assert_in_range(pieces, 0, max_pieces);
	assert_int_equal(tcpmux_write_help(names, n, &at, buf, size), 0);
	free(buf);
}

/* "One name per line." */
static void test_help_list(void **ctx)
{
	static const char *const names[] = {"upper", "Lower", "a", "x-9_Y.z"};
	char longest[TCPMUX_NAME_MAX + 1], line[TCPMUX_LINE_MAX + 1];
	const char *const alone[] = {longest};

	(void)ctx;
	assert_help(NULL, 0, TCPMUX_LINE_MAX, "", 0);
	for (size_t size = TCPMUX_LINE_MAX; size < 2 * TCPMUX_LINE_MAX; size++)
		assert_help(names, 4, size, "upper\r\nLower\r\na\r\nx-9_Y.z\r\n", 1);
	for (size_t size = 9; size < TCPMUX_LINE_MAX; size++)
		assert_help(names, 4, size, "upper\r\nLower\r\na\r\nx-9_Y.z\r\n", 4);
	memset(longest, 'n', TCPMUX_NAME_MAX);
	longest[TCPMUX_NAME_MAX] = '\0';
	strcpy(stpcpy(line, longest), "\r\n");
	assert_help(alone, 1, TCPMUX_LINE_MAX, line, 1);
}

static void test_fault_texts(void **ctx)
{
	(void)ctx;
	for (enum tcpmux_fault a = 0; a < _TCPMUX_FAULT_MAX; a++) {
		assert_non_null(tcpmux_fault_text(a));
		for (enum tcpmux_fault b = 0; b < a; b++)
			assert_string_not_equal(tcpmux_fault_text(a), tcpmux_fault_text(b));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_single_lf),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_each_byte),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_reader),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_long_answer),
		cmocka_unit_test(test_help_list),
		cmocka_unit_test(test_fault_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
