/*
 * introduce: what hatchd-front has to do for a client, and what it says of him.
 *
 * From the configuration of his service to the words of base/front and os/channel, and
 * back to addresses and services.  Who is kept where meanwhile is up to master/caller.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_INTRODUCE_H
#define HATCHD_MASTER_INTRODUCE_H

#include "master/conn.h"
#include "os/channel.h"

#include <stdbool.h>

struct master;
struct service;

/* enum front_task for a client who has just come; 0: only banners, if there are any.  The
 * setup of his service is in memory, here and below. */
unsigned introduce_tasks(const struct conn *conn);

/* Have what clients of that service are told in its setup, as a file in memory, if there is
 * anything.  0 or a negative errno. */
int introduce_text(struct service *service);

/* The service has something to tell its clients. */
bool introduce_has_banners(const struct service *service);

/*
 * Who he is, from now on: his address and ours as his proxy says, which is conn->proxy.
 * What the worker was not asked for with `tasks` it may not say: then false, and nothing is
 * changed.
 */
bool introduce_learn(struct conn *conn, unsigned tasks, const struct channel_facts *facts);

/* The service of that name, in small letters, that can be had through a tcpmux; NULL: there
 * is none. */
struct service *introduce_service(const struct master *master, const char *name);

/* The same of a service that clients of TLS choose at the socket of that client. */
struct service *introduce_guest(const struct conn *conn, const char *name);

#endif
