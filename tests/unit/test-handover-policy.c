/* handover-policy: what limits know is read as it was written, and nothing else is. */
#include "master/handover/codec-policy.h"
#include "master/handover/codec-told.h"

#include "handover-try.h"

#include <stdio.h>

#define EVER UINT64_MAX

/* What one list has written is read by another. */
struct pipe {
	struct wire_writer out;
	struct wire_reader in;
	struct codec writes, reads;
};

static void open_pipe(struct pipe *pipe)
{
	wire_writer_init(&pipe->out);
	pipe->writes = (struct codec){.out = &pipe->out};
	pipe->reads = (struct codec){.in = &pipe->in};
}

static struct codec *turn_round(struct pipe *pipe)
{
	assert_int_equal(pipe->out.error, 0);
	wire_reader_init(&pipe->in, pipe->out.data, pipe->out.len);
	return &pipe->reads;
}

/* All was read without a fault. */
static void close_pipe(struct pipe *pipe)
{
	assert_true(wire_reader_complete(&pipe->in));
	wire_writer_done(&pipe->out);
}

static void close_faulty(struct pipe *pipe)
{
	assert_int_equal(pipe->in.error, -EBADMSG);
	wire_writer_done(&pipe->out);
}

/* ------------------------------------------------------------------------- of limits */

/* It has the same tokens at each later moment. */
static void test_bucket(void **ctx)
{
	const struct limit limit = {.count = 3, .burst = 7, .period = 11 * SECOND};
	struct bucket bucket = {0}, copy = {.at = 1, .missing = 1};
	struct limit same = {0};
	struct pipe pipe;

	(void)ctx;
	for (uint64_t now = 5; bucket_has(&bucket, &limit, now); now += 1234567)
		bucket_take(&bucket, &limit, now);
	open_pipe(&pipe);
	codec_limit(
		&pipe.writes, &(struct limit){.count = 3, .burst = 7, .period = 11 * SECOND});
	codec_bucket(&pipe.writes, &bucket);
	codec_limit(turn_round(&pipe), &same);
	codec_bucket(&pipe.reads, &copy);
	close_pipe(&pipe);
	assert_memory_equal(&same, &limit, sizeof same);
	for (uint64_t now = 0; now < 100 * SECOND; now += 99991) {
		assert_true(bucket_has_at(&bucket, &limit, now) ==
			    bucket_has_at(&copy, &limit, now));
		assert_true(bucket_full_at(&bucket, &limit, now) ==
			    bucket_full_at(&copy, &limit, now));
	}
}

static void refuse_limit(uint32_t count, uint32_t burst, uint64_t period)
{
	struct limit limit = {.count = count, .burst = burst, .period = period};
	struct pipe pipe;

	open_pipe(&pipe);
	codec_limit(&pipe.writes, &limit);
	codec_limit(turn_round(&pipe), &limit);
	close_faulty(&pipe);
}

/* Each of these would divide by 0, or overflow, where it is used. */
static void test_limits_that_are_none(void **ctx)
{
	struct bucket bucket = {.missing = (LIMIT_COUNT_MAX + 1) * LIMIT_PARTS + 1};
	struct pipe pipe;

	(void)ctx;
	refuse_limit(1, 0, SECOND);
	refuse_limit(LIMIT_COUNT_MAX + 1, 1, SECOND);
	refuse_limit(1, LIMIT_COUNT_MAX + 1, SECOND);
	refuse_limit(1, 1, LIMIT_PERIOD_MAX + 1);
	refuse_limit(1, 1, 0);
	open_pipe(&pipe);
	codec_bucket(&pipe.writes, &bucket);
	codec_bucket(turn_round(&pipe), &bucket);
	close_faulty(&pipe);
}

static void test_gate(void **ctx)
{
	struct log_gate gate = {0}, copy = {0};
	struct pipe pipe;

	(void)ctx;
	for (int i = 0; i < 5; i++)
		log_gate_pass(&gate, 7);
	open_pipe(&pipe);
	codec_gate(&pipe.writes, &gate);
	codec_gate(turn_round(&pipe), &copy);
	close_pipe(&pipe);
	assert_false(log_gate_pass(&copy, 6 + LOG_GATE_WINDOW));
	assert_true(log_gate_take(&copy, 7 + LOG_GATE_WINDOW) == 5);

	/* A window is not longer than any can be. */
	gate.window_ends = EVER;
	codec_settle_gate(&gate, 7);
	assert_true(gate.window_ends == 7 + LOG_GATE_WINDOW);
}

