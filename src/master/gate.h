/*
 * gate: gather what is known of a client, and ask policy/admit whether he may come in.
 *
 * Rules, counts, rates, bans, hours and load are in as many places; here they become one
 * request (I4).  What follows from a verdict is done by master/serve.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_GATE_H
#define HATCHD_MASTER_GATE_H

#include "master/conn.h"
#include "policy/admit.h"

#include <stdbool.h>
#include <stdint.h>

/* All of these want the service's setup in memory. */

/* Could somebody come in now, whoever he is?  What is asked before anybody is accepted.
 * If not, gate_ask() with the same time says of nobody that he may. */
enum admit_verdict gate_before(const struct service *service, uint64_t now);

/* The same of who comes to the socket of several services, as clients of TLS choose them: what
 * keeps out those of one of them keeps nobody out before he has chosen. */
enum admit_verdict gate_before_choice(const struct service *service, uint64_t now);

/* May this one?  Without a source: what there is to know of the service alone. */
enum admit_verdict gate_ask(const struct conn *conn, uint64_t now);

/* He has come, and no word of his has been read.  As gate_ask(), but of who has come to a
 * service that believes what he says first, or to the socket of several services, it is asked
 * only whether he may speak. */
enum admit_verdict gate_first(const struct conn *conn, uint64_t now);

/* The same when it is known who he is, and not yet which service he chooses. */
enum admit_verdict gate_choice(const struct conn *conn, uint64_t now);

/* Is that one of the proxies whose headers are believed? */
bool gate_believes(const struct conn *conn);

/* Are there rules about who may come in? */
bool gate_has_rules(const struct service *service);

/* Are those of hosts.allow and hosts.deny kept? */
bool gate_has_wrappers(const struct service *service);

/* Does it make a difference who he is? */
bool gate_minds_sources(const struct service *service);

/* He has come in: that takes a token of each rate. */
void gate_count(const struct conn *conn, uint64_t now);

/* He was refused for that: ban him, if it is what the configuration says.  Returns for how
 * long, usec; 0: he is not banned.  A ban does not become longer by what is tried
 * meanwhile (I6). */
uint64_t gate_ban(const struct conn *conn, enum admit_verdict verdict, uint64_t now);

#endif
