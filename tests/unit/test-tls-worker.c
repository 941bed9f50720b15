/*
 * hatchd-tls: the program itself, in its sandbox, with the test as its master.  What it does
 * with a connection is in test-tls-session and test-tls-pump; here it is whether it does it,
 * with what it has in there.
 */
#include "tls-pki.h"

#include "base/fd.h"
#include "os/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Clients at a time, and what each may cost, in bytes: one who is silent, one who has begun,
 * and one whose handshake is over.  Twice and more of what was measured. */
#define CROWD       400
#define PLACES      (CROWD + 8)
#define SILENT_COST 4096
#define BEGUN_COST  (160 * 1024)
#define IDLE_COST   (64 * 1024)

static struct {
	struct pki authority, server, rsa, alice;
	struct tls_setup setup;
	struct tls_certificate certificates[2];
} pki;

struct client {
	int fd;
	SSL *ssl;
	uint64_t connection;
};

struct stage {
	struct channel channel;
	pid_t pid;
	int memory; /* the setups */
	struct {
		uint64_t at, len;
	} setups[2]; /* the second one is none */
	uint64_t last;
	SSL_CTX *ctx;
};

/* ------------------------------------------------------------------------- begin and end */

static _Noreturn void run_worker(const int theirs[2])
{
	const char *folder = getenv("builddir");
	char path[4096], places[16];
	int requests = fd_move_up(theirs[0], 10), answers = fd_move_up(theirs[1], 10);

	snprintf(path, sizeof path, "%s/hatchd-tls", folder ? folder : ".");
	snprintf(places, sizeof places, "%d", PLACES);
	if (dup2(requests, CHANNEL_REQUESTS_FD) < 0 || dup2(answers, CHANNEL_ANSWERS_FD) < 0)
		_exit(99);
	fd_close_range(CHANNEL_ANSWERS_FD + 1, ~0U >> 1);
	execl(path, "hatchd-tls", places, (char *)NULL);
	_exit(98);
}

static struct channel_answer next_answer(struct stage *stage)
{
	struct pollfd p = {.fd = stage->channel.answers, .events = POLLIN};
	struct channel_answer answer;

	assert_int_equal(poll(&p, 1, 60000), 1);
	assert_int_equal(channel_receive(&stage->channel, &answer, 1), 1);
	return answer;
}

/* Something that is no setup stands before and behind it. */
static void write_setups(struct stage *stage)
{
	struct iovec parts[3] = {{(void *)"before", 6}, {NULL, 0}, {(void *)"behind", 6}};
	struct wire_writer w;

	wire_writer_init(&w);
	assert_int_equal(tls_setup_write(&pki.setup, &w), 0);
	parts[1] = (struct iovec){w.data, w.len};
	stage->memory = fd_new_memory("setups", parts, 3);
	assert_true(stage->memory >= 0);
	stage->setups[0].at = 6;
	stage->setups[0].len = w.len;
	stage->setups[1].at = 6 + w.len;
	stage->setups[1].len = 6;
	wire_writer_done(&w);
}

static int set_up(void **state)
{
	struct stage *stage = calloc(1, sizeof *stage);
	int theirs[2];

	write_setups(stage);
	stage->ctx = SSL_CTX_new(TLS_client_method());
	assert_int_equal(channel_new(&stage->channel, theirs), 0);
	stage->pid = fork();
	assert_true(stage->pid >= 0);
	if (stage->pid == 0)
		run_worker(theirs);
	close(theirs[0]);
	close(theirs[1]);
	assert_int_equal(next_answer(stage).kind, CHANNEL_READY);
	*state = stage;
	return 0;
}

