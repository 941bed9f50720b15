/*
 * self-signed: hatchd --self-signed: a certificate to begin with, signed by nobody.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_SELF_SIGNED_H
#define HATCHD_CONF_SELF_SIGNED_H

#include <stdint.h>
#include <stdio.h>

/*
 * Write key and certificate for these names and addresses into a new file in the current
 * folder, called like the first of them, and say what to do with it.  `now` in seconds since
 * 1970.  Returns LOAD_OK; LOAD_MISTAKES if one of them is no name; LOAD_UNKNOWN if the file is
 * there already, or cannot be written, or there is no TLS here: then there is none of ours.
 */
int self_signed(char *const *names, int64_t now, FILE *out, FILE *err);

#endif
