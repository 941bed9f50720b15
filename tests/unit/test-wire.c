/* wire: what is written is read back, and nothing else is believed. */
#include "base/strv.h"
#include "base/wire.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SEED UINT64_C(0x8cb92ba72f3d8dd7)

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x >> 12;
	*x ^= *x << 25;
	*x ^= *x >> 27;
	return *x * UINT64_C(0x2545f4914f6cdd1d);
}

/* One of everything, as a decoder would have it. */
struct message {
	uint8_t u8;
	uint32_t u32;
	uint64_t u64;
	uint8_t blob[5];
	char *text;
	char *null;
	char **vector;
	uint32_t n_numbers;
	uint32_t numbers[8];
};

static void message_done(struct message *m)
{
	free(m->text);
	free(m->null);
	strv_free(m->vector);
}

static void put_message(struct wire_writer *w, const struct message *m)
{
	wire_put_u8(w, m->u8);
	wire_put_u32(w, m->u32);
	wire_put_u64(w, m->u64);
	wire_put_blob(w, m->blob, sizeof m->blob);
	wire_put_string(w, m->text);
	wire_put_string(w, m->null);
	wire_put_strv(w, m->vector);
	wire_put_u32(w, m->n_numbers);
	for (uint32_t i = 0; i < m->n_numbers; i++)
		wire_put_u32(w, m->numbers[i]);
}

/* 0 or -1; the message is to be released either way. */
static int get_message(const uint8_t *data, size_t len, struct message *m)
{
	struct wire_reader r;

	memset(m, 0, sizeof *m);
	wire_reader_init(&r, data, len);
	m->u8 = wire_get_u8(&r);
	m->u32 = wire_get_u32(&r);
	m->u64 = wire_get_u64(&r);
	wire_get_blob(&r, m->blob, sizeof m->blob);
	m->text = wire_get_string(&r);
	m->null = wire_get_string(&r);
	m->vector = wire_get_strv(&r);
	m->n_numbers = wire_get_count(&r, 4);
	if (m->n_numbers > 8)
		return -1;
	for (uint32_t i = 0; i < m->n_numbers; i++)
		m->numbers[i] = wire_get_u32(&r);
	return wire_reader_complete(&r) ? 0 : -1;
}

static bool text_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool message_equal(const struct message *a, const struct message *b)
{
	return a->u8 == b->u8 && a->u32 == b->u32 && a->u64 == b->u64 &&
	       memcmp(a->blob, b->blob, sizeof a->blob) == 0 && text_equal(a->text, b->text) &&
	       text_equal(a->null, b->null) && strv_equal(a->vector, b->vector) &&
	       a->n_numbers == b->n_numbers &&
	       memcmp(a->numbers, b->numbers, sizeof a->numbers) == 0;
}

static void test_layout(void **ctx)
{
	static const uint8_t wanted[] = {0x12, 0x78, 0x56, 0x34, 0x12, 8, 7, 6, 5, 4, 3, 2, 1,
		2, 0, 0, 0, 0, 0xff, 2, 0, 0, 0, 'h', 'i', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0,
		1, 0, 0, 0, 1, 0, 0, 0, 'a', 0, 0xff};
	static const uint8_t blob[] = {0, 0xff};
	char *vector[] = {(char[]){"a"}, NULL};
	struct wire_writer w;

	(void)ctx;
	wire_writer_init(&w);
	wire_put_u8(&w, 0x12);
	wire_put_u32(&w, 0x12345678);
	wire_put_u64(&w, UINT64_C(0x0102030405060708));
	wire_put_blob(&w, blob, sizeof blob);
	wire_put_string(&w, "hi");
	wire_put_string(&w, NULL);
	wire_put_string(&w, "");
	wire_put_strv(&w, vector);
	wire_put_raw(&w, blob, sizeof blob);
	wire_put_raw(&w, NULL, 0);
	assert_int_equal(w.error, 0);
	assert_int_equal(w.len, sizeof wanted);
	assert_memory_equal(w.data, wanted, sizeof wanted);
	wire_writer_done(&w);
	assert_null(w.data);
	assert_int_equal(w.len, 0);
	wire_writer_done(&w);
}

static void test_strings_keep_null_apart(void **ctx)
{
	_cleanup_free_ char *empty = NULL;
	struct wire_writer w;
	struct wire_reader r;
	char raw[2];

	(void)ctx;
	wire_writer_init(&w);
	wire_put_string(&w, NULL);
	wire_put_string(&w, "");
	wire_put_strv(&w, NULL);
	wire_put_blob(&w, NULL, 0);
	wire_put_raw(&w, "ab", 2);
	wire_reader_init(&r, w.data, w.len);
	assert_null(wire_get_string(&r));
	assert_int_equal(r.error, 0);
	empty = wire_get_string(&r);
	assert_string_equal(empty, "");
	assert_null(wire_get_strv(&r));
	assert_int_equal(r.error, 0);
	assert_false(wire_reader_complete(&r));
	wire_get_blob(&r, NULL, 0);
	wire_get_raw(&r, NULL, 0);
	assert_false(wire_reader_complete(&r));
	wire_get_raw(&r, raw, sizeof raw);
	assert_memory_equal(raw, "ab", 2);
	assert_true(wire_reader_complete(&r));
	wire_writer_done(&w);
}

