/* Methods on whole documents: schemas, mappings in strings, JSONPath, change lists. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "bloblang/formats/digest.h"
#include "bloblang/formats/encoding.h"
#include "bloblang/formats/json_schema.h"
#include "bloblang/formats/jsonpath.h"
#include "bloblang/language/function.h"
#include "bloblang/language/parse.h"

enum { DEPTH_MAX = 500 };

/* --- json_schema --- */

static bool prepare_schema(struct call *call)
{
	const char *error;

	call->owned = schema_compile(call->arena, call->args[0].text, call->args[0].length, &error);
	call->prepared = call->owned;
	return call->owned || call_fail_final(call, "failed to parse json schema definition: %s", error);
}

static void release_schema(void *prepared) { schema_release(prepared); }

static bool json_schema(struct call *call, struct value *ret)
{
	struct text problems;

	text_init(&problems, call->arena);
	*ret = call->target;
	return schema_check(call->prepared, call->target, &problems) || call_fail(call, "%s", text_end(&problems));
}

/* --- bloblang: a mapping held in a string --- */

static bool prepare_mapping(struct call *call)
{
	struct program *program = mem_zero(sizeof *program);
	size_t length = call->args[0].length;
	struct evaluation ev;
	struct parser p = {.program = program, .evaluation = &ev, .pure = true};

	program_init(program, call->site->program->find, NULL);
	evaluation_init(&ev, &program->arena, program, NULL);
	p.text = p.at = arena_copy(&program->arena, call->args[0].text, length);
	p.end = p.text + length;
	if (!parse_mapping(&p)) {
		(void)call_fail_final(call, "%s", fault_text(call->arena, &p.fault));
		program_fini(program);
		free(program);
		return false;
	}
	call->prepared = call->owned = program;
	return true;
}

static void release_mapping(void *prepared)
{
	program_fini(prepared);
	free(prepared);
}

/* A copy that does not need the mapping's arena. */
static struct value detached(struct arena *a, struct value v, int depth)
{
	struct value copy = v;

	if (depth > DEPTH_MAX || a->exceeded)
		return value_null();
	switch ((enum value_kind)v.kind) {
	case VALUE_NUMBER:
	case VALUE_STRING:
	case VALUE_BYTES:
		copy.text = arena_copy(a, v.text, v.length);
		return copy;
	case VALUE_TIMESTAMP:
		return value_timestamp(a, v.time);
	case VALUE_ARRAY:
		copy = value_array(a, value_count(v));
		for (uint32_t i = 0; i < value_count(v); i++)
			value_array_push(a, copy, detached(a, v.array->items[i], depth + 1));
		return copy;
	case VALUE_OBJECT:
		copy = value_object(a, value_count(v));
		for (uint32_t i = 0; i < value_count(v); i++) {
			const struct value_pair *pair = &v.object->pairs[i];

			value_object_append(a, copy, arena_copy(a, pair->key, pair->key_length), pair->key_length,
			                    detached(a, pair->value, depth + 1));
		}
		return copy;
	default:
		return copy;
	}
}

static bool bloblang(struct call *call, struct value *ret)
{
	const struct program *program = call->prepared;
	struct evaluation *outer = call->evaluation, ev;
	struct value root = value_nothing();
	struct scope scope = {.maps = &program->maps, .has_variables = true, .root = &root};
	struct context ctx = {.scope = &scope, .has_value = true, .value = call->target};
	bool done;
	int line;

	evaluation_init(&ev, call->arena, program, NULL);
	ev.deadline_ns = outer->deadline_ns;
	ev.stack_base = outer->stack_base;
	ev.stacks = outer->stacks;
	ev.epoch = outer->epoch + 1;
	done = execute(&ev, &ctx, &program->main.body, &line);
	outer->epoch = ev.epoch + 1;
	if (!done)
		return call_fail(call, "failed assignment (line %d): %s", line, failure_text(&ev));
	*ret = detached(call->arena, root, 0);
	return true;
}

/* --- json_path --- */

static bool prepare_path(struct call *call)
{
	const char *error;

	call->prepared = jsonpath_compile(call->arena, call->args[0].text, call->args[0].length, &error);
	return call->prepared || call_fail_final(call, "%s", error);
}

