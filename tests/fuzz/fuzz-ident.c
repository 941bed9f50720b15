/*
 * The answer of RFC 1413, to a question about the ports 6193 and 23.
 *
 * Besides memory errors this looks for what must never be: a result that depends on how
 * the bytes came, and a name that is longer than any, or would harm a terminal.
 */
#include "workers/lookup/ident.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void parse(struct ident_parser *p, const uint8_t *data, size_t size, size_t piece)
{
	ident_init(p, 6193, 23);
	for (size_t at = 0; at < size; at += piece)
		ident_feed(p, data + at, size - at < piece ? size - at : piece);
}

static void check_user(const struct ident_parser *p)
{
	check(p->user_len > 0 && p->user_len <= IDENT_USER_MAX);
	check(strlen(p->user) == p->user_len);
	for (size_t i = 0; i < p->user_len; i++)
		check((unsigned char)p->user[i] >= 0x20 && p->user[i] != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = {1, 2, 3, 7};
	struct ident_parser whole, p;

	parse(&whole, data, size, size ? size : 1);
	for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
		parse(&p, data, size, pieces[i]);
		check(p.state == whole.state && p.fault == whole.fault);
		check(strcmp(p.user, whole.user) == 0);
	}
	if (whole.state == IDENT_NAMED)
		check_user(&whole);
	else
		check(whole.user[0] == '\0' && whole.user_len == 0);
	check((whole.state == IDENT_REFUSED) == (whole.fault != IDENT_FAULTLESS));
	if (whole.state == IDENT_MORE)
		check(ident_end(&whole) == IDENT_REFUSED && whole.fault == IDENT_CUT_SHORT);
	check(ident_fault_text(whole.fault)[0] != '\0');
	return 0;
}
