/* infer_schema, of the family "parsing": the types of a value as an object. */
#include <string.h>

#include "bloblang/formats/digest.h"
#include "bloblang/formats/encoding.h"
#include "bloblang/language/function.h"

enum { DEPTH_MAX = 500 };

/* The numbers are part of the fingerprint. */
static const struct {
	enum value_kind kind;
	int bits; /* of numbers: other widths have no type, and neither have unsigned ones */
	int number;
	const char *name;
} schema_types[] = {
    {VALUE_BOOL, 0, 1, "BOOLEAN"},     {VALUE_INT, 32, 2, "INT32"},          {VALUE_INT, 64, 3, "INT64"},
    {VALUE_FLOAT, 32, 4, "FLOAT32"},   {VALUE_FLOAT, 64, 5, "FLOAT64"},      {VALUE_STRING, 0, 6, "STRING"},
    {VALUE_BYTES, 0, 7, "BYTE_ARRAY"}, {VALUE_OBJECT, 0, 8, "OBJECT"},       {VALUE_ARRAY, 0, 10, "ARRAY"},
    {VALUE_NULL, 0, 11, "NULL"},       {VALUE_TIMESTAMP, 0, 13, "TIMESTAMP"}};

enum { SCHEMA_TYPES = sizeof schema_types / sizeof *schema_types };

static size_t schema_type(struct value v)
{
	size_t i = 0;

	if (v.kind == VALUE_NUMBER) {
		v = value_normal(v);
		if (!value_is_number(v))
			return SCHEMA_TYPES;
	}
	while (i < SCHEMA_TYPES && (schema_types[i].kind != (enum value_kind)v.kind ||
	                            (schema_types[i].bits != 0 && schema_types[i].bits != v.bits)))
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

	if (type == SCHEMA_TYPES && v.kind == VALUE_NUMBER)
		return call_fail(call, "%s json.Number value \"%.*s\" is not parseable as int64 or float64", path,
		                 (int)v.length, v.text);
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

/* clang-format off */
const struct bloblang_row rows_methods_parsing_schema[] = {
	{.name = "infer_schema", .kind = METHOD, .flags = ROW_PLAIN, .evaluate = infer_schema,
	 .summary = "The types of a value as an object."},
	{.name = NULL},
};
/* clang-format on */