/* ------------------------------------------------------------------------- of counts */

static void test_histogram(void **ctx)
{
	struct histogram histogram = {.sum = 77}, copy = {.sum = 1, .counts = {1}};
	struct pipe pipe;

	(void)ctx;
	for (uint64_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
		histogram.counts[i] = i << 40;
	open_pipe(&pipe);
	codec_histogram(&pipe.writes, &histogram);
	codec_histogram(turn_round(&pipe), &copy);
	close_pipe(&pipe);
	assert_memory_equal(&copy, &histogram, sizeof copy);
}

/* As a version would have it that has so many bounds. */
static void put_histogram(struct wire_writer *w, uint32_t n)
{
	wire_put_u32(w, (uint32_t)sizeof n + (n + 1) * (uint32_t)sizeof(uint64_t));
	wire_put_u32(w, n);
	for (uint32_t i = 0; i <= n; i++)
		wire_put_u64(w, i);
}

static void test_histogram_with_other_bounds(void **ctx)
{
	static const uint32_t others[] = {1, HISTOGRAM_BOUNDS, HISTOGRAM_BOUNDS + 2, 200};
	static const struct histogram nothing;
	struct histogram histogram;
	struct pipe pipe;

	(void)ctx;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		open_pipe(&pipe);
		put_histogram(&pipe.out, others[i]);
		codec_histogram(turn_round(&pipe), &histogram);
		close_pipe(&pipe);
		assert_memory_equal(&histogram, &nothing, sizeof nothing);
	}
	open_pipe(&pipe);
	put_histogram(&pipe.out, 257);
	codec_histogram(turn_round(&pipe), &histogram);
	close_faulty(&pipe);
}

static const char *old_word(unsigned number)
{
	static const char *const words[] = {"one", "two", "three"};

	return words[number];
}

/* One is gone, two others have come, and all have other numbers. */
static const char *new_word(unsigned number)
{
	static const char *const words[] = {"three", "four", "one", "five"};

	return words[number];
}

static void test_counts_keep_their_words(void **ctx)
{
	uint64_t before[3] = {11, 22, 33}, after[4] = {9, 9, 9, 9};
	unsigned number = 2;
	struct pipe pipe;

	(void)ctx;
	open_pipe(&pipe);
	codec_counts(&pipe.writes, before, 3, old_word);
	codec_word(&pipe.writes, &number, 3, old_word);
	codec_counts(turn_round(&pipe), after, 4, new_word);
	codec_word(&pipe.reads, &number, 4, new_word);
	close_pipe(&pipe);
	assert_memory_equal(after, ((uint64_t[]){33, 0, 11, 0}), sizeof after);
	assert_int_equal(number, 0);

	open_pipe(&pipe);
	number = 1;
	codec_word(&pipe.writes, &number, 3, old_word);
	codec_word(turn_round(&pipe), &number, 4, new_word);
	close_faulty(&pipe);
	assert_int_equal(number, 0);
}

/* Every reason, and every way to end, has its count. */
static void test_all_counts(void **ctx)
{
	uint64_t refused[_ADMIT_MAX], copy[_ADMIT_MAX];
	struct stats stats = {.accepted = 1}, same = {0};
	struct pipe pipe;

	(void)ctx;
	for (uint64_t i = 0; i < _ADMIT_MAX; i++)
		refused[i] = i + 1;
	for (uint64_t i = 0; i < _STATS_END_MAX; i++)
		stats.ended[i] = i + 1;
	for (uint64_t i = 0; i < _STATS_SESSION_MAX; i++)
		stats.sessions[i] = i + 1;
	histogram_add(&stats.queue, 1);
	histogram_add(&stats.wait, 1000);
	histogram_add(&stats.spawn, SECOND);
	stats.cpu_usec = 5;
	stats.bytes_in = 6;
	stats.bytes_out = 7;
	open_pipe(&pipe);
	codec_refused(&pipe.writes, refused);
	codec_stats(&pipe.writes, &stats);
	codec_refused(turn_round(&pipe), copy);
	codec_stats(&pipe.reads, &same);
	close_pipe(&pipe);
	assert_memory_equal(copy, refused, sizeof copy);
	assert_memory_equal(&same, &stats, sizeof same);
}

/* -------------------------------------------------------------------------- of texts */

