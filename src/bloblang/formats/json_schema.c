/*
 * JSON Schema: compiling, and checking value against schema.
 *
 * Invariants:
 * 1. depth <= DEPTH_MAX, in compiling and in checking, so that references in a circle end.
 * 2. Every pattern in the schema was compiled before the first check, and stands in the list by its text.
 * 3. While silent no line is added to problems; ok alone tells.
 * 4. ok never goes back to true within a check that is not an alternative.
 */
#include "bloblang/formats/json_schema.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "value/json.h"
#include "bloblang/golang/regex.h"

enum { DEPTH_MAX = 200 };

struct pattern {
	struct pattern *next;
	const char *text; /* in the schema's document */
	size_t length;
	struct regex *regex;
};

struct schema {
	struct value root;
	struct pattern *patterns;
};

struct check {
	const struct schema *schema;
	struct text *problems;
	bool ok;
	bool silent; /* trying alternatives: only ok counts */
	int depth;
	struct text path;
};

static void check_value(struct check *c, struct value schema, struct value v);

static const struct value *find(struct value object, const char *key)
{
	return object.kind == VALUE_OBJECT ? value_object_find(object, key, strlen(key)) : NULL;
}

/* --- compiling: the patterns, and references that lead nowhere --- */

static bool add_pattern(struct schema *s, const char *text, size_t length, struct arena *a, const char **ret_error)
{
	char fault[REGEX_FAULT_MAX];
	struct pattern *p;
	struct regex *regex = regex_compile(a, text, length, fault);

	if (!regex) {
		*ret_error = arena_format(a, "%s", fault);
		return false;
	}
	p = mem_zero(sizeof *p);
	*p = (struct pattern){s->patterns, text, length, regex};
	s->patterns = p;
	return true;
}

static bool knows_type(struct value type, struct arena *a, const char **ret_error)
{
	static const char *const types[] = {"array", "boolean", "integer", "number", "null", "object", "string"};

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (value_text_is(type, types[i]))
			return true;
	*ret_error = arena_format(a,
	                          "has a primitive type that is NOT VALID -- given: /%.*s/ Expected valid values "
	                          "are:[array boolean integer number null object string]",
	                          (int)type.length, type.text);
	return false;
}

static bool collect(struct schema *s, struct value v, int depth, struct arena *a, const char **ret_error)
{
	if (depth > DEPTH_MAX) {
		*ret_error = "the schema is nested too deeply";
		return false;
	}
	for (uint32_t i = 0; i < value_count(v) && !arena_is_spent(a); i++) {
		struct value item = v.kind == VALUE_ARRAY ? v.array->items[i] : v.object->pairs[i].value;
		const struct value_pair *pair = v.kind == VALUE_OBJECT ? &v.object->pairs[i] : NULL;

		if (pair && pair->key_length == 7 && memcmp(pair->key, "pattern", 7) == 0 &&
		    item.kind == VALUE_STRING && !add_pattern(s, item.text, item.length, a, ret_error))
			return false;
		if (pair && pair->key_length == 17 && memcmp(pair->key, "patternProperties", 17) == 0)
			for (uint32_t k = 0; k < value_count(item) && item.kind == VALUE_OBJECT; k++)
				if (!add_pattern(s, item.object->pairs[k].key, item.object->pairs[k].key_length, a,
				                 ret_error))
					return false;
		if (pair && pair->key_length == 4 && memcmp(pair->key, "$ref", 4) == 0 && item.kind == VALUE_STRING &&
		    (item.length == 0 || *item.text != '#')) {
			*ret_error =
			    arena_format(a, "reference %.*s leads outside the schema", (int)item.length, item.text);
			return false;
		}
		if (pair && pair->key_length == 4 && memcmp(pair->key, "type", 4) == 0 && item.kind == VALUE_STRING &&
		    !knows_type(item, a, ret_error))
			return false;
		if (!collect(s, item, depth + 1, a, ret_error))
			return false;
	}
	return true;
}

struct schema *schema_compile(struct arena *a, const char *json, size_t length, const char **ret_error)
{
	struct schema *s = arena_alloc(a, sizeof *s);
	const char *text = arena_copy(a, json, length);
	size_t used;

