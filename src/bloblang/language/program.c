#include "bloblang/language/node.h"

#include <string.h>

enum { PROGRAM_BYTES_MAX = 64 * 1024 * 1024 };

void program_init(struct program *p, row_find *find, const char *folder)
{
	*p = (struct program){.find = find};
	arena_init(&p->arena, PROGRAM_BYTES_MAX);
	if (folder)
		p->folder = arena_copy(&p->arena, folder, strlen(folder));
}

void program_fini(struct program *p)
{
	for (struct site_list *l = p->owners; l; l = l->next)
		l->site->row->release(l->site->owned);
	p->owners = NULL;
	arena_fini(&p->arena);
}
