/* top-view and top-layout: rows, their order, the cursor, and columns that fit. */
#include "top-try.h"

#include "hatchctl/top/layout.h"

#include <stdio.h>

static const char services[] =
	"{\"service\":\"web\",\"state\":\"serving\",\"children\":2,\"instances\":512}\n"
	"{\"service\":\"git\",\"state\":\"full\",\"children\":7,\"instances\":null}\n"
	"{\"service\":\"ftp\",\"state\":\"serving\",\"children\":2,\"instances\":1}\n";

static const char connections[] =
	"{\"connection\":1,\"service\":\"web\",\"peer\":\"192.0.2.1:4711\",\"pid\":31}\n"
	"{\"connection\":2,\"service\":\"git\",\"peer\":\"192.0.2.2:4712\",\"pid\":30,"
	"\"user\":\"GIT\"}\n"
	"{\"connection\":3,\"service\":\"web\",\"peer\":\"192.0.2.3:4713\",\"pid\":null,"
	"\"worker\":\"hatchd-relay\",\"age_usec\":61000000}\n";

struct desk {
	struct top_sample *sample;
	struct top_view view;
};

static int set_up(void **ctx)
{
	struct desk *desk = calloc(1, sizeof *desk);

	assert_non_null(desk);
	desk->sample = try_sample("", services, connections);
	top_view_init(&desk->view, TOP_SERVICES);
	*ctx = desk;
	return 0;
}

static int tear_down(void **ctx)
{
	struct desk *desk = *ctx;

	top_view_done(&desk->view);
	top_sample_free(desk->sample);
	free(desk);
	return 0;
}

/* The rows, by the names or numbers of what is in them. */
static void expect(struct desk *desk, const char *wanted)
{
	char got[64] = "";
	size_t len = 0;

	assert_int_equal(top_view_update(&desk->view, desk->sample), 0);
	for (size_t i = 0; i < desk->view.n_rows; i++) {
		size_t row = desk->view.rows[i];
		const char *mark = i == desk->view.cursor ? "*" : "";

		len += (size_t)(desk->view.table == TOP_SERVICES
					? snprintf(got + len, sizeof got - len, "%s%s ", mark,
						  desk->sample->services[row].name)
					: snprintf(got + len, sizeof got - len, "%s%d ", mark,
						  (int)desk->sample->connections[row].id));
	}
	assert_string_equal(got, wanted);
}

static void sort_by(struct desk *desk, const char *head, bool reversed)
{
	int column = top_column_find(desk->view.table, head);

	assert_true(column >= 0);
	desk->view.orders[desk->view.table] = (struct top_order){column, reversed};
}

static void test_order(void **ctx)
{
	struct desk *desk = *ctx;

	expect(desk, "*git web ftp ");
	sort_by(desk, "child", true);
	expect(desk, "*web ftp git ");
	sort_by(desk, "SERVICE", false);
	expect(desk, "*ftp git web ");
	/* What nobody knows comes last. */
	sort_by(desk, "LIMIT", false);
	expect(desk, "*web ftp git ");
	top_view_show(&desk->view, TOP_CONNECTIONS, NULL);
	expect(desk, "*1 2 3 ");
	sort_by(desk, "PID", false);
	expect(desk, "*1 2 3 ");
	sort_by(desk, "ID", false);
	expect(desk, "*3 2 1 ");
	sort_by(desk, "AGE", false);
	expect(desk, "*3 1 2 ");
}

static void test_columns(void **ctx)
{
	(void)ctx;
	assert_int_equal(top_column_find(TOP_SERVICES, "nothing"), -ENOENT);
	assert_int_equal(top_column_find(TOP_SERVICES, ""), -ENOENT);
	assert_int_equal(
		top_column_find(TOP_SERVICES, "cpu"), top_column_find(TOP_SERVICES, "CPU%"));
	assert_int_equal(
		top_column_find(TOP_SERVICES, "rate"), top_column_find(TOP_SERVICES, "RATE/s"));
	/* A name that is whole is found before one that is not. */
	assert_int_not_equal(top_column_find(TOP_SERVICES, "refused"),
		top_column_find(TOP_SERVICES, "refused/s"));
}

