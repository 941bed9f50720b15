/* lookup: questions and answers between master and worker, and what does not get through. */
#include "os/lookup.h"

#include "base/fd.h"
#include "base/own.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { REQUESTS, ANSWERS };

struct ends {
	struct channel ours;
	int theirs[2];
};

static int set_up(void **state)
{
	struct ends *ends = malloc(sizeof *ends);

	assert_non_null(ends);
	assert_int_equal(channel_new(&ends->ours, ends->theirs), 0);
	*state = ends;
	return 0;
}

static int tear_down(void **state)
{
	struct ends *ends = *state;

	fd_close(ends->ours.requests);
	fd_close(ends->ours.answers);
	fd_close(ends->theirs[REQUESTS]);
	fd_close(ends->theirs[ANSWERS]);
	free(ends);
	return 0;
}

static struct addr address(const char *text)
{
	struct addr_spec spec;
	const char *why;

	assert_int_equal(addr_parse(text, &spec, &why), 0);
	return spec.addr;
}

/* -------------------------------------------------------------------- questions */

static void test_questions_are_alike(void **state)
{
	struct addr peer = address("tcp:192.0.2.1:1234"), other = address("tcp:192.0.2.1:99");
	struct addr local = address("tcp:192.0.2.2:22");
	struct lookup_question a, b;

	(void)state;
	memset(&a, 0xff, sizeof a);
	assert_int_equal(lookup_question_init(&a, LOOKUP_NAME_OF, &peer, NULL, NULL), 0);
	assert_int_equal(lookup_question_init(&b, LOOKUP_NAME_OF, &other, &local, "x"), 0);
	assert_memory_equal(&a, &b, sizeof a);

	assert_int_equal(
		lookup_question_init(&a, LOOKUP_ADDRESSES_OF, NULL, NULL, "Example.org."), 0);
	assert_int_equal(
		lookup_question_init(&b, LOOKUP_ADDRESSES_OF, &peer, &local, "example.ORG"), 0);
	assert_memory_equal(&a, &b, sizeof a);

	assert_int_equal(lookup_question_init(&a, LOOKUP_IDENT, &peer, &local, NULL), 0);
	assert_int_equal(lookup_question_init(&b, LOOKUP_IDENT, &other, &local, NULL), 0);
	assert_memory_not_equal(&a, &b, sizeof a);
}

static void test_no_questions(void **state)
{
	struct addr local = address("unix:/run/x"), peer = address("tcp:192.0.2.1:1234");
	struct addr v6 = address("tcp:[2001:db8::1]:22"), portless = address("tcp:192.0.2.1:0");
	struct lookup_question q;

	(void)state;
	assert_int_equal(lookup_question_init(&q, LOOKUP_NAME_OF, &local, NULL, NULL), -EINVAL);
	assert_int_equal(lookup_question_init(&q, LOOKUP_IDENT, &peer, &local, NULL), -EINVAL);
	assert_int_equal(lookup_question_init(&q, LOOKUP_IDENT, &peer, &v6, NULL), -EINVAL);
	assert_int_equal(
		lookup_question_init(&q, LOOKUP_IDENT, &peer, &portless, NULL), -EINVAL);
	assert_int_equal(
		lookup_question_init(&q, LOOKUP_ADDRESSES_OF, NULL, NULL, "10.0.0.1"), -EINVAL);
	assert_int_equal(lookup_question_init(&q, 0, &peer, &peer, "a"), -EINVAL);
}

static void test_addresses_there_and_back(void **state)
{
	static const char *const texts[] = {
		"tcp:192.0.2.1:1234", "tcp:[2001:db8::1]:22", "tcp:[::1]:0"};
	struct lookup_address wire;
	struct addr before, after;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		before = address(texts[i]);
		lookup_address_from(&wire, &before);
		lookup_address_to(&wire, &after);
		assert_true(addr_equal(&before, &after));
	}
	before = address("tcp:[fe80::1]:5");
	before.in6.sin6_scope_id = 7;
	lookup_address_from(&wire, &before);
	lookup_address_to(&wire, &after);
	assert_int_equal(after.in6.sin6_scope_id, 7);
}

static struct lookup_request ask(const char *name)
{
	struct lookup_request request;

	memset(&request, 0, sizeof request);
	request.version = LOOKUP_VERSION;
	request.kind = LOOKUP_ASK;
	request.session.connection = 17;
	request.question.what = LOOKUP_ADDRESSES_OF;
	strcpy(request.question.name, name);
	return request;
}

