/* log-compose: texts are clean, and what does not fit is cut or left out whole. */
#include "base/log-compose.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char data[16384];

/* Room for `size` bytes, of which a few are used; what lies behind it is marked. */
static struct log_space space_of(size_t size)
{
	assert_true(size + 1 <= sizeof data);
	memset(data, '#', sizeof data);
	memcpy(data, "abc", 3);
	return (struct log_space){.data = data, .size = size, .used = 3};
}

/* It has `text` behind what was there, and nothing beyond its end. */
static void check_space(const struct log_space *space, const char *text, size_t len)
{
	assert_int_equal(space->used, 3 + len);
	assert_true(space->used <= space->size);
	assert_memory_equal(data, "abc", 3);
	assert_memory_equal(data + 3, text, len);
	assert_int_equal(data[space->size], '#');
}

static void compose(char text[LOG_TEXT_MAX + 1], const char *format, ...) _printf_(2, 3);
static void compose(char text[LOG_TEXT_MAX + 1], const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	log_compose_text(text, format, ap);
	va_end(ap);
}

static void test_text_is_clean(void **ctx)
{
	char text[LOG_TEXT_MAX + 1];

	(void)ctx;
	compose(text, "%s %d%%", "a\tb\nc", 100);
	assert_string_equal(text, "a\tb\nc 100%");
	compose(text, "\033[31m\r\x7f\\");
	assert_string_equal(text, "\\x1b[31m\\x0d\\x7f\\");
	compose(text, "%s", "\xff\xc2\x9b\xc3\xa9\xc3");
	assert_string_equal(text, "\\xff\\xc2\\x9b\xc3\xa9\\xc3");
	compose(text, "%s", "");
	assert_string_equal(text, "");
}

static void test_text_is_cut_between_characters(void **ctx)
{
	char text[LOG_TEXT_MAX + 1], long_text[2 * LOG_TEXT_MAX];

	(void)ctx;
	/* A byte is left, and a character of two. */
	memset(long_text, 'a', sizeof long_text);
	strcpy(long_text + LOG_TEXT_MAX - 1, "\xc3\xa9 and more");
	compose(text, "%s", long_text);
	assert_int_equal(strlen(text), LOG_TEXT_MAX - 1);
	assert_memory_equal(text, long_text, LOG_TEXT_MAX - 1);

	/* Two bytes are left. */
	compose(text, "%s", long_text + 1);
	assert_int_equal(strlen(text), LOG_TEXT_MAX);
	assert_memory_equal(text, long_text + 1, LOG_TEXT_MAX);

	/* Escapes are not torn either, and count as what they are written as. */
	memset(long_text, '\033', sizeof long_text - 1);
	long_text[sizeof long_text - 1] = '\0';
	long_text[0] = 'a';
	compose(text, "%s", long_text);
	assert_int_equal(strlen(text), LOG_TEXT_MAX - 3);
	assert_string_equal(text + LOG_TEXT_MAX - 3 - 4, "\\x1b");
}

static void test_line(void **ctx)
{
	struct log_space space = space_of(100);
	static const char wanted[] = "t: error: a\nt: warning: b\nt: c\nerror: d\ne\n";

	(void)ctx;
	assert_true(log_compose_line(&space, "t", LOG_ERR, "a"));
	assert_true(log_compose_line(&space, "t", LOG_WARNING, "b"));
	assert_true(log_compose_line(&space, "t", LOG_NOTICE, "c"));
	assert_true(log_compose_line(&space, NULL, LOG_CRIT, "d"));
	assert_true(log_compose_line(&space, NULL, LOG_DEBUG, "e"));
	check_space(&space, wanted, sizeof wanted - 1);
}

static void test_line_fits_or_is_not_there(void **ctx)
{
	static const char wanted[] = "t: warning: text\n";
	struct log_space space;

	(void)ctx;
	for (size_t size = 3; size < 3 + sizeof wanted - 1; size++) {
		space = space_of(size);
		assert_false(log_compose_line(&space, "t", LOG_WARNING, "text"));
		check_space(&space, "", 0);
	}
	space = space_of(3 + sizeof wanted - 1);
	assert_true(log_compose_line(&space, "t", LOG_WARNING, "text"));
	check_space(&space, wanted, sizeof wanted - 1);
}

