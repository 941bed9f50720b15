#include "conf/notary.h"

#include "base/fd.h"
#include "conf/certificate-wire.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

void notary_init(struct notary *notary, const char *folder)
{
	*notary = (struct notary){.folder = folder, .fd = -EBADF, .pid = -1};
}

void notary_done(struct notary *notary)
{
	notary->fd = fd_close(notary->fd);
	while (notary->pid > 0 && waitpid(notary->pid, NULL, 0) < 0 && errno == EINTR)
		;
	notary->pid = -1;
}

const char *notary_missing(struct notary *notary)
{
	if (!notary->looked)
		notary->found = tls_programs_find(notary->folder, notary->path, notary->why);
	notary->looked = true;
	return notary->found < 0 ? notary->why : NULL;
}

/* ------------------------------------------------------------------------ asking */

/* Its standard input is the socket, and there is nobody to whom it could write. */
static int spawn(struct notary *notary, int theirs)
{
	char name[] = TLS_PROGRAM_CERTIFICATE, *argv[] = {name, NULL};
	posix_spawn_file_actions_t actions;
	int r;

	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	r = posix_spawn_file_actions_adddup2(&actions, theirs, STDIN_FILENO);
	if (r == 0)
		r = posix_spawn_file_actions_addopen(
			&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	if (r == 0)
		r = posix_spawn(&notary->pid, notary->path, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static int start(struct notary *notary)
{
	_cleanup_close_ int ours = -EBADF, theirs = -EBADF;
	int fds[2], r;

	if (notary->fd >= 0)
		return 0;
	if (notary_missing(notary))
		return notary->found;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	ours = fds[0];
	theirs = fds[1];
	r = spawn(notary, theirs);
	if (r == 0)
		notary->fd = take_fd(&ours);
	return r;
}

/* A question and its answer.  What goes wrong on the way is in the writer, then in the reader,
 * and end() tells it. */
struct exchange {
	struct wire_writer question;
	struct certificate_message answer;
	struct wire_reader reader;
	int result; /* that the answer begins with */
};

static void exchange_done(struct exchange *exchange)
{
	certificate_message_done(&exchange->answer);
}
#define _cleanup_exchange_ _cleanup_(exchange_done)

/* What it is about follows. */
static struct exchange begin(struct notary *notary, enum certificate_question what)
{
	struct exchange exchange = {0};

	certificate_begin(&exchange.question);
	wire_put_u8(&exchange.question, (uint8_t)what);
	if (exchange.question.error == 0)
		exchange.question.error = start(notary);
	return exchange;
}

/* The question is gone afterwards.  What cannot be read is nothing, or 0. */
static void ask(struct notary *notary, struct exchange *exchange)
{
	int r = certificate_send(notary->fd, &exchange->question);

	if (r == 0)
		r = certificate_receive(notary->fd, &exchange->answer);
	wire_reader_init(&exchange->reader,
		r == 0 ? exchange->answer.data : (const uint8_t *)"", exchange->answer.len);
	exchange->reader.error = r;
	exchange->result = certificate_get_result(&exchange->reader);
}

/* What is wrong with the answer, or its result. */
static int end(const struct exchange *exchange)
{
	if (exchange->reader.error)
		return exchange->reader.error;
	return wire_reader_complete(&exchange->reader) ? exchange->result : -EBADMSG;
}

/* The same where there is nothing to tell but that it was done. */
static int end_plain(const struct exchange *exchange)
{
	int r = end(exchange);

	return r > 0 ? -EBADMSG : r;
}

static void get_why(struct wire_reader *reader, char why[CERTIFICATE_WHY_MAX])
{
	_cleanup_free_ char *text = wire_get_string(reader);

	snprintf(why, CERTIFICATE_WHY_MAX, "%s", text ? text : "");
}

/* ----------------------------------------------------------------- certificates */

static int copy_bytes(const struct tls_bytes *bytes, char **ret, size_t *ret_len)
{
	char *copy = malloc(bytes->len + 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, bytes->data, bytes->len);
	*ret = copy;
	*ret_len = bytes->len;
	return 0;
}

void notary_reading_done(struct notary_reading *reading)
{
	free(reading->pem.chain);
	if (reading->pem.key)
		explicit_bzero(reading->pem.key, reading->pem.key_len);
	free(reading->pem.key);
	reading->pem = (struct tls_pem){0};
}

/* Neither is empty, nor longer than there is room for in a setup. */
static int keep_pem(
	const struct tls_bytes *chain, const struct tls_bytes *key, struct tls_pem *ret)
{
	int r;

	if (chain->len == 0 || chain->len > TLS_CHAIN_MAX || key->len == 0 ||
		key->len > TLS_KEY_MAX)
		return -EBADMSG;
	r = copy_bytes(chain, &ret->chain, &ret->chain_len);
	return r < 0 ? r : copy_bytes(key, &ret->key, &ret->key_len);
}

int notary_read(struct notary *notary, const struct tls_bytes *chain,
	const struct tls_bytes *key, struct notary_reading *ret)
{
	_cleanup_exchange_ struct exchange exchange = begin(notary, CERTIFICATE_READ);
	struct wire_reader *reader = &exchange.reader;
	struct tls_bytes its_chain, its_key;
	int r;

	certificate_put_bytes(&exchange.question, chain);
	certificate_put_bytes(&exchange.question, key);
	ask(notary, &exchange);
	ret->of_key = wire_get_u8(reader);
	get_why(reader, ret->why);
	its_chain = certificate_get_bytes(reader);
	its_key = certificate_get_bytes(reader);
	ret->begins = (int64_t)wire_get_u64(reader);
	ret->pem.ends = (int64_t)wire_get_u64(reader);
	ret->in_order = wire_get_u8(reader);
	r = end_plain(&exchange);
	return r < 0 ? r : keep_pem(&its_chain, &its_key, &ret->pem);
}

int notary_count(
	struct notary *notary, const struct tls_bytes *ca, char why[CERTIFICATE_WHY_MAX])
{
	_cleanup_exchange_ struct exchange exchange = begin(notary, CERTIFICATE_COUNT);

	certificate_put_bytes(&exchange.question, ca);
	ask(notary, &exchange);
	get_why(&exchange.reader, why);
	return end(&exchange);
}

int notary_try(struct notary *notary, const struct tls_setup *setup, size_t *ret_which,
	char why[CERTIFICATE_WHY_MAX])
{
	_cleanup_exchange_ struct exchange exchange = begin(notary, CERTIFICATE_TRY);
	int r;

	certificate_put_pairs(&exchange.question, setup);
	wire_put_string(&exchange.question, setup->ciphers);
	wire_put_string(&exchange.question, setup->ciphersuites);
	ask(notary, &exchange);
	*ret_which = wire_get_u32(&exchange.reader);
	get_why(&exchange.reader, why);
	r = end(&exchange);
	if (r > REFUSED_CERTIFICATE ||
		(r == REFUSED_CERTIFICATE && *ret_which >= setup->n_certificates))
		return -EBADMSG;
	return r;
}

int notary_cover(
	struct notary *notary, const struct tls_setup *setup, char *const *names, bool *ret)
{
	_cleanup_exchange_ struct exchange exchange = begin(notary, CERTIFICATE_COVER);

	certificate_put_pairs(&exchange.question, setup);
	wire_put_strv(&exchange.question, names);
	ask(notary, &exchange);
	for (size_t i = 0; names[i]; i++)
		ret[i] = wire_get_u8(&exchange.reader);
	return end_plain(&exchange);
}

/* ----------------------------------------------------------------------- the rest */

int notary_digest(struct notary *notary, const struct tls_bytes data[2],
	uint8_t ret[2][CERTIFICATE_DIGEST_LEN])
{
	_cleanup_exchange_ struct exchange exchange = begin(notary, CERTIFICATE_DIGEST);

	for (size_t i = 0; i < 2; i++)
		certificate_put_bytes(&exchange.question, &data[i]);
	ask(notary, &exchange);
	for (size_t i = 0; i < 2; i++)
		wire_get_raw(&exchange.reader, ret[i], CERTIFICATE_DIGEST_LEN);
	return end_plain(&exchange);
}

int notary_make(struct notary *notary, char *const *names, int64_t now, unsigned days,
	char **ret, size_t *ret_len)
{
	_cleanup_exchange_ struct exchange exchange = begin(notary, CERTIFICATE_MAKE);
	struct tls_bytes pem;
	int r;

	wire_put_strv(&exchange.question, names);
	wire_put_u64(&exchange.question, (uint64_t)now);
	wire_put_u32(&exchange.question, days);
	ask(notary, &exchange);
	pem = certificate_get_bytes(&exchange.reader);
	r = end_plain(&exchange);
	if (r == 0 && pem.len == 0)
		return -EBADMSG;
	return r < 0 ? r : copy_bytes(&pem, ret, ret_len);
}

const char *notary_explain(int error)
{
	switch (error) {
	case -ECHILD:
		return "it has ended";
	case -EBADMSG:
		return "it is of another version, or says nonsense";
	default:
		return strerror(-error);
	}
}