	*s = (struct schema){0}; /* what follows the document is not looked at, as in the reference */
	if (!json_parse_first(a, text, length, &s->root, &used, ret_error))
		return NULL;
	if (s->root.kind != VALUE_OBJECT && s->root.kind != VALUE_BOOL) {
		*ret_error = "a schema is an object or a boolean";
		return NULL;
	}
	if (!collect(s, s->root, 0, a, ret_error)) {
		schema_release(s);
		return NULL;
	}
	return s;
}

void schema_release(struct schema *s)
{
	while (s && s->patterns) {
		struct pattern *p = s->patterns;

		s->patterns = p->next;
		regex_free(p->regex);
		free(p);
	}
}

static bool matches(const struct check *c, const char *pattern, size_t length, const char *s, size_t n)
{
	for (struct pattern *p = c->schema->patterns; p; p = p->next)
		if (p->length == length && memcmp(p->text, pattern, length) == 0)
			return regex_test(p->regex, c->problems->arena, s, n) != REGEX_NONE;
	return true;
}

/* --- problems --- */

static const char *field_name(struct check *c)
{
	return c->path.length > 0 ? arena_copy(c->problems->arena, c->path.data, c->path.length) : "(root)";
}

static struct text *problem(struct check *c)
{
	c->ok = false;
	if (c->silent)
		return NULL;
	if (c->problems->length > 0)
		text_add_char(c->problems, '\n');
	text_addf(c->problems, "%s ", field_name(c));
	return c->problems;
}

#define PROBLEM(c_, ...)                            \
	do {                                        \
		struct text *t_ = problem(c_);      \
		if (t_)                             \
			text_addf(t_, __VA_ARGS__); \
	} while (0)

static void descend(struct check *c, struct value schema, struct value v, const char *key, size_t length)
{
	size_t here = c->path.length;

	if (here > 0)
		text_add_char(&c->path, '.');
	text_add(&c->path, key, length);
	check_value(c, schema, v);
	c->path.length = here;
}

/* Does v satisfy the schema? No lines are written. */
static bool satisfies(struct check *c, struct value schema, struct value v)
{
	struct check inner = *c;

	inner.ok = true;
	inner.silent = true;
	check_value(&inner, schema, v);
	c->path = inner.path;
	return inner.ok;
}

/* --- types --- */

static const char *type_of(struct value v)
{
	double d;

	switch ((enum value_kind)v.kind) {
	case VALUE_BOOL:
		return "boolean";
	case VALUE_ARRAY:
		return "array";
	case VALUE_OBJECT:
		return "object";
	case VALUE_STRING:
	case VALUE_BYTES:
	case VALUE_TIMESTAMP:
		return "string";
	case VALUE_NOTHING:
	case VALUE_DELETE:
	case VALUE_NULL:
		return "null";
	default:
		return value_to_float(v, &d) && d == trunc(d) ? "integer" : "number";
	}
}

static bool type_fits(const char *given, struct value wanted)
{
	return value_text_is(wanted, given) || (value_text_is(wanted, "number") && strcmp(given, "integer") == 0);
}

static const char *shown(struct check *c, struct value v)
{
	const char *error;
	struct text t;

	text_init(&t, c->problems->arena);
	return value_print_text(&t, v, &error) ? text_end(&t) : error;
}

static void check_type(struct check *c, struct value type, struct value v)
{
	const char *given = type_of(v);
	struct text wanted;
	bool fits = false;

	text_init(&wanted, c->problems->arena);
	if (type.kind == VALUE_STRING) {
		fits = type_fits(given, type);
		text_add(&wanted, type.text, type.length);
	}
	for (uint32_t i = 0; type.kind == VALUE_ARRAY && i < value_count(type); i++) {
		fits |= type_fits(given, type.array->items[i]);
		if (i > 0)
			text_add_char(&wanted, ',');
		text_add_string(&wanted, shown(c, type.array->items[i]));
	}
	if (!fits)
		PROBLEM(c, "invalid type. expected: %s, given: %s", text_end(&wanted), given);
}

/* --- numbers and strings --- */