static void test_journal(void **ctx)
{
	static const struct log_field fields[] = {
		{"SERVICE", "echo"},
		{"REASON", "a\nb"},
		{"UNKNOWN", NULL},
		{"EMPTY", ""},
		{NULL, NULL},
	};
	static const char wanted[] =
		"PRIORITY=6\nSYSLOG_IDENTIFIER=t\nMESSAGE=hello\nSERVICE=echo\n"
		"REASON\n\3\0\0\0\0\0\0\0a\nb\nEMPTY=\n";
	static const char alone[] =
		"PRIORITY=3\nSYSLOG_IDENTIFIER=t\nMESSAGE\n\3\0\0\0\0\0\0\0x\ny\n";
	struct log_space space = space_of(1000);

	(void)ctx;
	log_compose_journal(&space, "t", LOG_INFO, fields, "hello");
	check_space(&space, wanted, sizeof wanted - 1);
	space = space_of(1000);
	log_compose_journal(&space, "t", LOG_ERR, NULL, "x\ny");
	check_space(&space, alone, sizeof alone - 1);
}

/* The length of a value has eight bytes, the lowest first. */
static void test_journal_long_value(void **ctx)
{
	static const char start[] = "PRIORITY=6\nSYSLOG_IDENTIFIER=t\nMESSAGE=m\nF\n"
				    "\xe9\3\0\0\0\0\0\0";
	char value[1002], wanted[2000];
	size_t len = sizeof start - 1;
	const struct log_field fields[] = {{"F", value}, {NULL, NULL}};
	struct log_space space = space_of(2000);

	(void)ctx;
	memset(value, 'x', sizeof value);
	value[0] = '\n';
	value[1001] = '\0';
	memcpy(wanted, start, len);
	memcpy(wanted + len, value, sizeof value - 1);
	len += sizeof value - 1;
	wanted[len++] = '\n';
	log_compose_journal(&space, "t", LOG_INFO, fields, "m");
	check_space(&space, wanted, len);
}

/* A field that is too long is left out; the message and other fields are not. */
static void test_journal_field_too_long(void **ctx)
{
	static const char wanted[] =
		"PRIORITY=6\nSYSLOG_IDENTIFIER=t\nMESSAGE=hello\nSMALL=s\n";
	char large[] = "longer than the other one";
	const struct log_field fields[] = {{"LARGE", large}, {"SMALL", "s"}, {NULL, NULL}};
	struct log_space space = space_of(3 + sizeof wanted - 1);

	(void)ctx;
	log_compose_journal(&space, "t", LOG_INFO, fields, "hello");
	check_space(&space, wanted, sizeof wanted - 1);
	large[3] = '\n';
	space = space_of(3 + sizeof wanted - 1);
	log_compose_journal(&space, "t", LOG_INFO, fields, "hello");
	check_space(&space, wanted, sizeof wanted - 1);
}

static void test_syslog(void **ctx)
{
	struct log_space space = space_of(100);
	char wanted[100];
	size_t len;

	(void)ctx;
	len = (size_t)snprintf(wanted, sizeof wanted, "<%d>t[%d]: full",
		LOG_DAEMON | LOG_WARNING, (int)getpid());
	log_compose_syslog(&space, "t", LOG_WARNING, "full");
	check_space(&space, wanted, len);

	/* Cut, with room for the NUL that is not sent. */
	space = space_of(3 + len);
	log_compose_syslog(&space, "t", LOG_WARNING, "full");
	check_space(&space, wanted, len - 1);
	space = space_of(3);
	log_compose_syslog(&space, "t", LOG_WARNING, "full");
	check_space(&space, "", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_is_clean),
		cmocka_unit_test(test_text_is_cut_between_characters),
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_line_fits_or_is_not_there),
		cmocka_unit_test(test_journal),
		cmocka_unit_test(test_journal_long_value),
		cmocka_unit_test(test_journal_field_too_long),
		cmocka_unit_test(test_syslog),
	};

	return cmocka_run_group_tests_name("log-compose", tests, NULL, NULL);
}
