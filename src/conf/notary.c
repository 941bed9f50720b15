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

/* A question; what it is about follows. */
static int begin(
	struct notary *notary, struct wire_writer *question, enum certificate_question what)
{
	int r = start(notary);

	if (r < 0)
		return r;
	certificate_begin(question);
	wire_put_u8(question, (uint8_t)what);
	return 0;
}

/* It is gone afterwards; the answer is the caller's.  0 or a negative errno, with *ret the
 * result that it begins with. */
static int ask(struct notary *notary, struct wire_writer *question,
	struct certificate_message *answer, struct wire_reader *reader, int *ret)
{
	int r = certificate_send(notary->fd, question);

	if (r == 0)
		r = certificate_receive(notary->fd, answer);
	if (r < 0)
		return r;
	wire_reader_init(reader, answer->data, answer->len);
	*ret = certificate_get_result(reader);
	return 0;
}

/* What is wrong with an answer, or its result. */
static int end(const struct wire_reader *reader, int result)
{
	if (reader->error)
		return reader->error;
	return wire_reader_complete(reader) ? result : -EBADMSG;
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

static int get_reading(struct wire_reader *reader, int result, struct notary_reading *ret)
{
	struct tls_bytes chain, key;
	int r;

	ret->of_key = wire_get_u8(reader);
	get_why(reader, ret->why);
	chain = certificate_get_bytes(reader);
	key = certificate_get_bytes(reader);
	ret->begins = (int64_t)wire_get_u64(reader);
	ret->pem.ends = (int64_t)wire_get_u64(reader);
	ret->in_order = wire_get_u8(reader);
	r = end(reader, result);
	if (r == 0)
		r = keep_pem(&chain, &key, &ret->pem);
	return r > 0 ? -EBADMSG : r;
}

int notary_read(struct notary *notary, const struct tls_bytes *chain,
	const struct tls_bytes *key, struct notary_reading *ret)
{
	_cleanup_certificate_message_ struct certificate_message answer = {0};
	struct wire_writer question;
	struct wire_reader reader;
	int result, r = begin(notary, &question, CERTIFICATE_READ);

	if (r < 0)
		return r;
	certificate_put_bytes(&question, chain);
	certificate_put_bytes(&question, key);
	r = ask(notary, &question, &answer, &reader, &result);
	return r < 0 ? r : get_reading(&reader, result, ret);
}

int notary_count(
	struct notary *notary, const struct tls_bytes *ca, char why[CERTIFICATE_WHY_MAX])
{
	_cleanup_certificate_message_ struct certificate_message answer = {0};
	struct wire_writer question;
	struct wire_reader reader;
	int result, r = begin(notary, &question, CERTIFICATE_COUNT);

	if (r < 0)
		return r;
	certificate_put_bytes(&question, ca);
	r = ask(notary, &question, &answer, &reader, &result);
	if (r < 0)
		return r;
	get_why(&reader, why);
	return end(&reader, result);
}

int notary_try(struct notary *notary, const struct tls_setup *setup, size_t *ret_which,
	char why[CERTIFICATE_WHY_MAX])
{
	_cleanup_certificate_message_ struct certificate_message answer = {0};
	struct wire_writer question;
	struct wire_reader reader;
	int result, r = begin(notary, &question, CERTIFICATE_TRY);

	if (r < 0)
		return r;
	certificate_put_pairs(&question, setup);
	wire_put_string(&question, setup->ciphers);
	wire_put_string(&question, setup->ciphersuites);
	r = ask(notary, &question, &answer, &reader, &result);
	if (r < 0)
		return r;
	*ret_which = wire_get_u32(&reader);
	get_why(&reader, why);
	r = end(&reader, result);
	if (r > REFUSED_CERTIFICATE ||
		(r == REFUSED_CERTIFICATE && *ret_which >= setup->n_certificates))
		return -EBADMSG;
	return r;
}

int notary_cover(
	struct notary *notary, const struct tls_setup *setup, char *const *names, bool *ret)
{
	_cleanup_certificate_message_ struct certificate_message answer = {0};
	struct wire_writer question;
	struct wire_reader reader;
	int result, r = begin(notary, &question, CERTIFICATE_COVER);

	if (r < 0)
		return r;
	certificate_put_pairs(&question, setup);
	wire_put_strv(&question, names);
	r = ask(notary, &question, &answer, &reader, &result);
	if (r < 0)
		return r;
	for (size_t i = 0; names[i]; i++)
		ret[i] = wire_get_u8(&reader);
	r = end(&reader, result);
	return r > 0 ? -EBADMSG : r;
}

/* ----------------------------------------------------------------------- the rest */

int notary_digest(struct notary *notary, const struct tls_bytes data[2],
	uint8_t ret[2][CERTIFICATE_DIGEST_LEN])
{
	_cleanup_certificate_message_ struct certificate_message answer = {0};
	struct wire_writer question;
	struct wire_reader reader;
	int result, r = begin(notary, &question, CERTIFICATE_DIGEST);

	if (r < 0)
		return r;
	for (size_t i = 0; i < 2; i++)
		certificate_put_bytes(&question, &data[i]);
	r = ask(notary, &question, &answer, &reader, &result);
	if (r < 0)
		return r;
	for (size_t i = 0; i < 2; i++)
		wire_get_raw(&reader, ret[i], CERTIFICATE_DIGEST_LEN);
	r = end(&reader, result);
	return r > 0 ? -EBADMSG : r;
}

int notary_make(struct notary *notary, char *const *names, int64_t now, unsigned days,
	char **ret, size_t *ret_len)
{
	_cleanup_certificate_message_ struct certificate_message answer = {0};
	struct wire_writer question;
	struct wire_reader reader;
	struct tls_bytes pem;
	int result, r = begin(notary, &question, CERTIFICATE_MAKE);

	if (r < 0)
		return r;
	wire_put_strv(&question, names);
	wire_put_u64(&question, (uint64_t)now);
	wire_put_u32(&question, days);
	r = ask(notary, &question, &answer, &reader, &result);
	if (r < 0)
		return r;
	pem = certificate_get_bytes(&reader);
	r = end(&reader, result);
	if (r > 0 || (r == 0 && pem.len == 0))
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
