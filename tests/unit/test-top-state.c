/* top-state: what each key does. */
#include "top-try.h"

#include "hatchctl/top/state.h"

static const char services[] = "{\"service\":\"web\",\"state\":\"serving\",\"children\":2}\n"
			       "{\"service\":\"git\",\"state\":\"full\",\"children\":1}\n";

static const char connections[] =
	"{\"connection\":1,\"service\":\"web\",\"peer\":\"192.0.2.1:4711\"}\n"
	"{\"connection\":2,\"service\":\"git\",\"peer\":\"192.0.2.2:4712\"}\n"
	"{\"connection\":3,\"service\":\"web\",\"peer\":\"192.0.2.3:4713\"}\n";

struct desk {
	struct top_sample *sample;
	struct top_state state;
};

static int set_up(void **ctx)
{
	struct desk *desk = calloc(1, sizeof *desk);

	assert_non_null(desk);
	desk->sample = try_sample("", services, connections);
	top_state_init(&desk->state, TOP_SERVICES, 1000000);
	desk->state.height = 2;
	*ctx = desk;
	return 0;
}

static int tear_down(void **ctx)
{
	struct desk *desk = *ctx;

	top_state_done(&desk->state);
	top_sample_free(desk->sample);
	free(desk);
	return 0;
}

/* As the loop does it: what is shown is that of the state after each key. */
static enum top_wish press(struct desk *desk, int key)
{
	struct top_state *state = &desk->state;
	enum top_wish wish;

	assert_int_equal(top_view_update(&state->view, desk->sample), 0);
	top_layout_make(&state->layout, &state->view, desk->sample, 80);
	wish = top_press(state, desk->sample, key);
	assert_int_equal(top_view_update(&state->view, desk->sample), 0);
	return wish;
}

static void type(struct desk *desk, const char *keys)
{
	for (; *keys; keys++)
		press(desk, *keys);
}

static void test_into_and_back(void **ctx)
{
	struct desk *desk = *ctx;
	struct top_view *view = &desk->state.view;

	press(desk, TOP_KEY_ENTER);
	assert_int_equal(view->table, TOP_CONNECTIONS);
	assert_string_equal(view->service, "web");
	assert_int_equal(view->n_rows, 2);
	press(desk, TOP_KEY_DOWN);
	press(desk, TOP_KEY_ENTER);
	assert_int_equal(desk->state.mode, TOP_DETAILS);
	assert_int_equal(desk->state.target, 3);
	/* Even q only leads back. */
	assert_int_equal(press(desk, 'q'), TOP_WISH_NOTHING);
	assert_int_equal(desk->state.mode, TOP_BROWSING);
	press(desk, TOP_KEY_ESCAPE);
	assert_int_equal(view->table, TOP_SERVICES);
	press(desk, '\t');
	assert_string_equal(view->service, "");
	assert_int_equal(view->n_rows, 3);
	assert_int_equal(press(desk, 'q'), TOP_WISH_QUIT);
}

static void test_filter(void **ctx)
{
	struct desk *desk = *ctx;
	struct top_view *view = &desk->state.view;
	char longest[TOP_FILTER_MAX];

	press(desk, '\t');
	type(desk, "/git");
	assert_int_equal(desk->state.mode, TOP_FILTERING);
	assert_int_equal(view->n_rows, 1);
	press(desk, TOP_KEY_BACKSPACE);
	type(desk, "q\x7ft");
	assert_string_equal(view->filter, "git");
	press(desk, TOP_KEY_ENTER);
	assert_int_equal(desk->state.mode, TOP_BROWSING);
	assert_int_equal(view->n_rows, 1);
	/* It is gone before the table is left. */
	press(desk, TOP_KEY_ESCAPE);
	assert_string_equal(view->filter, "");
	assert_int_equal(view->table, TOP_CONNECTIONS);
	type(desk, "/x");
	press(desk, TOP_KEY_ESCAPE);
	assert_int_equal(view->n_rows, 3);
	press(desk, '/');
	for (int i = 0; i < 2 * TOP_FILTER_MAX; i++)
		press(desk, 'x');
	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	assert_string_equal(view->filter, longest);
	press(desk, 'U' & 31);
	press(desk, TOP_KEY_BACKSPACE);
	assert_string_equal(view->filter, "");
}

