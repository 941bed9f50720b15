/*
 * certificate-answer: what hatchd-certificate says to a question of the loader.
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_CERTIFICATE_ANSWER_H
#define HATCHD_CONF_CERTIFICATE_ANSWER_H

#include "conf/certificate-wire.h"

/* Write the answer (conf/certificate-wire) to these bytes behind what certificate_begin() has
 * written.  0; -EBADMSG: they are no question, so whoever asks is to be left. */
int certificate_answer(const void *question, size_t len, struct wire_writer *answer);

#endif