static void check_bound(struct check *c, struct value schema, double d, bool upper)
{
	const struct value *limit = find(schema, upper ? "maximum" : "minimum");
	const struct value *strict = find(schema, upper ? "exclusiveMaximum" : "exclusiveMinimum");
	const char *word = upper ? "less" : "greater";
	double at;

	if (strict && value_is_number(*strict) && value_to_float(*strict, &at) && (upper ? d >= at : d <= at))
		PROBLEM(c, "must be %s than %s", word, shown(c, *strict));
	if (!limit || !value_to_float(*limit, &at))
		return;
	if (strict && strict->kind == VALUE_BOOL && strict->boolean) {
		if (upper ? d >= at : d <= at)
			PROBLEM(c, "must be %s than %s", word, shown(c, *limit));
	} else if (upper ? d > at : d < at) {
		PROBLEM(c, "must be %s than or equal to %s", word, shown(c, *limit));
	}
}

static void check_number(struct check *c, struct value schema, struct value v)
{
	const struct value *step = find(schema, "multipleOf");
	double d, by;

	if (!value_to_float(v, &d))
		return;
	check_bound(c, schema, d, false);
	check_bound(c, schema, d, true);
	if (step && value_to_float(*step, &by) && by > 0 && fabs(d / by - nearbyint(d / by)) > 1e-9)
		PROBLEM(c, "must be a multiple of %s", shown(c, *step));
}

static bool take_count(struct value schema, const char *key, int64_t *ret)
{
	const struct value *v = find(schema, key);

	return v && value_to_int(*v, ret);
}

static bool all_of(const char *s, size_t n, const char *set) { return strspn(s, set) >= n; }

static bool format_fits(struct arena *a, struct value format, const char *raw, size_t n)
{
	const char *s = arena_copy(a, raw, n);
	const char *at = memchr(s, '@', n), *colon = memchr(s, ':', n);

	if (value_text_is(format, "email"))
		return at && at > s && at[1];
	if (value_text_is(format, "ipv4"))
		return all_of(s, n, "0123456789.") && n >= 7;
	if (value_text_is(format, "ipv6"))
		return colon && all_of(s, n, "0123456789abcdefABCDEF:.");
	if (value_text_is(format, "uri"))
		return colon && colon > s && isalpha((unsigned char)*s);
	if (value_text_is(format, "date"))
		return n == 10 && s[4] == '-' && s[7] == '-' && all_of(s, n, "0123456789-");
	if (value_text_is(format, "date-time"))
		return n >= 20 && s[4] == '-' && (s[10] == 'T' || s[10] == 't') && s[13] == ':';
	if (value_text_is(format, "uuid"))
		return n == 36 && s[8] == '-' && all_of(s, n, "0123456789abcdefABCDEF-");
	return true;
}

static void check_string(struct check *c, struct value schema, struct value v)
{
	const struct value *pattern = find(schema, "pattern"), *format = find(schema, "format");
	int64_t limit, runes = (int64_t)utf8_count(v.text, v.length);

	if (take_count(schema, "minLength", &limit) && runes < limit)
		PROBLEM(c, "string length must be greater than or equal to %lld", (long long)limit);
	if (take_count(schema, "maxLength", &limit) && runes > limit)
		PROBLEM(c, "string length must be less than or equal to %lld", (long long)limit);
	if (pattern && pattern->kind == VALUE_STRING && !matches(c, pattern->text, pattern->length, v.text, v.length))
		PROBLEM(c, "does not match pattern '%.*s'", (int)pattern->length, pattern->text);
	if (format && format->kind == VALUE_STRING && !format_fits(c->problems->arena, *format, v.text, v.length))
		PROBLEM(c, "does not match format '%.*s'", (int)format->length, format->text);
}

/* --- arrays and objects --- */

static void check_items(struct check *c, struct value schema, struct value v)
{
	const struct value *items = find(schema, "items"), *more = find(schema, "additionalItems");

	for (uint32_t i = 0; i < value_count(v) && items; i++) {
		char index[16];
		int n = snprintf(index, sizeof index, "%u", i);

		if (items->kind != VALUE_ARRAY)
			descend(c, *items, v.array->items[i], index, (size_t)n);
		else if (i < value_count(*items))
			descend(c, items->array->items[i], v.array->items[i], index, (size_t)n);
		else if (more && more->kind == VALUE_BOOL && !more->boolean) {
			PROBLEM(c, "no additional items allowed on array");
			return;
		} else if (more)
			descend(c, *more, v.array->items[i], index, (size_t)n);
	}
}

