#include "value/path.h"
#include "bloblang/language/eval_internal.h"

const struct message *view_message(const struct evaluation *ev, int64_t index, size_t *ret_index)
{
	if (!ev->batch)
		return NULL;
	if (index < 0)
		index += (int64_t)ev->batch->count;
	if (index < 0 || (uint64_t)index >= ev->batch->count)
		return NULL;
	*ret_index = (size_t)index;
	return ev->batch->messages[index];
}

static struct view *view_of(struct evaluation *ev, size_t index)
{
	if (index == ev->batch->index)
		return &ev->first;
	if (!ev->views) {
		ev->views = arena_alloc(ev->arena, ev->batch->count * sizeof *ev->views);
		memset(ev->views, 0, ev->batch->count * sizeof *ev->views);
	}
	return &ev->views[index];
}

bool view_document(struct evaluation *ev, int64_t index, struct value *ret, const char **ret_error)
{
	size_t i;
	const struct message *m = view_message(ev, index, &i);
	struct view *view;

	*ret_error = NULL;
	if (!m)
		return false;
	if (ev->alias && ev->alias->root_is_this && i == ev->batch->index) {
		*ret = *ev->alias->root;
		ev->epoch++;
		return true;
	}
	if (m->body_bytes == 0)
		return false;
	view = view_of(ev, i);
	if (view->state == DOCUMENT_UNREAD) {
		bool read =
		    json_parse(ev->arena, (const char *)message_body(m), m->body_bytes, &view->document, &view->error);

		view->state = read ? DOCUMENT_READ : DOCUMENT_BROKEN;
	}
	*ret = view->document;
	*ret_error = view->error;
	return view->state == DOCUMENT_READ;
}

bool view_seek(struct evaluation *ev, int64_t index, const struct path *path, struct value *ret, const char **ret_error)
{
	size_t i;
	const struct message *m = view_message(ev, index, &i);
	struct view *view;

	*ret_error = NULL;
	if (!m || m->body_bytes == 0)
		return false;
	view = view_of(ev, i);
	if (view->state == DOCUMENT_BROKEN) {
		*ret_error = view->error;
		return false;
	}
	if (view->state == DOCUMENT_READ) {
		*ret = path_get(ev->arena, view->document, path->steps, path->count, NULL);
		return true;
	}
	if (json_seek(ev->arena, (const char *)message_body(m), m->body_bytes, path->steps, path->count, ret,
	              ret_error))
		return true;
	view->state = DOCUMENT_BROKEN;
	view->error = *ret_error;
	return false;
}

/* Numbers of metadata are computed ones, not document text. */
static struct value meta_value(struct evaluation *ev, const struct meta_entry *entry)
{
	struct value v;
	const char *error;

	if (entry->type == 's')
		return value_string(entry->value, entry->value_length);
	if (entry->type == 'b')
		return value_bytes(entry->value, entry->value_length);
	if (!json_parse(ev->arena, entry->value, entry->value_length, &v, &error))
		return value_string(entry->value, entry->value_length);
	return value_normal(v);
}

struct value view_meta(struct evaluation *ev, int64_t index)
{
	size_t i;
	const struct message *m = view_message(ev, index, &i);
	struct meta_entry entry;
	struct view *view;
	size_t cursor = 0;

	if (!m)
		return value_object(ev->arena, 0);
	view = view_of(ev, i);
	if (!view->meta_read) {
		view->meta_read = true;
		view->meta = value_object(ev->arena, 4);
		while (meta_next(message_meta(m), m->meta_bytes, &cursor, &entry))
			value_object_append(ev->arena, view->meta, entry.key, entry.key_length, meta_value(ev, &entry));
		value_object_sort(ev->arena, view->meta);
	}
	return view->meta;
}

struct value view_new_meta(struct evaluation *ev)
{
	if (!ev->meta_changed) {
		/* Until somebody writes there is no new metadata: interpolations and checks read the message itself. */
		return view_meta(ev, ev->batch ? (int64_t)ev->batch->index : 0);
	}
	return ev->new_meta;
}

bool context_this(struct evaluation *ev, const struct context *ctx, struct value *ret)
{
	const char *error;

	if (ctx->has_value) {
		*ret = ctx->value;
		return true;
	}
	if (!ev->batch)
		return false;
	return view_document(ev, (int64_t)ev->batch->index, ret, &error);
}
