#include "config/options.h"

#include <string.h>

#define WORD(value_, text_) {.value = (value_), .text = (text_)},
#define WORDS(name) static const struct option_word words_##name[] = {CONFIG_ENUM_##name(WORD){.text = NULL}};
CONFIG_ENUMS(WORDS)

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
#define EXTRA_NODES(extra) .shape = SHAPE_##extra,
#define EXTRA_OBJECT(extra) .section = options_##extra,

#define ROW(kind_, member, key_, fallback_, least_, most_, flags_, extra, text_) \
	{.kind = OPTION_##kind_,                                                 \
	 .key = (key_),                                                          \
	 .fallback = (fallback_),                                                \
	 .least = (least_),                                                      \
	 .most = (most_),                                                        \
	 .flags = (flags_),                                                      \
	 EXTRA_##kind_(extra).text = (text_),                                    \
	 .offset = offsetof(ROW_STRUCT, MEMBER_##kind_(member))},

/* The rows of a table name members of ROW_STRUCT; a name of the function's own lets every table have its struct. */
#define TABLE(name_, struct_)                                                   \
	const struct option_section *options_##name_(void)                      \
	{                                                                       \
		typedef struct struct_ ROW_STRUCT;                              \
		static const struct option_row rows[] = {OPTIONS_##name_(ROW)}; \
		static const struct option_section section = {                  \
		    .name = #name_,                                             \
		    .rows = rows,                                               \
		    .count = sizeof rows / sizeof *rows,                        \
		    .size = sizeof(ROW_STRUCT),                                 \
		};                                                              \
		return &section;                                                \
	}
#define OWN_TABLE(name_) TABLE(name_, options_##name_)

OPTION_SECTIONS(OWN_TABLE)
OPTION_FRAMES(TABLE)

#define IS_LIST(name, is_list, words) [SHAPE_##name] = (is_list),
#define SHAPE_WORDS(name, is_list, words) [SHAPE_##name] = (words),

bool option_is_list(const struct option_row *row)
{
	static const bool lists[] = {OPTION_SHAPES(IS_LIST)};

	return lists[row->shape];
}

const char *option_shape_words(const struct option_row *row)
{
	static const char *const words[] = {OPTION_SHAPES(SHAPE_WORDS)};

	return words[row->shape];
}

const struct option_row *options_find(const struct option_section *s, const char *key)
{
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->rows[i].key, key) == 0)
			return &s->rows[i];
	return NULL;
}
