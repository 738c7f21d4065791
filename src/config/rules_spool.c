#include <inttypes.h>
#include <string.h>

#include "config/rules.h"

/* Rows that delivery holds in memory are never evicted: it may be sending them. */
static void check_eviction(const struct rules *r)
{
	const struct options_kspool *k = &r->config->kspool;

	if (k->when_full == FULL_EVICT_OLDEST && k->max_bytes_bytes != 0 && k->max_bytes_bytes < k->memory_bytes)
		rules_fault(r, "kspool.max_bytes",
		            "is smaller than kspool.memory (%" PRIu64
		            "): all it holds may be on its way, and evict_oldest would find nothing to evict",
		            k->memory_bytes);
}

static void check_spool(const struct rules *r)
{
	const char *path = r->config->buffer.path;
	const char *control = r->config->kspool.control;

	if (!path)
		return;
	if (strcmp(path, ":memory:") == 0 || strncmp(path, "file:", 5) == 0)
		rules_fault(r, "buffer.sqlite.path", "must be a path: kspool keeps messages on disk or not at all");
	else if (*path == '~')
		rules_fault(r, "buffer.sqlite.path",
		            "begins with ~, which only a shell understands; write the whole path, or ${HOME}%s",
		            path[1] == '/' ? path + 1 : "/...");
	else if (*path && *path != '/')
		rules_warn(r, "buffer.sqlite.path",
		           "is relative: started in another folder, kspool has another spool; begin it with /");
	if (control && strlen(control) > SOCKET_PATH_MAX)
		rules_fault(r, "kspool.control", "is longer than the 107 bytes a unix socket's path may have");
	else if (!control && strlen(path) + strlen(".sock") > SOCKET_PATH_MAX)
		rules_fault(r, "buffer.sqlite.path",
		            "with \".sock\" is longer than the 107 bytes of a unix socket's path; "
		            "set kspool.control");
}

rule_check *const rules_spool[] = {check_spool, check_eviction, NULL};
