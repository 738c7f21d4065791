/*
 * What the daemon says of itself, out of metrics and what each part last told.
 *
 * Invariants:
 * 1. Nothing here waits for another thread: metrics, the newest delivery status, names in the spool's folder.
 * 2. `why` is empty exactly when the daemon is ready.
 * 3. Damage that is contained is told, and is no reason not to be ready.
 */
#include "daemon/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/jsonout.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/num.h"

void status_look(struct status_source *s)
{
	if (s->sender)
		delivery_status(s->sender, s->delivery);
	if (s->doors)
		s->doors_memory_bytes = doors_memory_bytes(s->doors);
}

static uint64_t gauge(enum metric m)
{
	int64_t value = metric_get(m);

	return value > 0 ? (uint64_t)value : 0;
}

static int64_t oldest_age_ms(void)
{
	int64_t oldest_ms = metric_get(M_BACKLOG_OLDEST_MS);
	int64_t age_ms = oldest_ms > 0 ? clock_wall_ms() - oldest_ms : 0;

	return age_ms > 0 ? age_ms : 0;
}

/* Since the latest of start, the last acknowledgement, and the arrival of the oldest message that waits. */
static int64_t silence_ns(const struct status_source *s)
{
	int64_t up_ns = clock_mono_ns() - s->started_mono_ns;
	int64_t waits_ns = oldest_age_ms() * NS_PER_MS;
	int64_t ack_ns =
	    s->delivery->last_ack_ms > 0 ? (clock_wall_ms() - s->delivery->last_ack_ms) * NS_PER_MS : up_ns;

	if (ack_ns < 0 || ack_ns > up_ns)
		ack_ns = up_ns;
	return waits_ns < ack_ns ? waits_ns : ack_ns;
}

/* Why an input is not open; "" when it is. */
static const char *trouble_of(const struct status_source *s, size_t input)
{
	const char *trouble = s->doors ? doors_trouble(s->doors, input) : NULL;

	return trouble ? trouble : "";
}

/* What first is not open, as one sentence; false when all are. */
static bool has_input_trouble(const struct status_source *s, char *why, size_t why_size)
{
	for (size_t i = 0; i < s->opened->input_count; i++)
		if (*trouble_of(s, i)) {
			(void)snprintf(why, why_size, "%s is not open: %s",
			               s->opened->inputs[i].path ? s->opened->inputs[i].path : "input",
			               trouble_of(s, i));
			return true;
		}
	if (s->http_trouble && *s->http_trouble) {
		(void)snprintf(why, why_size, "the admin server is not open: %s", s->http_trouble);
		return true;
	}
	return false;
}

bool status_is_ready(const struct status_source *s, char *why, size_t why_size)
{
	struct error full = {.code = ERR_OK}, companion;
	char age[NUM_DURATION_MAX];

	why[0] = '\0';
	if (s->closing)
		(void)snprintf(why, why_size, "shutting down");
	else if (journal_admission(s->journal, &full) != ERR_OK)
		(void)snprintf(why, why_size, "not accepting: %s", full.text);
	else if (journal_companion_trouble(s->journal, &companion))
		(void)snprintf(why, why_size, "%s", companion.text);
	else if (s->delivery->state == DELIVERY_HELD || s->delivery->state == DELIVERY_OFFLINE ||
	         s->delivery->state == DELIVERY_BLOCKED)
		(void)snprintf(why, why_size, "stream %s is %s (%s): %s", s->config->output.stream,
		               delivery_state_name(s->delivery->state), s->delivery->code, s->delivery->reason);
	else if (gauge(M_LEDGER_PENDING) > 0 && silence_ns(s) > s->config->kspool.ready_within_ns)
		(void)snprintf(why, why_size, "messages wait and none was acknowledged for %s",
		               num_format_duration(silence_ns(s) / NS_PER_S * NS_PER_S, age));
	else
		(void)has_input_trouble(s, why, why_size);
	return why[0] == '\0';
}

static void print_shard(const struct delivery_shard *s, struct jsonout *j)
{
	jsonout_object(j, NULL);
	jsonout_text(j, "name", s->name);
	jsonout_uint(j, "records_per_second", s->records_s);
	jsonout_uint(j, "records_in_memory", s->waiting);
	jsonout_uint(j, "messages_on_disk", s->parked);
	jsonout_text(j, "key", s->key);
	jsonout_uint(j, "key_percent", s->key_percent);
	jsonout_object_end(j);
}

