/*
 * libyaml's events to one value.
 *
 * Invariants:
 * 1. nodes counts aliases as what they stand for, and is at most NODES_MAX.
 * 2. depth <= DEPTH_MAX.
 * 3. An anchor is recalled only when it is done: no value contains itself.
 * 4. Every event that was taken is deleted, also on the way out of an error.
 */
#include "bloblang/formats/yaml.h"

#include <stdint.h>
#include <string.h>

#include <yaml.h>

#include "value/json.h"
#include "value/number.h"
#include "bloblang/golang/goquote.h"
#include "bloblang/formats/encoding.h"
#include "bloblang/formats/grouping.h"

enum { DEPTH_MAX = 1000, DUPLICATES_MAX = 10, NODES_MAX = 4000000 };

struct anchor {
	struct anchor *next;
	const char *name;
	struct value value;
	uint64_t nodes; /* in the value, aliases counted as what they stand for */
	bool done;
};

struct yaml_reader {
	struct arena *arena;
	yaml_parser_t parser;
	struct anchor *anchors;
	const char *error;
	struct text problems; /* "line 2: mapping key ..." */
	int depth;
	uint64_t nodes; /* as in struct anchor */
};

static bool read_node(struct yaml_reader *r, yaml_event_t *event, struct value *ret);

static bool next_event(struct yaml_reader *r, yaml_event_t *event)
{
	if (yaml_parser_parse(&r->parser, event))
		return true;
	if (r->parser.problem) {
		size_t line = r->parser.problem_mark.line + (r->parser.error == YAML_SCANNER_ERROR ? 1 : 0);

		if (line == 0)
			line = r->parser.context_mark.line;
		if (line == 0 && r->parser.error == YAML_PARSER_ERROR)
			line = 1;
		r->error = line ? arena_format(r->arena, "yaml: line %zu: %s", line, r->parser.problem)
		                : arena_format(r->arena, "yaml: %s", r->parser.problem);
	} else {
		r->error = "yaml: unknown problem parsing YAML content";
	}
	return false;
}

/* Null when there is no name. */
static struct anchor *remember(struct yaml_reader *r, const yaml_char_t *name, struct value v)
{
	struct anchor *anchor;

	if (!name)
		return NULL;
	anchor = arena_alloc(r->arena, sizeof *anchor);
	*anchor = (struct anchor){.next = r->anchors,
	                          .name = arena_copy(r->arena, name, strlen((const char *)name)),
	                          .value = v,
	                          .nodes = r->nodes};
	r->anchors = anchor;
	return anchor;
}

static void finish(const struct yaml_reader *r, struct anchor *anchor)
{
	if (!anchor)
		return;
	anchor->nodes = r->nodes - anchor->nodes + 1;
	anchor->done = true;
}

static bool recall(struct yaml_reader *r, const char *name, struct value *ret)
{
	for (struct anchor *anchor = r->anchors; anchor; anchor = anchor->next) {
		if (strcmp(anchor->name, name) != 0)
			continue;
		if (!anchor->done) {
			r->error = arena_format(r->arena, "yaml: anchor '%s' value contains itself", name);
			return false;
		}
		r->nodes += anchor->nodes;
		if (r->nodes > NODES_MAX) {
			r->error = "yaml: document contains excessive aliasing";
			return false;
		}
		*ret = anchor->value;
		return true;
	}
	r->error = arena_format(r->arena, "yaml: unknown anchor '%s' referenced", name);
	return false;
}

static bool tag_is(const char *tag, const char *brief)
{
	return tag && strncmp(tag, "tag:yaml.org,2002:", 18) == 0 && strcmp(tag + 18, brief) == 0;
}

static bool read_scalar(struct yaml_reader *r, const yaml_event_t *event, struct value *ret)
{
	const char *tag = (const char *)event->data.scalar.tag;
	const char *s = arena_copy(r->arena, event->data.scalar.value, event->data.scalar.length);
	size_t length = event->data.scalar.length;
	double d;

	if (tag_is(tag, "binary")) {
		struct text out;
		const char *error;

		text_init(&out, r->arena);
		if (!encoding_decode(encoding_find("base64", 6), s, length, &out, &error)) {
			r->error = "yaml: !!binary value contains invalid base64 data";
			return false;
		}
		*ret = value_from_text(&out, VALUE_STRING);
	} else if (tag_is(tag, "str") || (!tag && !event->data.scalar.plain_implicit)) {
		*ret = value_string(s, length);
	} else if (tag_is(tag, "float") && number_parse_float(s, length, &d)) {
		*ret = value_float(d);
	} else {
		*ret = yaml_resolve(r->arena, s, length);
	}
	finish(r, remember(r, event->data.scalar.anchor, *ret));
	return true;
}

static bool read_sequence(struct yaml_reader *r, const yaml_event_t *start, struct value *ret)
{
	struct anchor *anchor;

	*ret = value_array(r->arena, 4);
	anchor = remember(r, start->data.sequence_start.anchor, *ret);
	for (;;) {
		yaml_event_t event;
		struct value item;
		bool end, ok;

		if (!next_event(r, &event))
			return false;
		end = event.type == YAML_SEQUENCE_END_EVENT;
		ok = end || read_node(r, &event, &item);
		yaml_event_delete(&event);
		if (end)
			finish(r, anchor);
		if (end || !ok)
			return ok;
		value_array_push(r->arena, *ret, item);
	}
}

