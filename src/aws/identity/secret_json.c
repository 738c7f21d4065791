#include "aws/identity/secret_json.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/check.h"
#include "base/mem.h"
#include "value/json.h"

enum { ARENA_MAX = 4 * SECRET_JSON_MAX };

bool secret_json_open(struct secret_json *d, char *text, size_t length)
{
	const char *why;

	memset(d, 0, sizeof *d);
	arena_init(&d->arena, ARENA_MAX);
	d->root = d->here = value_null();
	if (length > SECRET_JSON_MAX || !json_parse(&d->arena, text, length, &d->root, &why) || d->arena.exceeded ||
	    d->root.kind != VALUE_OBJECT) {
		secret_json_fini(d);
		return false;
	}
	d->here = d->root;
	return true;
}

const char *secret_json_text(struct secret_json *d, const char *key)
{
	const struct value *v = value_object_find(d->here, key, strlen(key));
	char *copy;

	if (!v || v->kind != VALUE_STRING || v->length == 0 || memchr(v->text, '\0', v->length))
		return NULL;
	must(d->text_count < sizeof d->texts / sizeof d->texts[0]);
	copy = mem_string_n(v->text, v->length);
	d->texts[d->text_count++] = copy;
	return copy;
}

bool secret_json_int(const struct secret_json *d, const char *key, int64_t *ret)
{
	const struct value *v = value_object_find(d->here, key, strlen(key));

	return v && value_is_number(*v) && value_to_int(*v, ret);
}

bool secret_json_enter(struct secret_json *d, const char *key)
{
	const struct value *v = value_object_find(d->here, key, strlen(key));

	if (!v || v->kind != VALUE_OBJECT)
		return false;
	d->here = *v;
	return true;
}

/* Texts lie in the caller's buffer or in the arena: both are ours to write. Two levels are as deep as replies go. */
static void wipe_texts(struct value object, int levels)
{
	for (uint32_t i = 0; object.kind == VALUE_OBJECT && i < object.object->count; i++) {
		struct value v = object.object->pairs[i].value;

		if (v.kind == VALUE_STRING && v.length > 0)
			OPENSSL_cleanse((void *)(uintptr_t)v.text, v.length);
		else if (levels > 1)
			wipe_texts(v, levels - 1);
	}
}

void secret_json_fini(struct secret_json *d)
{
	wipe_texts(d->root, 2);
	while (d->text_count > 0) {
		char *text = d->texts[--d->text_count];

		OPENSSL_cleanse(text, strlen(text));
		free(text);
	}
	arena_fini(&d->arena);
	d->root = d->here = value_null();
}