static void test_filter(void **ctx)
{
	struct desk *desk = *ctx;

	strcpy(desk->view.filter, "SERV");
	expect(desk, "*web ftp ");
	strcpy(desk->view.filter, "nothing of that");
	expect(desk, "");
	assert_null(top_view_service(&desk->view, desk->sample));
	strcpy(desk->view.filter, "git");
	top_view_show(&desk->view, TOP_CONNECTIONS, NULL);
	expect(desk, "*2 ");
	strcpy(desk->view.filter, "relay");
	expect(desk, "*3 ");
	/* The pid of one, the port of another. */
	strcpy(desk->view.filter, "31");
	expect(desk, "*1 ");
	strcpy(desk->view.filter, ":47");
	expect(desk, "*1 2 3 ");
	top_view_show(&desk->view, TOP_CONNECTIONS, "web");
	expect(desk, "*1 3 ");
	assert_false(top_view_is_lost(&desk->view, desk->sample));
	strcpy(desk->view.filter, "nothing of that");
	expect(desk, "");
	assert_false(top_view_is_lost(&desk->view, desk->sample));
	desk->view.filter[0] = '\0';
	top_view_show(&desk->view, TOP_CONNECTIONS, "ftp");
	expect(desk, "");
	assert_false(top_view_is_lost(&desk->view, desk->sample));
	top_view_show(&desk->view, TOP_CONNECTIONS, "nobody");
	expect(desk, "");
	assert_true(top_view_is_lost(&desk->view, desk->sample));
}

static void replace(struct desk *desk, const char *lines)
{
	top_sample_free(desk->sample);
	desk->sample = try_sample("", lines, lines);
}

static void test_cursor_follows(void **ctx)
{
	struct desk *desk = *ctx;

	expect(desk, "*git web ftp ");
	/* Nobody has moved it: it stays at the first. */
	replace(desk, "{\"service\":\"git\"}\n{\"service\":\"web\",\"children\":1}\n");
	expect(desk, "*web git ");
	top_view_move(&desk->view, desk->sample, 1);
	expect(desk, "web *git ");
	replace(desk, "{\"service\":\"git\",\"children\":3}\n{\"service\":\"web\"}\n"
		      "{\"service\":\"a\",\"children\":9}\n");
	expect(desk, "a *git web ");
	/* What has gone leaves it where it was. */
	replace(desk, "{\"service\":\"x\"}\n{\"service\":\"y\"}\n{\"service\":\"z\"}\n");
	expect(desk, "x *y z ");
	replace(desk, "{\"service\":\"x\"}\n");
	expect(desk, "*x ");
	replace(desk, "");
	expect(desk, "");
	top_view_move(&desk->view, desk->sample, 1);
	assert_int_equal(desk->view.cursor, 0);
}

static void test_moves(void **ctx)
{
	struct desk *desk = *ctx;
	const long far = 1000000;

	top_view_show(&desk->view, TOP_CONNECTIONS, NULL);
	expect(desk, "*1 2 3 ");
	top_view_move(&desk->view, desk->sample, -1);
	expect(desk, "*1 2 3 ");
	top_view_move(&desk->view, desk->sample, far);
	expect(desk, "1 2 *3 ");
	assert_int_equal(top_view_connection(&desk->view, desk->sample)->id, 3);
	assert_null(top_view_service(&desk->view, desk->sample));
	sort_by(desk, "ID", false);
	expect(desk, "*3 2 1 ");
	sort_by(desk, "ID", true);
	expect(desk, "1 2 *3 ");
	top_view_move(&desk->view, desk->sample, -far);
	sort_by(desk, "ID", false);
	expect(desk, "*3 2 1 ");
}

static void test_scroll(void **ctx)
{
	struct top_view view = {.n_rows = 10, .cursor = 7};

	(void)ctx;
	top_view_scroll(&view, 4);
	assert_int_equal(view.first, 4);
	view.cursor = 3;
	top_view_scroll(&view, 4);
	assert_int_equal(view.first, 3);
	/* There is more room now, and then there are fewer rows. */
	top_view_scroll(&view, 8);
	assert_int_equal(view.first, 2);
	top_view_scroll(&view, 20);
	assert_int_equal(view.first, 0);
	view.first = 6;
	view.cursor = 6;
	view.n_rows = 7;
	top_view_scroll(&view, 4);
	assert_int_equal(view.first, 3);
	/* A screen without a line for rows. */
	top_view_scroll(&view, 0);
	assert_true(view.first <= view.n_rows);
}

/* ------------------------------------------------------------------------- layout */

static int width_of(const struct top_layout *layout)
{
	int width = 0;

	for (size_t i = 0; i < layout->n_places; i++)
		width += layout->places[i].width + (i > 0 ? layout->gap : 0);
	return width;
}

