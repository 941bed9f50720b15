/* crc32c: known checksums, of one piece and of several. */
#include "workers/front/crc32c.h"

#include "base/own.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* RFC 3720, B.4, where the same checksum is written with its bytes the other way round;
 * and the check value that catalogues of checksums give. */
static void test_known(void **ctx)
{
	uint8_t bytes[32];

	(void)ctx;
	memset(bytes, 0, sizeof bytes);
	assert_int_equal(crc32c_add(0, bytes, sizeof bytes), 0x8a9136aa);
	memset(bytes, 0xff, sizeof bytes);
	assert_int_equal(crc32c_add(0, bytes, sizeof bytes), 0x62a8ab43);
	for (uint8_t i = 0; i < sizeof bytes; i++)
		bytes[i] = i;
	assert_int_equal(crc32c_add(0, bytes, sizeof bytes), 0x46dd794e);
	assert_int_equal(crc32c_add(0, "123456789", 9), 0xe3069283);
}

static void test_pieces(void **ctx)
{
	static const char text[] = "123456789";

	(void)ctx;
	assert_int_equal(crc32c_add(0, "", 0), 0);
	for (size_t i = 0; i <= 9; i++)
		assert_int_equal(
			crc32c_add(crc32c_add(0, text, i), text + i, 9 - i), 0xe3069283);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
