/*
 * certificate-name: whom a certificate can be for, as hatchd --self-signed is told it.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_CERTIFICATE_NAME_H
#define HATCHD_CONF_CERTIFICATE_NAME_H

#include "base/hostname.h"

#include <stdbool.h>

/* Room for a name or an address of a certificate. */
#define CERTIFICATE_NAME_ROOM (HOSTNAME_ROOM + 2)

/* The name of a host, "*.example.org" for a label, or an address, as it stands in a
 * certificate.  0, or -EINVAL for anything else. */
int certificate_read_name(const char *text, char ret[CERTIFICATE_NAME_ROOM]);

/* Whether that, which has been read, is an address. */
bool certificate_is_address(const char *name);

#endif
