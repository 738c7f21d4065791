/*
 * Invariants:
 * 1. A shelf_request lives from the request to its answer, and every request is answered once: by the journal's answer,
 *    or here when it was not asked.
 * 2. A page has at most SHELF_PAGE_ROWS rows and ANSWER_MAX_BYTES bytes; who wants more asks again, behind the last id.
 * 3. A value of the query is read whole or refused: a path that was cut would be another path.
 */
#include "daemon/admin_shelf.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonout.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/hex.h"
#include "journal/journal_questions.h"

enum { SHELF_PAGE_ROWS = 1000, ANSWER_MAX_BYTES = 64 << 20, TARGET_MAX = PATH_MAX };

struct admin_shelf {
	struct journal *journal;
	struct delivery *delivery;
};

/* What one request asked of the journal; it ends with the answer. */
struct shelf_request {
	struct httpd_request *request;
	bool with_body;
};

enum found { FOUND, ABSENT, BROKEN };

/* The value of name in "a=1&b=2", decoded. BROKEN: it is longer than value, or has an escape that is none. */
static enum found query_get(const char *query, const char *name, char *value, size_t size)
{
	size_t length = strlen(name), used = 0;
	const char *p = query, *end;

	while (strncmp(p, name, length) != 0 || p[length] != '=') {
		p = strchr(p, '&');
		if (!p)
			return ABSENT;
		p++;
	}
	p += length + 1;
	end = p + strcspn(p, "&");
	while (p < end && used + 1 < size) {
		int byte = *p == '%' ? hex_percent_decode(p, end) : (unsigned char)*p;

		if (byte <= 0)
			return BROKEN;
		value[used++] = (char)byte;
		p += *p == '%' ? HEX_PERCENT_CHARS : 1;
	}
	value[used] = '\0';
	return p < end ? BROKEN : FOUND;
}

static bool query_number(const char *query, const char *name, uint64_t *ret)
{
	char text[32];
	enum found found = query_get(query, name, text, sizeof text);

	return found == ABSENT || (found == FOUND && num_parse_u64(text, ret));
}

