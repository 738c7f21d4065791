/*
 * prepare: see the header.
 *
 * Invariants:
 * 1. Rows are listed exactly when a processor ran, each once, with the size the journal handed over.
 * 2. A record's key is a constant of the preparer, which lives longer, or the record's own copy.
 * 3. No message of a part leaves it before the last key is made.
 * 4. A check has an evaluator and a mark of its own: it may run while another thread prepares.
 */
#include "delivery/prepare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/random.h"
#include "kinesis/key.h"
#include "kinesis/limits.h"
#include "delivery/dispatch_settings.h"
#include "bloblang/bloblang.h"
#include "pipeline/poison.h"

enum { KEY_ROOM = 64 << 10 /* a rendered key beyond this is refused before it is looked at */ };

#define CHECK_NS (INT64_C(50) * NS_PER_MS) /* of a check: it holds the thread that reads answers */

/* A template with its constant folded. */
struct key {
	struct bloblang_template *template; /* null: not configured */
	const char *constant;               /* null: rendered for each message */
	size_t constant_bytes;
	struct buf text;
};

struct preparer {
	const struct config *config; /* keys, check and processors are of it; what SIGHUP changes comes with a run */
	struct evaluator *evaluator;
	struct key partition;
	struct key hash;
	struct bloblang_mapping *check;
	struct evaluator *checker;   /* null without a check */
	struct pipeline *processors; /* output.processors, batching.processors */
	int64_t part_bytes;          /* by which a batch becomes larger at once; a key that looks at neighbours: all */
	bool has_run;                /* the processors, over a part of this batch: the next one goes on with its time */
};

static enum err language_fault(const struct config *c, const struct config_text *text, const char *field,
                               const struct bloblang_fault *fault, struct error *e)
{
	int line, column;

	config_text_place(text, fault->line, fault->column, &line, &column);
	return error_set(e, ERR_CONFIG, "%s(%d,%d) output.aws_kinesis.%s: %s", c->file ? c->file : "", line, column,
	                 field, fault->text);
}

static enum err parse_key(struct key *k, const char *field, const struct config *c, const struct config_text *text,
                          struct error *e)
{
	struct bloblang_fault fault;

	buf_init(&k->text, KEY_ROOM);
	if (!text->text || !text->text[0])
		return ERR_OK;
	if (bloblang_template_parse(text->text, &k->template, &fault) != ERR_OK)
		return language_fault(c, text, field, &fault, e);
	(void)bloblang_template_constant(k->template, &k->constant, &k->constant_bytes);
	return ERR_OK;
}

static void key_fini(struct key *k)
{
	bloblang_template_free(k->template);
	buf_fini(&k->text);
}

static bool key_reads_batch(const struct key *k)
{
	return k->template && !k->constant && bloblang_template_reads_batch(k->template);
}

static int64_t check_ns(const struct config *c)
{
	return c->kspool.process_time_ns < CHECK_NS ? c->kspool.process_time_ns : CHECK_NS;
}

static enum err parse_check(struct preparer *p, struct error *e)
{
	const struct config_text *text = &p->config->output.batching.check;
	struct bloblang_fault fault;

	if (!text->text || !text->text[0])
		return ERR_OK;
	if (bloblang_mapping_parse(text->text, NULL, &p->check, &fault) != ERR_OK)
		return language_fault(p->config, text, "batching.check", &fault, e);
	p->checker = evaluator_new();
	evaluator_limit(p->checker, p->config->kspool.memory_bytes, check_ns(p->config), false);
	return ERR_OK;
}

static enum err compile_processors(struct preparer *p, struct error *e)
{
	const struct pipeline_list lists[] = {
	    {p->config->output_processors, "output.processors"},
	    {p->config->output.batching.processors, "output.aws_kinesis.batching.processors"},
	};
	struct config_faults faults = {0};
	enum err err = pipeline_compile_lists(lists, 2, p->config, &p->processors, &faults);