static void print_stream(const struct status_source *s, struct jsonout *j)
{
	const struct delivery_status *d = s->delivery;

	jsonout_object(j, "stream");
	jsonout_text(j, "name", d->stream[0] ? d->stream : s->config->output.stream);
	jsonout_text(j, "state", delivery_state_name(d->state));
	jsonout_time_ms(j, "since", d->since_ms);
	jsonout_text(j, "code", d->code);
	jsonout_text(j, "reason", d->reason);
	jsonout_time_ms(j, "next_probe", d->next_probe_ms);
	jsonout_time_ms(j, "last_acknowledged", d->last_ack_ms);
	jsonout_text(j, "region", d->region);
	jsonout_text(j, "host", d->host);
	jsonout_uint(j, "requests_in_flight", d->in_flight);
	jsonout_uint(j, "records_in_memory", d->waiting_records);
	jsonout_uint(j, "records_refused", d->refused_records);
	jsonout_object(j, "link");
	jsonout_uint(j, "bytes_per_second", d->link_bytes_s);
	jsonout_uint(j, "round_trip_ms", d->link_rtt_ms);
	jsonout_uint(j, "request_bytes", d->request_bytes);
	jsonout_bool(j, "is_thin", d->link_is_thin);
	jsonout_object_end(j);
	jsonout_uint(j, "shards_limited", d->shards_limited);
	jsonout_array(j, "shards");
	for (uint32_t i = 0; i < d->shard_count; i++)
		print_shard(&d->shards[i], j);
	jsonout_array_end(j);
	jsonout_int(j, "aggregates", metric_get(M_AGGREGATES));
	jsonout_int(j, "aggregated_messages", metric_get(M_AGGREGATED));
	jsonout_int(j, "put_units_saved", metric_get(M_PUT_UNITS_SAVED));
	jsonout_int(j, "order_breaches", metric_get(M_ORDER_BREACHES));
	jsonout_int(j, "keys_held", metric_get(M_KEYS_HELD));
	jsonout_int(j, "clock_offset_ms", metric_get(M_CLOCK_OFFSET_MS));
	jsonout_object_end(j);
	jsonout_object(j, "credentials");
	jsonout_text(j, "provider", d->provider);
	jsonout_text(j, "access_key_id", d->access_key_id);
	jsonout_time_ms(j, "expire", d->credentials_expire_ms);
	jsonout_object_end(j);
}

static void print_ledger(struct jsonout *j)
{
	static const struct {
		const char *name;
		enum metric metric;
	} rows[] = {
#define LEDGER_STATE(id, word, meaning) {#word, M_LEDGER_##id},
#include "base/ledger.def"
	};
	int64_t all[METRIC_COUNT], sum = 0;

	metric_get_all(all); /* of one moment, or it would not balance */
	jsonout_object(j, "ledger");
	jsonout_int(j, "accepted", all[M_LEDGER_ACCEPTED]);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		jsonout_int(j, rows[i].name, all[rows[i].metric]);
		sum += all[rows[i].metric];
	}
	jsonout_bool(j, "balanced", sum == all[M_LEDGER_ACCEPTED]);
	jsonout_object_end(j);
}

static void print_inputs(const struct status_source *s, struct jsonout *j)
{
	jsonout_array(j, "inputs");
	for (size_t i = 0; i < s->opened->input_count; i++) {
		const struct config_input *input = &s->opened->inputs[i];

		jsonout_object(j, NULL);
		jsonout_text(j, "label", input->label);
		jsonout_text(j, "path", input->path);
		jsonout_bool(j, "open", !s->closing && !*trouble_of(s, i));
		jsonout_text(j, "why", trouble_of(s, i));
		jsonout_object_end(j);
	}
	jsonout_array_end(j);
}

static void print_backlog(const struct status_source *s, struct jsonout *j)
{
	double drain = rates_time_to_drain(s->rates, gauge(M_LEDGER_PENDING));

	jsonout_object(j, "backlog");
	jsonout_uint(j, "messages", gauge(M_BACKLOG_ROWS));
	jsonout_uint(j, "bytes", gauge(M_BACKLOG_BYTES));
	jsonout_uint(j, "retrying", gauge(M_BACKLOG_RETRYING));
	jsonout_real(j, "oldest_age_seconds", (double)oldest_age_ms() / MS_PER_S);
	if (drain >= 0)
		jsonout_real(j, "time_to_drain_seconds", drain);
	else
		jsonout_null(j, "time_to_drain_seconds");
	jsonout_object_end(j);
	jsonout_object(j, "rates");
	jsonout_real(j, "accepted_per_second", rates_accepted(s->rates));
	jsonout_real(j, "delivered_per_second", rates_delivered(s->rates));
	jsonout_object_end(j);
}

