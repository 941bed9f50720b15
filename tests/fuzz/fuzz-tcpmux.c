/*
 * The line of RFC 1078.
 *
 * Besides memory errors this looks for what must never be: a result that depends on how
 * the bytes came, a byte taken from behind the line, and a name that no service can have.
 */
#include "workers/front/tcpmux.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* Pieces of `piece` bytes at most; returns how many were taken. */
static size_t feed(struct tcpmux_parser *p, const uint8_t *data, size_t size, size_t piece)
{
	size_t at = 0;

	while (p->state == TCPMUX_MORE && at < size) {
		size_t n = tcpmux_wants(p), used;

		check(n > 0 && n <= TCPMUX_LINE_MAX);
		n = n < piece ? n : piece;
		n = n < size - at ? n : size - at;
		tcpmux_feed(p, data + at, n, &used);
		check(used <= n);
		at += used;
	}
	return at;
}

static void check_name(const char *name)
{
	static const char characters[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";

	check(name[0] && name[strspn(name, characters)] == '\0');
	check(strchr("_.-", name[0]) == NULL);
	check(strcmp(name, "help") != 0);
}

/* Whatever the text, it is one line. */
static void check_answer(const uint8_t *data, size_t size)
{
	char answer[TCPMUX_ANSWER_MAX], *text = strndup((const char *)data, size);
	size_t len;

	if (!text)
		return;
	len = tcpmux_write_answer(false, text, answer);
	check(len >= 3 && len <= sizeof answer);
	check(answer[0] == '-' && memchr(answer, '\n', len) == answer + len - 1);
	check(memchr(answer, '\r', len) == answer + len - 2);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = {1, 2, 3, 7};
	struct tcpmux_parser whole, p;
	size_t used;

	tcpmux_init(&whole);
	used = feed(&whole, data, size, SIZE_MAX);
	for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
		tcpmux_init(&p);
		check(feed(&p, data, size, pieces[i]) == used);
		check(p.state == whole.state && p.fault == whole.fault);
		check(strcmp(p.name, whole.name) == 0);
	}

	check(used <= TCPMUX_LINE_MAX);
	if (whole.state == TCPMUX_NAMED)
		check_name(whole.name);
	if (whole.state == TCPMUX_NAMED || whole.state == TCPMUX_HELP)
		check(data[used - 1] == '\n' && !memchr(data, '\n', used - 1));
	else
		check(tcpmux_end(&whole) == TCPMUX_REFUSED && whole.fault != TCPMUX_FAULTLESS);
	check_answer(data, size);
	return 0;
}
