/*
 * http-serve: one exchange of HTTP on standard input and output, for an endpoint that hatchd
 * serves as any other program.
 *
 * The request is read to its end before it is answered, and with the answer the connection
 * ends.  Whatever a client does, it costs him his own connection: the request is bounded
 * (HTTP_REQUEST_MAX), has to be there within HTTP_PATIENCE, and after HTTP_TIME_MAX the
 * process is over, whoever does not read.  Nothing of what he has sent is ever sent back.
 *
 * Layer: hatchctl.
 */
#ifndef HATCHD_HATCHCTL_METRICS_HTTP_SERVE_H
#define HATCHD_HATCHCTL_METRICS_HTTP_SERVE_H

#include "hatchctl/metrics/exposition.h"
#include "hatchctl/metrics/http-request.h"

/* Seconds. */
#define HTTP_PATIENCE 5
#define HTTP_TIME_MAX 10

/* ... of which each of the two questions to hatchd may take so many. */
#define HTTP_ANSWER_PATIENCE 2

/* Write the metrics; COMMAND_DONE, or another status after a message on standard error. */
typedef int (*http_write_metrics)(void *userdata, FILE *out, enum exposition_format format);

/* COMMAND_DONE whatever the client has asked for; COMMAND_FAILED: there are no metrics, which
 * he has been told. */
int http_serve(http_write_metrics write_metrics, void *userdata);

#endif
