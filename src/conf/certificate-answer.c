#include "conf/certificate-answer.h"

#include "base/strv.h"
#include "conf/certificate.h"

#include <string.h>

/* ----------------------------------------------------------------- certificates */

static void put_reading(struct wire_writer *answer, const struct certificate *certificate)
{
	struct tls_certificate pem = {0};

	if (certificate)
		pem = certificate_pem(certificate);
	certificate_put_bytes(answer, &pem.chain);
	certificate_put_bytes(answer, &pem.key);
	wire_put_u64(answer, certificate ? (uint64_t)certificate_begins(certificate) : 0);
	wire_put_u64(answer, certificate ? (uint64_t)certificate_ends(certificate) : 0);
	wire_put_u8(answer, certificate && certificate_in_order(certificate));
}

static int answer_read(struct wire_reader *question, struct wire_writer *answer)
{
	_cleanup_certificate_ struct certificate *certificate = NULL;
	struct tls_bytes chain = certificate_get_bytes(question);
	struct tls_bytes key = certificate_get_bytes(question);
	char why[CERTIFICATE_WHY_MAX] = "";
	bool of_key = false;
	int r;

	if (!wire_reader_complete(question))
		return -EBADMSG;
	r = certificate_read(&chain, &key, &certificate, &of_key, why);
	certificate_put_result(answer, r);
	wire_put_u8(answer, of_key);
	wire_put_string(answer, why);
	put_reading(answer, certificate);
	return 0;
}

static int answer_count(struct wire_reader *question, struct wire_writer *answer)
{
	struct tls_bytes ca = certificate_get_bytes(question);
	char why[CERTIFICATE_WHY_MAX] = "";

	if (!wire_reader_complete(question))
		return -EBADMSG;
	certificate_put_result(answer, (int)certificate_count(&ca, why));
	wire_put_string(answer, why);
	return 0;
}

static void try(const struct tls_setup *setup, struct wire_writer *answer)
{
	char why[CERTIFICATE_WHY_MAX] = "";
	size_t which = 0;

	certificate_put_result(answer, certificate_try(setup, &which, why));
	wire_put_u32(answer, (uint32_t)which);
	wire_put_string(answer, why);
}

static int answer_try(struct wire_reader *question, struct wire_writer *answer)
{
	struct tls_setup setup = {0};
	int r = certificate_get_pairs(question, &setup);

	if (r == 0) {
		setup.ciphers = wire_get_string(question);
		setup.ciphersuites = wire_get_string(question);
		r = wire_reader_complete(question) ? 0 : -EBADMSG;
	}
	if (r == 0)
		try(&setup, answer);
	tls_setup_done(&setup);
	return r;
}

static bool is_covered(struct certificate *const *certificates, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		/* What cannot be read was told, and covers whatever it may. */
		if (!certificates[i] || certificate_covers(certificates[i], name))
			return true;
	return false;
}

static void cover(const struct tls_setup *setup, char *const *names, struct wire_writer *answer)
{
	struct certificate *certificates[TLS_CERTIFICATES_MAX] = {NULL};
	char why[CERTIFICATE_WHY_MAX];
	bool of_key;

	for (size_t i = 0; i < setup->n_certificates; i++) {
		const struct tls_certificate *pem = &setup->certificates[i];

		(void)certificate_read(&pem->chain, &pem->key, &certificates[i], &of_key, why);
	}
	certificate_put_result(answer, 0);
	for (size_t i = 0; names[i]; i++)
		wire_put_u8(answer, is_covered(certificates, setup->n_certificates, names[i]));
	for (size_t i = 0; i < setup->n_certificates; i++)
		certificate_free(certificates[i]);
}

static int answer_cover(struct wire_reader *question, struct wire_writer *answer)
{
	_cleanup_strv_ char **names = NULL;
	struct tls_setup setup = {0};
	int r = certificate_get_pairs(question, &setup);

	if (r == 0) {
		names = wire_get_strv(question);
		r = wire_reader_complete(question) && names ? 0 : -EBADMSG;
	}
	if (r == 0)
		cover(&setup, names, answer);
	tls_setup_done(&setup);
	return r;
}

/* ----------------------------------------------------------------------- the rest */