	if (err != ERR_OK)
		error_set(e, err, "%s(%d,%d) %s", p->config->file ? p->config->file : "",
		          faults.count ? faults.items[0].line : 0, faults.count ? faults.items[0].column : 0,
		          faults.count ? faults.items[0].text : "a processor does not compile");
	config_faults_fini(&faults);
	return err;
}

enum err preparer_open(const struct config *config, struct preparer **ret, struct error *e)
{
	struct preparer *p = mem_zero(sizeof *p);
	enum err err;

	p->config = config;
	p->evaluator = pipeline_evaluator_new(config, false);
	err = parse_key(&p->partition, "partition_key", config, &config->output.partition_key, e);
	if (err == ERR_OK)
		err = parse_key(&p->hash, "hash_key", config, &config->output.hash_key, e);
	if (err == ERR_OK)
		err = parse_check(p, e);
	if (err == ERR_OK)
		err = compile_processors(p, e);
	if (err != ERR_OK) {
		preparer_close(p);
		return err;
	}
	p->part_bytes = key_reads_batch(&p->partition) || key_reads_batch(&p->hash)
	                    ? INT64_MAX
	                    : (int64_t)(dispatch_settings_memory(config).bytes / 2);
	*ret = p;
	return ERR_OK;
}

void preparer_close(struct preparer *p)
{
	if (!p)
		return;
	key_fini(&p->partition);
	key_fini(&p->hash);
	bloblang_mapping_free(p->check);
	pipeline_free(p->processors);
	evaluator_free(p->evaluator);
	evaluator_free(p->checker);
	free(p);
}

static bool key_takes_time(const struct key *k)
{
	return k->template && !k->constant && !bloblang_template_is_plain(k->template);
}

bool preparer_takes_time(const struct preparer *p)
{
	return !pipeline_is_empty(p->processors) || key_takes_time(&p->partition) || key_takes_time(&p->hash);
}

bool preparer_has_check(const struct preparer *p) { return p->check; }

/* The ids of a list, which is not empty. */
static void ids_of(const struct pipeline_batch *list, uint64_t *ret_first, uint64_t *ret_last)
{
	*ret_first = UINT64_MAX;
	*ret_last = 0;
	for (size_t i = 0; i < list->count; i++) {
		uint64_t id = list->items[i]->id;

		*ret_first = id < *ret_first ? id : *ret_first;
		*ret_last = id > *ret_last ? id : *ret_last;
	}
}

static void mark(const struct pipeline_batch *list)
{
	uint64_t first, last;

	ids_of(list, &first, &last);
	poison_begin(POISON_DELIVERY, first, last);
}

static bool is_suspect(const struct pipeline_batch *list)
{
	uint64_t first, last;

	if (list->count == 0)
		return false;
	ids_of(list, &first, &last);
	return poison_suspects(POISON_DELIVERY, first, last);
}

bool preparer_check(struct preparer *p, const struct batch *open)
{
	struct message_batch batch = {open->list.items, open->list.count, open->list.count - 1};
	bool is_true = false;
	struct error e;
	enum err err;

	if (poison_suspects(POISON_CHECK, open->first_id, open->last_id))
		return false; /* it goes without */
	poison_begin(POISON_CHECK, open->first_id, open->last_id);
	FAILPOINT_BYTES("check", message_body(open->list.items[batch.index]),
	                open->list.items[batch.index]->body_bytes);
	err = bloblang_mapping_check(p->check, p->checker, &batch, &is_true, &e);
	poison_end(POISON_CHECK);
	(void)evaluator_arena(p->checker); /* what it needed is not kept */
	if (err == ERR_OK)
		return is_true;
	LOG_LIMITED(LOG_ERROR, "batching.check failed", LOG_S("error", error_name(e.code)));
	return false;
}

/* A step begins. False: nothing is wanted any more. */
static bool step(struct prepare_pulse *pulse)
{
	if (!pulse)
		return true;
	atomic_store_explicit(&pulse->step_ns, clock_mono_ns(), memory_order_relaxed);
	return !atomic_load_explicit(&pulse->ends, memory_order_relaxed);
}

