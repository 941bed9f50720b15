#include "base/tls.h"

#include "base/own.h"
#include "base/strv.h"

#include <string.h>

/* Of a number on the wire; a string and a blob begin with one. */
#define LENGTH_SIZE sizeof(uint32_t)

const char *const tls_verify_names[] = {
	[TLS_VERIFY_NONE] = "none",
	[TLS_VERIFY_OPTIONAL] = "optional",
	[TLS_VERIFY_REQUIRED] = "required",
	[_TLS_VERIFY_MAX] = NULL,
};

const char *const tls_version_names[] = {
	[TLS_VERSION_1_2] = "1.2",
	[TLS_VERSION_1_3] = "1.3",
	[_TLS_VERSION_MAX] = NULL,
};

/* ------------------------------------------------------------------- the bounds */

bool tls_is_pattern(const char *text)
{
	if (text[0] == '\0')
		return true;
	if (strncmp(text, "*.", 2) != 0)
		return hostname_is_plain(text);
	/* There is a label in its place, of one letter at least. */
	return strnlen(text, HOSTNAME_ROOM) <= HOSTNAME_MAX && hostname_is_plain(text + 2);
}

/* It has from `min` to `max` letters; NULL has none. */
static int check_text(const char *text, size_t min, size_t max)
{
	size_t len = text ? strnlen(text, max + 1) : 0;

	if (len < min)
		return -EINVAL;
	return len > max ? -E2BIG : 0;
}

static int check_bytes(const struct tls_bytes *bytes, size_t min, size_t max)
{
	if (bytes->len < min)
		return -EINVAL;
	return bytes->len > max ? -E2BIG : 0;
}

static int check_certificates(const struct tls_setup *setup)
{
	int r = 0;

	if (setup->n_certificates == 0)
		return -EINVAL;
	if (setup->n_certificates > TLS_CERTIFICATES_MAX)
		return -E2BIG;
	for (size_t i = 0; i < setup->n_certificates && r == 0; i++) {
		r = check_bytes(&setup->certificates[i].chain, 1, TLS_CHAIN_MAX);
		if (r == 0)
			r = check_bytes(&setup->certificates[i].key, 1, TLS_KEY_MAX);
	}
	return r;
}

static int check_clients(const struct tls_setup *setup)
{
	if ((unsigned)setup->verify >= _TLS_VERIFY_MAX)
		return -EINVAL;
	return check_bytes(&setup->ca, setup->verify == TLS_VERIFY_NONE ? 0 : 1, TLS_CA_MAX);
}

static int check_ciphers(const struct tls_setup *setup)
{
	int r;

	if ((unsigned)setup->min_version >= _TLS_VERSION_MAX)
		return -EINVAL;
	r = check_text(setup->ciphers, setup->ciphers ? 1 : 0, TLS_CIPHERS_MAX);
	if (r < 0)
		return r;
	return check_text(setup->ciphersuites, setup->ciphersuites ? 1 : 0, TLS_CIPHERS_MAX);
}

static int check_alpn(char *const *alpn)
{
	int r = 0;

	if (strv_length(alpn) > TLS_ALPN_MAX)
		return -E2BIG;
	for (size_t i = 0; alpn && alpn[i] && r == 0; i++)
		r = check_text(alpn[i], 1, TLS_PROTOCOL_MAX);
	return r;
}

static int check_name(const struct tls_name *name)
{
	int r;

	if (!name->pattern || !name->alpn || !name->service || !tls_is_pattern(name->pattern))
		return -EINVAL;
	r = check_text(name->alpn, 0, TLS_PROTOCOL_MAX);
	return r < 0 ? r : check_text(name->service, 0, TLS_SERVICE_MAX);
}

static int check_names(const struct tls_setup *setup)
{
	int r = 0;

	if (setup->n_names > TLS_NAMES_MAX)
		return -E2BIG;
	if (setup->names_only && setup->n_names == 0)
		return -EINVAL;
	for (size_t i = 0; i < setup->n_names && r == 0; i++)
		r = check_name(&setup->names[i]);
	return r;
}

static int check(const struct tls_setup *setup)
{
	int r = check_certificates(setup);

	if (r == 0)
		r = check_clients(setup);
	if (r == 0)
		r = check_ciphers(setup);
	if (r == 0)
		r = check_alpn(setup->alpn);
	return r == 0 ? check_names(setup) : r;
}

/* ---------------------------------------------------------------------- writing */

static void put_bytes(struct wire_writer *w, const struct tls_bytes *bytes)
{
	wire_put_blob(w, bytes->data, bytes->len);
}

static void put_certificates(struct wire_writer *w, const struct tls_setup *setup)
{
	wire_put_u32(w, (uint32_t)setup->n_certificates);
	for (size_t i = 0; i < setup->n_certificates; i++) {
		put_bytes(w, &setup->certificates[i].chain);
		put_bytes(w, &setup->certificates[i].key);
	}
}

static void put_names(struct wire_writer *w, const struct tls_setup *setup)
{
	wire_put_u32(w, (uint32_t)setup->n_names);
	for (size_t i = 0; i < setup->n_names; i++) {
		wire_put_string(w, setup->names[i].pattern);
		wire_put_string(w, setup->names[i].alpn);
		wire_put_string(w, setup->names[i].service);
	}
}

