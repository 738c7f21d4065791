/*
 * log: one line per event, logfmt or JSON.
 *
 * What it is: a message plus key=value fields: verb, object, outcome, reason, numbers with their unit in the key.
 * Repeats of one call site are limited to LOG_LIMIT_PER_MINUTE lines a minute when written with LOG_LIMITED; the next
 * line then carries `suppressed=N`.
 * Promises: 10 (what goes wrong is said), 11 (what a stranger wrote is quoted). Payloads and secrets never.
 * Owner: log_configure copies what it is given.
 * Thread: any; a line is one write(2).
 * Fails: a line that cannot be written is lost; there is nowhere to say so.
 * Does not: belong in library rooms: who decides logs, once per event. That is delivery/, doors/, daemon/, cli/, and in
 * pipeline/ the log processor and a processor that decides where no message can carry its failure (a batch dropped, a
 * check that fails). base/ itself and all other rooms return a struct error.
 */
#ifndef KSPOOL_BASE_LOG_H
#define KSPOOL_BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_OFF, LOG_FATAL, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

enum log_kind { LOG_END, LOG_TEXT, LOG_INT, LOG_UINT, LOG_REAL };

struct log_field {
	const char *key;
	enum log_kind kind;
	union {
		const char *text;
		int64_t i;
		uint64_t u;
		double real;
	};
};

#define LOG_S(k, v) ((struct log_field){.key = (k), .kind = LOG_TEXT, .text = (v)})
#define LOG_I(k, v) ((struct log_field){.key = (k), .kind = LOG_INT, .i = (v)})
#define LOG_U(k, v) ((struct log_field){.key = (k), .kind = LOG_UINT, .u = (v)})
#define LOG_R(k, v) ((struct log_field){.key = (k), .kind = LOG_REAL, .real = (v)})

/* LOG(LOG_INFO, "journal opened", LOG_S("path", p), LOG_U("rows", n)); */
#define LOG(level, message, ...)                                                                      \
	do {                                                                                          \
		if (log_wanted(level))                                                                \
			log_write((level), (message), 0,                                              \
			          (struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.kind = LOG_END}}); \
	} while (0)

enum { LOG_LIMIT_PER_MINUTE = 5 };

struct log_limit {
	_Atomic int64_t window_start_ms;
	_Atomic uint32_t written;
	_Atomic uint32_t suppressed;
};

#define LOG_LIMITED(level, message, ...)                                                              \
	do {                                                                                          \
		static struct log_limit limit_;                                                       \
		uint32_t suppressed_;                                                                 \
		if (log_wanted(level) && log_limit_pass(&limit_, &suppressed_))                       \
			log_write((level), (message), suppressed_,                                    \
			          (struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.kind = LOG_END}}); \
	} while (0)

struct log_options {
	enum log_level level;
	enum log_format format;
	bool add_timestamp;
	const char *level_name;           /* key of the level, default "level" */
	const char *timestamp_name;       /* default "time" */
	const char *message_name;         /* default "msg" */
	const char *const *static_fields; /* key, value, key, value, ..., null; may be null */
	int fd;                           /* where lines go */
};

/* Copies what it is given. May be called again (reload). */
void log_configure(const struct log_options *options);
bool log_wanted(enum log_level level);
bool log_limit_pass(struct log_limit *limit, uint32_t *ret_suppressed);
void log_write(enum log_level level, const char *message, uint32_t suppressed, const struct log_field *fields);
bool log_level_parse(const char *text, enum log_level *ret);

#endif