static bool has(const struct top_layout *layout, const char *head)
{
	for (size_t i = 0; i < layout->n_places; i++)
		if (strcmp(layout->places[i].column->head, head) == 0)
			return true;
	return false;
}

/* Whatever the width, the line is not wider, and what tells rows apart is there. */
static void test_layout(void **ctx)
{
	struct desk *desk = *ctx;
	struct top_layout layout;

	for (int table = TOP_SERVICES; table < _TOP_TABLES; table++) {
		top_view_show(&desk->view, (enum top_table)table, NULL);
		assert_int_equal(top_view_update(&desk->view, desk->sample), 0);
		for (int width = 40; width < 300; width++) {
			top_layout_make(&layout, &desk->view, desk->sample, width);
			assert_true(width_of(&layout) <= width);
			assert_true(has(&layout, table == TOP_SERVICES ? "SERVICE" : "PEER"));
			if (width >= 80)
				assert_true(has(&layout, "TX/s") && has(&layout, "STATE"));
		}
	}
	/* Nobody has a name, so that column does not even take room that nobody wants. */
	top_layout_make(&layout, &desk->view, desk->sample, 0);
	assert_false(has(&layout, "NAME"));
	assert_int_equal(layout.gap, 2);
	/* One column is left in any case. */
	top_layout_make(&layout, &desk->view, desk->sample, 1);
	assert_int_equal(layout.n_places, 1);
}

static void test_fit(void **ctx)
{
	char buf[TOP_CELL_MAX];

	(void)ctx;
	assert_string_equal(top_fit("abc", 5, false, buf), "abc  ");
	assert_string_equal(top_fit("abc", 5, true, buf), "  abc");
	assert_string_equal(top_fit("abc", 3, true, buf), "abc");
	assert_string_equal(top_fit("abcdef", 4, false, buf), "abc+");
	assert_string_equal(top_fit("abcdef", 1, false, buf), "+");
	assert_string_equal(top_fit("[2001:db8::1]:4711", 12, false, buf), "[20...]:4711");
}

static const char *format(enum top_kind kind, double number)
{
	static char buf[TOP_CELL_MAX];
	const struct top_column column = {.kind = kind};

	return top_format(&column, (struct top_value){.number = number}, buf);
}

static void test_formats(void **ctx)
{
	const double second = 1e6, minute = 60 * second, hour = 60 * minute, day = 24 * hour;

	(void)ctx;
	assert_string_equal(format(TOP_NUMBER, -1), "-");
	assert_string_equal(format(TOP_NUMBER, 4194304), "4194304");
	assert_string_equal(format(TOP_RATE, 0), "0");
	assert_string_equal(format(TOP_PERCENT, 0.04), "0.0");
	assert_string_equal(format(TOP_PERCENT, 99.94), "99.9");
	assert_string_equal(format(TOP_PERCENT, 99.96), "100");
	assert_string_equal(format(TOP_BYTES, 999), "999");
	assert_string_equal(format(TOP_BYTES, 999.7), "1.0K");
	assert_string_equal(format(TOP_BYTES, 10189), "10K");
	assert_string_equal(format(TOP_BYTES, 999.6 * 1024), "1.0M");
	assert_string_equal(format(TOP_BYTES, 5.5 * 1024 * 1024 * 1024), "5.5G");
	assert_string_equal(format(TOP_BYTES, 18446744073709551615.0), "16E");
	assert_string_equal(format(TOP_AGE, 59.9 * second), "59s");
	assert_string_equal(format(TOP_AGE, 9 * minute + 5 * second), "9m05");
	assert_string_equal(format(TOP_AGE, 59 * minute), "59m");
	assert_string_equal(format(TOP_AGE, 9 * hour + 59 * minute), "9h59");
	assert_string_equal(format(TOP_AGE, 23 * hour), "23h");
	assert_string_equal(format(TOP_AGE, 9 * day + 23 * hour), "9d23");
	assert_string_equal(format(TOP_AGE, 400 * day), "400d");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
		cmocka_unit_test(test_columns),
		cmocka_unit_test_setup_teardown(test_filter, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cursor_follows, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_moves, set_up, tear_down),
		cmocka_unit_test(test_scroll),
		cmocka_unit_test_setup_teardown(test_layout, set_up, tear_down),
		cmocka_unit_test(test_fit),
		cmocka_unit_test(test_formats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