static void test_large_values_grow_the_buffer(void **ctx)
{
	enum { LEN = 300000 };
	_cleanup_free_ char *sent = malloc(LEN + 1), *got = NULL;
	struct wire_writer w;
	struct wire_reader r;

	(void)ctx;
	assert_non_null(sent);
	memset(sent, 'x', LEN);
	sent[LEN] = '\0';
	wire_writer_init(&w);
	wire_put_u8(&w, 1);
	wire_put_string(&w, sent);
	assert_int_equal(w.error, 0);
	wire_reader_init(&r, w.data, w.len);
	assert_int_equal(wire_get_u8(&r), 1);
	got = wire_get_string(&r);
	assert_string_equal(got, sent);
	assert_true(wire_reader_complete(&r));
	wire_writer_done(&w);
}

static void check_fault(const void *data, size_t len, void (*get)(struct wire_reader *))
{
	/* On the heap, so that a read beyond the end is seen. */
	_cleanup_free_ uint8_t *copy = malloc(len ? len : 1);
	uint8_t blob[4] = {1, 2, 3, 4};
	struct wire_reader r;

	assert_non_null(copy);
	if (len > 0)
		memcpy(copy, data, len);
	wire_reader_init(&r, copy, len);
	get(&r);
	assert_int_equal(r.error, -EBADMSG);
	assert_false(wire_reader_complete(&r));

	/* All further reads yield nothing, and the fault stays. */
	assert_int_equal(wire_get_u8(&r), 0);
	assert_int_equal(wire_get_u32(&r), 0);
	assert_true(wire_get_u64(&r) == 0);
	assert_null(wire_get_string(&r));
	assert_null(wire_get_strv(&r));
	assert_int_equal(wire_get_count(&r, 1), 0);
	wire_get_blob(&r, blob, sizeof blob);
	assert_memory_equal(blob, ((uint8_t[4]){0}), 4);
	assert_int_equal(r.error, -EBADMSG);
}

static void get_u8(struct wire_reader *r)
{
	assert_int_equal(wire_get_u8(r), 0);
}

static void get_u32(struct wire_reader *r)
{
	assert_int_equal(wire_get_u32(r), 0);
}

static void get_u64(struct wire_reader *r)
{
	assert_true(wire_get_u64(r) == 0);
}

static void get_string(struct wire_reader *r)
{
	assert_null(wire_get_string(r));
}

static void get_strv(struct wire_reader *r)
{
	assert_null(wire_get_strv(r));
}

static void get_blob3(struct wire_reader *r)
{
	uint8_t blob[3] = {9, 9, 9};

	wire_get_blob(r, blob, sizeof blob);
	assert_memory_equal(blob, ((uint8_t[3]){0}), 3);
}

static void get_raw3(struct wire_reader *r)
{
	uint8_t raw[3] = {9, 9, 9};

	wire_get_raw(r, raw, sizeof raw);
	assert_memory_equal(raw, ((uint8_t[3]){0}), 3);
}

static void get_count8(struct wire_reader *r)
{
	assert_int_equal(wire_get_count(r, 8), 0);
}

#define CHECK_FAULT(get, ...) \
	check_fault((uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__}), get)

#define SECRET_LEN 32

/* How often it is in what malloc(3) has from the kernel, in use or given back. */
static size_t count_in_heap(const uint8_t secret[SECRET_LEN])
{
	FILE *maps = fopen("/proc/self/maps", "re"), *memory = fopen("/proc/self/mem", "re");
	char line[512];
	uintptr_t from, to;
	uint8_t window[SECRET_LEN] = {0};
	size_t n = 0;

	assert_true(maps && memory);
	while (fgets(line, sizeof line, maps)) {
		if (!strstr(line, "[heap]") ||
			sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &from, &to) != 2)
			continue;
		assert_int_equal(fseek(memory, (long)from, SEEK_SET), 0);
		for (; from < to; from++) {
			memmove(window, window + 1, sizeof window - 1);
			window[sizeof window - 1] = (uint8_t)fgetc(memory);
			n += memcmp(window, secret, sizeof window) == 0;
		}
	}
	fclose(maps);
	fclose(memory);
	return n;
}

/* A buffer that could grow where it is would not be given back. */
static void test_keys_are_wiped(void **ctx)
{
	uint8_t secret[SECRET_LEN];
	uint64_t x = SEED;
	void *between[200];
	struct wire_writer w;

	(void)ctx;
	for (size_t i = 0; i < sizeof secret; i++)
		secret[i] = (uint8_t)next_random(&x);
	wire_writer_init_secret(&w);
	for (size_t i = 0; i < ARRAY_SIZE(between); i++) {
		wire_put_raw(&w, secret, sizeof secret);
		between[i] = malloc(64);
	}
	assert_int_equal(w.error, 0);
	for (size_t i = 0; i < ARRAY_SIZE(between); i++) {
		assert_memory_equal(w.data + i * sizeof secret, secret, sizeof secret);
		free(between[i]);
	}
	wire_writer_done(&w);
	assert_int_equal(count_in_heap(secret), 0);
}

