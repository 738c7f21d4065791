/*
 * Invariants:
 * 1. Arguments are all named or all positional, and no name is there twice: this is checked before any is placed.
 * 2. A site has one slot a parameter (variadic: one an argument): a literal in `values`, a query in `args`, or
 *    neither.
 * 3. A site is dynamic exactly when a query must be evaluated for a slot that is no query parameter.
 * 4. Only a row that can be evaluated gets a site.
 */
#include "base/check.h"
#include "value/path.h"
#include "bloblang/language/parse_internal.h"

struct argument {
	const char *name; /* null: positional */
	size_t name_length;
	const struct node *query;
};

static bool parse_named_argument(struct parse *p, struct argument *arg)
{
	if (!parse_snake(p, &arg->name, &arg->name_length, "snake-case") || !parse_char(p, ':'))
		return false;
	parse_skip_blanks(p);
	if (!parse_query(p, &arg->query)) {
		fault_rename(p, "argument value");
		return fault_must(p);
	}
	return true;
}

static bool parse_argument(struct parse *p, struct list *args)
{
	struct argument *arg = arena_alloc(&p->program->arena, sizeof *arg);
	const char *start = p->at;
	struct fault best;

	*arg = (struct argument){0};
	if (!parse_named_argument(p, arg)) {
		if (fault_is_fatal(p))
			return false;
		best = p->fault;
		p->at = start;
		*arg = (struct argument){0};
		if (!parse_query(p, &arg->query)) {
			if (fault_is_fatal(p))
				return false;
			fault_merge(&best, &p->fault);
			p->fault = best;
			fault_rename(p, "function argument");
			return fault_must(p);
		}
	}
	list_add(p, args, arg);
	return true;
}

static bool parse_close_bracket(struct parse *p)
{
	parse_skip_space(p);
	if (parse_char(p, ')'))
		return true;
	return fault_rename(p, "closing bracket");
}

static bool parse_arguments(struct parse *p, struct list *args)
{
	if (!parse_char(p, '('))
		return fault_rename(p, "function arguments");
	parse_skip_space(p);
	for (;;) {
		const char *start = p->at;
		struct fault fault;

		if (!parse_argument(p, args)) {
			fault = p->fault;
			p->at = start;
			if (parse_close_bracket(p))
				return true;
			p->fault = fault;
			return false;
		}
		start = p->at;
		parse_skip_blanks(p);
		if (parse_char(p, ',')) {
			parse_skip_space(p);
			continue;
		}
		fault_rename(p, "comma");
		fault = p->fault;
		p->at = start;
		if (parse_close_bracket(p))
			return true;
		fault.expected[fault.count++] = "closing bracket";
		p->fault = fault;
		return fault_must(p);
	}
}

static size_t parameter_count(const struct bloblang_row *row)
{
	size_t n = 0;

	while (n < ROW_PARAMETERS_MAX && row->parameters[n].name)
		n++;
	return n;
}

static bool is_query(const struct bloblang_parameter *parameter)
{
	return parameter->kind == PARAM_QUERY || parameter->kind == PARAM_QUERY_OR_VALUE;
}

/* The default of a parameter: a literal of the language itself. */
static bool default_value(struct parse *p, const struct bloblang_parameter *parameter, const struct node **ret)
{
	struct parse inner = *p;

	inner.text = inner.at = parameter->fallback;
	inner.end = parameter->fallback + strlen(parameter->fallback);
	if (!parse_query(&inner, ret) || (*ret)->kind != NODE_LITERAL)
		return fault_fatal(p, p->at, "the default of parameter %s is not a literal", parameter->name);
	return true;
}

/* Puts one argument (or default) into its place of the call. */
static bool place_argument(struct parse *p, struct call_site *site, size_t i, const struct node *query)
{
	const struct bloblang_parameter *parameter = &site->row->parameters[i];

	if (is_query(parameter)) {
		site->args[i] = query;
		site->values[i] = value_null(); /* given */
		return true;
	}
	if (query->kind != NODE_LITERAL) {
		site->args[i] = query;
		site->dynamic = true;
		return true;
	}
	if (!coerce_argument(p->evaluation, parameter, query->literal, &site->values[i]))
		return fault_fatal(p, p->at, "field %s: %s", parameter->name, failure_text(p->evaluation));
	return true;
}

static bool report_missing(struct parse *p, const char *names, size_t count)
{
	return fault_fatal(p, p->at, "missing parameter%s: %s", count == 1 ? "" : "s", names);
}