/* "<<": keys the object does not have itself. */
static bool merge_into(struct yaml_reader *r, struct value object, struct value from)
{
	if (from.kind == VALUE_ARRAY) {
		for (uint32_t i = 0; i < value_count(from); i++)
			if (!merge_into(r, object, from.array->items[i]))
				return false;
		return true;
	}
	if (from.kind != VALUE_OBJECT) {
		r->error = "yaml: map merge requires map or sequence of maps as the value";
		return false;
	}
	for (uint32_t i = 0; i < value_count(from) && !arena_is_spent(r->arena); i++) {
		struct value_pair *pair = &from.object->pairs[i];

		if (!value_object_find(object, pair->key, pair->key_length))
			value_object_set(r->arena, object, pair->key, pair->key_length, pair->value);
	}
	return true;
}

/* Reports keys that came twice: pairs are sorted by key, then by line. */
static void note_duplicates(struct yaml_reader *r, struct grouping *lines)
{
	struct value seen = grouping_object(lines);

	for (uint32_t i = 0; i < value_count(seen); i++) {
		struct value_pair *pair = &seen.object->pairs[i];

		for (uint32_t k = 1;
		     pair->value.kind == VALUE_ARRAY && k < value_count(pair->value) && k < DUPLICATES_MAX; k++) {
			text_addf(&r->problems, "\n  line %lld: mapping key ",
			          (long long)pair->value.array->items[k].integer);
			go_quote(&r->problems, pair->key, pair->key_length, false);
			text_addf(&r->problems, " already defined at line %lld",
			          (long long)pair->value.array->items[0].integer);
		}
	}
}

static bool read_pair(struct yaml_reader *r, yaml_event_t *key_event, struct value object, struct grouping *lines,
                      struct value *merges)
{
	size_t line = key_event->start_mark.line + 1;
	bool merge = key_event->type == YAML_SCALAR_EVENT && key_event->data.scalar.plain_implicit &&
	             strcmp((const char *)key_event->data.scalar.value, "<<") == 0;
	struct value key, item;
	yaml_event_t event;
	bool ok;

	if (!read_node(r, key_event, &key) || !next_event(r, &event))
		return false;
	ok = read_node(r, &event, &item);
	yaml_event_delete(&event);
	if (!ok)
		return false;
	if (merge) {
		value_array_push(r->arena, *merges, item);
		return true;
	}
	/* Objects have no other keys than text. */
	if (!value_to_text(r->arena, key, &key, &r->error))
		return false;
	(void)grouping_add(lines, key.text, key.length, value_int((int64_t)line), false);
	value_object_append(r->arena, object, key.text, key.length, item);
	return true;
}

static bool read_mapping(struct yaml_reader *r, const yaml_event_t *start, struct value *ret)
{
	struct value merges = value_array(r->arena, 1);
	struct grouping lines = {.arena = r->arena};
	struct anchor *anchor;

	*ret = value_object(r->arena, 4);
	anchor = remember(r, start->data.mapping_start.anchor, *ret);
	for (;;) {
		yaml_event_t event;
		bool end, ok;

		if (!next_event(r, &event))
			return false;
		end = event.type == YAML_MAPPING_END_EVENT;
		ok = end || read_pair(r, &event, *ret, &lines, &merges);
		yaml_event_delete(&event);
		if (!ok)
			return false;
		if (end)
			break;
	}
	value_object_sort(r->arena, *ret);
	if (value_count(*ret) < lines.count)
		note_duplicates(r, &lines);
	finish(r, anchor);
	return merge_into(r, *ret, merges);
}

static bool read_node(struct yaml_reader *r, yaml_event_t *event, struct value *ret)
{
	bool ok;

	if (arena_is_spent(r->arena) || ++r->depth > DEPTH_MAX) {
		r->error = "yaml: document is nested too deeply or is too large";
		return false;
	}
	r->nodes++;
	switch (event->type) {
	case YAML_ALIAS_EVENT:
		ok = recall(r, (const char *)event->data.alias.anchor, ret);
		break;
	case YAML_SCALAR_EVENT:
		ok = read_scalar(r, event, ret);
		break;
	case YAML_SEQUENCE_START_EVENT:
		ok = read_sequence(r, event, ret);
		break;
	case YAML_MAPPING_START_EVENT:
		ok = read_mapping(r, event, ret);
		break;
	default:
		r->error = "yaml: unexpected event";
		ok = false;
		break;
	}
	r->depth--;
	return ok;
}

/* The first document; an empty stream is null. */
static bool read_stream(struct yaml_reader *r, struct value *ret)
{
	*ret = value_null();
	for (;;) {
		yaml_event_t event;
		yaml_event_type_t type;
		bool ok = true;

		if (!next_event(r, &event))
			return false;
		type = event.type;
		if (type != YAML_STREAM_START_EVENT && type != YAML_DOCUMENT_START_EVENT &&
		    type != YAML_STREAM_END_EVENT && type != YAML_DOCUMENT_END_EVENT)
			ok = read_node(r, &event, ret);
		yaml_event_delete(&event);
		if (!ok)
			return false;
		if (type == YAML_STREAM_END_EVENT || type == YAML_DOCUMENT_END_EVENT)
			return true;
	}
}

bool yaml_read(struct arena *a, const char *s, size_t length, struct value *ret, const char **ret_error)
{
	struct yaml_reader r = {.arena = a};
	bool ok;

	text_init(&r.problems, a);
	if (!yaml_parser_initialize(&r.parser)) {
		*ret_error = "yaml: out of memory";
		return false;
	}
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)s, length);
	ok = read_stream(&r, ret);
	yaml_parser_delete(&r.parser);
	if (ok && r.problems.length > 0) {
		*ret_error = arena_format(a, "yaml: unmarshal errors:%s", text_end(&r.problems));
		return false;
	}
	if (!ok)
		*ret_error = r.error;
	return ok;
}