static void list_rows(const struct message *const *items, size_t count, struct prepared *ret)
{
	ret->row_count = count;
	ret->rows = mem_array(count, sizeof *ret->rows);
	for (size_t i = 0; i < count; i++)
		ret->rows[i] =
		    (struct prepared_row){.id = items[i]->id, .row_bytes = items[i]->meta_bytes + items[i]->body_bytes};
}

/* The messages that were taken have another owner. */
static void leave_rest(struct pipeline_batch *list, size_t taken)
{
	list->count -= taken;
	memmove(list->items, list->items + taken, list->count * sizeof *list->items);
}

/*
 * Runs the processors over the batch, or over a part from its front: the rows as they came in go to *ret, what became
 * of them to *made. Where the last run died on one of these each is a part, and what did it twice is not run.
 */
static void run_processors(struct preparer *p, struct batch *batch, struct pipeline_batch *made, struct prepared *ret)
{
	const struct pipeline_batch list = {.items = batch->list.items,
	                                    .count = is_suspect(&batch->list) ? 1 : batch->list.count};
	struct pipeline_part part = {.enough_bytes = p->part_bytes};
	size_t taken = 1;

	p->has_run &= batch->is_rest;
	part.is_rest = p->has_run;
	list_rows((const struct message *const *)list.items, list.count, ret);
	if (list.count > 1 || !poison_condemns(POISON_DELIVERY, list.items[0]->id)) {
		mark(&list);
		for (size_t i = 0; i < list.count; i++)
			FAILPOINT_BYTES("prepare", message_body(list.items[i]), list.items[i]->body_bytes);
		taken = pipeline_run_part(p->processors, p->evaluator, &list, &part, made);
		poison_end(POISON_DELIVERY);
		p->has_run = true;
	} else {
		pipeline_batch_add(made, list.items[0]);
	}
	leave_rest(&batch->list, taken);
	ret->row_count = taken;
	ret->charged_bytes = part.charged_bytes;
	ret->not_before_ns = part.not_before_ns;
}

/* Puts the key's text for one message at *ret: the constant, or k->text. */
static enum err render(struct preparer *p, struct key *k, const struct message_batch *at, const char **ret,
                       size_t *ret_bytes, struct error *e)
{
	enum err err;

	*ret = k->constant ? k->constant : "";
	*ret_bytes = k->constant_bytes;
	if (k->constant || !k->template)
		return ERR_OK;
	buf_clear(&k->text);
	err = bloblang_template_render(k->template, p->evaluator, at, &k->text, e);
	if (err != ERR_OK)
		return err;
	*ret = k->text.data ? k->text.data : "";
	*ret_bytes = k->text.len;
	return ERR_OK;
}

struct keys {
	const char *partition, *hash;
	size_t partition_bytes, hash_bytes;
	char random[37];
};

static enum err make_keys(struct preparer *p, const struct message_batch *at, struct keys *ret, struct error *e)
{
	enum err err = render(p, &p->partition, at, &ret->partition, &ret->partition_bytes, e);

	if (err == ERR_OK)
		err = key_check_partition(ret->partition, ret->partition_bytes, e);
	if (err != ERR_OK) {
		(void)error_wrap(e, "partition_key");
		return err;
	}
	err = render(p, &p->hash, at, &ret->hash, &ret->hash_bytes, e);
	if (err == ERR_OK && ret->hash_bytes > 0) /* empty: the field is left out, as Redpanda Connect does */
		err = key_check_hash(ret->hash, ret->hash_bytes, e);
	if (err != ERR_OK)
		(void)error_wrap(e, "hash_key");
	return err;
}

static void use_random_key(struct keys *k)
{
	k->partition = random_uuid(k->random);
	k->partition_bytes = strlen(k->random);
	k->hash = "";
	k->hash_bytes = 0;
}

/* Why the record must not be sent; null when it may. */
static const char *refusal(const struct config *config, const struct message *m, const struct keys *k, bool has_keys,
                           struct error *e)
{
	uint64_t most = config->kspool.max_record_bytes_bytes;

