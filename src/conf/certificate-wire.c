#include "conf/certificate-wire.h"

#include <endian.h>
#include <string.h>
#include <sys/socket.h>

/* "hcq" and the version, which is another one whenever a question or an answer is. */
#define MARK UINT32_C(0x68637101)

struct head {
	uint32_t mark, len; /* little-endian */
};

void certificate_message_done(struct certificate_message *message)
{
	if (message->data)
		explicit_bzero(message->data, message->len);
	free(message->data);
	message->data = NULL;
}

void certificate_put_result(struct wire_writer *w, int result)
{
	wire_put_u32(w, (uint32_t)result);
}

int certificate_get_result(struct wire_reader *r)
{
	return (int)wire_get_u32(r);
}

void certificate_put_bytes(struct wire_writer *w, const struct tls_bytes *bytes)
{
	wire_put_blob(w, bytes->data, bytes->len);
}

struct tls_bytes certificate_get_bytes(struct wire_reader *r)
{
	uint32_t len = wire_get_count(r, 1);
	struct tls_bytes bytes = {.data = r->data + r->at, .len = len};

	r->at += len;
	return bytes;
}

void certificate_put_pairs(struct wire_writer *w, const struct tls_setup *setup)
{
	wire_put_u32(w, (uint32_t)setup->n_certificates);
	for (size_t i = 0; i < setup->n_certificates; i++) {
		certificate_put_bytes(w, &setup->certificates[i].chain);
		certificate_put_bytes(w, &setup->certificates[i].key);
	}
}

int certificate_get_pairs(struct wire_reader *r, struct tls_setup *ret)
{
	_cleanup_free_ struct tls_certificate *pairs = NULL;
	uint32_t n = wire_get_count(r, 2 * sizeof(uint32_t));

	if (r->error || n > TLS_CERTIFICATES_MAX)
		return -EBADMSG;
	pairs = calloc(n + 1, sizeof *pairs);
	if (!pairs)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		pairs[i].chain = certificate_get_bytes(r);
		pairs[i].key = certificate_get_bytes(r);
	}
	if (r->error)
		return -EBADMSG;
	ret->certificates = take_ptr(pairs);
	ret->n_certificates = n;
	return 0;
}

/* ------------------------------------------------------------------------- sending */

/* The length is known at the end. */
void certificate_begin(struct wire_writer *w)
{
	wire_writer_init_secret(w);
	wire_put_u32(w, MARK);
	wire_put_u32(w, 0);
}

static int send_all(int fd, const uint8_t *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EPIPE || errno == ECONNRESET ? -ECHILD : -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int finish(int fd, struct wire_writer *w)
{
	size_t len = w->len - sizeof(struct head);
	uint32_t little;

	if (w->error)
		return w->error;
	if (len > CERTIFICATE_WIRE_MAX)
		return -EMSGSIZE;
	little = htole32((uint32_t)len);
	memcpy(w->data + offsetof(struct head, len), &little, sizeof little);
	return send_all(fd, w->data, w->len);
}

int certificate_send(int fd, struct wire_writer *w)
{
	int r = finish(fd, w);

	wire_writer_done(w);
	return r;
}

/* ----------------------------------------------------------------------- receiving */

static int receive_all(int fd, void *data, size_t len)
{
	uint8_t *at = data;

	while (len > 0) {
		ssize_t n = recv(fd, at, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 || errno == ECONNRESET ? -ECHILD : -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int certificate_receive(int fd, struct certificate_message *ret)
{
	_cleanup_certificate_message_ struct certificate_message message = {0};
	struct head head;
	int r = receive_all(fd, &head, sizeof head);

	if (r < 0)
		return r;
	message.len = le32toh(head.len);
	if (le32toh(head.mark) != MARK || message.len > CERTIFICATE_WIRE_MAX)
		return -EBADMSG;
	/* One byte more, for none would be no memory at all. */
	message.data = calloc(1, message.len + 1);
	if (!message.data)
		return -ENOMEM;
	r = receive_all(fd, message.data, message.len);
	if (r < 0)
		return r;
	ret->data = take_ptr(message.data);
	ret->len = message.len;
	return 0;
}
