#include "conf/options.h"

#include "base/redirect.h"
#include "conf/conf.h"
#include "conf/rate.h"

#include <netinet/ip.h>
#include <string.h>
#include <sys/resource.h>

#define SERVICE(field)   offsetof(struct service_conf, field)
#define SECONDS          INT64_C(1000000)
#define RLIMIT(resource) offsetof(struct service_conf, rlimit[resource])

/* With where it was given, so that no field comes without. */
#define GLOBAL(field) \
	.offset = offsetof(struct conf, field), .given_at = offsetof(struct conf, field##_at)

/* Of the section `backend`, which only a service can have. */
#define OF_BACKEND (OPTION_BACKEND | OPTION_NO_DEFAULTS | OPTION_NO_FLAG)

/* A number that has a name elsewhere, as text. */
#define TEXT_OF(number)      TEXT_OF_TOKEN(number)
#define TEXT_OF_TOKEN(token) #token

static const char *const pass_as_words[] = {"stdio", "listen_fds", NULL};
static const char *const overflow_words[] = {"wait", "refuse", NULL};
static const char *const ban_scope_words[] = {"service", "all", NULL};
static const char *const proxy_words[] = {"no", "required", "optional", NULL};
static const char *const tcpmux_words[] = {"no", "yes", "plus", NULL};
static const char *const ident_words[] = {"no", "yes", "required", NULL};
static const char *const stop_words[] = {"leave", "terminate", NULL};
static const char *const log_address_words[] = {"full", "prefix", "hash", "none", NULL};
static const char *const dialect_words[] = {"socat", "ncat", "cgi", NULL};

/* RFC 1349, by the names that systemd has for them. */
static const char *const tos_words[] = {
	"low-delay", "throughput", "reliability", "low-cost", NULL};
static const uint32_t tos_numbers[] = {
	IPTOS_LOWDELAY, IPTOS_THROUGHPUT, IPTOS_RELIABILITY, IPTOS_LOWCOST};

/* What a record of a connection has.  `all` comes first: it is what several of the others can
 * be written as. */
static const char *const success_words[] = {
	"all", "none", "pid", "host", "userid", "exit", "duration", "traffic", "cpu", NULL};
static const uint32_t success_numbers[] = {RECORD_OF_SUCCESS, RECORD_NONE, RECORD_PID,
	RECORD_HOST, RECORD_USERID, RECORD_EXIT, RECORD_DURATION, RECORD_TRAFFIC, RECORD_CPU};
static const char *const failure_words[] = {"all", "none", "host", "userid", "attempt", NULL};
static const uint32_t failure_numbers[] = {
	RECORD_OF_FAILURE, RECORD_NONE, RECORD_HOST, RECORD_USERID, RECORD_ATTEMPT};

_Static_assert(RLIMIT_NLIMITS <= RLIMIT_CONF_MAX, "a resource without a field");

const struct conf_option conf_options[] = {
	/* clang-format off */
	{ .name = "listen", .type = OPTION_LIST, .flags = OPTION_NO_DEFAULTS,
	  .offset = SERVICE(listen_text), .metavar = "ADDRESS",
	  .help = "where clients come in: 7777, tcp:127.0.0.1:80, unix:/run/x.sock" },
	{ .name = "exec", .type = OPTION_LIST, .flags = OPTION_NO_DEFAULTS | OPTION_NO_FLAG,
	  .offset = SERVICE(exec), .metavar = "PROGRAM",
	  .help = "program and its arguments" },
	{ .name = "shell", .type = OPTION_STRING, .flags = OPTION_NO_DEFAULTS,
	  .offset = SERVICE(shell), .metavar = "TEXT",
	  .help = "shell command instead of a program" },
	{ .name = "builtin", .type = OPTION_ENUM, .flags = OPTION_NO_DEFAULTS,
	  .offset = SERVICE(builtin), .fallback = "none", .words = builtin_names,
	  .metavar = "NAME",
	  .help = "serve with something built in: echo, daytime, text, tcpmux" },
	{ .name = "text", .type = OPTION_STRING, .flags = OPTION_NO_DEFAULTS,
	  .offset = SERVICE(text), .metavar = "TEXT",
	  .help = "what builtin = text says" },
	{ .name = "text_file", .type = OPTION_PATH, .flags = OPTION_NO_DEFAULTS,
	  .offset = SERVICE(text_file), .metavar = "FILE",
	  .help = "the same out of a file; for qotd, quotations" },
	{ .name = "public", .type = OPTION_BOOL, .flags = OPTION_NO_DEFAULTS,
	  .offset = SERVICE(public), .fallback = "no",
	  .help = "builtin may answer datagrams of other machines" },
	{ .name = "redirect", .type = OPTION_LIST, .flags = OPTION_NO_DEFAULTS,
	  .offset = SERVICE(redirect), .metavar = "ADDRESS",
	  .help = "pass clients on to tcp:127.0.0.1:8080 or udp:10.0.0.1:53" },
	{ .name = "redirect_order", .type = OPTION_ENUM,
	  .offset = SERVICE(redirect_order), .fallback = "first",
	  .words = redirect_order_names, .metavar = "first|round-robin",
	  .help = "which of several such addresses is tried first (first)" },
	{ .name = "connect_timeout", .type = OPTION_DURATION,
	  .offset = SERVICE(connect_timeout), .fallback = "10s",
	  .min = 100000, .max = INT64_C(3600000000), .metavar = "TIME",
	  .help = "how long one of them may take to answer (10s)" },
	{ .name = "send_proxy", .type = OPTION_ENUM,
	  .offset = SERVICE(send_proxy), .fallback = "none",
	  .words = redirect_proxy_names, .metavar = "none|1|2",
	  .help = "tell them first who the client is, by PROXY (none)" },
	{ .name = "backend.exec", .type = OPTION_LIST, .flags = OF_BACKEND,
	  .offset = SERVICE(backend_exec), .metavar = "PROGRAM",
	  .help = "program that is started for the first of them" },
	{ .name = "backend.shell", .type = OPTION_STRING, .flags = OF_BACKEND,
	  .offset = SERVICE(backend_shell), .metavar = "TEXT",
	  .help = "shell command instead of a program" },
	{ .name = "backend.ready", .type = OPTION_STRING, .flags = OF_BACKEND,
	  .offset = SERVICE(backend_ready), .metavar = "ADDRESS",
	  .help = "which address of redirect is its own" },
	{ .name = "backend.start_timeout", .type = OPTION_DURATION, .flags = OF_BACKEND,
	  .offset = SERVICE(backend_start_timeout),
	  .min = 100000, .max = 3600 * SECONDS, .metavar = "TIME",
	  .help = "how long it may take to accept clients (30s)" },
	{ .name = "backend.idle_stop", .type = OPTION_DURATION,
	  .flags = OF_BACKEND | OPTION_ENDLESS,
	  .offset = SERVICE(backend_idle_stop),
	  .min = 100000, .max = 366 * 86400 * SECONDS, .metavar = "TIME",
	  .help = "when it is stopped, after the last of them (10min)" },
	{ .name = "tls.certificate", .type = OPTION_LIST, .flags = OPTION_TLS,
	  .offset = SERVICE(tls_certificate), .metavar = "FILE",
	  .help = "speak TLS, with the certificates and the key in there" },
	{ .name = "tls.key", .type = OPTION_LIST, .flags = OPTION_TLS,
	  .offset = SERVICE(tls_key), .metavar = "FILE",
	  .help = "its key, if that is in a file of its own" },
	{ .name = "tls.ca", .type = OPTION_STRING, .flags = OPTION_TLS,
	  .offset = SERVICE(tls_ca), .metavar = "FILE",
	  .help = "certificates of who signs those of clients" },
	{ .name = "tls.verify", .type = OPTION_ENUM, .flags = OPTION_TLS,
	  .offset = SERVICE(tls_verify), .words = tls_verify_names,
	  .metavar = "none|optional|required",
	  .help = "whether clients are asked for one (none)" },
	{ .name = "tls.min_version", .type = OPTION_ENUM, .flags = OPTION_TLS,
	  .offset = SERVICE(tls_min_version), .words = tls_version_names, .metavar = "1.2|1.3",
	  .help = "oldest version of TLS that is spoken (1.2)" },
	{ .name = "tls.ciphers", .type = OPTION_STRING, .flags = OPTION_TLS,
	  .offset = SERVICE(tls_ciphers), .metavar = "LIST",
	  .help = "ciphers of TLS 1.2, as openssl-ciphers(1) has them" },
	{ .name = "tls.ciphersuites", .type = OPTION_STRING, .flags = OPTION_TLS,
	  .offset = SERVICE(tls_ciphersuites), .metavar = "LIST",
	  .help = "those of TLS 1.3" },
	{ .name = "tls.alpn", .type = OPTION_LIST, .flags = OPTION_TLS,
	  .offset = SERVICE(tls_alpn_offered), .metavar = "PROTOCOL",
	  .help = "what is spoken inside, most wanted first: h2, http/1.1" },
	{ .name = "tls.session_tickets", .type = OPTION_BOOL, .flags = OPTION_TLS,
	  .offset = SERVICE(tls_session_tickets), .metavar = "yes|no",
	  .help = "clients may go on with a session of before (yes)" },
	{ .name = "tls.handshake_timeout", .type = OPTION_DURATION, .flags = OPTION_TLS,
	  .offset = SERVICE(tls_handshake_timeout),
	  .min = 100000, .max = 3600 * SECONDS, .metavar = "TIME",
	  .help = "how long the handshake may take (5s)" },
	{ .name = "tls_name", .type = OPTION_LIST,
	  .flags = OPTION_NO_DEFAULTS | OPTION_NO_FLAG,
	  .offset = SERVICE(tls_name), .metavar = "NAME",
	  .help = "names by which clients of TLS choose it at a shared address" },
	{ .name = "tls_alpn", .type = OPTION_LIST,
	  .flags = OPTION_NO_DEFAULTS | OPTION_NO_FLAG,
	  .offset = SERVICE(tls_alpn), .metavar = "PROTOCOL",
	  .help = "protocols by which they choose it" },
	{ .name = "argv0", .type = OPTION_STRING, .flags = OPTION_NO_DEFAULTS,
	  .offset = SERVICE(argv0), .metavar = "TEXT",
	  .help = "name that the program sees as its own" },
	{ .name = "disable", .type = OPTION_BOOL, .flags = OPTION_NO_FLAG,
	  .offset = SERVICE(disable), .fallback = "no",
	  .help = "keep the service in the file, but do not serve it" },
	{ .name = "wait", .type = OPTION_BOOL,
	  .flags = OPTION_SOCKET_LIVE | OPTION_SOCKET_PASSED,
	  .offset = SERVICE(wait), .fallback = "no",
	  .help = "one child gets the listening socket itself" },
	{ .name = "session_timeout", .type = OPTION_DURATION, .flags = OPTION_ENDLESS,
	  .offset = SERVICE(session_timeout), .fallback = "1min",
	  .min = 100000, .max = 366 * 86400 * SECONDS, .metavar = "TIME",
	  .help = "how long who sends datagrams may be silent (1min)" },
	{ .name = "per_datagram", .type = OPTION_BOOL,
	  .offset = SERVICE(per_datagram), .fallback = "no",
	  .help = "a child for each datagram" },
	{ .name = "pass_as", .type = OPTION_ENUM,
	  .offset = SERVICE(pass_as), .fallback = "stdio", .words = pass_as_words,
	  .metavar = "stdio|listen_fds",
	  .help = "how a waiting child gets its sockets" },
	{ .name = "notify", .type = OPTION_BOOL, .flags = OPTION_NO_DEFAULTS,
	  .offset = SERVICE(notify), .fallback = "no",
	  .help = "it says when it is ready (sd_notify), with listen_fds" },
	{ .name = "instances", .type = OPTION_COUNT,
	  .offset = SERVICE(instances), .fallback = "512", .metavar = "N",
	  .help = "most children at the same time (512)" },
	{ .name = "per_source", .type = OPTION_COUNT,
	  .offset = SERVICE(per_source), .metavar = "N",
	  .help = "most children for one client address (half of instances)" },
	{ .name = "only_from", .type = OPTION_LIST,
	  .offset = SERVICE(only_from), .metavar = "ADDRESS",
	  .help = "who may come in: 10.0.0.0/8, file:/etc/hatchd/friends" },
	{ .name = "no_access", .type = OPTION_LIST,
	  .offset = SERVICE(no_access), .metavar = "ADDRESS",
	  .help = "who may not: the same, and the longer prefix decides" },
	{ .name = "resolve", .type = OPTION_BOOL,
	  .offset = SERVICE(resolve), .fallback = "no",
	  .help = "look up names of clients, whom only_from may name" },
	{ .name = "ident", .type = OPTION_ENUM,
	  .offset = SERVICE(ident), .fallback = "no", .words = ident_words,
	  .metavar = "no|yes|required",
	  .help = "ask their machines who they are there (no)" },
	{ .name = "lookup_timeout", .type = OPTION_DURATION,
	  .offset = SERVICE(lookup_timeout), .fallback = "5s",
	  .min = 100000, .max = 10 * SECONDS, .metavar = "TIME",
	  .help = "how long a client waits for all of that (5s)" },
	{ .name = "hosts_access", .type = OPTION_BOOL,
	  .offset = SERVICE(hosts_access), .fallback = "no",
	  .help = "also let in only whom hosts.allow and hosts.deny do" },
	{ .name = "rate", .type = OPTION_RATE,
	  .offset = SERVICE(rate), .fallback = "unlimited", .metavar = "RATE",
	  .help = "most clients in a time: 20/s, '100/1min burst 30'" },
	{ .name = "per_source_rate", .type = OPTION_RATE,
	  .offset = SERVICE(per_source_rate), .fallback = "unlimited", .metavar = "RATE",
	  .help = "the same for one client address" },
	{ .name = "source_prefix4", .type = OPTION_U32,
	  .offset = SERVICE(source_prefix4), .fallback = TEXT_OF(ADDR_SOURCE_PREFIX4),
	  .min = 1, .max = 32, .metavar = "BITS",
	  .help = "bits of an IPv4 address that tell clients apart ("
		  TEXT_OF(ADDR_SOURCE_PREFIX4) ")" },
	{ .name = "source_prefix6", .type = OPTION_U32,
	  .offset = SERVICE(source_prefix6), .fallback = TEXT_OF(ADDR_SOURCE_PREFIX6),
	  .min = 1, .max = 128, .metavar = "BITS",
	  .help = "bits of an IPv6 address that tell clients apart ("
		  TEXT_OF(ADDR_SOURCE_PREFIX6) ")" },
	{ .name = "overflow", .type = OPTION_ENUM,
	  .offset = SERVICE(overflow), .fallback = "wait", .words = overflow_words,
	  .metavar = "wait|refuse",
	  .help = "what becomes of clients above instances and rate (wait)" },
	{ .name = "overflow_source", .type = OPTION_PENALTY,
	  .offset = SERVICE(overflow_source), .fallback = "refuse",
	  .max = RATE_BAN_MAX, .metavar = "refuse|'ban TIME'",
	  .help = "what becomes of an address above its limits (refuse)" },
	{ .name = "ban_scope", .type = OPTION_ENUM,
	  .offset = SERVICE(ban_scope), .fallback = "service", .words = ban_scope_words,
	  .metavar = "service|all",
	  .help = "what it is banned from (service)" },
	{ .name = "sensor", .type = OPTION_BOOL,
	  .flags = OPTION_NO_DEFAULTS | OPTION_NO_FLAG,
	  .offset = SERVICE(sensor), .fallback = "no",
	  .help = "who connects is banned from all services" },
	{ .name = "ban_time", .type = OPTION_DURATION, .flags = OPTION_NO_FLAG,
	  .offset = SERVICE(ban_time), .fallback = "1h",
	  .min = RATE_BAN_MIN, .max = RATE_BAN_MAX, .metavar = "TIME",
	  .help = "for how long a sensor bans (1h)" },
	{ .name = "proxy_protocol", .type = OPTION_ENUM,
	  .offset = SERVICE(proxy_protocol), .fallback = "no", .words = proxy_words,
	  .metavar = "no|required|optional",
	  .help = "proxies say first who their client is (no)" },
	{ .name = "proxy_from", .type = OPTION_LIST,
	  .offset = SERVICE(proxy_from), .metavar = "ADDRESS",
	  .help = "whose word is taken for that: 192.0.2.1, 10.0.0.0/8" },
	{ .name = "tcpmux", .type = OPTION_ENUM, .flags = OPTION_NO_DEFAULTS | OPTION_NO_FLAG,
	  .offset = SERVICE(tcpmux), .fallback = "no", .words = tcpmux_words,
	  .metavar = "no|yes|plus",
	  .help = "can be had by its name, through builtin = tcpmux (no)" },
	{ .name = "header_timeout", .type = OPTION_DURATION,
	  .offset = SERVICE(header_timeout), .fallback = "5s",
	  .min = 100000, .max = 3600 * SECONDS, .metavar = "TIME",
	  .help = "how long a header or a name may take (5s)" },
	{ .name = "pending", .type = OPTION_U32,
	  .offset = SERVICE(pending), .fallback = "1000",
	  .min = 1, .max = CONF_PENDING_MAX, .metavar = "N",
	  .help = "most clients who have not said it yet (1000)" },
	{ .name = "pending_per_source", .type = OPTION_U32,
	  .offset = SERVICE(pending_per_source),
	  .min = 1, .max = CONF_PENDING_MAX, .metavar = "N",
	  .help = "most of them of one address (half of pending)" },
	{ .name = "banner", .type = OPTION_PATH,
	  .offset = SERVICE(banner), .metavar = "FILE",
	  .help = "what everybody is told first" },
	{ .name = "banner_success", .type = OPTION_PATH,
	  .offset = SERVICE(banner_success), .metavar = "FILE",
	  .help = "what who comes in is told first" },
	{ .name = "banner_fail", .type = OPTION_PATH,
	  .offset = SERVICE(banner_fail), .metavar = "FILE",
	  .help = "what who is refused is told" },
	{ .name = "stop", .type = OPTION_ENUM,
	  .offset = SERVICE(stop), .fallback = "leave", .words = stop_words,
	  .metavar = "leave|terminate",
	  .help = "what becomes of children when hatchd stops" },
	{ .name = "start_timeout", .type = OPTION_DURATION,
	  .offset = SERVICE(start_timeout), .fallback = "5s",
	  .min = 100000, .max = INT64_C(3600000000), .metavar = "TIME",
	  .help = "longest time for a program to start (5s)" },
	{ .name = "ready_timeout", .type = OPTION_DURATION, .flags = OPTION_ENDLESS,
	  .offset = SERVICE(ready_timeout), .fallback = "90s",
	  .min = 100000, .max = 86400 * SECONDS, .metavar = "TIME",
	  .help = "longest time until it says with notify that it is ready (90s)" },
	{ .name = "time_limit", .type = OPTION_DURATION, .flags = OPTION_ENDLESS,
	  .offset = SERVICE(time_limit), .fallback = "unlimited",
	  .min = 100000, .max = 366 * 86400 * SECONDS, .metavar = "TIME",
	  .help = "longest time that a child may live (unlimited)" },
	{ .name = "first_byte_timeout", .type = OPTION_DURATION, .flags = OPTION_ENDLESS,
	  .offset = SERVICE(first_byte_timeout), .fallback = "unlimited",
	  .min = 100000, .max = 366 * 86400 * SECONDS, .metavar = "TIME",
	  .help = "how long a TCP client may take to say something (unlimited)" },
	{ .name = "idle_timeout", .type = OPTION_DURATION, .flags = OPTION_ENDLESS,
	  .offset = SERVICE(idle_timeout), .fallback = "unlimited",
	  .min = 100000, .max = 366 * 86400 * SECONDS, .metavar = "TIME",
	  .help = "how long a TCP connection may be silent (unlimited)" },
	{ .name = "kill_after", .type = OPTION_DURATION, .flags = OPTION_ENDLESS,
	  .offset = SERVICE(kill_after), .fallback = "10s",
	  .min = 100000, .max = 86400 * SECONDS, .metavar = "TIME",
	  .help = "time to end after these limits, before SIGKILL (10s)" },
	{ .name = "access_times", .type = OPTION_LIST,
	  .offset = SERVICE(access_times), .metavar = "SPAN",
	  .help = "when clients may come: 8:00-12:00, \"mon-fri 9:00-17:00\"" },
	{ .name = "max_load", .type = OPTION_LOAD,
	  .offset = SERVICE(max_load), .fallback = "unlimited", .min = 0,
	  .max = 10000000, .metavar = "LOAD",
	  .help = "let clients wait while the load average is above (unlimited)" },
	{ .name = "account_bytes", .type = OPTION_BOOL,
	  .offset = SERVICE(account_bytes), .fallback = "no",
	  .help = "record how many bytes went over the connections of programs (no)" },
	{ .name = "stderr", .type = OPTION_STRING,
	  .offset = SERVICE(stderr_to), .fallback = "log", .metavar = "log|socket|null|FILE",
	  .help = "where error output goes (log)" },

	{ .name = "user", .type = OPTION_STRING,
	  .offset = SERVICE(user), .metavar = "USER",
	  .help = "who the program runs as" },
	{ .name = "group", .type = OPTION_STRING,
	  .offset = SERVICE(group), .metavar = "GROUP",
	  .help = "its group (that of the user)" },
	{ .name = "groups", .type = OPTION_BOOL,
	  .offset = SERVICE(groups), .fallback = "yes", .metavar = "yes|no",
	  .help = "give it the user's other groups as well (yes)" },
	{ .name = "directory", .type = OPTION_PATH,
	  .offset = SERVICE(directory), .fallback = "/", .metavar = "DIR",
	  .help = "working directory" },
	{ .name = "chroot", .type = OPTION_PATH,
	  .offset = SERVICE(chroot), .metavar = "DIR",
	  .help = "root directory" },
	{ .name = "umask", .type = OPTION_MODE,
	  .offset = SERVICE(umask), .fallback = "022", .max = 0777, .metavar = "MODE",
	  .help = "permissions that new files do not get (022)" },
	{ .name = "nice", .type = OPTION_I32,
	  .offset = SERVICE(nice), .min = -20, .max = 19, .metavar = "N",
	  .help = "scheduling priority, -20 to 19" },

	{ .name = "rlimit.as", .type = OPTION_RLIMIT, .flags = OPTION_BYTES,
	  .offset = RLIMIT(RLIMIT_AS), .metavar = "SIZE",
	  .help = "address space" },
	{ .name = "rlimit.core", .type = OPTION_RLIMIT, .flags = OPTION_BYTES,
	  .offset = RLIMIT(RLIMIT_CORE), .metavar = "SIZE",
	  .help = "size of a core file" },
	{ .name = "rlimit.cpu", .type = OPTION_RLIMIT, .flags = OPTION_SECONDS,
	  .offset = RLIMIT(RLIMIT_CPU), .metavar = "TIME",
	  .help = "processor time" },
	{ .name = "rlimit.data", .type = OPTION_RLIMIT, .flags = OPTION_BYTES,
	  .offset = RLIMIT(RLIMIT_DATA), .metavar = "SIZE",
	  .help = "data segment" },
	{ .name = "rlimit.fsize", .type = OPTION_RLIMIT, .flags = OPTION_BYTES,
	  .offset = RLIMIT(RLIMIT_FSIZE), .metavar = "SIZE",
	  .help = "size of a file written" },
	{ .name = "rlimit.locks", .type = OPTION_RLIMIT,
	  .offset = RLIMIT(RLIMIT_LOCKS), .metavar = "N",
	  .help = "file locks" },
	{ .name = "rlimit.memlock", .type = OPTION_RLIMIT, .flags = OPTION_BYTES,
	  .offset = RLIMIT(RLIMIT_MEMLOCK), .metavar = "SIZE",
	  .help = "locked memory" },
	{ .name = "rlimit.msgqueue", .type = OPTION_RLIMIT, .flags = OPTION_BYTES,
	  .offset = RLIMIT(RLIMIT_MSGQUEUE), .metavar = "SIZE",
	  .help = "POSIX message queues" },
	{ .name = "rlimit.nice", .type = OPTION_RLIMIT,
	  .offset = RLIMIT(RLIMIT_NICE), .metavar = "N",
	  .help = "ceiling of niceness, counted as 20 - nice" },
	{ .name = "rlimit.nofile", .type = OPTION_RLIMIT,
	  .offset = RLIMIT(RLIMIT_NOFILE), .metavar = "N",
	  .help = "open descriptors" },
	{ .name = "rlimit.nproc", .type = OPTION_RLIMIT,
	  .offset = RLIMIT(RLIMIT_NPROC), .metavar = "N",
	  .help = "processes of the user" },
	{ .name = "rlimit.rss", .type = OPTION_RLIMIT, .flags = OPTION_BYTES,
	  .offset = RLIMIT(RLIMIT_RSS), .metavar = "SIZE",
	  .help = "resident memory" },
	{ .name = "rlimit.rtprio", .type = OPTION_RLIMIT,
	  .offset = RLIMIT(RLIMIT_RTPRIO), .metavar = "N",
	  .help = "ceiling of real-time priority" },
	{ .name = "rlimit.rttime", .type = OPTION_RLIMIT, .flags = OPTION_USECS,
	  .offset = RLIMIT(RLIMIT_RTTIME), .metavar = "TIME",
	  .help = "real-time processor time without a pause" },
	{ .name = "rlimit.sigpending", .type = OPTION_RLIMIT,
	  .offset = RLIMIT(RLIMIT_SIGPENDING), .metavar = "N",
	  .help = "queued signals" },
	{ .name = "rlimit.stack", .type = OPTION_RLIMIT, .flags = OPTION_BYTES,
	  .offset = RLIMIT(RLIMIT_STACK), .metavar = "SIZE",
	  .help = "stack" },

	{ .name = "env", .type = OPTION_LIST,
	  .offset = SERVICE(env), .metavar = "NAME=VALUE",
	  .help = "set an environment variable" },
	{ .name = "pass_env", .type = OPTION_LIST,
	  .offset = SERVICE(pass_env), .metavar = "NAME",
	  .help = "hand down a variable of hatchd's own environment" },
	{ .name = "env_dialect", .type = OPTION_SET,
	  .offset = SERVICE(env_dialect), .words = dialect_words, .metavar = "socat|ncat|cgi",
	  .help = "name the peer as these programs do, too" },

	{ .name = "log_on_success", .type = OPTION_SET,
	  .offset = SERVICE(log_on_success), .fallback = "all",
	  .words = success_words, .numbers = success_numbers, .metavar = "WORD",
	  .help = "what is recorded of clients: pid, host, none (all)" },
	{ .name = "log_on_failure", .type = OPTION_SET,
	  .offset = SERVICE(log_on_failure), .fallback = "all",
	  .words = failure_words, .numbers = failure_numbers, .metavar = "WORD",
	  .help = "what is recorded of those who are refused (all)" },
	{ .name = "log_address", .type = OPTION_ENUM,
	  .offset = SERVICE(log_address), .fallback = "full", .words = log_address_words,
	  .metavar = "full|prefix|hash|none",
	  .help = "how their addresses appear there (full)" },

	{ .name = "backlog", .type = OPTION_U32,
	  .flags = OPTION_SOCKET_LIVE, .sort = SORT_STREAM,
	  .offset = SERVICE(backlog), .fallback = "4096", .min = 1, .max = INT32_MAX,
	  .metavar = "N",
	  .help = "connections that may wait in the kernel (4096)" },
	{ .name = "reuse_port", .type = OPTION_BOOL,
	  .flags = OPTION_SOCKET_BIND, .sort = SORT_IP,
	  .offset = SERVICE(reuse_port), .fallback = "no",
	  .help = "let other processes listen on the same port (SO_REUSEPORT)" },
	{ .name = "bind_to_device", .type = OPTION_STRING,
	  .flags = OPTION_SOCKET_BIND, .sort = SORT_IP,
	  .offset = SERVICE(bind_to_device), .metavar = "INTERFACE",
	  .help = "accept only what comes in over this interface" },
	{ .name = "free_bind", .type = OPTION_BOOL,
	  .flags = OPTION_SOCKET_LIVE, .sort = SORT_IP,
	  .offset = SERVICE(free_bind), .fallback = "no",
	  .help = "listen on an address that the machine does not have yet" },
	{ .name = "transparent", .type = OPTION_BOOL,
	  .flags = OPTION_SOCKET_BIND, .sort = SORT_IP,
	  .offset = SERVICE(transparent), .fallback = "no",
	  .help = "take clients of addresses that are not ours (IP_TRANSPARENT)" },
	{ .name = "mark", .type = OPTION_BITS,
	  .flags = OPTION_SOCKET_LIVE, .sort = SORT_IP,
	  .offset = SERVICE(mark), .metavar = "N",
	  .help = "firewall mark of what is sent (SO_MARK)" },
	{ .name = "tos", .type = OPTION_BITS,
	  .flags = OPTION_SOCKET_LIVE, .sort = SORT_IP,
	  .offset = SERVICE(tos), .words = tos_words, .numbers = tos_numbers, .max = 255,
	  .metavar = "N|WORD",
	  .help = "type of service of what is sent: 0x10, low-delay" },
	{ .name = "priority", .type = OPTION_U32,
	  .flags = OPTION_SOCKET_LIVE | OPTION_SOCKET_STICKY, .sort = SORT_IP,
	  .offset = SERVICE(priority), .max = INT32_MAX, .metavar = "N",
	  .help = "queue of what is sent (SO_PRIORITY)" },
	{ .name = "ttl", .type = OPTION_U32,
	  .flags = OPTION_SOCKET_LIVE, .sort = SORT_IP,
	  .offset = SERVICE(ttl), .min = 1, .max = 255, .metavar = "N",
	  .help = "how many routers an answer may pass (IP_TTL)" },
	{ .name = "broadcast", .type = OPTION_BOOL,
	  .flags = OPTION_SOCKET_LIVE, .sort = SORT_UDP,
	  .offset = SERVICE(broadcast), .fallback = "no",
	  .help = "datagrams may be sent to broadcast addresses (SO_BROADCAST)" },
	{ .name = "keepalive", .type = OPTION_BOOL,
	  .flags = OPTION_SOCKET_LIVE, .sort = SORT_TCP,
	  .offset = SERVICE(keepalive), .fallback = "no",
	  .help = "probe silent connections (SO_KEEPALIVE)" },
	{ .name = "keepalive_time", .type = OPTION_DURATION,
	  .flags = OPTION_SECONDS | OPTION_SOCKET_LIVE | OPTION_SOCKET_STICKY,
	  .sort = SORT_TCP,
	  .offset = SERVICE(keepalive_time), .min = SECONDS, .max = 32767 * SECONDS,
	  .metavar = "TIME",
	  .help = "silence before the first probe" },
	{ .name = "keepalive_interval", .type = OPTION_DURATION,
	  .flags = OPTION_SECONDS | OPTION_SOCKET_LIVE | OPTION_SOCKET_STICKY,
	  .sort = SORT_TCP,
	  .offset = SERVICE(keepalive_interval), .min = SECONDS, .max = 32767 * SECONDS,
	  .metavar = "TIME",
	  .help = "time between probes" },
	{ .name = "keepalive_probes", .type = OPTION_U32,
	  .flags = OPTION_SOCKET_LIVE | OPTION_SOCKET_STICKY, .sort = SORT_TCP,
	  .offset = SERVICE(keepalive_probes), .min = 1, .max = 127, .metavar = "N",
	  .help = "probes without an answer that end a connection" },
	{ .name = "nodelay", .type = OPTION_BOOL,
	  .flags = OPTION_SOCKET_LIVE, .sort = SORT_TCP,
	  .offset = SERVICE(nodelay), .fallback = "no",
	  .help = "send small pieces at once (TCP_NODELAY)" },
	{ .name = "defer_accept", .type = OPTION_DURATION,
	  .flags = OPTION_SECONDS | OPTION_SOCKET_LIVE, .sort = SORT_TCP,
	  .offset = SERVICE(defer_accept), .max = 3600 * SECONDS, .metavar = "TIME",
	  .help = "wait that long for a client to say something" },
	{ .name = "fast_open", .type = OPTION_U32,
	  .flags = OPTION_SOCKET_LIVE, .sort = SORT_TCP,
	  .offset = SERVICE(fast_open), .max = INT32_MAX, .metavar = "N",
	  .help = "clients whose first packet may carry data (TCP_FASTOPEN)" },
	{ .name = "user_timeout", .type = OPTION_DURATION,
	  .flags = OPTION_SOCKET_LIVE, .sort = SORT_TCP,
	  .offset = SERVICE(user_timeout), .min = 1000, .max = 24 * 86400 * SECONDS,
	  .metavar = "TIME",
	  .help = "how long what was sent may stay unacknowledged" },
	{ .name = "congestion", .type = OPTION_STRING,
	  .flags = OPTION_SOCKET_LIVE | OPTION_SOCKET_STICKY, .sort = SORT_TCP,
	  .offset = SERVICE(congestion), .metavar = "NAME",
	  .help = "congestion control: cubic, bbr (TCP_CONGESTION)" },
	{ .name = "send_buffer", .type = OPTION_SIZE,
	  .flags = OPTION_SOCKET_LIVE | OPTION_SOCKET_STICKY,
	  .offset = SERVICE(send_buffer), .max = INT32_MAX, .metavar = "SIZE",
	  .help = "send buffer of the socket" },
	{ .name = "receive_buffer", .type = OPTION_SIZE,
	  .flags = OPTION_SOCKET_LIVE | OPTION_SOCKET_STICKY,
	  .offset = SERVICE(receive_buffer), .max = INT32_MAX, .metavar = "SIZE",
	  .help = "receive buffer of the socket" },
	{ .name = "v6only", .type = OPTION_TRISTATE,
	  .flags = OPTION_SOCKET_BIND, .sort = SORT_IPV6,
	  .offset = SERVICE(v6only),
	  .help = "IPv6 sockets take no IPv4 clients" },
	{ .name = "socket_user", .type = OPTION_STRING,
	  .flags = OPTION_SOCKET_LIVE, .sort = SORT_UNIX,
	  .offset = SERVICE(socket_user), .metavar = "USER",
	  .help = "owner of a UNIX socket" },
	{ .name = "socket_group", .type = OPTION_STRING,
	  .flags = OPTION_SOCKET_LIVE, .sort = SORT_UNIX,
	  .offset = SERVICE(socket_group), .metavar = "GROUP",
	  .help = "group of a UNIX socket" },
	{ .name = "socket_mode", .type = OPTION_MODE,
	  .flags = OPTION_SOCKET_LIVE, .sort = SORT_UNIX,
	  .offset = SERVICE(socket_mode), .fallback = "0666", .max = 0777, .metavar = "MODE",
	  .help = "permissions of a UNIX socket (0666)" },
	{ .name = "directory_mode", .type = OPTION_MODE,
	  .flags = OPTION_SOCKET_LIVE, .sort = SORT_PATH,
	  .offset = SERVICE(directory_mode), .min = 0100, .max = 0777, .metavar = "MODE",
	  .help = "make missing directories of a UNIX socket, like this" },
	{ .name = "symlinks", .type = OPTION_LIST,
	  .flags = OPTION_NO_DEFAULTS | OPTION_SOCKET_LIVE, .sort = SORT_PATH,
	  .offset = SERVICE(symlinks), .metavar = "PATH",
	  .help = "symbolic link to a UNIX socket" },
	{ .name = "remove_on_stop", .type = OPTION_BOOL,
	  .flags = OPTION_SOCKET_LIVE, .sort = SORT_PATH,
	  .offset = SERVICE(remove_on_stop), .fallback = "yes", .metavar = "yes|no",
	  .help = "remove the file of a UNIX socket at the end (yes)" },

	{ .name = "total_instances", .type = OPTION_COUNT,
	  .flags = OPTION_GLOBAL | OPTION_NO_FLAG,
	  GLOBAL(total_instances), .min = 1, .max = COUNT_UNLIMITED - 1,
	  .metavar = "N",
	  .help = "most children of all services together" },
	{ .name = "tls_workers", .type = OPTION_U32,
	  .flags = OPTION_GLOBAL | OPTION_NO_FLAG,
	  GLOBAL(tls_workers), .min = 1, .max = CONF_TLS_WORKERS_MAX,
	  .metavar = "N",
	  .help = "processes that speak TLS (1)" },
	{ .name = "drain_timeout", .type = OPTION_DURATION,
	  .flags = OPTION_GLOBAL | OPTION_NO_FLAG | OPTION_ENDLESS,
	  GLOBAL(drain_timeout), .max = 366 * 86400 * SECONDS,
	  .metavar = "TIME",
	  .help = "how long connections may go on when hatchd is stopped (0)" },
	{ .name = "accounting.file", .type = OPTION_PATH,
	  .flags = OPTION_GLOBAL | OPTION_NO_FLAG,
	  GLOBAL(accounting_file), .metavar = "FILE",
	  .help = "where a record of each connection is added" },
	{ .name = "accounting.size", .type = OPTION_SIZE,
	  .flags = OPTION_GLOBAL | OPTION_NO_FLAG,
	  GLOBAL(accounting_size), .min = 4096, .max = INT64_C(1) << 40,
	  .metavar = "SIZE",
	  .help = "when another file is begun (100M)" },
	{ .name = "accounting.keep", .type = OPTION_U32,
	  .flags = OPTION_GLOBAL | OPTION_NO_FLAG,
	  GLOBAL(accounting_keep), .min = 1, .max = CONF_ACCOUNTING_KEEP_MAX,
	  .metavar = "COUNT",
	  .help = "how many old ones are kept (5)" },
	{ .name = NULL },
	/* clang-format on */
};

_Static_assert(
	ARRAY_SIZE(conf_options) - 1 <= CONF_OPTIONS_MAX, "no bit in service_conf.given");

size_t conf_options_count(void)
{
	return ARRAY_SIZE(conf_options) - 1;
}

const struct conf_option *conf_option_find(const char *name)
{
	for (const struct conf_option *o = conf_options; o->name; o++) {
		/* Asked for each service and each rule: most names differ at once. */
		if (o->name[0] == name[0] && strcmp(o->name, name) == 0)
			return o;
	}
	return NULL;
}

/* Those of rlimit as well. */
static const char *const program_options[] = {
	"argv0",
	"pass_as",
	"notify",
	"start_timeout",
	"ready_timeout",
	"stderr",
	"user",
	"group",
	"groups",
	"directory",
	"chroot",
	"umask",
	"nice",
	"env",
	"pass_env",
	"env_dialect",
};

bool conf_option_is_of_program(const struct conf_option *option)
{
	for (size_t i = 0; i < ARRAY_SIZE(program_options); i++) {
		if (strcmp(program_options[i], option->name) == 0)
			return true;
	}
	return strncmp(option->name, "rlimit.", strlen("rlimit.")) == 0;
}

bool conf_option_concerns(const struct conf_option *option, const struct addr *addr)
{
	if (!(option->flags & (OPTION_SOCKET_LIVE | OPTION_SOCKET_BIND)))
		return false;
	if (addr->kind == ADDR_FD)
		return true;

	switch (option->sort) {
	case SORT_ANY:
		return true;
	case SORT_STREAM:
		return !addr_is_datagram(addr);
	case SORT_UNIX:
		return addr_family(addr) == AF_UNIX;
	case SORT_PATH:
		return addr_is_path(addr);
	case SORT_TCP:
		return addr_is_tcp(addr);
	case SORT_UDP:
		return addr_is_udp(addr);
	case SORT_IP:
		return addr_is_ip(addr);
	case SORT_IPV6:
		return addr_family(addr) == AF_INET6;
	}
	return false;
}

bool conf_option_is_set(const struct conf_option *option, const void *field)
{
	switch (option->type) {
	case OPTION_STRING:
	case OPTION_PATH:
		return *(char *const *)field != NULL;
	case OPTION_SIZE:
		return *(const uint64_t *)field != 0;
	default:
		return *(const uint32_t *)field != 0;
	}
}

static bool text_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool rlimit_equal(const struct rlimit_conf *a, const struct rlimit_conf *b)
{
	if (!a->given || !b->given)
		return a->given == b->given;
	return a->soft == b->soft && a->hard == b->hard;
}

static bool rate_equal(const struct limit *a, const struct limit *b)
{
	return a->count == b->count && a->burst == b->burst && a->period == b->period;
}

bool conf_option_equal(const struct conf_option *option, const void *a, const void *b)
{
	switch (option->type) {
	case OPTION_BOOL:
		return *(const bool *)a == *(const bool *)b;
	case OPTION_TRISTATE:
		return *(const int8_t *)a == *(const int8_t *)b;
	case OPTION_U32:
	case OPTION_COUNT:
	case OPTION_MODE:
	case OPTION_SET:
	case OPTION_BITS:
	case OPTION_LOAD:
		return *(const uint32_t *)a == *(const uint32_t *)b;
	case OPTION_I32:
		return *(const int32_t *)a == *(const int32_t *)b;
	case OPTION_ENUM:
		return *(const int *)a == *(const int *)b;
	case OPTION_RATE:
		return rate_equal(a, b);
	case OPTION_SIZE:
	case OPTION_DURATION:
	case OPTION_PENALTY:
		return *(const uint64_t *)a == *(const uint64_t *)b;
	case OPTION_RLIMIT:
		return rlimit_equal(a, b);
	case OPTION_STRING:
	case OPTION_PATH:
		return text_equal(*(char *const *)a, *(char *const *)b);
	case OPTION_LIST:
		return strv_equal(*(char **const *)a, *(char **const *)b);
	}
	return false;
}

bool conf_option_is_list(const struct conf_option *option)
{
	return option->type == OPTION_LIST || option->type == OPTION_SET;
}

const char *conf_option_flag(const struct conf_option *option, char buf[OPTION_FLAG_MAX])
{
	size_t i;

	for (i = 0; option->name[i] && i < OPTION_FLAG_MAX - 1; i++) {
		char c = option->name[i];

		buf[i] = c == '_' || c == '.' ? '-' : c;
	}
	buf[i] = '\0';
	return buf;
}
