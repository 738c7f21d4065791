/*
 * Invariants:
 * 1. Maps and imports stand only where the block has a table of maps: at the top of a text.
 * 2. A table has no two maps of one name.
 * 3. An imported file has a parser of its own and lands in the same program; nesting ends at IMPORT_DEPTH_MAX.
 * 4. The line of a statement counts from the start of its text, or of the map it is in.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "bloblang/language/parse_internal.h"

/* Where the current piece of text ends up: statements of the mapping, of a map, of an if. */
struct block {
	struct map_table *maps; /* null: no maps and imports here */
	bool writes_meta;
	int first_line; /* lines are counted from here */
};

typedef bool parse_statement_function(struct parse *p, const struct block *b, struct list *statements);

static bool parse_statement(struct parse *p, const struct block *b, struct list *statements);

static struct mapping_statement *statement_new(struct parse *p, const struct block *b, enum statement_kind kind,
                                               const char *start)
{
	struct mapping_statement *s = arena_alloc(&p->program->arena, sizeof *s);

	*s = (struct mapping_statement){.kind = kind, .line = parse_line(p, start) - b->first_line + 1};
	return s;
}

static struct statements copy_statements(struct parse *p, const struct list *list)
{
	struct mapping_statement *items = arena_alloc(&p->program->arena, (list->count + 1) * sizeof *items);

	for (size_t i = 0; i < list->count; i++)
		memcpy(&items[i], list->items[i], sizeof *items);
	return (struct statements){items, list->count};
}

static bool parse_name_or_quoted(struct parse *p, const char **ret, size_t *ret_length, const char *what)
{
	const char *start = p->at;

	if (parse_quoted(p, ret, ret_length))
		return true;
	if (fault_is_fatal(p))
		return false;
	p->at = start;
	return parse_name(p, ret, ret_length, what) || fault_rename(p, what);
}

/* sp = sp query */
static bool parse_assigned(struct parse *p, const struct node **ret)
{
	return parse_char(p, '=') && parse_blanks(p) && parse_query(p, ret);
}

static bool parse_let(struct parse *p, const struct block *b, struct list *statements)
{
	const char *start = p->at;
	struct mapping_statement *s = statement_new(p, b, ASSIGN_VARIABLE, start);

	if (!parse_term(p, "let"))
		return fault_rename(p, "assignment");
	if (!parse_blanks(p))
		return false;
	if (!parse_name_or_quoted(p, &s->name, &s->name_length, "variable name"))
		return fault_must(p);
	if (!parse_blanks(p) || !parse_assigned(p, &s->query))
		return false;
	list_add(p, statements, s);
	return true;
}

static bool parse_meta(struct parse *p, const struct block *b, struct list *statements)
{
	const char *start = p->at;
	struct mapping_statement *s = statement_new(p, b, ASSIGN_META, start);
	const char *before;

	if (!parse_term(p, "meta"))
		return fault_rename(p, "assignment");
	if (!parse_blanks(p))
		return false;
	before = p->at;
	if (!parse_name_or_quoted(p, &s->name, &s->name_length, "assignment")) {
		if (fault_is_fatal(p))
			return false;
		p->at = before;
		s->kind = ASSIGN_META_ALL;
	}
	parse_skip_blanks(p);
	if (!parse_assigned(p, &s->query))
		return false;
	if (!b->writes_meta)
		return fault_fatal(p, start, "setting meta fields is not allowed within this block");
	list_add(p, statements, s);
	return true;
}

static bool parse_target(struct parse *p, struct path *path)
{
	struct json_step step;
	const char *name;
	size_t length;

	if (!parse_name(p, &name, &length, "assignment"))
		return false;
	step = (struct json_step){name, (uint32_t)length};
	if ((length != 4 || memcmp(name, "root", 4) != 0) && !node_join_path(p, path, &step, 1))
		return false;
	while (p->at < p->end && *p->at == '.') {
		p->at++;
		if (!parse_name_or_quoted(p, &name, &length, "target path"))
			return false;
		step = (struct json_step){name, (uint32_t)length};
		if (!node_join_path(p, path, &step, 1))
			return false;
	}
	return true;
}

