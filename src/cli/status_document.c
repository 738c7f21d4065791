#include "cli/status_document.h"

#include <string.h>

#include "value/json.h"
#include "value/path.h"

enum { PICTURE_MAX_BYTES = 4 << 20 };

enum err picture_take(struct picture *p, const char *control, struct error *e)
{
	const char *wrong;
	enum err err;

	buf_init(&p->text, PICTURE_MAX_BYTES);
	arena_init(&p->arena, PICTURE_MAX_BYTES);
	err = control_call(control, "GET", "/status", &p->text, e);
	if (err != ERR_OK)
		return err;
	if (!json_parse(&p->arena, p->text.data ? p->text.data : "", p->text.len, &p->document, &wrong))
		return error_set(e, ERR_FORMAT, "the daemon's status cannot be read: %s", wrong);
	return ERR_OK;
}

void picture_fini(struct picture *p)
{
	buf_fini(&p->text);
	arena_fini(&p->arena);
}

static struct value get(struct picture *p, const char *path)
{
	size_t count;
	struct json_step *steps = path_split(&p->arena, path, strlen(path), &count);

	return path_get(&p->arena, p->document, steps, count, NULL);
}

const char *picture_text(struct picture *p, const char *path)
{
	struct value v = get(p, path);

	return value_is_text(v) ? arena_copy(&p->arena, v.text, v.length) : "";
}

double picture_number(struct picture *p, const char *path)
{
	double number = 0;

	return value_to_float(get(p, path), &number) ? number : 0;
}

bool picture_bool(struct picture *p, const char *path)
{
	struct value v = get(p, path);

	return v.kind == VALUE_BOOL && v.boolean;
}

bool picture_has(struct picture *p, const char *path) { return !value_is_nullish(get(p, path)); }