static void check_line(const char *text, const char *wanted)
{
	char line[8] = "before";
	struct pipe pipe;

	open_pipe(&pipe);
	wire_put_string(&pipe.out, text);
	codec_line(turn_round(&pipe), line, sizeof line);
	close_pipe(&pipe);
	assert_string_equal(line, wanted);
}

/* Whatever they are, they fit and forge no line. */
static void test_lines(void **ctx)
{
	char line[8] = "1234567", copy[8] = "before";
	struct pipe pipe;

	(void)ctx;
	open_pipe(&pipe);
	codec_line(&pipe.writes, line, sizeof line);
	codec_line(turn_round(&pipe), copy, sizeof copy);
	close_pipe(&pipe);
	assert_string_equal(copy, "1234567");
	check_line(NULL, "");
	check_line("", "");
	check_line("12345678", "1234567");
	check_line("a\nb\tc", "a?b?c");
	check_line("a\x7f", "a?");
	check_line("\x1b[m", "?[m");
	check_line("\xc3\xa4", "\xc3\xa4");
}

/* ------------------------------------------------------------------------- of people */

static struct ban ban_of(const char *who, const char *service, uint64_t until)
{
	struct ban ban = {.until = until};

	assert_int_equal(addr_net_parse(who, &ban.who), 0);
	snprintf(ban.service, sizeof ban.service, "%s", service);
	return ban;
}

static void put(struct bans *bans, const char *who, const char *service, uint64_t until)
{
	struct ban ban = ban_of(who, service, until);

	assert_int_equal(bans_put(bans, &ban, 0), 0);
}

/* All that there is to it is as it was, ends and all. */
static void check_same_bans(struct bans *a, struct bans *b, uint64_t now)
{
	const struct ban *one = NULL, *other = NULL;

	for (;;) {
		one = bans_next(a, one, now);
		other = bans_next(b, other, now);
		assert_true(!one == !other);
		if (!one)
			return;
		assert_memory_equal(&one->who, &other->who, sizeof one->who);
		assert_string_equal(one->service, other->service);
		assert_true(one->until == other->until);
	}
}

static void test_bans(void **ctx)
{
	struct bans bans = {0}, copy = {0};
	struct pipe pipe;

	(void)ctx;
	put(&bans, "192.0.2.0/24", "", EVER);
	put(&bans, "192.0.2.1", "a", 5 * SECOND);
	put(&bans, "2001:db8::1", "", 7 * SECOND);
	put(&bans, "0.0.0.0/0", "b", EVER);
	put(&bans, "::/0", "b", EVER);
	put(&bans, "fe80::1%3", "", EVER);
	put(&bans, "fe80::%7/10", "", EVER);
	put(&bans, "uid:1000", "a", EVER);
	put(&bans, "vsock:3", "", 9 * SECOND);
	open_pipe(&pipe);
	codec_bans(&pipe.writes, &bans);
	codec_bans(turn_round(&pipe), &copy);
	close_pipe(&pipe);
	assert_int_equal(copy.n, bans.n);
	for (uint64_t now = 0; now < 10 * SECOND; now += SECOND)
		check_same_bans(&bans, &copy, now);
	bans_done(&bans);
	bans_done(&copy);
}

static void test_no_bans(void **ctx)
{
	struct bans bans = {0};
	struct pipe pipe;

	(void)ctx;
	open_pipe(&pipe);
	codec_bans(&pipe.writes, &bans);
	codec_bans(turn_round(&pipe), &bans);
	close_pipe(&pipe);
	assert_false(bans_any(&bans));
	bans_done(&bans);
}

/* As many as there may be are read; one more would be forgotten. */
static void test_many_bans(void **ctx)
{
	struct bans bans = {0}, copy = {0};
	struct ban ban = ban_of("10.0.0.0", "", EVER), *more;
	struct pipe pipe;

	(void)ctx;
	for (unsigned i = 0; i < BANS_MAX; i++) {
		memcpy(ban.who.source.bytes, &i, sizeof i);
		assert_int_equal(bans_put(&bans, &ban, 0), 0);
	}
	open_pipe(&pipe);
	codec_bans(&pipe.writes, &bans);
	codec_bans(turn_round(&pipe), &copy);
	close_pipe(&pipe);
	check_same_bans(&bans, &copy, 0);
	bans_done(&copy);

	more = calloc(BANS_MAX + 1, sizeof *more);
	assert_non_null(more);
	for (unsigned i = 0; i <= BANS_MAX; i++)
		more[i] = ban;
	open_pipe(&pipe);
	codec_bans(&pipe.writes, &(struct bans){.entries = more, .n = BANS_MAX + 1});
	codec_bans(turn_round(&pipe), &copy);
	close_faulty(&pipe);
	bans_done(&copy);
	bans_done(&bans);
	free(more);
}