static bool json_path(struct call *call, struct value *ret)
{
	const char *error;

	return jsonpath_run(call->arena, call->prepared, call->target, ret, &error) || call_fail(call, "%s", error);
}

/* --- infer_schema --- */

/* The numbers are part of the fingerprint. */
static const struct {
	enum value_kind kind;
	int number;
	const char *name;
} schema_types[] = {{VALUE_BOOL, 1, "BOOLEAN"},        {VALUE_INT, 3, "INT64"},     {VALUE_UINT, 3, "INT64"},
                    {VALUE_FLOAT, 5, "FLOAT64"},       {VALUE_STRING, 6, "STRING"}, {VALUE_BYTES, 7, "BYTE_ARRAY"},
                    {VALUE_OBJECT, 8, "OBJECT"},       {VALUE_ARRAY, 10, "ARRAY"},  {VALUE_NULL, 11, "NULL"},
                    {VALUE_TIMESTAMP, 13, "TIMESTAMP"}};

enum { SCHEMA_TYPES = sizeof schema_types / sizeof *schema_types };

static size_t schema_type(struct value v)
{
	enum value_kind kind = (enum value_kind)value_normal(v).kind;
	size_t i = 0;

	while (i < SCHEMA_TYPES && schema_types[i].kind != kind)
		i++;
	return i;
}

/* What the reference hashes: type, name, optional, children. */
static void describe(struct text *out, struct value v, const char *name, size_t length, int depth)
{
	uint32_t children = v.kind == VALUE_ARRAY && value_count(v) > 0 ? 1 : value_count(v);

	text_addf(out, "T:%d|N:", schema_types[schema_type(v)].number);
	text_add(out, name, length);
	text_addf(out, "|O:0|C:%u|", children);
	for (uint32_t i = 0; i < children && depth < DEPTH_MAX; i++) {
		const struct value_pair *pair = v.kind == VALUE_OBJECT ? &v.object->pairs[i] : NULL;

		text_addf(out, "[%u:", i);
		describe(out, pair ? pair->value : v.array->items[i], pair ? pair->key : "",
		         pair ? pair->key_length : 0, depth + 1);
		text_add_char(out, ']');
	}
}

static struct value fingerprint(struct call *call, struct value v, const char *name, size_t length)
{
	struct text text, hex;
	unsigned char digest[DIGEST_MAX];
	const char *error;
	size_t n;

	text_init(&text, call->arena);
	describe(&text, v, name, length, 0);
	n = digest_make(digest_find("sha256", 6), text_end(&text), text.length, NULL, 0, 0, digest);
	text_init(&hex, call->arena);
	(void)encoding_encode(encoding_find("hex", 3), (const char *)digest, n, &hex, &error);
	return value_from_text(&hex, VALUE_STRING);
}

/* path: where in the value, for the error. */
static bool inferred(struct call *call, struct value v, const char *name, size_t length, const char *path, int depth,
                     struct value *ret)
{
	struct value children = value_array(call->arena, value_count(v));
	size_t type = schema_type(v);

	if (type == SCHEMA_TYPES || depth == DEPTH_MAX)
		return call_fail(call, "%s unsupported data type: %s", path, value_go_type(v));
	for (uint32_t i = 0; i < value_count(v); i++) {
		const struct value_pair *pair = v.kind == VALUE_OBJECT ? &v.object->pairs[i] : NULL;
		const char *below = pair ? arena_format(call->arena, "%s.%.*s", path, (int)pair->key_length, pair->key)
		                         : arena_format(call->arena, "%s.%u", path, i);
		struct value item = pair ? pair->value : v.array->items[i], child = value_null();

		if (!inferred(call, item, pair ? pair->key : "", pair ? pair->key_length : 0, below, depth + 1,
		              &child) ||
		    call_spent(call))
			return false;
		if (pair || i == 0) /* the first element of an array stands for all */
			value_array_push(call->arena, children, child);
		else if (schema_type(item) != schema_type(v.array->items[0]))
			return call_fail(call, "%s mismatched array types, found %s and %s", below,
			                 schema_types[schema_type(v.array->items[0])].name,
			                 schema_types[schema_type(item)].name);
	}
	*ret = value_object(call->arena, 4);
	value_object_set(call->arena, *ret, "type", 4, value_literal(schema_types[type].name));
	value_object_set(call->arena, *ret, "fingerprint", 11, fingerprint(call, v, name, length));
	if (length > 0)
		value_object_set(call->arena, *ret, "name", 4, value_string(name, length));
	if (value_count(children) > 0)
		value_object_set(call->arena, *ret, "children", 8, children);
	return true;
}