static void check_array(struct check *c, struct value schema, struct value v)
{
	const struct value *unique = find(schema, "uniqueItems"), *contains = find(schema, "contains");
	int64_t limit;

	check_items(c, schema, v);
	if (take_count(schema, "minItems", &limit) && value_count(v) < limit)
		PROBLEM(c, "array must have at least %lld items", (long long)limit);
	if (take_count(schema, "maxItems", &limit) && value_count(v) > limit)
		PROBLEM(c, "array must have at most %lld items", (long long)limit);
	for (uint32_t i = 0; unique && unique->kind == VALUE_BOOL && unique->boolean && i < value_count(v); i++) {
		for (uint32_t k = i + 1; k < value_count(v); k++) {
			if (arena_is_spent(c->problems->arena))
				return;
			if (value_equal(v.array->items[i], v.array->items[k])) {
				PROBLEM(c, "array items[%u,%u] must be unique", i, k);
				return;
			}
		}
	}
	if (contains) {
		for (uint32_t i = 0; i < value_count(v); i++)
			if (satisfies(c, *contains, v.array->items[i]))
				return;
		PROBLEM(c, "at least one of the items must match");
	}
}

static void check_required(struct check *c, struct value list, struct value v)
{
	for (uint32_t i = 0; list.kind == VALUE_ARRAY && i < value_count(list); i++) {
		struct value key = list.array->items[i];

		if (key.kind == VALUE_STRING && !value_object_find(v, key.text, key.length))
			PROBLEM(c, "%.*s is required", (int)key.length, key.text);
	}
}

static void check_property(struct check *c, struct value schema, const struct value_pair *pair)
{
	const struct value *properties = find(schema, "properties"), *patterns = find(schema, "patternProperties");
	const struct value *more = find(schema, "additionalProperties");
	const struct value *own = properties && properties->kind == VALUE_OBJECT
	                              ? value_object_find(*properties, pair->key, pair->key_length)
	                              : NULL;
	bool known = own;

	if (own)
		descend(c, *own, pair->value, pair->key, pair->key_length);
	for (uint32_t i = 0; patterns && patterns->kind == VALUE_OBJECT && i < value_count(*patterns); i++) {
		struct value_pair *p = &patterns->object->pairs[i];

		if (matches(c, p->key, p->key_length, pair->key, pair->key_length)) {
			known = true;
			descend(c, p->value, pair->value, pair->key, pair->key_length);
		}
	}
	if (known || !more)
		return;
	if (more->kind == VALUE_BOOL && !more->boolean)
		PROBLEM(c, "additional property %.*s is not allowed", (int)pair->key_length, pair->key);
	else
		descend(c, *more, pair->value, pair->key, pair->key_length);
}

static void check_object(struct check *c, struct value schema, struct value v)
{
	const struct value *required = find(schema, "required"), *names = find(schema, "propertyNames");
	const struct value *dependencies = find(schema, "dependencies");
	int64_t limit;

	if (required)
		check_required(c, *required, v);
	if (take_count(schema, "minProperties", &limit) && value_count(v) < limit)
		PROBLEM(c, "must have at least %lld properties", (long long)limit);
	if (take_count(schema, "maxProperties", &limit) && value_count(v) > limit)
		PROBLEM(c, "must have at most %lld properties", (long long)limit);
	for (uint32_t i = 0; i < value_count(v); i++) {
		const struct value_pair *pair = &v.object->pairs[i];

		check_property(c, schema, pair);
		if (names && !satisfies(c, *names, value_string(pair->key, pair->key_length)))
			PROBLEM(c, "property name of \"%.*s\" does not match", (int)pair->key_length, pair->key);
	}
	for (uint32_t i = 0; dependencies && dependencies->kind == VALUE_OBJECT && i < value_count(*dependencies);
	     i++) {
		struct value_pair *d = &dependencies->object->pairs[i];

		if (!value_object_find(v, d->key, d->key_length))
			continue;
		if (d->value.kind == VALUE_ARRAY)
			check_required(c, d->value, v);
		else
			check_value(c, d->value, v);
	}
}

/* --- combinations --- */

static uint32_t count_satisfied(struct check *c, struct value list, struct value v)
{
	uint32_t count = 0;

	for (uint32_t i = 0; list.kind == VALUE_ARRAY && i < value_count(list); i++)
		count += satisfies(c, list.array->items[i], v);
	return count;
}