static void test_requests(void **state)
{
	struct ends *ends = *state;
	struct lookup_request sent = ask("example.org"), got;

	assert_int_equal(lookup_take(ends->theirs[REQUESTS], &got), -EAGAIN);
	assert_int_equal(lookup_send(&ends->ours, &sent), 0);
	assert_int_equal(lookup_take(ends->theirs[REQUESTS], &got), 0);
	assert_memory_equal(&sent, &got, sizeof got);
	ends->ours.requests = fd_close(ends->ours.requests);
	assert_int_equal(lookup_take(ends->theirs[REQUESTS], &got), -EPIPE);
}

/* A question has none: the worker has no room for it, and its request is as any. */
static void test_a_descriptor_that_comes_along(void **state)
{
	struct ends *ends = *state;
	struct lookup_request sent = ask("example.org"), got;
	int lowest = dup(ends->ours.answers);

	fd_close(lowest);
	assert_int_equal(
		records_send(ends->ours.requests, &sent, sizeof sent, &ends->ours.answers, 1),
		0);
	assert_int_equal(lookup_take(ends->theirs[REQUESTS], &got), 0);
	assert_memory_equal(&sent, &got, sizeof got);
	assert_int_equal(dup(ends->ours.answers), lowest);
	fd_close(lowest);
}

static void is_no_request(struct ends *ends, const struct lookup_request *request)
{
	struct lookup_request got;

	assert_int_equal(lookup_send(&ends->ours, request), 0);
	assert_int_equal(lookup_take(ends->theirs[REQUESTS], &got), -EBADMSG);
}

static void test_requests_without_sense(void **state)
{
	struct ends *ends = *state;
	struct lookup_request request = ask("Example.org");

	is_no_request(ends, &request);
	request = ask("example.org");
	request.version++;
	is_no_request(ends, &request);
	request = ask("example.org");
	request.kind = _LOOKUP_REQUEST_MAX;
	is_no_request(ends, &request);
	request = ask("example.org");
	memset(request.question.name, 'a', sizeof request.question.name);
	is_no_request(ends, &request);
	request = ask("");
	request.question.what = LOOKUP_NAME_OF;
	is_no_request(ends, &request);
	request.question.what = _LOOKUP_WHAT_MAX;
	is_no_request(ends, &request);
	assert_int_equal(
		send(ends->ours.requests, &request, sizeof request - 1, 0), sizeof request - 1);
	assert_int_equal(lookup_take(ends->theirs[REQUESTS], &request), -EBADMSG);
}

static void test_a_worker_that_is_gone(void **state)
{
	struct ends *ends = *state;
	struct lookup_request request = ask("example.org");

	ends->theirs[REQUESTS] = fd_close(ends->theirs[REQUESTS]);
	assert_int_equal(lookup_send(&ends->ours, &request), -EPIPE);
}

/* ---------------------------------------------------------------------- answers */

static struct lookup_answer done(enum lookup_what what, const char *text)
{
	struct lookup_answer answer;

	memset(&answer, 0, sizeof answer);
	answer.version = LOOKUP_VERSION;
	answer.kind = LOOKUP_DONE;
	answer.what = what;
	strcpy(answer.facts.text, text);
	return answer;
}

static int give(struct ends *ends, const struct lookup_answer *answer)
{
	struct lookup_answer got;
	int r;

	assert_int_equal(lookup_answer(ends->theirs[ANSWERS], answer, 1), 0);
	r = lookup_receive(&ends->ours, &got, 1);
	if (r == 1)
		assert_memory_equal(answer, &got, sizeof got);
	return r;
}

static void test_answers(void **state)
{
	struct ends *ends = *state;
	struct lookup_answer answer = done(LOOKUP_NAME_OF, "example.org");

	assert_int_equal(lookup_receive(&ends->ours, &answer, 1), 0);
	assert_int_equal(give(ends, &answer), 1);
	answer = done(LOOKUP_IDENT, "%n \303\244");
	assert_int_equal(give(ends, &answer), 1);
	answer = done(LOOKUP_ADDRESSES_OF, "");
	answer.facts.n_addresses = 2;
	answer.facts.addresses[0].family = AF_INET;
	answer.facts.addresses[1].family = AF_INET6;
	assert_int_equal(give(ends, &answer), 1);
	answer = done(LOOKUP_NAME_OF, "");
	answer.facts.result = LOOKUP_FAILED;
	assert_int_equal(give(ends, &answer), 1);
	/* Only a name can be a lie. */
	answer.facts.result = LOOKUP_MISMATCH;
	assert_int_equal(give(ends, &answer), 1);
	answer.what = LOOKUP_IDENT;
	assert_int_equal(give(ends, &answer), -EBADMSG);
	answer.what = LOOKUP_NAME_OF;
	answer.kind = LOOKUP_READY;
	assert_int_equal(give(ends, &answer), 1);
	ends->theirs[ANSWERS] = fd_close(ends->theirs[ANSWERS]);
	assert_int_equal(lookup_receive(&ends->ours, &answer, 1), -EPIPE);
}