static void print_aside(void *arg, const char *name, bool is_read, const char *outcome)
{
	struct jsonout *j = arg;

	jsonout_object(j, NULL);
	jsonout_text(j, "file", name);
	jsonout_bool(j, "read", is_read);
	jsonout_text(j, "outcome", outcome);
	jsonout_object_end(j);
}

/* The names tell: nobody else is asked. */
static void print_asides(const struct status_source *s, struct jsonout *j)
{
	struct error e;

	jsonout_uint(j, "damaged_unconfirmed", gauge(M_UNTOLD));
	jsonout_uint(j, "set_aside_files", gauge(M_ASIDE_FILES));
	jsonout_bool(j, "set_aside_waits_for_room", gauge(M_ASIDE_WAITS) > 0);
	jsonout_array(j, "set_aside");
	if (gauge(M_ASIDE_FILES) > 0 && journal_each_aside(s->config->buffer.path, print_aside, j, &e) != ERR_OK)
		print_aside(j, s->config->buffer.path, false, e.text);
	jsonout_array_end(j);
}

static void print_disk(const struct status_source *s, struct jsonout *j)
{
	struct error full = {.code = ERR_OK};
	bool refused = journal_admission(s->journal, &full) != ERR_OK;

	jsonout_object(j, "spool");
	jsonout_text(j, "path", s->config->buffer.path);
	jsonout_uint(j, "database_bytes", gauge(M_DISK_DATABASE_BYTES));
	jsonout_uint(j, "wal_bytes", gauge(M_DISK_WAL_BYTES));
	jsonout_uint(j, "free_bytes", gauge(M_DISK_FREE_BYTES));
	jsonout_uint(j, "written_bytes", gauge(M_DISK_WRITTEN));
	if (gauge(M_DISK_STORED) > 0)
		jsonout_real(j, "written_per_stored_byte",
		             (double)gauge(M_DISK_WRITTEN) / (double)gauge(M_DISK_STORED));
	else
		jsonout_null(j, "written_per_stored_byte");
	if (gauge(M_DEVICE_USED) > 0)
		jsonout_uint(j, "device_life_used_percent", gauge(M_DEVICE_USED));
	else
		jsonout_null(j, "device_life_used_percent");
	if (gauge(M_DEVICE_SPARES) > 0)
		jsonout_text(j, "device_spare_blocks",
		             gauge(M_DEVICE_SPARES) == 1   ? "normal"
		             : gauge(M_DEVICE_SPARES) == 2 ? "most are used"
		                                           : "nearly all are used");
	else
		jsonout_null(j, "device_spare_blocks");
	jsonout_uint(j, "settlements_held", gauge(M_SETTLEMENTS_HELD));
	jsonout_bool(j, "accepting", !refused && !s->closing);
	jsonout_text(j, "why", refused ? full.text : "");
	print_asides(s, j);
	jsonout_object_end(j);
	jsonout_object(j, "memory");
	jsonout_uint(j, "doors_bytes", s->doors_memory_bytes);
	jsonout_uint(j, "delivery_bytes", s->delivery->memory_bytes);
	jsonout_uint(j, "limit_bytes", s->config->kspool.memory_bytes);
	jsonout_object_end(j);
}

static void print_counts(struct jsonout *j)
{
	jsonout_object(j, "counts");
	jsonout_uint(j, "requests", gauge(M_REQUESTS));
	jsonout_uint(j, "requests_failed", gauge(M_OUTPUT_ERROR));
	jsonout_uint(j, "records_throttled", gauge(M_THROTTLED));
	jsonout_uint(j, "possible_duplicates", gauge(M_POSSIBLE_DUPLICATES));
	jsonout_uint(j, "holds", gauge(M_HOLDS));
	jsonout_uint(j, "wire_bytes_out", gauge(M_WIRE_OUT));
	jsonout_uint(j, "payload_bytes_out", gauge(M_PAYLOAD_OUT));
	jsonout_object_end(j);
}

void status_print(const struct status_source *s, struct buf *out)
{
	char why[512];
	struct jsonout j;
	bool ready = status_is_ready(s, why, sizeof why);

	jsonout_init(&j, out);
	jsonout_object(&j, NULL);
	jsonout_text(&j, "version", KSPOOL_VERSION);
	jsonout_int(&j, "pid", getpid());
	jsonout_time_ms(&j, "started", s->started_ms);
	jsonout_text(&j, "config", s->config->file);
	jsonout_bool(&j, "ready", ready);
	jsonout_text(&j, "why", why);
	print_inputs(s, &j);
	print_stream(s, &j);
	print_backlog(s, &j);
	print_ledger(&j);
	print_disk(s, &j);
	print_counts(&j);
	jsonout_object_end(&j);
	(void)buf_add_char(out, '\n');
}