static bool infer_schema(struct call *call, struct value *ret)
{
	return inferred(call, call->target, "", 0, "", 0, ret);
}

/* --- diff and patch --- */

struct diff {
	struct arena *arena;
	struct value out;
	struct value path; /* an array used as a stack */
};

static void report(struct diff *d, const char *type, struct value from, struct value to)
{
	struct value change = value_object(d->arena, 4), path = value_array(d->arena, value_count(d->path));

	for (uint32_t i = 0; i < value_count(d->path); i++)
		value_array_push(d->arena, path, d->path.array->items[i]);
	value_object_set(d->arena, change, "Type", 4, value_literal(type));
	value_object_set(d->arena, change, "Path", 4, path);
	value_object_set(d->arena, change, "From", 4, from);
	value_object_set(d->arena, change, "To", 2, to);
	value_array_push(d->arena, d->out, change);
}

static void compare(struct diff *d, struct value old, struct value new);

/* One member; null pointers: not there. */
static void compare_member(struct diff *d, const char *key, size_t length, const struct value *old,
                           const struct value *new)
{
	must(old || new);
	value_array_push(d->arena, d->path, value_string(key, length));
	if (!old)
		report(d, "create", value_null(), *new);
	else if (!new)
		report(d, "delete", *old, value_null());
	else
		compare(d, *old, *new);
	d->path.array->count--;
}

static void compare_objects(struct diff *d, struct value old, struct value new)
{
	uint32_t i = 0, k = 0;

	while (i < value_count(old) || k < value_count(new)) { /* both are sorted by key */
		struct value_pair *a = i < value_count(old) ? &old.object->pairs[i] : NULL;
		struct value_pair *b = k < value_count(new) ? &new.object->pairs[k] : NULL;
		bool in_old = a && (!b || !value_object_find(new, a->key, a->key_length) ||
		                    (a->key_length == b->key_length && memcmp(a->key, b->key, a->key_length) == 0));
		bool same = a && b && a->key_length == b->key_length && memcmp(a->key, b->key, a->key_length) == 0;

		if (same)
			compare_member(d, a->key, a->key_length, &a->value, &b->value);
		else if (in_old)
			compare_member(d, a->key, a->key_length, &a->value, NULL);
		else if (b)
			compare_member(d, b->key, b->key_length, NULL, &b->value);
		i += in_old;
		k += same || !in_old;
	}
}

static void compare(struct diff *d, struct value old, struct value new)
{
	if (d->arena->exceeded || value_count(d->path) > DEPTH_MAX)
		return;
	if (old.kind == VALUE_OBJECT && new.kind == VALUE_OBJECT) {
		compare_objects(d, old, new);
	} else if (old.kind == VALUE_ARRAY && new.kind == VALUE_ARRAY) {
		uint32_t most = value_count(old) > value_count(new) ? value_count(old) : value_count(new);

		for (uint32_t i = 0; i < most; i++) {
			const char *index = arena_format(d->arena, "%u", i);

			compare_member(d, index, strlen(index), i < value_count(old) ? &old.array->items[i] : NULL,
			               i < value_count(new) ? &new.array->items[i] : NULL);
		}
	} else if (!value_equal(old, new) && !(old.kind == VALUE_NULL && new.kind == VALUE_NULL)) {
		report(d, "update", old, new);
	}
}

static bool diff(struct call *call, struct value *ret)
{
	struct diff d = {.arena = call->arena, .out = value_array(call->arena, 4), .path = value_array(call->arena, 8)};

	compare(&d, call->target, call->args[0]);
	*ret = d.out;
	return true;
}

/* v with one change made at the path; steps that lead nowhere make objects. */
static struct value patched(struct call *call, struct value v, const struct value *steps, size_t count, bool remove,
                            struct value to)
{
	struct value copy, step = *steps;
	uint32_t index = 0;

