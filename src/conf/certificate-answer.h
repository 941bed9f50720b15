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

/* Longer ones are not remembered. */
#define CERTIFICATE_REMEMBERED_MAX (256 * 1024)

/*
 * The last question of each kind, with its answer.  Thousands of services may share one
 * certificate, and what is asked about each of them is the same then, byte for byte; OpenSSL
 * takes a millisecond for it.
 */
struct certificate_memory {
	struct certificate_message questions[_CERTIFICATE_QUESTION_MAX];
	struct certificate_message answers[_CERTIFICATE_QUESTION_MAX];
};

/* As certificate_answer(), from memory if it is there; the question may be kept, and is empty
 * then. */
int certificate_answer_again(struct certificate_memory *memory,
	struct certificate_message *question, struct wire_writer *answer);

void certificate_memory_done(struct certificate_memory *memory);

#endif