int tls_setup_write(const struct tls_setup *setup, struct wire_writer *w)
{
	int r = check(setup);

	if (r < 0)
		return r;
	put_certificates(w, setup);
	put_bytes(w, &setup->ca);
	wire_put_u8(w, (uint8_t)setup->verify);
	wire_put_u8(w, (uint8_t)setup->min_version);
	wire_put_string(w, setup->ciphers);
	wire_put_string(w, setup->ciphersuites);
	wire_put_strv(w, setup->alpn);
	wire_put_u8(w, setup->session_tickets);
	wire_put_raw(w, setup->ticket_key, sizeof setup->ticket_key);
	put_names(w, setup);
	wire_put_u8(w, setup->names_only);
	return w->error;
}

/* ---------------------------------------------------------------------- reading */

/* They stay where they are. */
static struct tls_bytes get_bytes(struct wire_reader *r)
{
	uint32_t len = wire_get_count(r, 1);
	struct tls_bytes bytes = {.data = r->data + r->at, .len = len};

	r->at += len;
	return bytes;
}

/* How many things follow, and room for them and `spare` more, all zero.  No memory is taken
 * for more than there may be. */
static int get_list(
	struct wire_reader *r, size_t size, size_t max, size_t spare, void *ret, size_t *ret_n)
{
	uint32_t n = wire_get_count(r, LENGTH_SIZE);
	void *list;

	if (r->error)
		return r->error;
	if (n > max)
		return -EBADMSG;
	if (n == 0)
		return 0;
	list = calloc(n + spare, size);
	if (!list)
		return -ENOMEM;
	memcpy(ret, &list, sizeof list);
	*ret_n = n;
	return 0;
}

static int get_certificates(struct wire_reader *r, struct tls_setup *setup)
{
	int error = get_list(r, sizeof *setup->certificates, TLS_CERTIFICATES_MAX, 0,
		&setup->certificates, &setup->n_certificates);

	for (size_t i = 0; i < setup->n_certificates; i++) {
		setup->certificates[i].chain = get_bytes(r);
		setup->certificates[i].key = get_bytes(r);
	}
	return error;
}

/* A hole would end the list early. */
static int get_alpn(struct wire_reader *r, struct tls_setup *setup)
{
	size_t n = 0;
	int error = get_list(r, sizeof *setup->alpn, TLS_ALPN_MAX, 1, &setup->alpn, &n);

	for (size_t i = 0; i < n; i++) {
		setup->alpn[i] = wire_get_string(r);
		if (!setup->alpn[i])
			return r->error ? r->error : -EBADMSG;
	}
	return error;
}

static int get_names(struct wire_reader *r, struct tls_setup *setup)
{
	int error = get_list(
		r, sizeof *setup->names, TLS_NAMES_MAX, 0, &setup->names, &setup->n_names);

	for (size_t i = 0; i < setup->n_names; i++) {
		setup->names[i].pattern = wire_get_string(r);
		setup->names[i].alpn = wire_get_string(r);
		setup->names[i].service = wire_get_string(r);
	}
	return error;
}

static int get_bool(struct wire_reader *r, bool *ret)
{
	uint8_t value = wire_get_u8(r);

	*ret = value == 1;
	return value > 1 ? -EBADMSG : 0;
}

static int get_choices(struct wire_reader *r, struct tls_setup *setup)
{
	setup->ca = get_bytes(r);
	setup->verify = (enum tls_verify)wire_get_u8(r);
	setup->min_version = (enum tls_version)wire_get_u8(r);
	setup->ciphers = wire_get_string(r);
	setup->ciphersuites = wire_get_string(r);
	return r->error;
}

static int get_setup(struct wire_reader *r, struct tls_setup *setup)
{
	int error = get_certificates(r, setup);

	if (error == 0)
		error = get_choices(r, setup);
	if (error == 0)
		error = get_alpn(r, setup);
	if (error == 0)
		error = get_bool(r, &setup->session_tickets);
	wire_get_raw(r, setup->ticket_key, sizeof setup->ticket_key);
	if (error == 0)
		error = get_names(r, setup);
	if (error == 0)
		error = get_bool(r, &setup->names_only);
	if (error < 0 || r->error)
		return r->error ? r->error : error;
	return wire_reader_complete(r) && check(setup) == 0 ? 0 : -EBADMSG;
}

int tls_setup_read(const void *data, size_t len, struct tls_setup *ret)
{
	struct tls_setup setup = {0};
	struct wire_reader reader;
	int r;

	if (len > TLS_SETUP_MAX)
		return -EBADMSG;
	wire_reader_init(&reader, data, len);
	r = get_setup(&reader, &setup);
	if (r == 0)
		*ret = setup;
	else
		tls_setup_done(&setup);
	explicit_bzero(setup.ticket_key, sizeof setup.ticket_key);
	return r;
}

void tls_setup_done(struct tls_setup *setup)
{
	for (size_t i = 0; i < setup->n_names; i++) {
		free(setup->names[i].pattern);
		free(setup->names[i].alpn);
		free(setup->names[i].service);
	}
	free(setup->names);
	free(setup->certificates);
	free(setup->ciphers);
	free(setup->ciphersuites);
	strv_free(setup->alpn);
	explicit_bzero(setup, sizeof *setup);
}