static int exit_status(struct stage *stage)
{
	int status;

	assert_int_equal(waitpid(stage->pid, &status, 0), stage->pid);
	stage->pid = 0;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int tear_down(void **state)
{
	struct stage *stage = *state;

	fd_close(stage->channel.requests);
	fd_close(stage->channel.answers);
	fd_close(stage->memory);
	SSL_CTX_free(stage->ctx);
	if (stage->pid > 0) {
		kill(stage->pid, SIGKILL);
		waitpid(stage->pid, NULL, 0);
	}
	ERR_clear_error();
	free(stage);
	return 0;
}

/* ------------------------------------------------------------------------- requests */

static void request(
	struct stage *stage, const struct channel_request *request, const int *fds, size_t n)
{
	struct pollfd p = {.fd = stage->channel.requests, .events = POLLOUT};
	int r;

	while ((r = channel_send(&stage->channel, request, fds, n)) == -EAGAIN)
		assert_int_equal(poll(&p, 1, 60000), 1);
	assert_int_equal(r, 0);
}

static struct channel_request request_of(struct stage *stage, enum channel_request_kind kind,
	uint64_t connection, uint32_t place)
{
	struct channel_session session = {.connection = connection, .place = place};
	struct channel_request made;

	channel_request_init(&made, kind, &session);
	made.text_at = stage->setups[0].at;
	made.text_len = stage->setups[0].len;
	made.text_number = 1;
	made.has_text = 1;
	made.patience = UINT64_C(3600000000);
	return made;
}

/* His end is blocking. */
static struct client serve_as(struct stage *stage, struct channel_request *made)
{
	struct client client = {.connection = ++stage->last};
	int ends[2], fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	fds[0] = ends[1];
	fds[1] = stage->memory;
	made->session.connection = client.connection;
	request(stage, made, fds, made->has_text ? 2 : 1);
	close(ends[1]);
	client.fd = ends[0];
	client.ssl = SSL_new(stage->ctx);
	SSL_set_fd(client.ssl, client.fd);
	SSL_set_connect_state(client.ssl);
	return client;
}

static struct client serve(struct stage *stage, uint32_t place)
{
	struct channel_request made = request_of(stage, CHANNEL_SERVE, 0, place);

	return serve_as(stage, &made);
}

static void leave(struct client *client)
{
	SSL_free(client->ssl);
	client->fd = fd_close(client->fd);
}

static struct channel_answer is_done(
	struct stage *stage, uint64_t connection, enum channel_result result)
{
	struct channel_answer answer = next_answer(stage);

	assert_int_equal(answer.kind, CHANNEL_DONE);
	assert_int_equal(answer.session.connection, connection);
	assert_int_equal(answer.result, result);
	return answer;
}

/* The facts, and then the offer. */
static struct channel_answer is_offered(
	struct stage *stage, const struct client *client, char ret[CHANNEL_FACTS_BYTES_MAX])
{
	struct channel_answer answer = next_answer(stage);
	size_t len = 0;

	while (answer.kind == CHANNEL_FACT) {
		assert_int_equal(answer.session.connection, client->connection);
		assert_true(len + answer.facts.authority_len <= CHANNEL_FACTS_BYTES_MAX);
		memcpy(ret + len, answer.facts.authority, answer.facts.authority_len);
		len += answer.facts.authority_len;
		answer = next_answer(stage);
	}
	assert_true(len > 0);
	assert_int_equal(ret[len - 1], '\0');
	assert_int_equal(answer.kind, CHANNEL_OFFER);
	assert_int_equal(answer.session.connection, client->connection);
	return answer;
}

/* The program's end, which blocks. */
static int admit(struct stage *stage, const struct client *client, uint32_t place)
{
	struct channel_request made =
		request_of(stage, CHANNEL_VERDICT, client->connection, place);
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	made.verdict = CHANNEL_ADMITTED;
	request(stage, &made, &ends[1], 1);
	close(ends[1]);
	return ends[0];
}

static int comes_in(struct stage *stage, struct client *client, uint32_t place)
{
	char facts[CHANNEL_FACTS_BYTES_MAX];

	assert_int_equal(SSL_do_handshake(client->ssl), 1);
	is_offered(stage, client, facts);
	return admit(stage, client, place);
}

static void speaks_with(struct client *client, int program)
{
	char heard[16];

	assert_int_equal(SSL_write(client->ssl, "hello", 5), 5);
	assert_int_equal(recv(program, heard, 5, MSG_WAITALL), 5);
	assert_int_equal(send(program, "world", 5, MSG_NOSIGNAL), 5);
	assert_int_equal(SSL_read(client->ssl, heard, sizeof heard), 5);
	assert_memory_equal(heard, "world", 5);
}

/* ---------------------------------------------------------------------------- tests */

static void test_a_client(void **state)
{
	struct stage *stage = *state;
	struct client client = serve(stage, 3);
	char facts[CHANNEL_FACTS_BYTES_MAX];
	struct channel_answer offer, done;
	int program;

	SSL_set_tlsext_host_name(client.ssl, "git.example.org");
	assert_int_equal(SSL_do_handshake(client.ssl), 1);
	offer = is_offered(stage, &client, facts);
	assert_string_equal(facts, "SSL_PROTOCOL=TLSv1.3");
	assert_string_equal(offer.facts.service, "git");
	program = admit(stage, &client, 3);
	speaks_with(&client, program);
	SSL_shutdown(client.ssl);
	assert_int_equal(recv(program, &(char){0}, 1, 0), 0);
	assert_int_equal(send(program, "bye", 3, MSG_NOSIGNAL), 3);
	close(program);
	done = is_done(stage, 1, CHANNEL_FINISHED);
	assert_int_equal(done.session.place, 3);
	assert_int_equal(done.bytes_in, 5);
	assert_int_equal(done.bytes_out, 8);
	leave(&client);
}

/* Whatever OpenSSL may need for it is there, although there are no files. */
static void test_all_kinds_of_handshakes(void **state)
{
	static const struct {
		int version;
		const char *ciphers;
	} kinds[] = {
		{TLS1_3_VERSION, NULL},
		{TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256"},
		{TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305"},
		{TLS1_2_VERSION, "ECDHE-RSA-AES256-GCM-SHA384"},
	};
	static const char *const groups[] = {
		"X25519:P-256", "P-256", "P-384:P-256", "P-521:P-256"};
	struct stage *stage = *state;

	for (size_t i = 0; i < ARRAY_SIZE(kinds) * ARRAY_SIZE(groups); i++) {
		struct client client = serve(stage, 0);
		char facts[CHANNEL_FACTS_BYTES_MAX];
		int version = kinds[i % ARRAY_SIZE(kinds)].version;

		SSL_set_min_proto_version(client.ssl, version);
		SSL_set_max_proto_version(client.ssl, version);
		if (kinds[i % ARRAY_SIZE(kinds)].ciphers)
			SSL_set_cipher_list(client.ssl, kinds[i % ARRAY_SIZE(kinds)].ciphers);
		SSL_set1_groups_list(client.ssl, groups[i / ARRAY_SIZE(kinds)]);
		SSL_use_certificate(client.ssl, pki.alice.certificate);
		SSL_use_PrivateKey(client.ssl, pki.alice.key);
		assert_int_equal(SSL_do_handshake(client.ssl), 1);
		is_offered(stage, &client, facts);
		assert_non_null(memmem(facts, sizeof facts, "CN=alice", 8));
		leave(&client);
		is_done(stage, client.connection, CHANNEL_RESET);
	}
}

static void test_tickets(void **state)
{
	struct stage *stage = *state;
	struct client first = serve(stage, 0), second;
	int program = comes_in(stage, &first, 0);

	speaks_with(&first, program);
	SSL_shutdown(first.ssl);
	close(program);
	is_done(stage, 1, CHANNEL_FINISHED);
	second = serve(stage, 0);
	SSL_set_session(second.ssl, SSL_get0_session(first.ssl));
	leave(&first);
	program = comes_in(stage, &second, 0);
	assert_true(SSL_session_reused(second.ssl));
	close(program);
	leave(&second);
	next_answer(stage);
}

static void test_refused(void **state)
{
	struct stage *stage = *state;
	struct client client = serve(stage, 0);
	struct channel_request made = request_of(stage, CHANNEL_VERDICT, 1, 0);
	char facts[CHANNEL_FACTS_BYTES_MAX];

	assert_int_equal(SSL_do_handshake(client.ssl), 1);
	is_offered(stage, &client, facts);
	made.verdict = CHANNEL_BUSY;
	request(stage, &made, NULL, 0);
	assert_int_equal(SSL_read(client.ssl, &(char){0}, 1), 0);
	assert_int_equal(SSL_get_error(client.ssl, 0), SSL_ERROR_ZERO_RETURN);
	leave(&client);
	is_done(stage, 1, CHANNEL_FINISHED);
}

static void test_no_handshake(void **state)
{
	struct stage *stage = *state;
	struct client client = serve(stage, 0);
	struct channel_request made = request_of(stage, CHANNEL_SERVE, 0, 1);

	assert_int_equal(send(client.fd, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL), 18);
	leave(&client);
	assert_int_equal(is_done(stage, 1, CHANNEL_BAD_HEADER).bytes_in, 18);
	made.patience = 1000;
	client = serve_as(stage, &made);
	assert_int_equal(is_done(stage, 2, CHANNEL_SILENT).bytes_in, 0);
	leave(&client);
}

static void is_not_begun(struct stage *stage, struct channel_request *made)
{
	struct client client = serve_as(stage, made);

	assert_int_equal(is_done(stage, client.connection, CHANNEL_REFUSED).bytes_in, 0);
	leave(&client);
}

/* And those that come after it are served. */
static void test_what_cannot_be_begun(void **state)
{
	struct stage *stage = *state;
	struct channel_request made = request_of(stage, CHANNEL_SERVE, 0, 0);
	struct client client;
	int program;

	made.text_number = 2;
	made.text_at = stage->setups[1].at;
	made.text_len = stage->setups[1].len;
	is_not_begun(stage, &made);
	made.text_len = 100; /* there are not so many */
	is_not_begun(stage, &made);
	made.text_len = 0;
	is_not_begun(stage, &made);
	made.text_len = UINT64_MAX;
	is_not_begun(stage, &made);
	made.text_at = UINT64_MAX;
	is_not_begun(stage, &made);
	made = request_of(stage, CHANNEL_SERVE, 0, 0);
	made.is_socket = 1;
	is_not_begun(stage, &made);
	made.is_socket = 0;
	made.has_text = 0;
	is_not_begun(stage, &made);
	client = serve(stage, 0);
	program = comes_in(stage, &client, 0);
	speaks_with(&client, program);
	close(program);
	leave(&client);
	next_answer(stage);
}

/* A setup is read when its number is new, and not again. */
static void test_known_by_its_number(void **state)
{
	struct stage *stage = *state;
	struct client client = serve(stage, 0);
	struct channel_request made = request_of(stage, CHANNEL_SERVE, 0, 0);
	int program = comes_in(stage, &client, 0);

	speaks_with(&client, program);
	close(program);
	leave(&client);
	next_answer(stage);
	/* There is nothing at that place any more. */
	made.text_at = stage->setups[1].at;
	client = serve_as(stage, &made);
	program = comes_in(stage, &client, 0);
	speaks_with(&client, program);
	close(program);
	leave(&client);
	next_answer(stage);
	made.text_number = 2;
	is_not_begun(stage, &made);
}

static void test_ended(void **state)
{
	struct stage *stage = *state;
	struct client client = serve(stage, 2);
	struct channel_request end = request_of(stage, CHANNEL_END, 1, 2);
	int program = comes_in(stage, &client, 2);

	speaks_with(&client, program);
	request(stage, &end, NULL, 0);
	is_done(stage, 1, CHANNEL_ENDED);
	assert_int_equal(recv(program, &(char){0}, 1, 0), 0);
	/* That was no end of the program's. */
	assert_int_not_equal(SSL_get_error(client.ssl, SSL_read(client.ssl, &(char){0}, 1)),
		SSL_ERROR_ZERO_RETURN);
	close(program);
	leave(&client);
}

/* Those that are there go on, also when the master is gone. */
static void goes_on_until_the_end(struct stage *stage, bool without_master)
{
	struct channel_request drain = request_of(stage, CHANNEL_DRAIN, 0, 0);
	struct client client = serve(stage, 0), waits = serve(stage, 1);
	char facts[CHANNEL_FACTS_BYTES_MAX];
	int program = comes_in(stage, &client, 0);

	assert_int_equal(SSL_do_handshake(waits.ssl), 1);
	is_offered(stage, &waits, facts);
	if (without_master) {
		stage->channel.requests = fd_close(stage->channel.requests);
		/* He would wait for ever. */
		is_done(stage, 2, CHANNEL_ENDED);
	} else {
		request(stage, &drain, NULL, 0);
	}
	speaks_with(&client, program);
	leave(&waits);
	if (!without_master)
		is_done(stage, 2, CHANNEL_RESET);
	SSL_shutdown(client.ssl);
	close(program);
	is_done(stage, 1, CHANNEL_FINISHED);
	leave(&client);
	assert_int_equal(exit_status(stage), 0);
}

static void test_drained(void **state)
{
	goes_on_until_the_end(*state, false);
}

static void test_without_the_master(void **state)
{
	goes_on_until_the_end(*state, true);
}

/* Who is in his handshake when the master goes has nobody to be offered to. */
static void test_offered_to_nobody(void **state)
{
	struct stage *stage = *state;
	struct client client = serve(stage, 0);

	stage->channel.requests = fd_close(stage->channel.requests);
	assert_int_equal(SSL_do_handshake(client.ssl), 1);
	while (next_answer(stage).kind != CHANNEL_DONE)
		;
	leave(&client);
	assert_int_equal(exit_status(stage), 0);
}

/* ---------------------------------------------------------------------------- its state */

/* The number behind that word in /proc/PID/status. */
static long status_of(const struct stage *stage, const char *word, int base)
{
	char path[64], line[256];
	long value = -1;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/status", (int)stage->pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof line, file))
		if (strncmp(line, word, strlen(word)) == 0)
			value = strtol(line + strlen(word), NULL, base);
	fclose(file);
	return value;
}

static void test_in_its_sandbox(void **state)
{
	struct stage *stage = *state;

	assert_int_equal(status_of(stage, "Seccomp:", 10), 2);
	assert_int_equal(status_of(stage, "NoNewPrivs:", 10), 1);
	assert_int_equal(status_of(stage, "CapEff:", 16), 0);
}

static void costs(struct stage *stage, long before, const char *what, long most)
{
	long each = (status_of(stage, "VmRSS:", 10) - before) * 1024 / CROWD;

	print_message("%s: %ld bytes each\n", what, each);
	if (!SANITIZED)
		assert_in_range(each < 0 ? 0 : each, 0, most);
}

/* All that was sent before has been seen when it is answered, as requests come last in a
 * turn. */
static void catches_up(struct stage *stage)
{
	for (int i = 0; i < CROWD; i++) {
		request(stage,
			&(struct channel_request){
				.version = CHANNEL_VERSION, .kind = CHANNEL_PING},
			NULL, 0);
		assert_int_equal(next_answer(stage).kind, CHANNEL_PONG);
	}
}

static void is_done_some(struct stage *stage)
{
	assert_int_equal(next_answer(stage).kind, CHANNEL_DONE);
}

/* What comes with the first one is everybody's: afterwards that is there. */
static long cost_of_one(struct stage *stage)
{
	struct client first = serve(stage, CROWD);
	int program = comes_in(stage, &first, CROWD);

	speaks_with(&first, program);
	close(program);
	leave(&first);
	is_done_some(stage);
	return status_of(stage, "VmRSS:", 10);
}

static void test_what_a_crowd_costs(void **state)
{
	static struct client clients[CROWD];
	static int programs[CROWD];
	struct stage *stage = *state;
	long before = cost_of_one(stage);

	for (uint32_t i = 0; i < CROWD; i++)
		clients[i] = serve(stage, i);
	catches_up(stage);
	costs(stage, before, "silent", SILENT_COST);
	for (uint32_t i = 0; i < CROWD; i++) {
		programs[i] = comes_in(stage, &clients[i], i);
		speaks_with(&clients[i], programs[i]);
	}
	costs(stage, before, "idle", IDLE_COST);
	for (uint32_t i = 0; i < CROWD; i++) {
		close(programs[i]);
		leave(&clients[i]);
		is_done_some(stage);
	}
}

/* The first byte of a record, and no more. */
static void test_what_a_beginning_costs(void **state)
{
	static struct client clients[CROWD];
	struct stage *stage = *state;
	long before = cost_of_one(stage);

	for (uint32_t i = 0; i < CROWD; i++) {
		clients[i] = serve(stage, i);
		assert_int_equal(send(clients[i].fd, "\x16", 1, MSG_NOSIGNAL), 1);
	}
	catches_up(stage);
	costs(stage, before, "begun", BEGUN_COST);
	for (uint32_t i = 0; i < CROWD; i++) {
		leave(&clients[i]);
		is_done_some(stage);
	}
}

/* ---------------------------------------------------------------------------- all of them */

static char *protocols[] = {(char[]){"h2"}, NULL};

static struct tls_name names[] = {
	{(char[]){"git.example.org"}, (char[]){""}, (char[]){"git"}},
};

static int begin_all(void **state)
{
	(void)state;
	pki.authority = PKI(.common_name = "authority", .is_authority = true);
	pki.server = PKI(.common_name = "server", .issuer = &pki.authority);
	pki.rsa = PKI(.common_name = "server", .issuer = &pki.authority, .is_rsa = true);
	pki.alice = PKI(.common_name = "alice", .issuer = &pki.authority);
	pki.certificates[0] = (struct tls_certificate){
		.chain = pki_chain(&pki.server), .key = pki_key(&pki.server)};
	pki.certificates[1] = (struct tls_certificate){
		.chain = pki_chain(&pki.rsa), .key = pki_key(&pki.rsa)};
	pki.setup = (struct tls_setup){
		.certificates = pki.certificates,
		.n_certificates = 2,
		.ca = pki_chain(&pki.authority),
		.verify = TLS_VERIFY_OPTIONAL,
		.alpn = protocols,
		.session_tickets = true,
		.ticket_key = {1},
		.names = names,
		.n_names = 1,
	};
	return 0;
}

static int end_all(void **state)
{
	(void)state;
	pki_free(&pki.authority);
	pki_free(&pki.server);
	pki_free(&pki.rsa);
	pki_free(&pki.alice);
	for (size_t i = 0; i < ARRAY_SIZE(pki.certificates); i++) {
		pki_free_bytes(&pki.certificates[i].chain);
		pki_free_bytes(&pki.certificates[i].key);
	}
	pki_free_bytes(&pki.setup.ca);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_client),
		TEST(test_all_kinds_of_handshakes),
		TEST(test_tickets),
		TEST(test_refused),
		TEST(test_no_handshake),
		TEST(test_what_cannot_be_begun),
		TEST(test_known_by_its_number),
		TEST(test_ended),
		TEST(test_drained),
		TEST(test_without_the_master),
		TEST(test_offered_to_nobody),
		TEST(test_in_its_sandbox),
		TEST(test_what_a_crowd_costs),
		TEST(test_what_a_beginning_costs),
	};

	signal(SIGPIPE, SIG_IGN);
	alarm(240);
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	return cmocka_run_group_tests(tests, begin_all, end_all);
}