static void refuse_net(const struct addr_net *who)
{
	struct ban ban = {.who = *who, .until = EVER};
	struct bans bans = {.entries = &ban, .n = 1}, copy = {0};
	struct pipe pipe;

	open_pipe(&pipe);
	codec_bans(&pipe.writes, &bans);
	codec_bans(turn_round(&pipe), &copy);
	close_faulty(&pipe);
	bans_done(&copy);
}

/* Nobody could be found as these, and no prefix is longer than an address. */
static void test_nets_that_are_none(void **ctx)
{
	struct addr_net four = ban_of("10.0.0.0/8", "", 0).who, net;

	(void)ctx;
	net = four;
	net.bits = 33;
	refuse_net(&net);
	net = four;
	net.source.bytes[1] = 1;
	refuse_net(&net);
	net = four;
	net.source.bytes[4] = 1;
	refuse_net(&net);
	net = four;
	net.source.scope[0] = 1;
	refuse_net(&net);
	net = four;
	net.source.family = ADDR_SOURCE_NONE;
	refuse_net(&net);
	net = four;
	net.source.family = 5;
	refuse_net(&net);
	net = ban_of("2001:db8::/32", "", 0).who;
	net.bits = 129;
	refuse_net(&net);
}

/* A name that was cut would be that of another service. */
static void test_name_that_is_too_long(void **ctx)
{
	struct ban ban = ban_of("10.0.0.0/8", "", EVER);
	struct bans bans = {.entries = &ban, .n = 1}, copy = {0};
	struct pipe pipe;

	(void)ctx;
	memset(ban.service, 'x', BANS_SERVICE_MAX);
	open_pipe(&pipe);
	codec_bans(&pipe.writes, &bans);
	codec_bans(turn_round(&pipe), &copy);
	assert_string_equal(copy.entries[0].service, ban.service);
	close_pipe(&pipe);
	bans_done(&copy);

	open_pipe(&pipe);
	wire_put_u32(&pipe.out, 1);
	wire_put_u32(&pipe.out, 1 + 16 + 4 + 1 + 4 + 65 + 8);
	wire_put_u8(&pipe.out, ADDR_SOURCE_IPV4);
	wire_put_raw(&pipe.out, (uint8_t[20]){10}, 20);
	wire_put_u8(&pipe.out, 8);
	wire_put_blob(&pipe.out, (uint8_t[65]){[0 ... 64] = 'x'}, 65);
	wire_put_u64(&pipe.out, EVER);
	codec_bans(turn_round(&pipe), &copy);
	close_faulty(&pipe);
	bans_done(&copy);
}

static void test_without_memory(void **ctx)
{
	struct bans bans = {0}, copy = {0};
	struct pipe pipe;
	int n = 0;

	(void)ctx;
	put(&bans, "192.0.2.0/24", "", EVER);
	open_pipe(&pipe);
	codec_bans(&pipe.writes, &bans);
	do {
		allocations_left = ++n;
		codec_bans(turn_round(&pipe), &copy);
		assert_true(pipe.in.error == 0 || pipe.in.error == -ENOMEM);
		allocations_left = -1;
		if (pipe.in.error)
			bans_done(&copy);
	} while (pipe.in.error);
	assert_int_equal(n, 3);
	check_same_bans(&bans, &copy, 0);
	close_pipe(&pipe);
	bans_done(&bans);
	bans_done(&copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bucket),
		cmocka_unit_test(test_limits_that_are_none),
		cmocka_unit_test(test_gate),
		cmocka_unit_test(test_histogram),
		cmocka_unit_test(test_histogram_with_other_bounds),
		cmocka_unit_test(test_counts_keep_their_words),
		cmocka_unit_test(test_all_counts),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_bans),
		cmocka_unit_test(test_no_bans),
		cmocka_unit_test(test_many_bans),
		cmocka_unit_test(test_nets_that_are_none),
		cmocka_unit_test(test_name_that_is_too_long),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests_name("handover-policy", tests, NULL, NULL);
}