static void test_faults(void **ctx)
{
	(void)ctx;
	check_fault(NULL, 0, get_u8);
	check_fault(NULL, 0, get_string);
	CHECK_FAULT(get_u32, 1, 2, 3);
	CHECK_FAULT(get_u64, 1, 2, 3, 4, 5, 6, 7);
	CHECK_FAULT(get_string, 2, 0, 0, 0, 'a');
	CHECK_FAULT(get_string, 0xfe, 0xff, 0xff, 0xff, 'a');
	CHECK_FAULT(get_string, 3, 0, 0, 0, 'a', 0, 'b'); /* an embedded NUL */
	CHECK_FAULT(get_string, 1, 0, 0, 0, 0);
	CHECK_FAULT(get_blob3, 2, 0, 0, 0, 'a', 'b', 'c'); /* another length */
	CHECK_FAULT(get_blob3, 4, 0, 0, 0, 'a', 'b', 'c', 'd');
	CHECK_FAULT(get_blob3, 3, 0, 0, 0, 'a', 'b');
	CHECK_FAULT(get_raw3, 'a', 'b');
	CHECK_FAULT(get_strv, 0xff, 0xff, 0xff, 0xff);             /* nobody allocates 4 G */
	CHECK_FAULT(get_strv, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff); /* NULL in a vector */
	CHECK_FAULT(get_strv, 2, 0, 0, 0, 1, 0, 0, 0, 'a', 5, 0, 0, 0);
	CHECK_FAULT(get_count8, 2, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7);
}

static void test_count(void **ctx)
{
	static const uint8_t data[] = {2, 0, 0, 0, 1, 2, 3, 4};
	struct wire_reader r;

	(void)ctx;
	wire_reader_init(&r, data, sizeof data);
	assert_int_equal(wire_get_count(&r, 2), 2);
	assert_int_equal(r.error, 0);
	wire_reader_init(&r, data, 4);
	assert_int_equal(wire_get_count(&r, 1), 0);
	assert_int_equal(r.error, -EBADMSG);
	wire_reader_init(&r, NULL, 0);
	assert_true(wire_reader_complete(&r));
}

static char *random_text(uint64_t *seed)
{
	size_t len = next_random(seed) % 20;
	char *text = malloc(len + 1);

	assert_non_null(text);
	for (size_t i = 0; i < len; i++)
		text[i] = (char)(1 + next_random(seed) % 255);
	text[len] = '\0';
	return text;
}

static void random_message(uint64_t *seed, struct message *m)
{
	memset(m, 0, sizeof *m);
	m->u8 = (uint8_t)next_random(seed);
	m->u32 = (uint32_t)next_random(seed);
	m->u64 = next_random(seed);
	for (size_t i = 0; i < sizeof m->blob; i++)
		m->blob[i] = (uint8_t)next_random(seed);
	m->text = random_text(seed);
	for (uint64_t n = next_random(seed) % 4; n > 0; n--) {
		_cleanup_free_ char *text = random_text(seed);

		assert_int_equal(strv_add(&m->vector, text), 0);
	}
	m->n_numbers = (uint32_t)(next_random(seed) % 9);
	for (uint32_t i = 0; i < m->n_numbers; i++)
		m->numbers[i] = (uint32_t)next_random(seed);
}

/* Decode a copy of exact length; true if it is whole and equal to `wanted`. */
static bool decodes_to(const uint8_t *data, size_t len, const struct message *wanted)
{
	_cleanup_free_ uint8_t *copy = malloc(len ? len : 1);
	struct message got;
	bool same;

	assert_non_null(copy);
	memcpy(copy, data, len);
	same = get_message(copy, len, &got) == 0 && message_equal(&got, wanted);
	message_done(&got);
	return same;
}

/* Valid messages come back; cut or changed ones are refused or differ. */
static void test_damaged_messages(void **ctx)
{
	uint64_t seed = SEED;

	(void)ctx;
	print_message("seed %" PRIx64 "\n", seed);
	for (int i = 0; i < 300; i++) {
		struct wire_writer w;
		struct message m;

		random_message(&seed, &m);
		wire_writer_init(&w);
		put_message(&w, &m);
		assert_int_equal(w.error, 0);
		assert_true(decodes_to(w.data, w.len, &m));

		for (size_t len = 0; len < w.len; len++)
			assert_false(decodes_to(w.data, len, &m));
		for (int j = 0; j < 200; j++) {
			size_t at = next_random(&seed) % w.len;
			uint8_t change = (uint8_t)(1 + next_random(&seed) % 255);

			w.data[at] ^= change;
			assert_false(decodes_to(w.data, w.len, &m));
			w.data[at] ^= change;
		}
		/* Something left over is a fault as well. */
		wire_put_u8(&w, 0);
		assert_false(decodes_to(w.data, w.len, &m));
		wire_writer_done(&w);
		message_done(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_strings_keep_null_apart),
		cmocka_unit_test(test_large_values_grow_the_buffer),
		cmocka_unit_test(test_keys_are_wiped),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_damaged_messages),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