static bool is_wanted(const struct bloblang_row *row, const struct argument *arg)
{
	for (size_t i = 0; i < parameter_count(row); i++)
		if (arg->name_length == strlen(row->parameters[i].name) &&
		    memcmp(arg->name, row->parameters[i].name, arg->name_length) == 0)
			return true;
	return false;
}

/* Reports named arguments nobody asked for. */
static bool report_unknown(struct parse *p, const struct bloblang_row *row, const struct argument *const *args,
                           size_t count, const char *missing, size_t missing_count)
{
	struct text t;
	size_t unknown = 0;

	text_init(&t, &p->program->arena);
	for (size_t i = 0; i < count; i++) {
		if (is_wanted(row, args[i]))
			continue;
		text_add_string(&t, unknown++ == 0 ? "" : ", ");
		text_add(&t, args[i]->name, args[i]->name_length);
	}
	if (unknown == 0)
		return true;
	if (missing_count == 1)
		text_addf(&t, ", did you mean %s?", missing);
	else if (missing_count != 0)
		text_addf(&t, ", expected %s", missing);
	return fault_fatal(p, p->at, "unknown parameter%s %s", unknown == 1 ? "" : "s", text_end(&t));
}

static const struct argument *find_named(const struct argument *const *args, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (args[i]->name_length == strlen(name) && memcmp(args[i]->name, name, args[i]->name_length) == 0)
			return args[i];
	}
	return NULL;
}

static bool place_parameters(struct parse *p, struct call_site *site, const struct argument *const *args, size_t count,
                             bool named)
{
	size_t wanted = parameter_count(site->row);
	size_t missing = 0;
	struct text names;

	text_init(&names, &p->program->arena);
	if (!named && count > wanted)
		return fault_fatal(p, p->at, "wrong number of arguments, expected %zu, got %zu", wanted, count);
	for (size_t i = 0; i < wanted; i++) {
		const struct bloblang_parameter *parameter = &site->row->parameters[i];
		const struct argument *arg = NULL;
		const struct node *query = NULL;

		if (named)
			arg = find_named(args, count, parameter->name);
		else if (i < count)
			arg = args[i];
		if (arg) {
			query = arg->query;
		} else if (parameter->fallback) {
			if (!default_value(p, parameter, &query))
				return false;
		} else if (!parameter->optional) {
			text_add_string(&names, missing++ == 0 ? "" : ", ");
			text_add_string(&names, parameter->name);
		}
		if (query && !place_argument(p, site, i, query))
			return false;
	}
	if (named && !report_unknown(p, site->row, args, count, text_end(&names), missing))
		return false;
	return missing == 0 || report_missing(p, text_end(&names), missing);
}

static bool place_variadic(struct parse *p, struct call_site *site, const struct argument *const *args, size_t count,
                           bool named)
{

	if (named)
		return fault_fatal(p, p->at, "named arguments are not supported");
	for (size_t i = 0; i < count; i++) {
		if (args[i]->query->kind == NODE_LITERAL) {
			site->values[i] = args[i]->query->literal;
		} else {
			site->args[i] = args[i]->query;
			site->dynamic = true;
		}
	}
	return true;
}

/* All named or none; no name twice. */
static bool check_names(struct parse *p, const struct argument *const *args, size_t count, bool *ret_named)
{
	size_t named = 0;

	for (size_t i = 0; i < count; i++) {
		if (!args[i]->name)
			continue;
		named++;
		if (parse_is_spent(p))
			return false;
		for (size_t j = 0; j < i; j++) {
			if (args[j]->name && args[j]->name_length == args[i]->name_length &&
			    memcmp(args[j]->name, args[i]->name, args[i]->name_length) == 0)
				return fault_fatal(p, p->at, "duplicate named arg: %.*s", (int)args[i]->name_length,
				                   args[i]->name);
		}
	}
	if (named != 0 && named != count)
		return fault_fatal(p, p->at, "cannot mix named and nameless arguments");
	*ret_named = named != 0;
	return true;
}

