/*
 * listen-try: a service, its addresses and a folder for its UNIX sockets, for tests of what
 * opens sockets.
 */
#ifndef HATCHD_TESTS_LISTEN_TRY_H
#define HATCHD_TESTS_LISTEN_TRY_H

#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/hatchd-test-XXXXXX";

/* As the loader leaves it when nothing is written down. */
static inline struct service_conf plain_service(void)
{
	return (struct service_conf){
		.backlog = 16,
		.v6only = -1,
		.socket_uid = (uid_t)-1,
		.socket_gid = (gid_t)-1,
		.socket_mode = 0666,
	};
}

static inline struct addr address(const char *text)
{
	struct addr_spec spec;
	const char *why;

	assert_int_equal(addr_parse(text, &spec, &why), 0);
	return spec.addr;
}

/* In the folder. */
static inline struct addr unix_address(const char *kind, const char *name)
{
	char text[128];

	snprintf(text, sizeof text, "%s:%s/%s", kind, folder, name);
	return address(text);
}

static inline int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

/* Which a test has left empty. */
static inline int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

#endif
