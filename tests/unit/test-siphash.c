/* siphash: the reference vectors of its authors. */
#include "policy/siphash.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* SipHash-2-4 of the bytes 0, 1, 2 ... n-1 with the key 0, 1, 2 ... 15, read as
 * little-endian numbers; one for each length from 0 on. */
static const uint64_t vectors[] = {
	0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
	0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
	0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
	0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee,
	0xa129ca6149be45e5, /* the one of the paper's appendix */
};

static const uint8_t key[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void test_reference_vectors(void **ctx)
{
	uint8_t data[64];

	(void)ctx;
	for (uint8_t i = 0; i < sizeof data; i++)
		data[i] = i;
	for (size_t len = 0; len < sizeof vectors / sizeof vectors[0]; len++)
		assert_true(siphash(data, len, key) == vectors[len]);
}

static void test_alignment_does_not_matter(void **ctx)
{
	uint8_t data[64];

	(void)ctx;
	for (size_t shift = 0; shift < 8; shift++) {
		for (uint8_t i = 0; i < 15; i++)
			data[shift + i] = i;
		assert_true(siphash(data + shift, 15, key) == vectors[15]);
	}
}

static void test_every_bit_of_the_key_counts(void **ctx)
{
	uint8_t other[16];

	(void)ctx;
	for (unsigned bit = 0; bit < 128; bit++) {
		for (unsigned i = 0; i < sizeof other; i++)
			other[i] = key[i];
		other[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(siphash("", 0, other) == vectors[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reference_vectors),
		cmocka_unit_test(test_alignment_does_not_matter),
		cmocka_unit_test(test_every_bit_of_the_key_counts),
	};

	return cmocka_run_group_tests_name("siphash", tests, NULL, NULL);
}
