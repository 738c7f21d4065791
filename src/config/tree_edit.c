#include "config/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/num.h"

void tree_copy(struct config_node *to, const struct config_node *from)
{
	char *key = take(to->key);

	tree_clear(to);
	*to = *from;
	to->key = key;
	to->scalar = from->scalar ? mem_string(from->scalar) : NULL;
	to->children = NULL;
	to->count = 0;
	for (size_t i = 0; i < from->count; i++)
		tree_copy(tree_append(to, from->children[i].key), &from->children[i]);
	to->kind = from->kind;
}

void tree_append_copies(struct config_node *to, const struct config_node *from)
{
	for (size_t i = 0; from && i < from->count; i++)
		tree_copy(tree_append(to, NULL), &from->children[i]);
}

void tree_remove(struct config_node *node, const char *key)
{
	size_t kept = 0;

	for (size_t i = 0; i < node->count; i++) {
		struct config_node *child = &node->children[i];

		if (child->key && strcmp(child->key, key) == 0) {
			tree_clear(child);
			free(child->key);
		} else {
			node->children[kept++] = *child;
		}
	}
	node->count = kept;
}

static void forget_places(struct config_node *node)
{
	node->line = node->column = node->key_line = node->key_column = node->text_line = node->text_column = 0;
	for (size_t i = 0; i < node->count; i++)
		forget_places(&node->children[i]);
}

/* One step of a path: an index of a list, or a key of a map, which is made when missing. Null after a fault. */
static struct config_node *descend(struct config_node *node, const char *step, const char *assignment,
                                   struct config_faults *faults)
{
	uint64_t index;
	struct config_node *child;

	if (node->kind == NODE_LIST) {
		if (num_parse_u64(step, &index) && index < node->count)
			return &node->children[index];
		config_faults_add(faults, 0, 0, false, "set %.200s: the list has no item %.64s (it has %zu)",
		                  assignment, step, node->count);
		return NULL;
	}
	if (node->kind == NODE_SCALAR && node->scalar) {
		config_faults_add(faults, 0, 0, false, "set %.200s: there is a plain value above %.64s", assignment,
		                  step);
		return NULL;
	}
	child = tree_member(node, step);
	return child ? child : tree_append(node, step);
}

void tree_set(struct config_node *root, const char *assignment, struct config_faults *faults)
{
	const char *equals = strchr(assignment, '=');
	AUTOFREE char *path = mem_string_n(assignment, equals ? (size_t)(equals - assignment) : strlen(assignment));
	AUTOFREE char *steps = mem_string(path);
	struct config_node *node = root, *value;
	struct config_faults inner = {0};
	struct expansion x;
	char *rest = steps;

	if (!equals || equals == assignment || equals[1] == '\0') {
		config_faults_add(faults, 0, 0, false, "set %.200s: write path=value", path);
		return;
	}
	for (char *step = strsep(&rest, "."); step && node; step = strsep(&rest, "."))
		node = descend(node, step, path, faults);
	if (!node)
		return;
	value = expand(&x, equals + 1, strlen(equals + 1), true, &inner) ? tree_parse(&x, &inner) : NULL;
	for (size_t i = 0; i < inner.count; i++)
		config_faults_add(faults, 0, 0, inner.items[i].warning, "set %.200s: %s", path, inner.items[i].text);
	if (value) {
		forget_places(value);
		tree_copy(node, value);
	}
	tree_free(value);
	expansion_fini(&x);
	config_faults_fini(&inner);
}
