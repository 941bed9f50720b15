/*
 * What the kernel tells of a connection that is over.
 *
 * This kernel says it as it should, so this is for what others may say: besides memory errors
 * it looks for half an answer, and for a number that could go below 0.
 */
#include "base/tcp-end.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tcp_end end = {.cookie = 4711, .bytes = {.in = 1, .out = 2}};
	int r = tcp_end_read(data, size, &end);

	if (r < 0) {
		check(end.cookie == 4711 && end.bytes.in == 1 && end.bytes.out == 2);
		return 0;
	}
	check(r == 0);
	/* One that may be taken off is there. */
	check(!end.vague || end.bytes.in > 0);
	tcp_end_settle(-1, &end);
	check(!end.vague);
	return 0;
}
