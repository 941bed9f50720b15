#include "master/lineage.h"

#include "base/own.h"
#include "base/text.h"
#include "os/own_group.h"
#include "os/process.h"
#include "policy/siphash.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* False: there is no such name space here. */
static bool find_space(const char *path, uint64_t *ret)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return false;
	*ret = st.st_ino;
	return true;
}

/* It is no secret, and the same each time. */
static bool learn_family(const char *main_file, uint64_t *ret)
{
	static const uint8_t key[16] = "hatchd's family";
	char text[PATH_MAX + 64];
	uint64_t processes, network;

	if (!find_space("/proc/self/ns/pid", &processes) ||
		!find_space("/proc/self/ns/net", &network))
		return false;
	snprintf(text, sizeof text, "%llu %llu %s", (unsigned long long)processes,
		(unsigned long long)network, main_file);
	*ret = siphash(text, strlen(text), key);
	return true;
}

static bool learn_start(pid_t pid, uint64_t *ret)
{
	_cleanup_close_ int folder = process_open(pid);
	struct process_stat stat;

	if (folder < 0 || process_look(folder, &stat) < 0)
		return false;
	*ret = stat.start;
	return true;
}

/* systemd says whom it has started itself; whoever is started by others has their group. */
static bool was_started_by_systemd(pid_t pid)
{
	const char *value = getenv("SYSTEMD_EXEC_PID");
	uint32_t started;

	return value && text_parse_u32(value, &started) == 0 && started == (uint32_t)pid;
}

void lineage_learn(const char *main_file, struct lineage *ret)
{
	struct lineage lineage = {.mark.pid = getpid()};

	*ret = lineage;
	if (!main_file || !learn_family(main_file, &lineage.mark.family) ||
		!learn_start(lineage.mark.pid, &lineage.mark.start))
		return;
	lineage.known = true;
	lineage.own_group = was_started_by_systemd(lineage.mark.pid);
	mark_format(&lineage.mark, lineage.entry);
	*ret = lineage;
}

bool lineage_has_company(const struct lineage *lineage)
{
	return lineage->own_group && own_group_has_others();
}

/* The child leads a session of its own, and writes its pid where it says 0 of nobody's. */
int lineage_mark(const struct lineage *lineage, struct spawn_plan *plan)
{
	size_t len = lineage->known ? strlen(lineage->entry) - 1 : 0;
	char *entry;

	if (!lineage->known)
		return 0;
	entry = spawn_plan_add(plan, lineage->entry, len + OWN_PID_ROOM);
	if (!entry)
		return -E2BIG;
	plan->mark_pid = entry + len;
	return 0;
}
