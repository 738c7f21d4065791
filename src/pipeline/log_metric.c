/*
 * log and metric: processors that tell and change nothing.
 *
 * Invariants:
 * 1. Messages pass unchanged, whatever fails.
 * 2. A line has at most 2 * FIELDS_MAX fields.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/series.h"
#include "value/json.h"
#include "pipeline/stage_internal.h"

enum { TEXT_MAX_BYTES = 8192, FIELDS_MAX = 64, ARENA_MAX_BYTES = 4 << 20 };
enum { LABELS_MAX_BYTES = FIELDS_MAX * 8 * SERIES_LABEL_MAX_BYTES };

/* A map of names to templates: fields of log, labels of metric. */
struct named_templates {
	size_t count;
	struct {
		char *name;
		struct bloblang_template *value;
	} items[FIELDS_MAX];
};

static void named_compile(struct compiler *c, const struct config_node *node, struct named_templates *ret)
{
	if (!node)
		return;
	if (node->kind != NODE_MAP || node->count > FIELDS_MAX) {
		stage_compile_fault(c, node, "expected an object of at most %d texts", FIELDS_MAX);
		return;
	}
	for (size_t i = 0; i < node->count; i++) {
		const struct config_node *child = &node->children[i];
		struct config_text text;

		if (child->kind != NODE_SCALAR) {
			stage_compile_fault(c, child, "%s: expected a text", child->key);
			continue;
		}
		ret->items[ret->count].name = mem_string(child->key);
		text = config_node_text(child);
		ret->items[ret->count++].value = stage_compile_template(c, &text);
	}
}

static void named_free(struct named_templates *n)
{
	for (size_t i = 0; i < n->count; i++) {
		free(n->items[i].name);
		bloblang_template_free(n->items[i].value);
	}
}

/* False and a log line when it fails; false when the run is spent. The buffer is cleared first. */
static bool render(const struct stage *s, struct runner *r, const struct bloblang_template *t,
                   const struct message_batch *context, struct buf *out)
{
	struct error e = {.code = ERR_OK};

	buf_clear(out);
	if (stage_is_spent(s, r))
		return false;
	if (bloblang_template_render(t, r->evaluator, context, out, &e) == ERR_OK)
		return true;
	LOG_LIMITED(LOG_ERROR, "interpolation failed", LOG_S("path", s->where.path), LOG_S("error", e.text));
	return false;
}

struct logger {
	enum log_level level;
	struct bloblang_template *message;
	struct bloblang_mapping *fields_mapping;
	struct named_templates fields;
};

static void process_log_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	static const enum log_level levels[] = {
	    [LINE_ERROR] = LOG_ERROR, [LINE_WARN] = LOG_WARN,   [LINE_INFO] = LOG_INFO,
	    [LINE_DEBUG] = LOG_DEBUG, [LINE_TRACE] = LOG_TRACE, [LINE_ALL] = LOG_TRACE,
	};
	struct logger *l = mem_zero(sizeof *l);
	struct options_processor_log o;

	fields_read(c, options_processor_log(), node, &o);
	l->level = levels[o.level];
	l->message = stage_compile_template(c, &o.message);
	l->fields_mapping = stage_compile_mapping(c, &o.fields_mapping);
	named_compile(c, o.fields, &l->fields);
	options_free(options_processor_log(), &o);
	*ret_state = l;
}

static void log_free(void *state)
{
	struct logger *l = state;

	bloblang_template_free(l->message);
	bloblang_mapping_free(l->fields_mapping);
	named_free(&l->fields);
	free(l);
}

/* The members of the object a mapping makes, as log fields in the arena. */
static size_t mapped_fields(const struct stage *s, struct runner *r, const struct message_batch *context,
                            struct arena *arena, struct log_field *fields)
{
	const struct logger *l = s->state;
	struct message *result = NULL;
	struct error e = {.code = ERR_OK};
	struct value document;
	const char *wrong;
	size_t count = 0;

	if (!l->fields_mapping)
		return 0;
	if (bloblang_mapping_run(l->fields_mapping, r->evaluator, context, false, &result, &e) != ERR_OK || !result ||
	    !json_parse(arena, (const char *)message_body(result), result->body_bytes, &document, &wrong) ||
	    document.kind != VALUE_OBJECT) {
		LOG_LIMITED(LOG_ERROR, "fields_mapping gave no object", LOG_S("path", s->where.path),
		            LOG_S("error", e.text));
	} else {
		for (uint32_t i = 0; i < document.object->count && count < FIELDS_MAX; i++) {
			const struct value_pair *pair = &document.object->pairs[i];
			struct value text;

			if (!value_to_text(arena, pair->value, &text, &wrong))
				continue;
			fields[count++] = LOG_S(arena_copy(arena, pair->key, pair->key_length),
			                        arena_copy(arena, text.text, text.length));
		}
	}
	message_free(result);
	return count;
}