	if (m->failure && config->kspool.processor_error == FAILED_SET_ASIDE) {
		error_set(e, ERR_INPUT, "a processor failed: %s", m->failure->reason);
		return "ProcessorFailed";
	}
	if (!has_keys)
		return "KeyError";
	if (putrecords_accounted(m->body_bytes, k->partition_bytes) > most) {
		error_set(e, ERR_TOOBIG, "data and key have %llu bytes; kspool.max_record_bytes is %llu",
		          (unsigned long long)putrecords_accounted(m->body_bytes, k->partition_bytes),
		          (unsigned long long)most);
		return "RecordTooLarge";
	}
	return NULL;
}

static struct prepared_record condemned(struct message *m)
{
	return (struct prepared_record){.code = "Poison",
	                                .reason = mem_string("its preparation ended the process, more than once"),
	                                .record = record_new(m, "", 0, true, NULL, 0)};
}

static struct prepared_record prepare_one(struct preparer *p, const struct config *config,
                                          const struct message_batch *at)
{
	struct message *m = at->messages[at->index];
	struct prepared_record one = {0};
	struct keys keys;
	struct error e;
	bool has_keys;

	if (poison_condemns(POISON_DELIVERY, m->id))
		return condemned(m);
	FAILPOINT_BYTES("key", message_body(m), m->body_bytes);
	has_keys = make_keys(p, at, &keys, &e) == ERR_OK;
	if (!has_keys && config->kspool.key_error == KEY_RANDOM) {
		use_random_key(&keys);
		has_keys = true;
	}
	one.code = refusal(config, m, &keys, has_keys, &e);
	if (one.code) {
		one.reason = mem_string(e.text);
		one.record = record_new(m, "", 0, true, NULL, 0);
	} else {
		one.record = record_new(m, keys.partition, (uint32_t)keys.partition_bytes,
		                        keys.partition == p->partition.constant, keys.hash, (uint32_t)keys.hash_bytes);
	}
	return one;
}

/* Keys may look at neighbours: nobody leaves before the last is made. False: the pulse ended it. */
static bool make_records(struct preparer *p, const struct config *config, const struct pipeline_batch *list,
                         struct prepare_pulse *pulse, struct prepared *ret)
{
	bool singly = is_suspect(list), goes_on = true;

	if (list->count > 0 && !singly)
		mark(list);
	for (size_t i = 0; i < list->count && (goes_on = step(pulse)); i++) {
		struct message_batch at = {list->items, list->count, i};

		if (singly)
			poison_begin(POISON_DELIVERY, list->items[i]->id, list->items[i]->id);
		ret->records[ret->count++] = prepare_one(p, config, &at);
		if (singly)
			poison_end(POISON_DELIVERY);
	}
	if (list->count > 0 && !singly)
		poison_end(POISON_DELIVERY);
	return goes_on;
}

static void forget(struct prepared *made)
{
	for (size_t i = 0; i < made->count; i++) {
		record_free(made->records[i].record);
		free(made->records[i].reason);
	}
	free(made->records);
	free(made->rows);
	budget_give(made->charged_bytes);
	*made = (struct prepared){0};
}

bool preparer_run(struct preparer *p, const struct config *config, struct batch *batch, struct prepare_pulse *pulse,
                  struct prepared *ret)
{
	struct pipeline_batch list = {0};
	bool whole = step(pulse);

	must(batch->list.count > 0);
	*ret = (struct prepared){0};
	if (whole && !pipeline_is_empty(p->processors)) {
		run_processors(p, batch, &list, ret);
	} else {
		list = batch->list;
		batch->list = (struct pipeline_batch){0};
	}
	ret->records = mem_array(list.count ? list.count : 1, sizeof *ret->records);
	whole = step(pulse) && make_records(p, config, &list, pulse, ret);
	must(ret->count <= list.count);
	for (size_t i = 0; i < ret->count; i++)
		list.items[i] = NULL;
	pipeline_batch_fini(&list);
	if (!whole)
		forget(ret);
	return whole;
}
