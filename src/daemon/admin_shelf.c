/* The endpoints that act: control socket only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/jsonout.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/percent.h"
#include "daemon/admin.h"

enum { SHELF_PAGE_ROWS = 1000, ANSWER_MAX_BYTES = 64 << 20, TARGET_MAX = 1024 };

struct control {
	struct status_source *source;
	struct delivery *delivery;
};

/* One question to the journal thread on behalf of one request. */
struct shelf_question {
	struct journal_question question; /* first member */
	struct httpd_request *request;
	uint64_t id;
	uint64_t after_id;
	uint64_t limit;
	char target[TARGET_MAX];
	bool with_body;
	enum err result;
	uint64_t count;
	struct error error;
	struct buf body;
	struct jsonout json;
};

/* The value of name in "a=1&b=2"; the values used here need no decoding but %2F and friends in paths. */
static bool query_get(const char *query, const char *name, char *value, size_t size)
{
	size_t length = strlen(name), used = 0;

	for (const char *p = query; p && *p; p = strchr(p, '&') ? strchr(p, '&') + 1 : NULL) {
		if (strncmp(p, name, length) != 0 || p[length] != '=')
			continue;
		for (p += length + 1; *p && *p != '&' && used + 1 < size; p++) {
			int byte = percent_decode(p, p + strlen(p));

			value[used++] = byte >= 0 ? (char)byte : *p;
			p += byte >= 0 ? PERCENT_CHARS - 1 : 0;
		}
		value[used] = '\0';
		return true;
	}
	return false;
}

static bool query_number(const char *query, const char *name, uint64_t *ret)
{
	char text[32];

	return !query_get(query, name, text, sizeof text) || num_parse_u64(text, ret);
}

static bool print_dead(void *arg, const struct store_dead *dead)
{
	struct shelf_question *q = arg;
	struct jsonout *j = &q->json;

	jsonout_object(j, NULL);
	jsonout_uint(j, "id", dead->id);
	jsonout_time_ms(j, "received", dead->received_ms);
	jsonout_time_ms(j, "set_aside", dead->died_ms);
	jsonout_uint(j, "attempts", dead->attempts);
	jsonout_text(j, "code", dead->code);
	jsonout_text(j, "reason", dead->reason);
	jsonout_uint(j, "bytes", dead->body_bytes);
	if (q->with_body) {
		size_t length = base64_length(BASE64_STANDARD, dead->body_bytes);
		char *text = mem_alloc(length);
		struct meta_entry entry;
		size_t cursor = 0;

		base64_encode(BASE64_STANDARD, dead->body, dead->body_bytes, text);
		jsonout_text_n(j, "body_base64", text, length);
		free(text);
		jsonout_object(j, "metadata");
		while (meta_next(dead->meta, dead->meta_bytes, &cursor, &entry)) {
			char *key = mem_string_n(entry.key, entry.key_length);

			jsonout_text_n(j, key, entry.value, entry.value_length);
			free(key);
		}
		jsonout_object_end(j);
	}
	jsonout_object_end(j);
	return !q->body.overflow;
}

static void run_list(struct store *store, struct journal_question *question)
{
	struct shelf_question *q = (struct shelf_question *)question;

	jsonout_array(&q->json, NULL);
	q->result = q->id ? store_dead_get(store, q->id, print_dead, q, &q->error)
	                  : store_dead_walk(store, q->after_id, (uint32_t)q->limit, print_dead, q, &q->error);
	jsonout_array_end(&q->json);
}

static void run_retry(struct store *store, struct journal_question *question)
{
	struct shelf_question *q = (struct shelf_question *)question;

	q->result = store_dead_retry(store, q->id, &q->count, &q->error);
}

static void run_purge(struct store *store, struct journal_question *question)
{
	struct shelf_question *q = (struct shelf_question *)question;

	q->result = store_dead_purge(store, q->id, &q->count, &q->error);
}

static void run_export(struct store *store, struct journal_question *question)
{
	struct shelf_question *q = (struct shelf_question *)question;

	q->result = store_export(store, q->target, &q->error);
}

/* A refusal names its error, so that the command can end with the right exit status. */
static void answer_error(struct httpd_request *r, int status, const struct error *e)
{
	struct buf body;
	struct jsonout j;

	buf_init(&body, sizeof e->text * 8);
	jsonout_init(&j, &body);
	jsonout_object(&j, NULL);
	jsonout_text(&j, "error", error_name(e->code));
	jsonout_text(&j, "message", e->text);
	jsonout_object_end(&j);
	httpd_answer(r, status, "application/json", NULL, body.data, body.len);
	buf_fini(&body);
}

static void answer_question(struct journal_question *question)
{
	struct shelf_question *q = (struct shelf_question *)question;

	if (q->result != ERR_OK) {
		answer_error(q->request, 409, &q->error);
	} else {
		if (q->body.len == 0 || question->run != run_list) {
			buf_clear(&q->body);
			jsonout_init(&q->json, &q->body);
			jsonout_object(&q->json, NULL);
			jsonout_uint(&q->json, "count", q->count);
			jsonout_object_end(&q->json);
		}
		httpd_answer(q->request, 200, "application/json", NULL, q->body.data, q->body.len);
	}
	buf_fini(&q->body);
	free(q);
}

static void ask(struct control *c, struct httpd_request *r, void (*run)(struct store *, struct journal_question *))
{
	const char *query = httpd_query(r);
	struct shelf_question *q = mem_zero(sizeof *q);
	struct error e = {.code = ERR_USAGE, .text = "id, after and limit are whole numbers"};
	char text[8];

	q->question.run = run;
	q->question.done = answer_question;
	q->request = r;
	q->limit = SHELF_PAGE_ROWS;
	q->with_body = query_get(query, "body", text, sizeof text);
	buf_init(&q->body, ANSWER_MAX_BYTES);
	jsonout_init(&q->json, &q->body);
	(void)query_get(query, "to", q->target, sizeof q->target);
	if (!query_number(query, "id", &q->id) || !query_number(query, "after", &q->after_id) ||
	    !query_number(query, "limit", &q->limit) || q->limit > SHELF_PAGE_ROWS) {
		answer_error(r, 400, &e);
	} else if (!journal_ask(c->source->journal, &q->question)) {
		(void)error_set(&e, ERR_BUSY, "the journal is busy; try again");
		answer_error(r, 503, &e);
	} else {
		return;
	}
	buf_fini(&q->body);
	free(q);
}

static void act_list(struct httpd_request *r, void *arg) { ask(arg, r, run_list); }

static void act_retry(struct httpd_request *r, void *arg) { ask(arg, r, run_retry); }

static void act_purge(struct httpd_request *r, void *arg) { ask(arg, r, run_purge); }

static void act_export(struct httpd_request *r, void *arg) { ask(arg, r, run_export); }

static void act_drain(struct httpd_request *r, void *arg)
{
	struct control *c = arg;

	delivery_kick(c->delivery);
	httpd_answer(r, 200, "application/json", NULL, "{}\n", 3);
}

void admin_act(struct httpd *server, struct status_source *source, struct delivery *delivery)
{
	static struct control control; /* one daemon a process */

	control.source = source;
	control.delivery = delivery;
	httpd_route(server, "GET", "/dead", act_list, &control);
	httpd_route(server, "POST", "/dead/retry", act_retry, &control);
	httpd_route(server, "POST", "/dead/purge", act_purge, &control);
	httpd_route(server, "POST", "/export", act_export, &control);
	httpd_route(server, "POST", "/drain", act_drain, &control);
}