static void log_one(const struct stage *s, struct runner *r, const struct message_batch *context, struct buf *text)
{
	const struct logger *l = s->state;
	struct log_field fields[2 * FIELDS_MAX + 1];
	struct arena arena;
	bool ok = true;
	size_t count;

	arena_init(&arena, ARENA_MAX_BYTES);
	count = mapped_fields(s, r, context, &arena, fields);
	for (size_t i = 0; ok && i < l->fields.count; i++) {
		ok = render(s, r, l->fields.items[i].value, context, text);
		if (ok)
			fields[count++] =
			    LOG_S(l->fields.items[i].name, arena_copy(&arena, text->data ? text->data : "", text->len));
	}
	fields[count] = (struct log_field){.kind = LOG_END};
	if (ok && render(s, r, l->message, context, text))
		log_write(l->level, text->data ? text->data : "", 0, fields);
	arena_fini(&arena);
}

static void log_all(const struct stage *s, struct runner *r, struct message *const *messages, size_t count)
{
	const struct logger *l = s->state;
	struct buf text;

	if (!log_wanted(l->level))
		return;
	buf_init(&text, TEXT_MAX_BYTES);
	for (size_t i = 0; i < count; i++) {
		const struct message_batch context = {.messages = messages, .count = count, .index = i};

		log_one(s, r, &context, &text);
	}
	buf_fini(&text);
}

static void process_log_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch, struct batches *out)
{
	log_all(s, r, batch->items, batch->count);
	stage_pass(batch, out);
}

static void process_log_each(const struct stage *s, struct runner *r, struct message *m, struct pipeline_batch *to)
{
	log_all(s, r, &m, 1);
	pipeline_batch_add(to, m);
}

struct meter {
	enum config_meter form;
	char *name;
	struct bloblang_template *value;
	struct named_templates labels;
};

static bool is_metric_name(const char *name)
{
	if (!isalpha((unsigned char)*name) && *name != '_' && *name != ':')
		return false;
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '_' && *p != ':')
			return false;
	return true;
}

/* Of Prometheus' data model: no colon, and what begins with __ is its own. */
static bool is_label_name(const char *name)
{
	return is_metric_name(name) && !strchr(name, ':') && strncmp(name, "__", 2) != 0;
}

static bool is_own_metric(const char *name)
{
	for (int i = 0; i < METRIC_COUNT; i++)
		if (strcmp(metric_info((enum metric)i)->name, name) == 0)
			return true;
	return false;
}

