/*
 * hatchctl-tls: what hatchctl connect becomes where the address is one of TLS.
 *
 * It is a program of its own because it knows OpenSSL, which nothing else in hatchctl needs.
 * It has the words, the terminal and the messages of hatchctl, and its exit status is the one
 * of the command.
 */
#include "base/tls-programs.h"
#include "hatchctl/command.h"
#include "hatchctl/connect/connect-internal.h"

#include <getopt.h>
#include <locale.h>

int main(int argc, char **argv)
{
	struct connect c;
	int r;

	setlocale(LC_CTYPE, "");
	opterr = 0;
	r = connect_parse(argc, argv, &c);
	if (r != COMMAND_DONE || c.helped)
		return r;
	if (!c.is_tls)
		return command_misused("connect",
			"%s is for addresses of TLS, and '%s' is none", TLS_PROGRAM_CONNECT,
			c.text);
	return connect_tls(&c);
}
