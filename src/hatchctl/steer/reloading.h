/*
 * reloading: have a running hatchd read its files again, and show what is wrong with them.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_STEER_RELOADING_H
#define HATCHD_HATCHCTL_STEER_RELOADING_H

/*
 * Ask for it at that socket, and wait until it is over.  COMMAND_DONE; else COMMAND_FAILED
 * after a message, and after what `hatchd --check` says where the files have mistakes: what
 * was in force still is.
 */
int reloading_do(const char *path);

#endif