static bool parse_assignment(struct parse *p, const struct block *b, struct list *statements)
{
	struct mapping_statement *s = statement_new(p, b, ASSIGN_ROOT, p->at);

	if (!parse_target(p, &s->path) || !parse_blanks(p) || !parse_assigned(p, &s->query))
		return false;
	list_add(p, statements, s);
	return true;
}

/* blanks, a line break, and any space after it */
static bool parse_statement_end(struct parse *p)
{
	parse_skip_blanks(p);
	if (!parse_line_break(p))
		return false;
	parse_skip_space(p);
	return true;
}

static bool parse_block_close(struct parse *p)
{
	parse_skip_space(p);
	return parse_char(p, '}');
}

/* { ws [ statement { _ nl ws statement } ] ws } */
static bool parse_block(struct parse *p, const struct block *b, struct list *statements)
{
	if (!parse_char(p, '{'))
		return false;
	parse_skip_space(p);
	for (;;) {
		const char *start = p->at;
		struct fault fault;

		if (!parse_statement(p, b, statements)) {
			fault = p->fault;
			p->at = start;
			if (parse_block_close(p))
				return true;
			p->fault = fault;
			return false;
		}
		start = p->at;
		if (parse_statement_end(p))
			continue;
		fault = p->fault;
		p->at = start;
		if (parse_block_close(p))
			return true;
		if (p->fault.at == fault.at)
			fault_merge(&fault, &p->fault);
		p->fault = fault;
		return false;
	}
}

static bool parse_branch(struct parse *p, const struct block *b, bool has_condition, struct list *branches)
{
	struct branch *branch = arena_alloc(&p->program->arena, sizeof *branch);
	struct block inner = {.maps = NULL, .writes_meta = true, .first_line = b->first_line};
	struct list body = {0};

	*branch = (struct branch){0};
	if (has_condition && !parse_query(p, &branch->condition))
		return fault_must(p);
	parse_skip_space(p);
	if (!parse_block(p, &inner, &body))
		return false;
	branch->body = copy_statements(p, &body);
	list_add(p, branches, branch);
	return true;
}

static bool parse_if_statement(struct parse *p, const struct block *b, struct list *statements)
{
	struct mapping_statement *s = statement_new(p, b, STATEMENT_IF, p->at);
	struct list branches = {0};
	struct branch *items;
	const char *before;

	if (!parse_term(p, "if"))
		return fault_rename(p, "assignment");
	if (!parse_blanks(p) || !parse_branch(p, b, true, &branches))
		return false;
	/* A further branch that does not parse softly is no branch: what follows reports it. */
	for (;;) {
		before = p->at;
		parse_skip_space(p);
		if (!parse_term(p, "else if") || !parse_blanks(p) || !parse_branch(p, b, true, &branches))
			break;
	}
	if (fault_is_fatal(p))
		return false;
	p->at = before;
	parse_skip_space(p);
	if (!parse_term(p, "else") || !parse_branch(p, b, false, &branches)) {
		if (fault_is_fatal(p))
			return false;
		p->at = before;
	}
	items = arena_alloc(&p->program->arena, branches.count * sizeof *items);
	for (size_t i = 0; i < branches.count; i++)
		memcpy(&items[i], branches.items[i], sizeof *items);
	s->branches = items;
	s->branch_count = branches.count;
	list_add(p, statements, s);
	return true;
}

static struct map *find_map(const struct map_table *maps, const char *name, size_t length)
{
	for (size_t i = 0; i < maps->count; i++) {
		if (maps->items[i]->name_length == length && memcmp(maps->items[i]->name, name, length) == 0)
			return maps->items[i];
	}
	return NULL;
}

static void add_map(struct parse *p, struct map_table *maps, struct map *map)
{
	must(!find_map(maps, map->name, map->name_length));
	if (maps->count == maps->capacity) {
		size_t capacity = maps->capacity == 0 ? 8 : maps->capacity * 2;
		struct map **items = arena_alloc(&p->program->arena, capacity * sizeof *items);

		if (maps->count != 0)
			memcpy(items, maps->items, maps->count * sizeof *items);
		maps->items = items;
		maps->capacity = capacity;
	}
	maps->items[maps->count++] = map;
}

