/*
 * service-say: one line about a service, after something was done with it.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_STEER_SERVICE_SAY_H
#define HATCHD_HATCHCTL_STEER_SERVICE_SAY_H

/* "web: serving", "ftp: waiting: no program ...", by what hatchd says at that socket.
 * COMMAND_DONE, or another one after a message. */
int service_say_state(const char *path, const char *service);

/* "web: disabled until the next reload; 2 connections go on": `how` is what follows the
 * name.  COMMAND_DONE or COMMAND_FAILED. */
int service_say_disabled(const char *path, const char *service, const char *how);

#endif