	if (v.kind == VALUE_ARRAY) {
		for (uint32_t i = 0; i < step.length; i++)
			index = index * 10 + (uint32_t)(step.text[i] - '0');
		copy = value_array(call->arena, value_count(v) + 1);
		for (uint32_t i = 0; i < value_count(v); i++) {
			if (i != index)
				value_array_push(call->arena, copy, v.array->items[i]);
			else if (count > 1)
				value_array_push(call->arena, copy,
				                 patched(call, v.array->items[i], steps + 1, count - 1, remove, to));
			else if (!remove)
				value_array_push(call->arena, copy, to);
		}
		if (index >= value_count(v) && !remove && count == 1)
			value_array_push(call->arena, copy, to);
		return copy;
	}
	copy = value_object(call->arena, value_count(v) + 1);
	for (uint32_t i = 0; v.kind == VALUE_OBJECT && i < value_count(v); i++) {
		const struct value_pair *pair = &v.object->pairs[i];

		if (pair->key_length != step.length || memcmp(pair->key, step.text, step.length) != 0)
			value_object_append(call->arena, copy, pair->key, pair->key_length, pair->value);
		else if (count > 1)
			to = patched(call, pair->value, steps + 1, count - 1, remove, to);
	}
	if (count > 1 || !remove)
		value_object_set(call->arena, copy, step.text, step.length, to);
	return copy;
}

static const struct value *member(struct value change, const char *key)
{
	return change.kind == VALUE_OBJECT ? value_object_find(change, key, strlen(key)) : NULL;
}

static bool apply_change(struct call *call, struct value change, struct value *ret)
{
	const struct value *type = member(change, "Type"), *path = member(change, "Path"), *to = member(change, "To");

	if (!type || !value_is_text(*type) || !path || path->kind != VALUE_ARRAY || value_count(*path) == 0)
		return call_fail(call, "a change needs a Type and a Path");
	for (uint32_t i = 0; i < value_count(*path); i++) {
		path->array->items[i] = value_to_text(call->arena, path->array->items[i]);
		if (ret->kind == VALUE_ARRAY && i == 0 && path->array->items[i].length == 0)
			return call_fail(call, "an index of a Path is empty");
	}
	*ret = patched(call, *ret, path->array->items, value_count(*path), value_text_is(*type, "delete"),
	               to ? *to : value_null());
	return !call_spent(call);
}

static bool patch(struct call *call, struct value *ret)
{
	struct value list = call->args[0];

	if (list.kind != VALUE_ARRAY)
		return call_fail(call, "%s", call_type_text(call, list, "array"));
	list = detached(call->arena, list, 0); /* the paths are turned into texts */
	*ret = call->target;
	for (uint32_t i = 0; i < value_count(list); i++)
		if (!apply_change(call, list.array->items[i], ret))
			return false;
	return true;
}

/* clang-format off */
const struct bloblang_row rows_methods_documents[] = {
	{.name = "json_schema", .kind = METHOD, .status = BETA, .evaluate = json_schema, .prepare = prepare_schema,
	 .release = release_schema, .parameters = {{"schema", PARAM_STRING, false, NULL}},
	 .summary = "The value itself when it satisfies a JSON schema."},
	{.name = "bloblang", .kind = METHOD, .status = BETA, .flags = ROW_PLAIN, .evaluate = bloblang,
	 .prepare = prepare_mapping, .release = release_mapping, .parameters = {{"mapping", PARAM_STRING, false, NULL}},
	 .summary = "Runs a mapping held in a string on the value."},
	{.name = "json_path", .kind = METHOD, .status = STABLE, .flags = ROW_PLAIN, .evaluate = json_path,
	 .prepare = prepare_path, .parameters = {{"expression", PARAM_STRING, false, NULL}},
	 .summary = "What a JSONPath finds."},
	{.name = "infer_schema", .kind = METHOD, .status = STABLE, .flags = ROW_PLAIN, .evaluate = infer_schema,
	 .summary = "The types of a value as an object."},
	{.name = "diff", .kind = METHOD, .status = STABLE, .flags = ROW_PLAIN, .evaluate = diff,
	 .parameters = {{"other", PARAM_ANY, false, NULL}}, .summary = "The changes that lead to another value."},
	{.name = "patch", .kind = METHOD, .status = STABLE, .flags = ROW_PLAIN, .evaluate = patch,
	 .parameters = {{"changelog", PARAM_ANY, false, NULL}}, .summary = "The value with a list of changes made."},
	{.name = NULL},
};
/* clang-format on */