static void check_combined(struct check *c, struct value schema, struct value v)
{
	const struct value *all = find(schema, "allOf"), *any = find(schema, "anyOf"), *one = find(schema, "oneOf");
	const struct value *not = find(schema, "not"), *condition = find(schema, "if");

	for (uint32_t i = 0; all && all->kind == VALUE_ARRAY && i < value_count(*all); i++)
		check_value(c, all->array->items[i], v);
	if (any && count_satisfied(c, *any, v) == 0)
		PROBLEM(c, "must validate at least one schema (anyof)");
	if (one && count_satisfied(c, *one, v) != 1)
		PROBLEM(c, "must validate one and only one schema (oneof)");
	if (not &&satisfies(c, *not, v))
		PROBLEM(c, "must not validate the schema (not)");
	if (condition) {
		const struct value *branch = find(schema, satisfies(c, *condition, v) ? "then" : "else");

		if (branch)
			check_value(c, *branch, v);
	}
}

static void check_listed(struct check *c, struct value schema, struct value v)
{
	const struct value *list = find(schema, "enum"), *constant = find(schema, "const");

	if (constant && !value_equal(*constant, v))
		PROBLEM(c, "%s does not match: %s", field_name(c), shown(c, *constant));
	if (!list || list->kind != VALUE_ARRAY)
		return;
	for (uint32_t i = 0; i < value_count(*list); i++)
		if (value_equal(list->array->items[i], v))
			return;
	if (problem(c)) { /* this sentence of the reference, and the one above, begin with the field once more */
		text_addf(c->problems, "%s must be one of the following: ", field_name(c));
		for (uint32_t i = 0; i < value_count(*list); i++) {
			static const struct json_style plain = {0};
			const char *error;

			text_add_string(c->problems, i > 0 ? ", " : "");
			if (!json_print(c->problems, list->array->items[i], &plain, &error))
				text_add_string(c->problems, error);
		}
	}
}

/* "#/definitions/x", or "#name" of an $id. Null when it leads nowhere. */
static const struct value *follow(const struct check *c, struct value ref)
{
	const struct value *at = &c->schema->root;
	const char *p = ref.text + 1, *end = ref.text + ref.length;

	while (p < end && *p == '/') {
		char step[256];
		size_t n = 0;

		for (p++; p < end && *p != '/' && n < sizeof step; p++) {
			if (*p == '~' && p + 1 < end) {
				p++;
				step[n++] = *p == '1' ? '/' : '~';
			} else {
				step[n++] = *p;
			}
		}
		if (at->kind == VALUE_OBJECT) {
			at = value_object_find(*at, step, n);
		} else if (at->kind == VALUE_ARRAY && n > 0 && n < 9) {
			uint32_t index = 0;

			for (size_t i = 0; i < n; i++)
				index = index * 10 + (uint32_t)(step[i] - '0');
			at = index < value_count(*at) ? &at->array->items[index] : NULL;
		} else {
			at = NULL;
		}
		if (!at)
			return NULL;
	}
	return p == end ? at : NULL;
}

static void check_value(struct check *c, struct value schema, struct value v)
{
	const struct value *ref = find(schema, "$ref"), *type = find(schema, "type");

	must(c->depth <= DEPTH_MAX);
	if (schema.kind == VALUE_BOOL) {
		if (!schema.boolean)
			PROBLEM(c, "false always fails validation");
		return;
	}
	if (c->depth == DEPTH_MAX || c->problems->failed || arena_is_spent(c->problems->arena))
		return;
	c->depth++;
	if (ref && ref->kind == VALUE_STRING && ref->length > 0) {
		const struct value *target = follow(c, *ref);

		if (target)
			check_value(c, *target, v);
		c->depth--;
		return;
	}
	if (type)
		check_type(c, *type, v);
	check_listed(c, schema, v);
	check_combined(c, schema, v);
	if (value_is_number(v))
		check_number(c, schema, v);
	else if (value_is_text(v))
		check_string(c, schema, v);
	else if (v.kind == VALUE_ARRAY)
		check_array(c, schema, v);
	else if (v.kind == VALUE_OBJECT)
		check_object(c, schema, v);
	c->depth--;
}

bool schema_check(const struct schema *s, struct value v, struct text *problems)
{
	struct check c = {.schema = s, .problems = problems, .ok = true};

	text_init(&c.path, problems->arena);
	check_value(&c, s->root, v);
	return c.ok;
}