static void test_kill(void **ctx)
{
	struct desk *desk = *ctx;

	/* There is nothing to end among the services. */
	press(desk, 'k');
	assert_int_equal(desk->state.mode, TOP_BROWSING);
	assert_non_null(strstr(desk->state.message, "Enter shows the connections"));
	press(desk, '\t');
	assert_string_equal(desk->state.message, "");
	press(desk, TOP_KEY_DOWN);
	press(desk, 'k');
	assert_string_equal(desk->state.question, "End connection 2 of git, 192.0.2.2:4712?");
	assert_int_equal(press(desk, 'n'), TOP_WISH_NOTHING);
	press(desk, 'k');
	/* Only that one is meant, whatever comes to stand there. */
	assert_int_equal(press(desk, 'y'), TOP_WISH_KILL);
	assert_int_equal(desk->state.target, 2);
	press(desk, 'k');
	assert_int_equal(press(desk, TOP_KEY_ENTER), TOP_WISH_NOTHING);
	type(desk, "/nothing\n");
	press(desk, 'k');
	assert_string_equal(desk->state.message, "There is no connection to end");
}

static const char *sorted_by(const struct desk *desk)
{
	const struct top_view *view = &desk->state.view;
	size_t n;

	return top_columns(view->table, &n)[view->orders[view->table].column].head;
}

static void test_sort(void **ctx)
{
	struct desk *desk = *ctx;
	struct top_view *view = &desk->state.view;

	assert_string_equal(sorted_by(desk), "CHILD");
	press(desk, '<');
	assert_string_equal(sorted_by(desk), "STATE");
	type(desk, "<<<<");
	assert_string_equal(sorted_by(desk), "SERVICE");
	press(desk, TOP_KEY_RIGHT);
	assert_string_equal(sorted_by(desk), "STATE");
	/* No further than what can be seen. */
	type(desk, ">>>>>>>>>>>>>>>>");
	assert_string_equal(sorted_by(desk), "TX/s");
	/* One that is not to be seen: from there to the nearest. */
	view->orders[TOP_SERVICES].column = top_column_find(TOP_SERVICES, "STARTED");
	press(desk, '<');
	assert_string_equal(sorted_by(desk), "TX/s");
	press(desk, 'M');
	assert_string_equal(sorted_by(desk), "MEM");
	press(desk, 'r');
	assert_true(view->orders[TOP_SERVICES].reversed);
	press(desk, 'P');
	assert_string_equal(sorted_by(desk), "CPU%");
	assert_false(view->orders[TOP_SERVICES].reversed);
	/* Each table has its own. */
	type(desk, "\t>");
	assert_string_equal(sorted_by(desk), "MEM");
	press(desk, '\t');
	assert_string_equal(sorted_by(desk), "CPU%");
}

static void test_pace(void **ctx)
{
	struct desk *desk = *ctx;

	assert_int_equal(press(desk, '+'), TOP_WISH_SAMPLE);
	assert_int_equal(desk->state.delay, 2000000);
	type(desk, "+++++++++++++");
	assert_int_equal(desk->state.delay, 60000000);
	type(desk, "-------------");
	assert_int_equal(desk->state.delay, TOP_DELAY_MIN);
	assert_string_equal(desk->state.message, "A new sample every 100 ms");
	assert_int_equal(press(desk, ' '), TOP_WISH_NOTHING);
	assert_true(desk->state.paused);
	assert_int_equal(press(desk, ' '), TOP_WISH_SAMPLE);
	assert_false(desk->state.paused);
	assert_int_equal(press(desk, 'L' & 31), TOP_WISH_REDRAW);
	assert_int_equal(press(desk, '?'), TOP_WISH_NOTHING);
	assert_int_equal(desk->state.mode, TOP_HELP);
	press(desk, TOP_KEY_OTHER);
	assert_int_equal(desk->state.mode, TOP_BROWSING);
}

static void test_pages(void **ctx)
{
	struct desk *desk = *ctx;
	struct top_view *view = &desk->state.view;

	press(desk, '\t');
	press(desk, TOP_KEY_PAGE_DOWN);
	assert_int_equal(view->cursor, 1);
	press(desk, TOP_KEY_END);
	assert_int_equal(view->cursor, 2);
	press(desk, TOP_KEY_PAGE_UP);
	assert_int_equal(view->cursor, 1);
	press(desk, TOP_KEY_UP);
	assert_int_equal(view->cursor, 0);
	press(desk, TOP_KEY_DOWN);
	press(desk, TOP_KEY_HOME);
	assert_int_equal(view->cursor, 0);
}

/* Before there is anything to be seen, every key is harmless. */
static void test_nothing_yet(void **ctx)
{
	struct desk *desk = *ctx;

	for (int key = 1; key <= TOP_KEY_OTHER; key++) {
		desk->state.mode = TOP_BROWSING;
		assert_int_not_equal(top_press(&desk->state, NULL, key), TOP_WISH_KILL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_into_and_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_filter, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_kill, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sort, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pace, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pages, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nothing_yet, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