void status_print_ready(const struct status_source *s, struct buf *out, bool ready, const char *why)
{
	struct jsonout j;

	jsonout_init(&j, out);
	jsonout_object(&j, NULL);
	jsonout_array(&j, "statuses");
	for (size_t i = 0; i < s->opened->input_count; i++) {
		jsonout_object(&j, NULL);
		jsonout_text(&j, "label", s->opened->inputs[i].label);
		jsonout_text(&j, "path", s->opened->inputs[i].path);
		jsonout_bool(&j, "connected", !s->closing && !*trouble_of(s, i));
		if (*trouble_of(s, i))
			jsonout_text(&j, "error", trouble_of(s, i));
		jsonout_object_end(&j);
	}
	jsonout_object(&j, NULL);
	jsonout_text(&j, "label", s->config->output_label ? s->config->output_label : "");
	jsonout_text(&j, "path", "output");
	jsonout_bool(&j, "connected",
	             s->delivery->state == DELIVERY_FLOWING || s->delivery->state == DELIVERY_THROTTLED);
	if (s->delivery->reason[0] && s->delivery->state != DELIVERY_THROTTLED)
		jsonout_text(&j, "error", s->delivery->reason);
	jsonout_object_end(&j);
	jsonout_array_end(&j);
	if (!ready)
		jsonout_text(&j, "error", why);
	if (gauge(M_ASIDE_FILES) > 0 || gauge(M_LEDGER_DAMAGED) > 0) { /* contained: no reason not to be ready */
		jsonout_uint(&j, "set_aside_files", gauge(M_ASIDE_FILES));
		jsonout_uint(&j, "damaged_messages", gauge(M_LEDGER_DAMAGED));
		jsonout_uint(&j, "damaged_unconfirmed", gauge(M_UNTOLD));
	}
	jsonout_object_end(&j);
	(void)buf_add_char(out, '\n');
}

void status_sentence(const struct status_source *s, char *text, size_t size)
{
	const uint64_t upgraded = gauge(M_UPGRADED), unread = gauge(M_ASIDE_UNREAD);
	char bytes[NUM_SIZE_MAX];
	char why[400];

	if (upgraded < 100)
		(void)snprintf(text, size,
		               "%s; bringing the messages of an older kspool into blocks, %" PRIu64 " %% done; %" PRIu64
		               " messages (%s) wait",
		               delivery_state_name(s->delivery->state), upgraded, gauge(M_LEDGER_PENDING),
		               num_format_size(gauge(M_BACKLOG_BYTES), bytes));
	else if (!status_is_ready(s, why, sizeof why))
		(void)snprintf(text, size, "%s; %" PRIu64 " messages (%s) wait", why, gauge(M_LEDGER_PENDING),
		               num_format_size(gauge(M_BACKLOG_BYTES), bytes));
	else if (unread > 0)
		(void)snprintf(text, size,
		               "%s; %" PRIu64 " sets of files set aside are not read back yet; %" PRIu64
		               " messages (%s) wait",
		               delivery_state_name(s->delivery->state), unread, gauge(M_LEDGER_PENDING),
		               num_format_size(gauge(M_BACKLOG_BYTES), bytes));
	else
		(void)snprintf(text, size, "%s; %" PRIu64 " messages (%s) wait; %.0f/s in, %.0f/s out",
		               delivery_state_name(s->delivery->state), gauge(M_LEDGER_PENDING),
		               num_format_size(gauge(M_BACKLOG_BYTES), bytes), rates_accepted(s->rates),
		               rates_delivered(s->rates));
}

void status_log_opened(const char *path, const struct store_report *r)
{
	/* what was read back from files set aside since is not damaged any more */
	const uint64_t missing = r->missing_rows < r->damaged ? r->missing_rows : r->damaged;

	LOG(LOG_INFO, "journal opened", LOG_S("path", path), LOG_U("rows", r->rows),
	    LOG_S("state", r->created   ? "created"
	                   : r->unclean ? "recovered"
	                                : "clean"));
	if (r->quarantined)
		LOG(LOG_ERROR, "journal was damaged and moved aside", LOG_S("quarantine", r->quarantine_path),
		    LOG_U("salvaged_rows", r->salvaged_rows));
	if (r->wal_frames_lost || missing)
		LOG(LOG_ERROR, "journal lost data it had accepted", LOG_U("wal_frames", r->wal_frames_lost),
		    LOG_U("rows", missing), LOG_U("salvaged_rows", r->salvaged_rows));
	if (r->in_flight > 0)
		LOG(LOG_WARN, "messages were in flight when the last run ended",
		    LOG_U("possible_duplicates", r->in_flight));
	if (r->flight_is_anothers)
		LOG(LOG_WARN, "PATH.flight was of another spool", LOG_S("path", path),
		    LOG_S("outcome", "what the last run had in flight is bounded by its last commit"));
	if (r->flight_is_damaged)
		LOG(LOG_WARN, "PATH.flight is not what was written", LOG_S("path", path),
		    LOG_S("outcome", "what the last run had in flight is bounded by its last commit"));
	if (r->marker)
		LOG(LOG_WARN, "the last run ended on a disk error", LOG_S("path", path));
	if (r->warning[0])
		LOG(LOG_WARN, "journal", LOG_S("warning", r->warning));
}