static bool parse_map(struct parse *p, const struct block *b, struct list *statements)
{
	struct map *map = arena_alloc(&p->program->arena, sizeof *map);
	const char *start = p->at;
	struct block inner = {.first_line = parse_line(p, start)};
	struct list body = {0};

	(void)statements;
	*map = (struct map){0};
	if (!parse_term(p, "map") || !parse_blanks(p))
		return false;
	if (!parse_name_or_quoted(p, &map->name, &map->name_length, "map name"))
		return fault_must(p);
	if (!parse_blanks(p) || !parse_block(p, &inner, &body))
		return false;
	if (find_map(b->maps, map->name, map->name_length))
		return fault_fatal(p, start, "map name collision: %.*s", (int)map->name_length, map->name);
	map->body = copy_statements(p, &body);
	add_map(p, b->maps, map);
	return true;
}

/* The text of an import, in the program's arena. Null: the fault is set at `at`. */
static const char *read_import(struct parse *p, const char *at, const char *name, size_t length, const char **ret_path)
{
	enum { IMPORT_BYTES_MAX = 16 * 1024 * 1024 };
	AUTOCLOSE int fd = -1;
	struct stat st;
	char *text;
	size_t have = 0;

	if (!p->folder) {
		fault_fatal(p, at, "failed to read import: imports are disabled in this context");
		return NULL;
	}
	*ret_path = name[0] == '/' ? arena_copy(&p->program->arena, name, length)
	                           : arena_format(&p->program->arena, "%s/%.*s", p->folder, (int)length, name);
	fd = open(*ret_path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > IMPORT_BYTES_MAX) {
		fault_fatal(p, at, "failed to read import: open %.*s: %s", (int)length, name,
		            fd < 0 && errno == ENOENT ? "no such file or directory" : "the file cannot be read");
		return NULL;
	}
	text = arena_alloc(&p->program->arena, (size_t)st.st_size + 1);
	while (have < (size_t)st.st_size) {
		ssize_t n = read(fd, text + have, (size_t)st.st_size - have);

		if (n <= 0)
			break;
		have += (size_t)n;
	}
	text[have] = '\0';
	return text;
}

static bool parse_executor(struct parse *p, struct map_table *maps, struct statements *ret);

static const char *folder_of(struct parse *p, const char *path)
{
	const char *slash = strrchr(path, '/');

	return !slash ? "." : arena_copy(&p->program->arena, path, (size_t)(slash - path));
}

/* Parses another file's statements and maps with a parser of its own. */
static bool parse_import_file(struct parse *p, const char *at, const char *name, size_t length, struct map_table *maps,
                              struct statements *ret)
{
	struct parse inner = *p;
	const char *path = NULL;
	const char *text = read_import(p, at, name, length, &path);

	if (!text)
		return false;
	if (p->imports >= IMPORT_DEPTH_MAX)
		return fault_fatal(p, at, "imports are nested too deeply");
	inner.imports++;
	inner.text = inner.at = inner.line_at = text;
	inner.line = 0;
	inner.end = text + strlen(text);
	inner.folder = folder_of(p, path);
	inner.captures = NULL;
	if (!parse_executor(&inner, maps, ret))
		return fault_fatal(p, at, "failed to parse import '%.*s': %s", (int)length, name,
		                   fault_with_position(&p->program->arena, text, &inner.fault));
	return true;
}

static bool parse_import(struct parse *p, const struct block *b, struct list *statements)
{
	struct map_table *maps = arena_alloc(&p->program->arena, sizeof *maps);
	struct statements ignored;
	const char *start = p->at;
	const char *name;
	size_t length;

	(void)statements;
	*maps = (struct map_table){0};
	if (!parse_term(p, "import") || !parse_blanks(p))
		return false;
	if (!parse_quoted(p, &name, &length)) {
		fault_rename(p, "filepath");
		return fault_must(p);
	}
	if (!parse_import_file(p, start, name, length, maps, &ignored))
		return false;
	if (maps->count == 0)
		return fault_fatal(p, start, "no maps to import from '%.*s'", (int)length, name);
	for (size_t i = 0; i < maps->count; i++) {
		if (find_map(b->maps, maps->items[i]->name, maps->items[i]->name_length))
			return fault_fatal(p, start, "map name collisions from import '%.*s': [%.*s]", (int)length,
			                   name, (int)maps->items[i]->name_length, maps->items[i]->name);
		add_map(p, b->maps, maps->items[i]);
	}
	return true;
}

