/*
 * A setup of TLS, on its way to hatchd-tls: whatever is understood is within its bounds, lies
 * in what was given, and is written as it came.
 */
#include "base/own.h"
#include "base/strv.h"
#include "base/tls.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_bytes(
	const struct tls_bytes *bytes, size_t max, const uint8_t *data, size_t size)
{
	check(bytes->len <= max);
	check(bytes->data >= data && bytes->data + bytes->len <= data + size);
}

static void check_certificates(const struct tls_setup *setup, const uint8_t *data, size_t size)
{
	check(setup->n_certificates > 0 && setup->n_certificates <= TLS_CERTIFICATES_MAX);
	for (size_t i = 0; i < setup->n_certificates; i++) {
		check_bytes(&setup->certificates[i].chain, TLS_CHAIN_MAX, data, size);
		check_bytes(&setup->certificates[i].key, TLS_KEY_MAX, data, size);
	}
	check_bytes(&setup->ca, TLS_CA_MAX, data, size);
}

static void check_lists(const struct tls_setup *setup)
{
	check(strv_length(setup->alpn) <= TLS_ALPN_MAX && setup->n_names <= TLS_NAMES_MAX);
	for (size_t i = 0; setup->alpn && setup->alpn[i]; i++)
		check(setup->alpn[i][0] && strlen(setup->alpn[i]) <= TLS_PROTOCOL_MAX);
	for (size_t i = 0; i < setup->n_names; i++) {
		check(tls_is_pattern(setup->names[i].pattern));
		check(strlen(setup->names[i].alpn) <= TLS_PROTOCOL_MAX);
		check(strlen(setup->names[i].service) <= TLS_SERVICE_MAX);
	}
	check(setup->verify < _TLS_VERIFY_MAX && setup->min_version < _TLS_VERSION_MAX);
}

static void check_written(const struct tls_setup *setup, const uint8_t *data, size_t size)
{
	struct wire_writer w;

	wire_writer_init(&w);
	check(tls_setup_write(setup, &w) == 0);
	check(w.len == size && memcmp(w.data, data, size) == 0);
	wire_writer_done(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls_setup setup;
	int r = tls_setup_read(data, size, &setup);

	check(r == 0 || r == -EBADMSG);
	if (r < 0)
		return 0;
	check_certificates(&setup, data, size);
	check_lists(&setup);
	check_written(&setup, data, size);
	tls_setup_done(&setup);
	return 0;
}
