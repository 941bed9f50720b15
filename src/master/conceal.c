#include "master/conceal.h"

#include "master/account.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool conceal_wanted(const struct service_conf *conf)
{
	return conf->log_address != LOG_ADDRESS_FULL;
}

/* How many bits of it there are to be told, and may be. */
static uint8_t bits_of(const struct service_conf *conf, const struct addr_source *source)
{
	bool ipv4 = source->family == ADDR_SOURCE_IPV4;
	uint32_t there = ipv4 ? conf->source_prefix4 : conf->source_prefix6;
	uint32_t most = ipv4 ? CONCEAL_PREFIX4 : CONCEAL_PREFIX6;

	return (uint8_t)(there < most ? there : most);
}

/* Also of a link-local address, whose last half says whose network card it is. */
static void format_network(const struct service_conf *conf, const struct addr_source *source,
	char buf[ADDR_SOURCE_TEXT_MAX])
{
	struct addr_prefix prefix = {.family = source->family};

	_Static_assert(ADDR_PREFIX_MAX <= ADDR_SOURCE_TEXT_MAX, "no room for a network");
	if (source->family == ADDR_SOURCE_UNIX || source->family == ADDR_SOURCE_VSOCK) {
		snprintf(buf, ADDR_SOURCE_TEXT_MAX, "%s",
			source->family == ADDR_SOURCE_UNIX ? "unix" : "vsock");
		return;
	}
	prefix.bits = bits_of(conf, source);
	memcpy(prefix.bytes, source->bytes, sizeof prefix.bytes);
	addr_prefix_cut(&prefix);
	addr_format_prefix(&prefix, buf);
}

const char *conceal_source(const struct service_conf *conf, const uint8_t key[CONCEAL_KEY_LEN],
	const struct addr_source *source, char buf[ADDR_SOURCE_TEXT_MAX])
{
	if (source->family == ADDR_SOURCE_NONE || conf->log_address == LOG_ADDRESS_NONE)
		snprintf(buf, ADDR_SOURCE_TEXT_MAX, "-");
	else if (conf->log_address == LOG_ADDRESS_PREFIX)
		format_network(conf, source, buf);
	else if (conf->log_address == LOG_ADDRESS_HASH)
		snprintf(buf, ADDR_SOURCE_TEXT_MAX, "hash:%016" PRIx64,
			siphash(source, sizeof *source, key));
	else
		addr_source_format(source, conf->source_prefix4, conf->source_prefix6, buf);
	return buf;
}

const char *conceal_peer(const struct service_conf *conf, const uint8_t key[CONCEAL_KEY_LEN],
	const struct addr *peer, const struct ucred *cred, char buf[ADDR_TEXT_MAX])
{
	struct addr_source source = {0};
	char text[ADDR_SOURCE_TEXT_MAX];

	if (!conceal_wanted(conf) || (cred->uid == (uid_t)-1 && peer->len == 0))
		return account_format_peer(peer, cred, buf);
	if (cred->uid != (uid_t)-1)
		addr_source_uid(cred->uid, &source);
	else
		addr_source(peer, conf->source_prefix4, conf->source_prefix6, &source);
	snprintf(buf, ADDR_TEXT_MAX, "%s", conceal_source(conf, key, &source, text));
	return buf;
}
