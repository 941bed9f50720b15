/*
 * init: process 1 of a pid name space, which hatchd is in a container that starts it.
 *
 * The kernel expects of process 1 what a master should not have to do: whoever loses his parent
 * becomes its child, and is a zombie until it waits for him; and when it ends everybody is
 * killed.  The master waits for nobody but its own children, each by a pidfd, because to wait
 * for "any child" costs more the more there are, and would take an end from its owner.
 *
 * So process 1 stays behind: hatchd goes on as its child, and it reaps whoever comes to it,
 * hands on the signals that hatchd knows, and ends with hatchd and as hatchd has.  It has no
 * descriptor but the standard ones, and no table: as many are zombies as have ended since it
 * last had a turn.
 *
 * Layer: master.
 */
#ifndef HATCHD_MASTER_INIT_H
#define HATCHD_MASTER_INIT_H

#include "conf/cmdline.h"

/*
 * If this is process 1: fork, and return 0 in the child alone.  Elsewhere nothing happens.
 *
 * To be called after inherited_take(), which blocks all signals, so that none is lost, and has
 * our sockets, because LISTEN_PID is process 1's; and before there is anything else.  Negative
 * errno if there can be no child, which was logged.
 */
int init_stay_behind(const struct cmdline *cmdline);

#endif
