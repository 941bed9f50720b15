/* Addresses: what is understood is shown in a way that is understood alike. */
#include "base/addr.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct addr *addr)
{
	char text[ADDR_TEXT_MAX];
	struct addr_spec again;
	const char *why;

	if (addr_parse(addr_format(addr, text), &again, &why) < 0)
		abort();
	if (!addr_equal(addr, &again.addr))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct addr_spec spec;
	const char *why = NULL;
	char *text;

	text = strndup((const char *)data, size);
	if (!text)
		return 0;

	if (addr_parse(text, &spec, &why) < 0) {
		if (!why || !*why)
			abort();
	} else if (!spec.host[0] && !spec.service[0] && spec.port_first == spec.port_last) {
		check_round_trip(&spec.addr);
	}
	free(text);
	return 0;
}