static int answer_digest(struct wire_reader *question, struct wire_writer *answer)
{
	uint8_t digests[2][CERTIFICATE_DIGEST_LEN] = {0};
	struct tls_bytes data[2];
	int r = 0;

	for (size_t i = 0; i < 2; i++)
		data[i] = certificate_get_bytes(question);
	if (!wire_reader_complete(question))
		return -EBADMSG;
	for (size_t i = 0; i < 2 && r == 0; i++)
		r = certificate_digest(data[i].data, data[i].len, digests[i]);
	certificate_put_result(answer, r);
	wire_put_raw(answer, digests, sizeof digests);
	return 0;
}

static int answer_make(struct wire_reader *question, struct wire_writer *answer)
{
	_cleanup_strv_ char **names = wire_get_strv(question);
	int64_t now = (int64_t)wire_get_u64(question);
	unsigned days = wire_get_u32(question);
	struct tls_bytes bytes = {0};
	char *pem = NULL;
	size_t len = 0;
	int r;

	if (!wire_reader_complete(question) || !names)
		return -EBADMSG;
	r = certificate_make(names, now, days, &pem, &len);
	bytes = (struct tls_bytes){(const uint8_t *)pem, len};
	certificate_put_result(answer, r);
	certificate_put_bytes(answer, &bytes);
	if (pem)
		explicit_bzero(pem, len);
	free(pem);
	return 0;
}

int certificate_answer(const void *question, size_t len, struct wire_writer *answer)
{
	static int (*const answers[])(struct wire_reader *, struct wire_writer *) = {
		[CERTIFICATE_READ] = answer_read,
		[CERTIFICATE_COUNT] = answer_count,
		[CERTIFICATE_TRY] = answer_try,
		[CERTIFICATE_COVER] = answer_cover,
		[CERTIFICATE_DIGEST] = answer_digest,
		[CERTIFICATE_MAKE] = answer_make,
	};
	struct wire_reader reader;
	uint8_t what;

	wire_reader_init(&reader, question, len);
	what = wire_get_u8(&reader);
	if (reader.error || what >= ARRAY_SIZE(answers))
		return -EBADMSG;
	return answers[what](&reader, answer);
}

/* ---------------------------------------------------------------------- once more */

/* Of those that are the same whenever they are asked: what is made is another one each time. */
static bool is_worth_it(const struct certificate_message *question)
{
	return question->len > 0 && question->len <= CERTIFICATE_REMEMBERED_MAX &&
	       question->data[0] < CERTIFICATE_MAKE;
}

static bool is_same(const struct certificate_message *a, const struct certificate_message *b)
{
	return a->data && a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static void move(struct certificate_message *to, struct certificate_message *from)
{
	certificate_message_done(to);
	*to = *from;
	*from = (struct certificate_message){0};
}

/* Without memory for it, it is forgotten. */
static void remember(struct certificate_memory *memory, struct certificate_message *question,
	const uint8_t *answer, size_t len)
{
	struct certificate_message copy = {.data = malloc(len), .len = len};
	uint8_t kind = question->data[0];

	if (!copy.data)
		return;
	memcpy(copy.data, answer, len);
	move(&memory->answers[kind], &copy);
	move(&memory->questions[kind], question);
}

int certificate_answer_again(struct certificate_memory *memory,
	struct certificate_message *question, struct wire_writer *answer)
{
	const struct certificate_message *known;
	size_t begin = answer->len;
	int r;

	if (!is_worth_it(question))
		return certificate_answer(question->data, question->len, answer);
	known = &memory->answers[question->data[0]];
	if (is_same(&memory->questions[question->data[0]], question)) {
		wire_put_raw(answer, known->data, known->len);
		return 0;
	}
	r = certificate_answer(question->data, question->len, answer);
	if (r == 0 && answer->error == 0)
		remember(memory, question, answer->data + begin, answer->len - begin);
	return r;
}

void certificate_memory_done(struct certificate_memory *memory)
{
	for (size_t i = 0; i < _CERTIFICATE_QUESTION_MAX; i++) {
		certificate_message_done(&memory->questions[i]);
		certificate_message_done(&memory->answers[i]);
	}
}