static void test_names_that_are_none(void **state)
{
	static const char *const texts[] = {"", "10.0.0.1", "Example.org", "a b", "a\nb", "a."};
	struct ends *ends = *state;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct lookup_answer answer = done(LOOKUP_NAME_OF, texts[i]);

		assert_int_equal(give(ends, &answer), -EBADMSG);
	}
}

static void test_users_that_are_none(void **state)
{
	struct ends *ends = *state;
	struct lookup_answer answer = done(LOOKUP_IDENT, "");

	assert_int_equal(give(ends, &answer), -EBADMSG);
	answer = done(LOOKUP_IDENT, "a\nb");
	assert_int_equal(give(ends, &answer), -EBADMSG);
	answer = done(LOOKUP_IDENT, "a\x7f");
	assert_int_equal(give(ends, &answer), -EBADMSG);
	memset(answer.facts.text, 'a', LOOKUP_USER_MAX + 1);
	assert_int_equal(give(ends, &answer), -EBADMSG);
	memset(answer.facts.text, 'a', sizeof answer.facts.text);
	assert_int_equal(give(ends, &answer), -EBADMSG);
	answer = done(LOOKUP_IDENT, "");
	memset(answer.facts.text, 'a', LOOKUP_USER_MAX);
	assert_int_equal(give(ends, &answer), 1);
}

static void test_addresses_that_are_none(void **state)
{
	struct ends *ends = *state;
	struct lookup_answer answer = done(LOOKUP_ADDRESSES_OF, "");

	assert_int_equal(give(ends, &answer), -EBADMSG);
	answer.facts.n_addresses = 1;
	assert_int_equal(give(ends, &answer), -EBADMSG);
	answer.facts.addresses[0].family = AF_UNIX;
	assert_int_equal(give(ends, &answer), -EBADMSG);
	answer.facts.n_addresses = LOOKUP_ADDRESSES_MAX + 1;
	assert_int_equal(give(ends, &answer), -EBADMSG);
	answer = done(LOOKUP_NAME_OF, "a");
	answer.facts.n_addresses = 1;
	answer.facts.addresses[0].family = AF_INET;
	assert_int_equal(give(ends, &answer), -EBADMSG);
}

static void test_answers_without_sense(void **state)
{
	struct ends *ends = *state;
	struct lookup_answer answer = done(LOOKUP_NAME_OF, "a");

	answer.version++;
	assert_int_equal(give(ends, &answer), -EBADMSG);
	answer = done(_LOOKUP_WHAT_MAX, "a");
	assert_int_equal(give(ends, &answer), -EBADMSG);
	answer = done(0, "a");
	assert_int_equal(give(ends, &answer), -EBADMSG);
	answer = done(LOOKUP_NAME_OF, "a");
	answer.kind = _LOOKUP_ANSWER_MAX;
	assert_int_equal(give(ends, &answer), -EBADMSG);
	answer.kind = 0;
	assert_int_equal(give(ends, &answer), -EBADMSG);
	answer = done(LOOKUP_NAME_OF, "a");
	answer.facts.result = _LOOKUP_RESULT_MAX;
	assert_int_equal(give(ends, &answer), -EBADMSG);
	answer.facts.result = LOOKUP_FAILED;
	assert_int_equal(give(ends, &answer), -EBADMSG);
	assert_int_equal(
		write(ends->theirs[ANSWERS], &answer, sizeof answer - 1), sizeof answer - 1);
	assert_int_equal(lookup_receive(&ends->ours, &answer, 1), -EBADMSG);
}

static void test_texts(void **state)
{
	(void)state;
	for (int i = 0; i < _LOOKUP_RESULT_MAX; i++)
		assert_true(strlen(lookup_result_text((enum lookup_result)i)) > 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_questions_are_alike),
		cmocka_unit_test(test_no_questions),
		cmocka_unit_test(test_addresses_there_and_back),
		TEST(test_requests),
		TEST(test_a_descriptor_that_comes_along),
		TEST(test_requests_without_sense),
		TEST(test_a_worker_that_is_gone),
		TEST(test_answers),
		TEST(test_names_that_are_none),
		TEST(test_users_that_are_none),
		TEST(test_addresses_that_are_none),
		TEST(test_answers_without_sense),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
