/* question: an answer that comes in pieces, and what is no answer. */
#include "hatchctl/ask/question.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

struct other {
	char folder[32], path[64];
	int listener;
	int peer; /* who has asked */
	struct question question;
};

static int set_up(void **ctx)
{
	struct other *other = calloc(1, sizeof *other);
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	assert_non_null(other);
	strcpy(other->folder, "/tmp/test-question-XXXXXX");
	assert_non_null(mkdtemp(other->folder));
	snprintf(other->path, sizeof other->path, "%s/control", other->folder);
	memcpy(un.sun_path, other->path, strlen(other->path) + 1);
	other->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(other->listener, (struct sockaddr *)&un, sizeof un), 0);
	assert_int_equal(listen(other->listener, 1), 0);
	other->peer = -EBADF;
	question_init(&other->question, false);
	*ctx = other;
	return 0;
}

static int tear_down(void **ctx)
{
	struct other *other = *ctx;

	question_done(&other->question);
	own_close(&other->peer);
	own_close(&other->listener);
	unlink(other->path);
	rmdir(other->folder);
	free(other);
	return 0;
}

static void ask(struct other *other)
{
	char text[16];

	assert_int_equal(question_ask(&other->question, other->path, "status\n"), 0);
	own_close(&other->peer);
	other->peer = accept(other->listener, NULL, NULL);
	assert_true(other->peer >= 0);
	assert_int_equal(recv(other->peer, text, sizeof text, 0), 7);
	assert_memory_equal(text, "status\n", 7);
}

static void say(const struct other *other, const char *text)
{
	assert_int_equal(send(other->peer, text, strlen(text), 0), strlen(text));
}

static void test_pieces(void **ctx)
{
	_cleanup_answer_ struct answer answer = {0};
	struct other *other = *ctx;
	struct question *question = &other->question;

	ask(other);
	assert_int_equal(question_read(question, &answer), 0);
	say(other, "{\"a\":1}\n{\"a\"");
	assert_int_equal(question_read(question, &answer), 0);
	say(other, ":2}\n{\"end\":true}");
	assert_int_equal(question_read(question, &answer), 0);
	assert_null(answer.text);
	say(other, "\nmore");
	assert_int_equal(question_read(question, &answer), 1);
	assert_int_equal(answer.n_lines, 2);
	assert_int_equal(json_to_number(json_get(answer.lines[1], "a")), 2);
	assert_true(question->fd < 0);
}

static void test_again(void **ctx)
{
	_cleanup_answer_ struct answer answer = {0};
	struct other *other = *ctx;

	ask(other);
	say(other, "{\"a\":1}\n");
	assert_int_equal(question_read(&other->question, &answer), 0);
	/* What was half an answer to the first is none to the second. */
	ask(other);
	say(other, "{\"end\":true}\n");
	assert_int_equal(question_read(&other->question, &answer), 1);
	assert_int_equal(answer.n_lines, 0);
}

static void expect_failure(struct other *other, const char *said, int error, const char *why)
{
	struct answer answer = {0};
	int r;

	ask(other);
	if (said)
		say(other, said);
	own_close(&other->peer);
	other->peer = -EBADF;
	do
		r = question_read(&other->question, &answer);
	while (r == 0);
	assert_int_equal(r, error);
	assert_non_null(strstr(other->question.why, why));
	assert_true(other->question.fd < 0);
}

static void test_failures(void **ctx)
{
	struct other *other = *ctx;

	expect_failure(other, NULL, -ECONNRESET, "the answer has no end; ask again");
	expect_failure(other, "{\"a\":1}\n{\"end\"", -ECONNRESET, "the answer has no end");
	expect_failure(other, "hello\n", -EBADMSG, "that is no answer of hatchd");
	expect_failure(other, "{\"error\":\"\\u001b[1m\"}\n", -EREMOTEIO, "\\x1b[1m");
}

static void test_nobody(void **ctx)
{
	struct other *other = *ctx;

	own_close(&other->listener);
	other->listener = -EBADF;
	assert_int_equal(
		question_ask(&other->question, other->path, "status\n"), -ECONNREFUSED);
	assert_non_null(strstr(other->question.why, "is hatchd running?"));
	unlink(other->path);
	assert_int_equal(question_ask(&other->question, other->path, "status\n"), -ENOENT);
}

/* Who cannot wait is told that he would have to. */
static void test_others_wait(void **ctx)
{
	struct question questions[8];
	struct other *other = *ctx;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
		question_init(&questions[i], false);
		if (r == 0)
			r = question_ask(&questions[i], other->path, "status\n");
		if (r < 0 && !*other->question.why)
			strcpy(other->question.why, questions[i].why);
	}
	assert_int_equal(r, -EAGAIN);
	assert_non_null(strstr(other->question.why, "others are waiting"));
	for (size_t i = 0; i < ARRAY_SIZE(questions); i++)
		question_done(&questions[i]);
}

/* Always a little more, and never the end. */
static void test_who_drips(void **ctx)
{
	struct answer answer = {0};
	struct other *other = *ctx;
	int r;

	other->question.waits = true;
	other->question.patience = 1;
	ask(other);
	do {
		say(other, "{\"a\":1}\n");
		r = question_read(&other->question, &answer);
	} while (r == 0);
	assert_int_equal(r, -ETIMEDOUT);
	assert_non_null(strstr(other->question.why, "no answer within 1 s"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pieces, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failures, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nobody, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_who_drips, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_others_wait, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
