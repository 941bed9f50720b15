/*
 * account: what is recorded of a client: how it was to serve him, once that is over, or why
 * nobody did.
 *
 * It is made once, in master/record, and then said in several ways: as fields of the journal,
 * as a line of text, and as JSON.  What is not known is in none of them.  Texts are those of
 * the addresses, the configuration and the lookups: without control characters, but not
 * necessarily short.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_ACCOUNT_H
#define HATCHD_MASTER_ACCOUNT_H

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "master/child.h"
#include "master/conn.h"
#include "policy/outcome.h"

#include <stdint.h>
#include <sys/types.h>

/* Of any number here. */
#define ACCOUNT_UNKNOWN UINT64_MAX

/* What a record is about, as its line begins. */
enum account_of {
	ACCOUNT_CHILD,      /* a program that serves a client, or waits for some */
	ACCOUNT_BACKEND,    /* one that others are passed on to */
	ACCOUNT_CONNECTION, /* a client whom a worker serves, or nobody */
	ACCOUNT_SOCKET,     /* a socket of datagrams that a worker has */
};

/* Pointers are borrowed, from the child or the connection that it was made of. */
struct account {
	enum account_of of;
	const char *service;
	uint64_t connection;
	char peer[ADDR_TEXT_MAX];  /* "" for nobody in particular */
	char local[ADDR_TEXT_MAX]; /* "" where unknown */
	const char *peer_name;     /* NULL where unknown: here and below */
	const char *peer_user;
	uint64_t pid;                 /* of its program */
	const char *worker;           /* "hatchd-relay": it has none */
	const char *user;             /* whom its program runs as, as it is configured */
	const char *result;           /* a stable word */
	uint64_t status;              /* exit status, or number of the signal */
	uint64_t started;             /* usec since 1970 */
	uint64_t duration;            /* usec */
	uint64_t cpu;                 /* usec of user and system time */
	uint64_t bytes_in, bytes_out; /* from and to the client */
	bool bytes_missed;            /* they were to be counted, and are unknown */
	const char *reason; /* why it was told to end, or nobody let in: a stable word */
	char how[OUTCOME_TEXT_MAX]; /* for people: "exit 0", "signal 9 (KILL)", "finished" */
};

/* Of one who is served, as far as is known while he is.  `now` is usec, monotonic. */
void account_begin(struct account *ret, const struct child *child, uint64_t now);

/* Of one whom nobody serves. */
void account_begin_unserved(struct account *ret, const struct conn *conn);

/* "127.0.0.1:51234", "uid 1000 pid 4711", "" for nobody in particular; returns `buf`. */
const char *account_format_peer(
	const struct addr *peer, const struct ucred *cred, char buf[ADDR_TEXT_MAX]);

/*
 * Leave of it what is to be recorded, when all is in it: of the client what log_address shows,
 * and besides what the service's log_on_success wants; of one whose program did not start, or
 * whom nobody serves, log_on_failure.  False: nothing is to be recorded at all.  What is no
 * client stays as it is.
 */
bool account_trim(struct account *account, const struct child *child);
bool account_trim_failed(struct account *account, const struct child *child);
bool account_trim_unserved(struct account *account, const struct conn *conn);

/* Who that is, as log_address shows him, for any line of the log: whom a child serves, who has
 * come, and where to ask who he is.  "" for nobody in particular; return `buf`. */
const char *account_show_client(const struct child *child, char buf[ADDR_TEXT_MAX]);
const char *account_show_conn(const struct conn *conn, char buf[ADDR_TEXT_MAX]);
const char *account_show_host(const struct conn *conn, char buf[ADDR_TEXT_MAX]);

/* The same of whoever has sent a datagram. */
const char *account_show_sender(
	struct service *service, const struct addr *sender, char buf[ADDR_TEXT_MAX]);

/* As fields of the journal, which point into both. */
#define ACCOUNT_FIELDS_MAX 16
struct account_fields {
	struct log_field items[ACCOUNT_FIELDS_MAX + 1]; /* ends with a NULL name */
	size_t n;
	char text[ACCOUNT_FIELDS_MAX][TEXT_NUMBER_MAX];
};

/* Where nobody keeps fields there are none: numbers are not made into text for nobody.  What
 * log_fields() takes. */
const struct log_field *account_fields(
	const struct account *account, struct account_fields *buf);

/* "child 123", "backend 123", or "connection 17", "socket 17" where no process is known;
 * returns `buf`.  The second is the same of who is served. */
#define ACCOUNT_WHO_MAX 40
const char *account_who(const struct account *account, char buf[ACCOUNT_WHO_MAX]);
const char *account_who_child(const struct child *child, char buf[ACCOUNT_WHO_MAX]);

/* "idle_timeout, signal 15 (TERM), 12 s, from 192.0.2.1:4711 (www.example.org, user joe)":
 * how it ended, how much that was, for how long, and whose it was; returns `buf`. */
#define ACCOUNT_TEXT_MAX 1280
const char *account_format(const struct account *account, char buf[ACCOUNT_TEXT_MAX]);

/* "192.0.2.1:4711 (www.example.org, user joe)", "" where nobody is known; returns `buf`. */
#define ACCOUNT_WHOM_MAX 896
const char *account_format_whom(const struct account *account, char buf[ACCOUNT_WHOM_MAX]);

/* Its members, into an object that is open. */
void account_put(struct json *json, const struct account *account);

#endif