void status_log_damaged(const struct error *why, const struct store_report *r)
{
	LOG(LOG_ERROR, "journal was damaged while running and moved aside", LOG_S("error", why->text),
	    LOG_S("quarantine", r->quarantine_path), LOG_U("salvaged_rows", r->salvaged_rows),
	    LOG_S("outcome", "a new one goes on; what can be read comes back"));
}

void status_log_mended(const char *what)
{
	LOG(LOG_WARN, "rows of the journal were not what was written", LOG_S("outcome", what));
}

void status_log_lost(const struct error *why)
{
	LOG(LOG_ERROR, "the spool's files are gone", LOG_S("error", why->text),
	    LOG_S("outcome", "nothing more is accepted"));
}

void status_log_companion(const char *path)
{
	LOG(LOG_WARN, "a companion of the spool was deleted, replaced or overwritten", LOG_S("file", path),
	    LOG_S("outcome", "it is made anew; no message is lost"));
}

void status_log_upgrade(int *told)
{
	const int percent = (int)metric_get(M_UPGRADED);

	if (percent / 10 == *told / 10)
		return;
	if (*told == 0 && percent == 100) { /* there was nothing to bring */
		*told = percent;
		return;
	}
	*told = percent;
	LOG(LOG_INFO, "messages of an older kspool are brought into blocks", LOG_U("percent", (uint64_t)percent));
}

void status_log_unsound(struct status_told *told)
{
	const int64_t damaged = metric_get(M_LEDGER_DAMAGED);

	if (damaged > told->damaged)
		LOG(LOG_ERROR, "stored messages are not what was written", LOG_I("messages", damaged - told->damaged),
		    LOG_I("damaged", damaged),
		    LOG_S("outcome", "they are not sent; kspool check tells of them when the daemon is stopped"));
	told->damaged = damaged;
}

void status_log_troubles(const struct status_source *s, struct status_told *told)
{
	const uint64_t unread = gauge(M_ASIDE_UNREAD);
	const bool aside_waits = gauge(M_ASIDE_WAITS) > 0, upgrade_waits = gauge(M_UPGRADE_WAITS) > 0;
	struct error why;
	bool trouble = journal_companion_trouble(s->journal, &why);

	status_log_unsound(told);
	if (trouble && !told->companion)
		LOG(LOG_ERROR, "a companion of the spool cannot be written", LOG_S("error", why.text));
	else if (!trouble && told->companion)
		LOG(LOG_INFO, "the companions of the spool are written again");
	told->companion = trouble;
	if (aside_waits && !told->aside)
		LOG(LOG_WARN, "what was set aside waits for room on the disk",
		    LOG_U("free_bytes", gauge(M_DISK_FREE_BYTES)), LOG_U("waiting_messages", gauge(M_LEDGER_PENDING)),
		    LOG_S("outcome",
		          "it comes back when messages have left, or when there is more room; intake goes on"));
	else if (!aside_waits && told->aside)
		LOG(LOG_INFO, "what was set aside comes back again");
	told->aside = aside_waits;
	if (unread != told->unread)
		LOG(LOG_INFO,
		    unread > 0 ? "files set aside are not read back yet" : "all files set aside are read back",
		    LOG_U("sets_of_files", unread), LOG_U("waiting_messages", gauge(M_LEDGER_PENDING)));
	told->unread = unread;
	if (upgrade_waits && !told->upgrade)
		LOG(LOG_WARN, "messages of an older kspool wait for room on the disk to be brought into blocks",
		    LOG_U("free_bytes", gauge(M_DISK_FREE_BYTES)), LOG_U("percent", gauge(M_UPGRADED)),
		    LOG_S("outcome", "they are sent as they are; it goes on when there is more room"));
	told->upgrade = upgrade_waits;
}
