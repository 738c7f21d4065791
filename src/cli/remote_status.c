#include "cli/remote_status.h"

#include <string.h>

#include "value/json.h"
#include "value/path.h"
#include "cli/control_call.h"
#include "cli/shown.h"

enum { STATUS_MAX_BYTES = 4 << 20 };

enum err remote_status_take(struct remote_status *p, const char *control, struct error *e)
{
	const char *wrong;
	enum err err;

	buf_init(&p->text, STATUS_MAX_BYTES);
	arena_init(&p->arena, STATUS_MAX_BYTES);
	err = control_call(control, "GET", "/status", &p->text, e);
	if (err != ERR_OK)
		return err;
	if (!json_parse(&p->arena, p->text.data ? p->text.data : "", p->text.len, &p->document, &wrong))
		return error_set(e, ERR_FORMAT, "the daemon's status cannot be read: %s", wrong);
	return ERR_OK;
}

void remote_status_fini(struct remote_status *p)
{
	buf_fini(&p->text);
	arena_fini(&p->arena);
}

static struct value get(struct remote_status *p, const char *path)
{
	size_t count;
	struct json_step *steps = path_split(&p->arena, path, strlen(path), &count);

	return path_get(&p->arena, p->document, steps, count, NULL);
}

const char *remote_status_text(struct remote_status *p, const char *path)
{
	struct value v = get(p, path);

	const char *text;

	if (!value_is_text(v))
		return "";
	text = shown_n(v.text, v.length);
	return arena_copy(&p->arena, text, strlen(text));
}

double remote_status_number(struct remote_status *p, const char *path)
{
	double number = 0;

	return value_to_float(get(p, path), &number) ? number : 0;
}

bool remote_status_bool(struct remote_status *p, const char *path)
{
	struct value v = get(p, path);

	return v.kind == VALUE_BOOL && v.boolean;
}

bool remote_status_has(struct remote_status *p, const char *path) { return !value_is_nullish(get(p, path)); }
