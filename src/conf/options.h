/*
 * options: the one table of options.
 *
 * Parser, command line flags, --print-config, --help, the image and the lint
 * of the manual page all read this table; a new option is one line here, one
 * field in struct service_conf, its use, its paragraph in hatchd.conf(5) and
 * its test (CONTRIBUTING.md).
 *
 * Layer: conf.
 */
#ifndef HATCHD_CONF_OPTIONS_H
#define HATCHD_CONF_OPTIONS_H

#include "base/addr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The field of struct service_conf or struct conf, and how a value is written. */
enum option_type {
	OPTION_BOOL,     /* bool; yes no on off true false */
	OPTION_TRISTATE, /* int8_t, -1 when not given; the same words */
	OPTION_U32,      /* uint32_t within min..max; decimal */
	OPTION_BITS,  /* uint32_t within min..max; decimal, 0x hexadecimal, or one of `words` */
	OPTION_COUNT, /* uint32_t within min..max; decimal, or `unlimited` (COUNT_UNLIMITED) */
	OPTION_I32,   /* int32_t within min..max; decimal with sign */
	OPTION_MODE,  /* uint32_t within min..max; octal */
	OPTION_SIZE,  /* uint64_t within min..max; 64K 1M 2G */
	OPTION_DURATION, /* uint64_t, usec, within min..max; 500ms 10s 5min */
	OPTION_LOAD,     /* uint32_t, hundredths, within min..max; 4, 2.5, or `unlimited`
	                    (COUNT_UNLIMITED) */
	OPTION_RATE,     /* struct limit; 20/s, "100/1min burst 30", 0 or `unlimited` */
	OPTION_PENALTY,  /* uint64_t, usec; `refuse`, which is 0, or "ban 10min" */
	OPTION_ENUM,     /* int, index into `words`; one of `words` */
	OPTION_SET,      /* uint32_t, bit i for words[i] or those of numbers[i]; list of
	                    `words`, of which one that is 0 stands alone */
	OPTION_RLIMIT,   /* struct rlimit_conf; LIMIT or SOFT:HARD, each may be `unlimited` */
	OPTION_STRING,   /* char *; any text but the empty one */
	OPTION_PATH,     /* char *; an absolute path */
	OPTION_LIST,     /* char **, NULL-terminated; list of texts */
};

enum option_flags {
	OPTION_GLOBAL = 1 << 0,      /* stands outside sections; field of struct conf */
	OPTION_NO_DEFAULTS = 1 << 1, /* not in `defaults` */
	OPTION_NO_FLAG = 1 << 2,     /* not on the command line */
	OPTION_SECONDS = 1 << 3, /* OPTION_RLIMIT in seconds; OPTION_DURATION in whole ones */
	OPTION_BYTES = 1 << 4,   /* OPTION_RLIMIT that takes sizes (64M) */
	OPTION_USECS = 1 << 5, /* OPTION_RLIMIT counted in microseconds, written as durations */

	/* Said to the sockets that are listened on.  What an open socket can be
	 * told another value of; */
	OPTION_SOCKET_LIVE = 1 << 6,
	/* what holds for good from bind(2) on: another value takes another socket. */
	OPTION_SOCKET_BIND = 1 << 7,
	/* One of these, and said also to sockets that the service manager opened. */
	OPTION_SOCKET_PASSED = 1 << 8,
	/* OPTION_SOCKET_LIVE, but a field of 0 or NULL leaves it to the kernel,
	 * and an open socket cannot be told that: it takes another socket. */
	OPTION_SOCKET_STICKY = 1 << 9,

	/* OPTION_DURATION that may be `unlimited` (DURATION_UNLIMITED). */
	OPTION_ENDLESS = 1 << 10,

	/* Of a section that few services have: in the image only where there is one.  Its
	 * field is 0 or NULL without. */
	OPTION_BACKEND = 1 << 11,
	OPTION_TLS = 1 << 12, /* the same */
};

/* Which sockets an option of OPTION_SOCKET_... is said to. */
enum option_sort {
	SORT_ANY,
	SORT_STREAM, /* a queue of connections: all but datagrams */
	SORT_UNIX,   /* in the file system or abstract */
	SORT_PATH,   /* in the file system */
	SORT_TCP,    /* over one path or several */
	SORT_UDP,    /* UDP-Lite as well */
	SORT_IP,
	SORT_IPV6,
};

struct conf_option {
	const char *name; /* "instances", or "rlimit.nofile" for a nested one */
	enum option_type type;
	unsigned flags;
	enum option_sort sort;    /* of the sockets that it is for */
	size_t offset;            /* of the field */
	size_t given_at;          /* of the field that says where; OPTION_GLOBAL only */
	const char *fallback;     /* value when not given, as it would be written; NULL: none */
	const char *const *words; /* OPTION_ENUM, OPTION_SET, OPTION_BITS: NULL-terminated */
	const uint32_t *numbers;  /* OPTION_BITS, OPTION_SET: what each of `words` stands for */
	/* Numbers: allowed range; both 0: whole range of the field.  A field of an
	 * option without a fallback is 0 while it is not given, whatever `min` is. */
	int64_t min, max;
	const char *metavar; /* for --help: "ADDRESS" */
	const char *help;    /* for --help: one phrase, no full stop */
};

/* The table, in the order of the manual page; ends with a NULL name. */
extern const struct conf_option conf_options[];

size_t conf_options_count(void);

/* Position in the table, below conf_options_count(). */
static inline size_t conf_option_index(const struct conf_option *option)
{
	return (size_t)(option - conf_options);
}

/* By full name ("rlimit.nofile"); NULL if there is none. */
const struct conf_option *conf_option_find(const char *name);

/* Whether it is about the program that a service starts, and how. */
bool conf_option_is_of_program(const struct conf_option *option);

/* More than one value may be given: OPTION_LIST and OPTION_SET. */
bool conf_option_is_list(const struct conf_option *option);

/* The option's field in a struct service_conf, or in a struct conf for OPTION_GLOBAL. */
static inline void *conf_option_field(const struct conf_option *option, const void *base)
{
	return (char *)base + option->offset;
}

/* Where an option that is OPTION_GLOBAL was given: its struct origin in a struct conf. */
static inline void *conf_option_given_at(const struct conf_option *option, const void *base)
{
	return (char *)base + option->given_at;
}

/* Whether the option means anything to a socket at that address.  One from the
 * service manager may be of any sort. */
bool conf_option_concerns(const struct conf_option *option, const struct addr *addr);

/* Whether the field of an option without a fallback, which is 0 or NULL while it is not given,
 * has a value. */
bool conf_option_is_set(const struct conf_option *option, const void *field);

/* Whether two fields have the same value, given or not. */
bool conf_option_equal(const struct conf_option *option, const void *a, const void *b);

/* Room for the name of any option as a flag, NUL included. */
#define OPTION_FLAG_MAX 32

/* The name as a command line flag, without its dashes: "rlimit-nofile".  Returns buf. */
const char *conf_option_flag(const struct conf_option *option, char buf[OPTION_FLAG_MAX]);

#endif
