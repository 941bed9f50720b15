/* control-seat: who has to go, and who is next. */
#include "master/control-seat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* They come in this order: "1s" is a silent one of user 1; a: has asked, w: awaits something,
 * c: that has come, x: is answered.  A third letter tells processes apart. */
static struct control_seats come(struct control_seat *all, const char *const *who)
{
	static const struct {
		char letter;
		enum control_stage stage;
	} stages[] = {
		{'s', CONTROL_SILENT},
		{'a', CONTROL_ASKED},
		{'w', CONTROL_AWAITING},
		{'c', CONTROL_COME},
		{'x', CONTROL_ANSWERING},
	};
	struct control_seats seats = {0};

	for (; *who; who++, all++) {
		all->uid = (uid_t)((*who)[0] - '0');
		all->pid = (*who)[2];
		control_seats_add(&seats, all);
		for (size_t i = 0; i < sizeof stages / sizeof stages[0]; i++)
			if (stages[i].letter == (*who)[1])
				control_seats_set_stage(&seats, all, stages[i].stage);
	}
	return seats;
}

static void test_leavers(void **ctx)
{
	static const struct {
		const char *who[8];
		int leaver; /* -1: nobody */
	} cases[] = {
		{{"0s"}, 0},
		{{"0x", "0x"}, -1},
		{{"0s", "0s", "0s"}, 0},
		{{"0a", "0s", "0s", "0x"}, 1},
		{{"0a", "0a", "0x", "0a"}, 3},
		{{"0w", "0a", "0a", "0w"}, 2},
		{{"0w", "0w", "0x"}, 1},
		{{"0w", "0c", "0c", "0x"}, 0},
		{{"0c", "0c", "0x"}, 1},
		{{"1c", "1c", "1x", "0a"}, 1},
		/* Of whom there are most, however old the others are. */
		{{"0s", "1s", "1s", "2s", "2s", "2a"}, 3},
		{{"0s", "1a", "1a", "2s"}, 2},
		{{"0s", "1x", "1x", "1a", "2s"}, 3},
		/* Who is answered counts, and stays. */
		{{"1x", "1x", "1x", "0s", "2a", "2s"}, 5},
		/* As many of each: who has not asked. */
		{{"0a", "1s"}, 1},
		{{"0s", "1a"}, 0},
		/* One program of a user has gone mad. */
		{{"0s", "0sm", "0sm", "0s", "0sm"}, 1},
		{{"0s", "0sm", "0am", "0am", "0s", "1s"}, 1},
		{{"0s", "0xm", "0am", "0am", "0s", "1s"}, 3},
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct control_seat all[8] = {{0}};
		struct control_seats seats = come(all, cases[i].who);
		struct control_seat *leaver = control_seats_find_leaver(&seats);

		assert_int_equal(leaver ? leaver - all : -1, cases[i].leaver);
	}
}

static void test_turns(void **ctx)
{
	static const struct {
		const char *who[8];
		int next;
	} cases[] = {
		{{NULL}, -1},
		{{"0s", "0w", "0x"}, -1},
		{{"0s", "0a", "0a"}, 1},
		/* So does who has waited for something else before. */
		{{"0w", "0c", "0a"}, 1},
		{{"1x", "1c", "1c", "0a"}, 3},
		/* Nobody has to wait behind all that others have asked. */
		{{"1x", "1x", "1a", "1a", "0a"}, 4},
		{{"1x", "1x", "2x", "1a", "2a", "1a"}, 4},
		{{"1x", "1a", "0x", "0a"}, 1},
		{{"1xm", "1xm", "1am", "1am", "1a"}, 4},
		{{"1xm", "1x", "2xm", "1am", "2a"}, 4},
	};

	(void)ctx;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct control_seat all[8] = {{0}};
		struct control_seats seats = come(all, cases[i].who);
		struct control_seat *next = control_seats_find_next(&seats);

		assert_int_equal(next ? next - all : -1, cases[i].next);
	}
}

static void test_they_leave(void **ctx)
{
	static const char *const who[] = {"0x", "1s", "2x", "0a", NULL};
	struct control_seat all[4];
	struct control_seats seats = come(all, who);

	(void)ctx;
	assert_int_equal(seats.n, 4);
	assert_int_equal(seats.n_answering, 2);
	control_seats_remove(&seats, &all[2]);
	control_seats_remove(&seats, &all[0]);
	assert_int_equal(seats.n, 2);
	assert_int_equal(seats.n_answering, 0);
	assert_ptr_equal(seats.first, &all[1]);
	assert_ptr_equal(seats.first->next, seats.last);
	assert_ptr_equal(seats.last, &all[3]);
	assert_null(seats.last->next);
	control_seats_remove(&seats, &all[3]);
	control_seats_remove(&seats, &all[1]);
	assert_null(seats.first);
	assert_null(seats.last);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leavers),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_they_leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
