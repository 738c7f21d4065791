#include "cli/spool_place.h"

#include <stdlib.h>

#include "base/mem.h"
#include "daemon/inspect.h"
#include "cli/command.h"

enum err spool_place_find(struct spool_place *p, struct error *e)
{
	const struct config_load_options options = {.skip_env_check = true};
	enum err err;

	if (p->spool_path && p->config_path)
		return error_set(e, ERR_USAGE, "-c and --spool name two spools; give one");
	if (p->spool_path) {
		p->path = mem_string(p->spool_path);
		p->control = mem_format("%s.sock", p->spool_path);
		return ERR_OK;
	}
	if (!p->config_path)
		p->config_path = KSPOOL_CONFIG_FILE;
	err = command_load(p->config_path, &options, false, &p->config, e);
	if (err != ERR_OK)
		return err;
	p->path = mem_string(p->config->buffer.path);
	p->control = inspect_control_path(p->config);
	return ERR_OK;
}

void spool_place_fini(struct spool_place *p)
{
	config_free(p->config);
	free(p->path);
	free(p->control);
}
