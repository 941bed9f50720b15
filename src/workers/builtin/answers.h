/*
 * answers: what the built-in services say.  Pure: time and chance are arguments, and
 * nothing is kept.
 *
 * Layer: worker.
 */
#ifndef HATCHD_WORKERS_BUILTIN_ANSWERS_H
#define HATCHD_WORKERS_BUILTIN_ANSWERS_H

#include "base/builtin.h"

#include <stddef.h>
#include <stdint.h>

/* RFC 867: a line as of ctime(3), which has 26 bytes until the year 9999. */
#define ANSWER_DAYTIME_MAX 64

/* RFC 868 */
#define ANSWER_TIME_LEN 4

/* RFC 864: lines of 72 of the 95 printing characters, which come again after 95. */
#define ANSWER_CHARGEN_LINES  95
#define ANSWER_CHARGEN_LINE   74 /* bytes of a line, CR and LF included */
#define ANSWER_CHARGEN_PERIOD (ANSWER_CHARGEN_LINES * ANSWER_CHARGEN_LINE)

/* RFC 864 and RFC 865: what a datagram may have, and a quotation at all. */
#define ANSWER_CHARGEN_DATAGRAM_MAX 512
#define ANSWER_QOTD_MAX             512

/* Room for the answer of every service that says one thing once and is not `text`. */
#define ANSWER_MAX 512

/*
 * "Sat Nov 21 15:04:05 2026\r\n": the local time, in English whatever the locale is.
 * `now` in seconds since 1970.  Returns its length, without a NUL; 0 if there is no
 * such year.
 *
 * The time zone is read from a file when it is first asked for: whoever gives up opening
 * files calls tzset(3) before.  After that no file is looked at.
 */
size_t answer_daytime(int64_t now, char to[ANSWER_DAYTIME_MAX]);

/* Seconds since 1900, 32 bits in network order; they begin anew on 7 February 2036. */
void answer_time(int64_t now, uint8_t to[ANSWER_TIME_LEN]);

/* Line `i`, from 0 on, of as many as one likes. */
void answer_chargen_line(uint64_t i, uint8_t to[ANSWER_CHARGEN_LINE]);

/* All lines that differ, one behind the other: what follows is the same again. */
void answer_chargen(uint8_t to[ANSWER_CHARGEN_PERIOD]);

/*
 * One quotation out of a text in the format of fortune(6): they are separated by lines
 * that have nothing but a `%`.  Those without a letter are left out.  Lines end in CR LF
 * in the answer, the last one too.  Of a quotation that is too long the last lines are
 * missing; of a line that is too long, the end, but no part of a character of UTF-8.
 *
 * `random` is any number.  It chooses a byte, and the quotation that begins after it: so
 * that the text need not be read as a whole for each client, a quotation behind a long
 * one has a better chance.
 *
 * Returns the length; 0 if there is no quotation.
 */
size_t answer_qotd(
	const uint8_t *text, size_t len, uint64_t random, uint8_t to[ANSWER_QOTD_MAX]);

/*
 * Where the answer of a service lies that says one thing once: daytime, time, qotd and
 * text.  In `buf`, or in `text` itself, which is that of qotd and text.  Of length 0, with
 * *ret_answer untouched, for other services.
 */
size_t answer_make(enum service_builtin kind, const uint8_t *text, size_t text_len, int64_t now,
	uint64_t random, uint8_t buf[ANSWER_MAX], const uint8_t **ret_answer);

#endif
