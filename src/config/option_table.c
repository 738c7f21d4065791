#include "config/options.h"

#include <string.h>

#define WORD(value_, text_) {.value = (value_), .text = (text_)},
#define WORDS(name) static const struct option_word words_##name[] = {CONFIG_ENUM_##name(WORD){.text = NULL}};
WORDS(full_policy)
WORDS(wire)
WORDS(key_rule)
WORDS(failed_rule)
WORDS(filter_rule)
WORDS(log_level)
WORDS(log_format)
WORDS(network)
WORDS(framing)

/* The member of a row, and what its extra column means. */
#define MEMBER_STRING(member) member
#define MEMBER_SECRET(member) member
#define MEMBER_BOOL(member) member
#define MEMBER_INT(member) member
#define MEMBER_SIZE(member) member##_bytes
#define MEMBER_DURATION(member) member##_ns
#define MEMBER_ENUM(member) member
#define MEMBER_STRINGS(member) member
#define MEMBER_TEMPLATE(member) member
#define MEMBER_MAPPING(member) member
#define MEMBER_NODES(member) member
#define MEMBER_OBJECT(member) member

#define EXTRA_STRING(extra)
#define EXTRA_SECRET(extra)
#define EXTRA_BOOL(extra)
#define EXTRA_INT(extra)
#define EXTRA_SIZE(extra)
#define EXTRA_DURATION(extra)
#define EXTRA_ENUM(extra) .words = words_##extra,
#define EXTRA_STRINGS(extra)
#define EXTRA_TEMPLATE(extra)
#define EXTRA_MAPPING(extra)
#define EXTRA_NODES(extra) .is_list = SHAPE_##extra,
#define EXTRA_OBJECT(extra) .section = &row_section_##extra,
#define SHAPE_list true
#define SHAPE_map false

#define ROW(kind_, member, key_, fallback_, least_, most_, flags_, extra, text_) \
	{.kind = OPTION_##kind_,                                                 \
	 .key = (key_),                                                          \
	 .fallback = (fallback_),                                                \
	 .least = (least_),                                                      \
	 .most = (most_),                                                        \
	 .flags = (flags_),                                                      \
	 EXTRA_##kind_(extra).text = (text_),                                    \
	 .offset = offsetof(ROW_STRUCT, MEMBER_##kind_(member))},

#define TABLE(name_)                                                            \
	static const struct option_row rows_##name_[] = {OPTIONS_##name_(ROW)}; \
	static const struct option_section row_section_##name_ = {              \
	    .name = #name_,                                                     \
	    .rows = rows_##name_,                                               \
	    .count = sizeof rows_##name_ / sizeof *rows_##name_,                \
	    .size = sizeof(ROW_STRUCT),                                         \
	};                                                                      \
	const struct option_section *section_##name_(void) { return &row_section_##name_; }

/* ROW_STRUCT is the struct whose members the next table's rows name. */
#define ROW_STRUCT struct options_cors
TABLE(cors)
#undef ROW_STRUCT
#define ROW_STRUCT struct options_basic_auth
TABLE(basic_auth)
#undef ROW_STRUCT
#define ROW_STRUCT struct options_http
TABLE(http)
#undef ROW_STRUCT
#define ROW_STRUCT struct options_log_file
TABLE(log_file)
#undef ROW_STRUCT
#define ROW_STRUCT struct options_logger
TABLE(logger)
#undef ROW_STRUCT
#define ROW_STRUCT struct options_prometheus
TABLE(prometheus)
#undef ROW_STRUCT
#define ROW_STRUCT struct options_scanner_lines
TABLE(scanner_lines)
#undef ROW_STRUCT
#define ROW_STRUCT struct options_scanner_chunker
TABLE(scanner_chunker)
#undef ROW_STRUCT
#define ROW_STRUCT struct options_input_stdin
TABLE(input_stdin)
#undef ROW_STRUCT
#define ROW_STRUCT struct options_input_file
TABLE(input_file)
#undef ROW_STRUCT
#define ROW_STRUCT struct options_sync_response
TABLE(sync_response)
#undef ROW_STRUCT
#define ROW_STRUCT struct options_input_http_server
TABLE(input_http_server)
#undef ROW_STRUCT
#define ROW_STRUCT struct options_server_tls
TABLE(server_tls)
#undef ROW_STRUCT
#define ROW_STRUCT struct options_input_socket_server
TABLE(input_socket_server)
#undef ROW_STRUCT
#define ROW_STRUCT struct options_buffer_sqlite
TABLE(buffer_sqlite)
#undef ROW_STRUCT
#define ROW_STRUCT struct options_batching
TABLE(batching)
#undef ROW_STRUCT
#define ROW_STRUCT struct options_keep_alive
TABLE(keep_alive)
#undef ROW_STRUCT
#define ROW_STRUCT struct options_tcp
TABLE(tcp)
#undef ROW_STRUCT
#define ROW_STRUCT struct options_credentials
TABLE(credentials)
#undef ROW_STRUCT
#define ROW_STRUCT struct options_backoff
TABLE(backoff)
#undef ROW_STRUCT
#define ROW_STRUCT struct options_aws_kinesis
TABLE(aws_kinesis)
#undef ROW_STRUCT
#define ROW_STRUCT struct options_kspool
TABLE(kspool)
#undef ROW_STRUCT
#define ROW_STRUCT struct options_broker
TABLE(broker)
#undef ROW_STRUCT
#define ROW_STRUCT struct config
TABLE(root)
TABLE(pipeline)
TABLE(buffer)
TABLE(output)
TABLE(metrics)
#undef ROW_STRUCT
#define ROW_STRUCT struct config_input
TABLE(input)
#undef ROW_STRUCT

const struct option_row *section_find(const struct option_section *s, const char *key)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->rows[i].key, key) == 0)
			return &s->rows[i];
	return NULL;
}
