#include "policy/admit.h"

#include "base/own.h"

/* Written so that no sum can overflow: a count never exceeds its limit. */
static int full(uint32_t count, uint32_t limit)
{
	return limit != UINT32_MAX && count >= limit;
}

/*
 * Who may never come in is told so, whatever the counts are, and who comes at the wrong
 * time that nobody is served now.  Then the narrowest limit speaks first: who is told
 * "per_source" knows that the others still get in.
 */
enum admit_verdict admit(const struct admit_request *request)
{
	if (request->access == ACCESS_DENIED)
		return ADMIT_NO_ACCESS;
	if (request->access == ACCESS_NOT_LISTED)
		return ADMIT_ONLY_FROM;
	if (request->hosts_denied)
		return ADMIT_HOSTS_ACCESS;
	if (request->closed)
		return ADMIT_TIMES;
	if (request->now < request->banned_until)
		return ADMIT_BANNED;
	if (request->sensor)
		return ADMIT_SENSOR;
	if (request->no_user)
		return ADMIT_IDENT;
	if (request->no_target)
		return ADMIT_TARGET;
	if (full(request->from_source, request->per_source_limit))
		return ADMIT_PER_SOURCE;
	if (!bucket_has(&request->source_bucket, &request->source_rate, request->now))
		return ADMIT_PER_SOURCE_RATE;
	if (full(request->instances, request->instances_limit))
		return ADMIT_INSTANCES;
	if (!bucket_has(&request->bucket, &request->rate, request->now))
		return ADMIT_RATE;
	if (full(request->total, request->total_limit))
		return ADMIT_TOTAL;
	if (request->load > request->max_load)
		return ADMIT_LOAD;
	return ADMIT_OK;
}

const char *admit_reason(enum admit_verdict verdict)
{
	static const char *const words[_ADMIT_MAX] = {
		[ADMIT_OK] = "ok",
		[ADMIT_TOTAL] = "total_instances",
		[ADMIT_INSTANCES] = "instances",
		[ADMIT_PER_SOURCE] = "per_source",
		[ADMIT_ONLY_FROM] = "only_from",
		[ADMIT_NO_ACCESS] = "no_access",
		[ADMIT_RATE] = "rate",
		[ADMIT_PER_SOURCE_RATE] = "per_source_rate",
		[ADMIT_BANNED] = "banned",
		[ADMIT_SENSOR] = "sensor",
		[ADMIT_TIMES] = "access_times",
		[ADMIT_LOAD] = "max_load",
		[ADMIT_IDENT] = "ident",
		[ADMIT_TARGET] = "target",
		[ADMIT_HOSTS_ACCESS] = "hosts_access",
		[ADMIT_PROXY_FROM] = "proxy_from",
		[ADMIT_HEADER] = "header",
		[ADMIT_HEADER_TIMEOUT] = "header_timeout",
		[ADMIT_PENDING] = "pending",
		[ADMIT_TCPMUX] = "tcpmux",
		[ADMIT_HANDSHAKE] = "handshake",
		[ADMIT_HANDSHAKE_TIMEOUT] = "handshake_timeout",
	};

	return (unsigned)verdict < ARRAY_SIZE(words) ? words[verdict] : "unknown";
}