static void print_dead(struct jsonout *j, const struct store_dead *dead, bool with_body)
{
	jsonout_object(j, NULL);
	jsonout_uint(j, "id", dead->id);
	jsonout_time_ms(j, "received", dead->received_ms);
	jsonout_time_ms(j, "set_aside", dead->died_ms);
	jsonout_uint(j, "attempts", dead->attempts);
	jsonout_text(j, "code", dead->code);
	jsonout_text(j, "reason", dead->reason);
	jsonout_uint(j, "bytes", dead->body_bytes);
	if (dead->is_damaged)
		jsonout_bool(j, "damaged", true);
	if (with_body) {
		struct meta_entry entry;
		size_t cursor = 0;

		jsonout_base64(j, "body_base64", dead->body, dead->body_bytes);
		jsonout_object(j, "metadata");
		while (meta_next(dead->meta, dead->meta_bytes, &cursor, &entry)) {
			char *key = mem_string_n(entry.key, entry.key_length);

			jsonout_text_n(j, key, entry.value, entry.value_length);
			free(key);
		}
		jsonout_object_end(j);
	}
	jsonout_object_end(j);
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

/* A query that cannot be acted on. */
static void refuse(struct httpd_request *r, const char *reason)
{
	struct error e;

	(void)error_set(&e, ERR_USAGE, "%s", reason);
	answer_error(r, 400, &e);
}

static void answer_list(void *arg, const struct journal_answer *answer)
{
	struct shelf_request *q = arg;
	struct buf body;
	struct jsonout j;

	if (answer->error.code != ERR_OK) {
		answer_error(q->request, 409, &answer->error);
		free(q);
		return;
	}
	buf_init(&body, ANSWER_MAX_BYTES);
	jsonout_init(&j, &body);
	jsonout_array(&j, NULL);
	for (size_t i = 0; i < answer->dead_count && !body.overflow; i++)
		print_dead(&j, &answer->dead[i], q->with_body);
	jsonout_array_end(&j);
	httpd_answer(q->request, 200, "application/json", NULL, body.data, body.len);
	buf_fini(&body);
	free(q);
}

static void answer_count(void *arg, const struct journal_answer *answer)
{
	struct shelf_request *q = arg;
	char text[96];
	int length = snprintf(text, sizeof text, "{\"count\":%" PRIu64 "", answer->count);

	if (answer->damaged > 0) /* only when there are some: scripts compare the rest */
		length +=
		    snprintf(text + length, sizeof text - (size_t)length, ",\"damaged\":%" PRIu64, answer->damaged);
	length += snprintf(text + length, sizeof text - (size_t)length, "}");

	if (answer->error.code != ERR_OK)
		answer_error(q->request, 409, &answer->error);
	else
		httpd_answer(q->request, 200, "application/json", NULL, text, (size_t)length);
	free(q);
}

/* The numbers of a request; false when they were refused. */
static bool parse_page(struct httpd_request *r, struct journal_page *p)
{
	const char *query = httpd_query(r);
	uint64_t limit = SHELF_PAGE_ROWS;
	char text[8];

	*p = (struct journal_page){.max_bytes = ANSWER_MAX_BYTES / 2};
	p->with_body = query_get(query, "body", text, sizeof text) != ABSENT;
	if (!query_number(query, "id", &p->id) || !query_number(query, "after", &p->after_id) ||
	    !query_number(query, "limit", &limit) || limit > SHELF_PAGE_ROWS) {
		refuse(r, "id, after and limit are whole numbers");
		return false;
	}
	p->limit = (uint32_t)limit;
	return true;
}

static struct shelf_request *shelf_request_new(struct httpd_request *r, bool with_body)
{
	struct shelf_request *q = mem_zero(sizeof *q);

	q->request = r;
	q->with_body = with_body;
	return q;
}

static void end_if_busy(bool was_asked, struct shelf_request *q)
{
	const struct error busy = {.code = ERR_BUSY, .text = "the journal is busy; try again"};

	if (was_asked)
		return;
	answer_error(q->request, 503, &busy);
	free(q);
}

static void act_list(struct httpd_request *r, void *arg)
{
	const struct admin_shelf *shelf = arg;
	struct shelf_request *q;
	struct journal_page p;

	if (!parse_page(r, &p))
		return;
	q = shelf_request_new(r, p.with_body);
	end_if_busy(journal_ask_dead(shelf->journal, &p, answer_list, q), q);
}

static void act_retry(struct httpd_request *r, void *arg)
{
	const struct admin_shelf *shelf = arg;
	struct shelf_request *q;
	struct journal_page p;

	if (!parse_page(r, &p))
		return;
	q = shelf_request_new(r, false);
	end_if_busy(journal_retry_dead(shelf->journal, p.id, answer_count, q), q);
}

static void act_purge(struct httpd_request *r, void *arg)
{
	const struct admin_shelf *shelf = arg;
	struct shelf_request *q;
	struct journal_page p;

	if (!parse_page(r, &p))
		return;
	q = shelf_request_new(r, false);
	end_if_busy(journal_purge_dead(shelf->journal, p.id, answer_count, q), q);
}

static void act_export(struct httpd_request *r, void *arg)
{
	const struct admin_shelf *shelf = arg;
	struct shelf_request *q;
	char target[TARGET_MAX] = "";

	if (query_get(httpd_query(r), "to", target, sizeof target) == BROKEN) {
		refuse(r, "the path to export to is too long or not readable");
		return;
	}
	q = shelf_request_new(r, false);
	end_if_busy(journal_export(shelf->journal, target, answer_count, q), q);
}

static void act_drain(struct httpd_request *r, void *arg)
{
	const struct admin_shelf *shelf = arg;

	delivery_kick(shelf->delivery);
	httpd_answer(r, 200, "application/json", NULL, "{}\n", 3);
}

struct admin_shelf *admin_shelf_open(struct httpd *server, struct journal *journal, struct delivery *delivery)
{
	static const struct {
		const char *method;
		const char *path;
		httpd_handler *handler;
	} acts[] = {
	    {"GET", "/dead", act_list},      {"POST", "/dead/retry", act_retry}, {"POST", "/dead/purge", act_purge},
	    {"POST", "/export", act_export}, {"POST", "/drain", act_drain},
	};
	struct admin_shelf *shelf = mem_zero(sizeof *shelf);

	shelf->journal = journal;
	shelf->delivery = delivery;
	for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
		httpd_route(server, acts[i].method, acts[i].path, acts[i].handler, shelf);
	return shelf;
}

void admin_shelf_free(struct admin_shelf *shelf) { free(shelf); }