static bool parse_statement_choice(struct parse *p, const struct block *b, struct list *statements)
{
	static parse_statement_function *const choices[] = {
	    parse_import, parse_map, parse_let, parse_meta, parse_assignment, parse_if_statement,
	};
	const char *start = p->at;
	struct fault best = {0};

	for (size_t i = !b->maps ? 2 : 0; i < sizeof choices / sizeof *choices; i++) {
		p->at = start;
		if (choices[i](p, b, statements))
			return true;
		if (fault_is_fatal(p))
			return false;
		fault_merge(&best, &p->fault);
	}
	p->fault = best;
	return false;
}

static bool parse_statement(struct parse *p, const struct block *b, struct list *statements)
{
	bool parsed;

	if (parse_is_spent(p))
		return false;
	if (p->depth >= PARSE_DEPTH_MAX)
		return fault_fatal(p, p->at, "the mapping is nested too deeply");
	p->depth++;
	parsed = parse_statement_choice(p, b, statements);
	p->depth--;
	return parsed;
}

static bool parse_executor(struct parse *p, struct map_table *maps, struct statements *ret)
{
	struct block b = {.maps = maps, .writes_meta = true};
	struct list statements = {0};

	parse_skip_space(p);
	if (!parse_statement(p, &b, &statements))
		return false;
	for (;;) {
		parse_skip_blanks(p);
		if (p->at == p->end)
			break;
		if (!parse_line_break(p))
			return false;
		parse_skip_space(p);
		if (p->at == p->end)
			break;
		if (!parse_statement(p, &b, &statements))
			return false;
	}
	*ret = copy_statements(p, &statements);
	return true;
}

/* `from "file"`: *ret_is says whether the mapping is one. */
static bool parse_from(struct parse *p, bool *ret_is)
{
	const char *name;
	size_t length;

	*ret_is = false;
	parse_skip_space(p);
	if (!parse_term(p, "from") || !parse_blanks(p) || !parse_quoted(p, &name, &length)) {
		*ret_is = fault_is_fatal(p);
		return false;
	}
	*ret_is = true;
	parse_skip_space(p);
	if (!parse_import_file(p, p->text, name, length, &p->program->maps, &p->program->main.body))
		return false;
	if (p->at < p->end)
		return fault_fatal(p, p->text, "unexpected content after single root import: %s", p->at);
	return true;
}

/* First code points of the shorthand, for the message. */
static const char *shorten(struct parse *p, const char *start, const char *end)
{
	enum { SHOWN = 12 };
	const char *at = start;
	int shown = 0;

	while (at < end && shown < SHOWN) {
		at++;
		while (at < end && ((unsigned char)*at & 0xC0) == 0x80)
			at++;
		shown++;
	}
	return arena_format(&p->program->arena, "%.*s%s", (int)(at - start), start, at < end ? "..." : "");
}

/* A query alone is `root = query`. */
static bool parse_shorthand(struct parse *p, struct statements *ret)
{
	struct mapping_statement *s = arena_alloc(&p->program->arena, sizeof *s);
	const char *start;
	const char *end;

	*s = (struct mapping_statement){.kind = ASSIGN_ROOT, .line = 1};
	parse_skip_space(p);
	start = p->at;
	if (!parse_query(p, &s->query))
		return false;
	end = p->at;
	parse_skip_space(p);
	if (p->at < p->end)
		return fault_expected(
		    p, p->at,
		    arena_format(&p->program->arena,
		                 "the mapping to end here as the beginning is shorthand for `root = %s`, "
		                 "but this shorthand form cannot be followed with more assignments",
		                 shorten(p, start, end)));
	*ret = (struct statements){s, 1};
	return true;
}

/* Statements first, then the shorthand; what got further supplies the result or the fault. */
bool parse_mapping(struct parse *p)
{
	struct map *main = &p->program->main;
	struct fault fault;
	bool is_from;

	if (parse_from(p, &is_from))
		return true;
	if (is_from)
		return false;
	p->at = p->text;
	if (parse_executor(p, &p->program->maps, &main->body))
		return true;
	if (fault_is_fatal(p))
		return false;
	fault = p->fault;
	p->at = p->text;
	if (parse_shorthand(p, &main->body)) {
		p->program->maps = (struct map_table){0};
		return true;
	}
	if (!(p->fault.at > fault.at))
		p->fault = fault;
	return false;
}