static struct call_site *site_new(struct parse *p, const struct bloblang_row *row, const struct node *target,
                                  size_t count)
{
	struct arena *a = &p->program->arena;
	struct call_site *site = arena_alloc(a, sizeof *site);

	must(row->evaluate);
	*site = (struct call_site){.row = row, .target = target, .arg_count = count, .program = p->program};
	site->args = arena_alloc(a, (count + 1) * sizeof *site->args);
	site->values = arena_alloc(a, (count + 1) * sizeof *site->values);
	for (size_t i = 0; i < count; i++) {
		site->args[i] = NULL;
		site->values[i] = value_nothing();
	}
	return site;
}

/* What can be done once is done now: constructors of literal arguments, and whole calls of ROW_FOLD rows. */
static bool finish_call(struct parse *p, struct call_site *site, const struct node **ret)
{
	struct evaluation *ev = p->evaluation;
	struct node *n = node_new(p, NODE_CALL);

	n->site = site;
	n->left = site->target;
	*ret = n;
	if (site->dynamic)
		return true;
	if (site->row->prepare && !eval_prepare(ev, site))
		return fault_fatal(p, p->at, "%s", failure_text(ev));
	if ((site->row->flags & ROW_FOLD) != 0 && (!site->target || site->target->kind == NODE_LITERAL)) {
		const char *annotation = node_annotation(&p->program->arena, n);
		struct context ctx = {0};
		struct value v;

		if (!eval_call(ev, &ctx, site, &v))
			return fault_fatal(p, p->at, "%s", failure_text(ev));
		*ret = node_literal(p, v, annotation);
	}
	return true;
}

static bool build_call(struct parse *p, const struct bloblang_row *row, const struct node *target, struct list *list,
                       const struct node **ret)
{
	const struct argument **args = arena_alloc(&p->program->arena, (list->count + 1) * sizeof *args);
	bool variadic = (row->flags & ROW_VARIADIC) != 0;
	struct call_site *site;
	bool named = false;

	if (!row->evaluate)
		return fault_fatal(p, p->at, "%s '%s' is not part of kspool: %s",
		                   row->kind == METHOD ? "method" : "function", row->name, row->summary);
	for (size_t i = 0; i < list->count; i++)
		args[i] = list->items[i];
	if (!check_names(p, args, list->count, &named))
		return false;
	site = site_new(p, row, target, variadic ? list->count : parameter_count(row));
	if (variadic ? !place_variadic(p, site, args, list->count, named)
	             : !place_parameters(p, site, args, list->count, named))
		return false;
	return finish_call(p, site, ret);
}

/* What ROW_IS_PATH asks for: this.get("a.b") is this.a.b. */
static bool path_of_call(struct parse *p, const struct node *target, const struct call_site *site,
                         const struct node **ret)
{
	size_t count;
	struct json_step *steps;

	steps = path_split(&p->program->arena, site->values[0].text, site->values[0].length, &count);
	return node_get(p, target, steps, count, ret);
}

static void note_flags(struct parse *p, const struct bloblang_row *row)
{
	if ((row->flags & ROW_VARIES) != 0)
		p->program->varies = row->name;
	p->program->reads_batch |= (row->flags & ROW_READS_BATCH) != 0;
}

bool parse_method_call(struct parse *p, const struct node *target, const struct node **ret)
{
	const struct bloblang_row *row;
	struct list args = {0};
	const char *name;
	size_t length;

	if (!parse_snake(p, &name, &length, "method") || !parse_arguments(p, &args))
		return false;
	row = p->program->find(METHOD, name, length);
	if (!row || (p->pure && (row->flags & ROW_NOT_PURE) != 0))
		return fault_fatal(p, p->at, "unrecognised method '%.*s'", (int)length, name);
	note_flags(p, row);
	if (!build_call(p, row, target, &args, ret))
		return false;
	if ((row->flags & ROW_IS_PATH) != 0 && !(*ret)->site->dynamic)
		return path_of_call(p, target, (*ret)->site, ret);
	return true;
}

bool parse_function_call(struct parse *p, const struct node **ret)
{
	const struct bloblang_row *row;
	struct list args = {0};
	const char *name;
	size_t length;

	if (!parse_snake(p, &name, &length, "function") || !parse_arguments(p, &args))
		return false;
	row = p->program->find(FUNCTION, name, length);
	if (!row || (p->pure && (row->flags & ROW_NOT_PURE) != 0))
		return fault_fatal(p, p->at, "unrecognised function '%.*s'", (int)length, name);
	if ((row->flags & ROW_READS_DOCUMENT) != 0)
		p->program->document_uses++;
	note_flags(p, row);
	return build_call(p, row, NULL, &args, ret);
}