static int compare_names(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static char *joined_labels(const struct named_templates *labels)
{
	const char *names[FIELDS_MAX];
	struct buf out;

	for (size_t i = 0; i < labels->count; i++)
		names[i] = labels->items[i].name;
	if (labels->count > 1)
		qsort(names, labels->count, sizeof *names, compare_names);
	buf_init(&out, TEXT_MAX_BYTES);
	(void)buf_add_text(&out, "");
	for (size_t i = 0; i < labels->count; i++)
		(void)buf_addf(&out, "%s,", names[i]);
	return buf_take(&out, NULL);
}

/* One name is one type and one set of labels, wherever in the file it is used. */
static void claim_name(struct compiler *c, const struct config_node *node, const struct meter *m)
{
	struct metric_names *all = &c->metrics;
	AUTOFREE char *labels = joined_labels(&m->labels);
	int type = m->form == METER_COUNTER_BY ? METER_COUNTER : (int)m->form;

	for (size_t i = 0; i < all->count; i++) {
		const struct metric_name *other = &all->items[i];

		if (strcmp(other->name, m->name) != 0)
			continue;
		if (other->type != type)
			stage_compile_fault(c, node, "%s has another type on line %d: one name is one metric", m->name,
			                    other->node->line);
		else if (strcmp(other->labels, labels) != 0)
			stage_compile_fault(c, node, "%s has other labels on line %d: one name is one metric", m->name,
			                    other->node->line);
		return;
	}
	all->items = mem_grow(all->items, all->count + 1, sizeof *all->items);
	all->items[all->count++] =
	    (struct metric_name){.node = node, .name = mem_string(m->name), .type = type, .labels = take(labels)};
}

static void check_metric(struct compiler *c, const struct config_node *node, const struct meter *m, bool has_value)
{
	for (size_t i = 0; i < m->labels.count; i++)
		if (!is_label_name(m->labels.items[i].name))
			stage_compile_fault(
			    c, node, "label %s: expected letters, digits and _, not beginning with a digit or __",
			    m->labels.items[i].name);
	if (m->name && !is_metric_name(m->name))
		stage_compile_fault(c, node, "name %s: expected letters, digits, _ and :, not beginning with a digit",
		                    m->name);
	else if (m->name && is_own_metric(m->name))
		stage_compile_fault(c, node, "name %s is a metric of kspool's own; choose another", m->name);
	else if (m->name)
		claim_name(c, node, m);
	if (m->form == METER_COUNTER && has_value)
		stage_compile_warning(c, node,
		                      "value has no effect: a counter counts messages; counter_by adds values");
	else if (m->form != METER_COUNTER && !has_value)
		stage_compile_warning(c, node, "without a value nothing is measured; set value");
}

static void process_metric_compile(struct compiler *c, const struct config_node *node, void **ret_state)
{
	struct meter *m = mem_zero(sizeof *m);
	struct options_processor_metric o;

	fields_read(c, options_processor_metric(), node, &o);
	m->form = (enum config_meter)o.type;
	m->name = take(o.name);
	m->value = stage_compile_template(c, &o.value);
	named_compile(c, o.labels, &m->labels);
	check_metric(c, node, m, o.value.text);
	options_free(options_processor_metric(), &o);
	*ret_state = m;
}

static void metric_free(void *state)
{
	struct meter *m = state;

	free(m->name);
	bloblang_template_free(m->value);
	named_free(&m->labels);
	free(m);
}

static bool number_of(const struct stage *s, const char *text, double *ret)
{
	char *end;

	errno = 0;
	*ret = strtod(text, &end);
	if (*text && *end == '\0' && errno == 0 && *ret >= 0)
		return true;
	LOG_LIMITED(LOG_ERROR, "metric value is not a positive number", LOG_S("path", s->where.path));
	return false;
}

static void measure(const struct stage *s, struct runner *r, const struct message_batch *context, struct buf *text,
                    struct buf *labels)
{
	const struct meter *m = s->state;
	struct series *series;
	double number = 1;

	buf_clear(labels);
	for (size_t i = 0; i < m->labels.count; i++) {
		if (!render(s, r, m->labels.items[i].value, context, text))
			return;
		series_add_label(labels, m->labels.items[i].name, text->data ? text->data : "");
	}
	if (labels->overflow) { /* a part of them would be another metric, or none */
		LOG_LIMITED(LOG_ERROR, "metric labels are too long", LOG_S("path", s->where.path));
		return;
	}
	if (m->form != METER_COUNTER &&
	    (!render(s, r, m->value, context, text) || !number_of(s, text->data ? text->data : "", &number)))
		return;
	series = series_find(m->form == METER_GAUGE || m->form == METER_TIMING ? SERIES_GAUGE : SERIES_COUNTER, m->name,
	                     labels->data ? labels->data : "");
	if (series && (m->form == METER_GAUGE || m->form == METER_TIMING))
		series_set(series, number);
	else if (series)
		series_add(series, number);
}

static void measure_all(const struct stage *s, struct runner *r, struct message *const *messages, size_t count)
{
	struct buf text, labels;

	buf_init(&text, TEXT_MAX_BYTES);
	buf_init(&labels, LABELS_MAX_BYTES);
	for (size_t i = 0; i < count; i++) {
		const struct message_batch context = {.messages = messages, .count = count, .index = i};

		measure(s, r, &context, &text, &labels);
	}
	buf_fini(&text);
	buf_fini(&labels);
}

static void process_metric_run(const struct stage *s, struct runner *r, struct pipeline_batch *batch,
                               struct batches *out)
{
	measure_all(s, r, batch->items, batch->count);
	stage_pass(batch, out);
}

static void process_metric_each(const struct stage *s, struct runner *r, struct message *m, struct pipeline_batch *to)
{
	measure_all(s, r, &m, 1);
	pipeline_batch_add(to, m);
}

const struct stage_row process_log = {
    .name = "log", .compile = process_log_compile, .run = process_log_run, .each = process_log_each, .free = log_free};

const struct stage_row process_metric = {.name = "metric",
                                         .compile = process_metric_compile,
                                         .run = process_metric_run,
                                         .each = process_metric_each,
                                         .free = metric_free};
