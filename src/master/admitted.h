/*
 * admitted: a client that has come in: noted, counted, and forgotten at the end.
 *
 * The same for one that has a program of his own (master/hatch) and one that a worker
 * serves (master/pass).
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_ADMITTED_H
#define HATCHD_MASTER_ADMITTED_H

#include "master/child.h"
#include "master/conn.h"

/* Note him: his number, who he is, his time.  There must be a record free.  Nothing is
 * counted: until then child_free() takes it back. */
struct child *admitted_note(struct conn *conn, uint64_t now);

/* He is being served: count him. */
void admitted_count(struct child *child);

/* He has left: his record is free, his service takes the next. */
void admitted_forget(struct child *child, uint64_t now);

#endif
