#include "config/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void tree_clear(struct config_node *node)
{
	for (size_t i = 0; i < node->count; i++) {
		tree_clear(&node->children[i]);
		free(node->children[i].key);
	}
	free(node->children);
	free(node->scalar);
	node->children = NULL;
	node->scalar = NULL;
	node->count = 0;
	node->kind = NODE_SCALAR;
	node->quoted = node->unset = false;
}

void tree_free(struct config_node *node)
{
	if (!node)
		return;
	tree_clear(node);
	free(node->key);
	free(node);
}

struct config_node *tree_member(const struct config_node *node, const char *key)
{
	if (!node || node->kind != NODE_MAP)
		return NULL;
	for (size_t i = 0; i < node->count; i++)
		if (strcmp(node->children[i].key, key) == 0)
			return &node->children[i];
	return NULL;
}

struct config_node *tree_append(struct config_node *node, const char *key)
{
	struct config_node *child;

	if (tree_is_null(node))
		node->kind = key ? NODE_MAP : NODE_LIST;
	if ((node->count & (node->count + 1)) == 0) /* full at 0, 1, 3, 7, ... */
		node->children = mem_grow(node->children, 2 * node->count + 1, sizeof *node->children);
	child = &node->children[node->count++];
	memset(child, 0, sizeof *child);
	child->key = key ? mem_string(key) : NULL;
	return child;
}

bool tree_is_null(const struct config_node *node) { return node->kind == NODE_SCALAR && !node->scalar; }

const char *tree_kind_name(const struct config_node *node)
{
	if (node->kind == NODE_LIST)
		return "a list";
	if (node->kind == NODE_MAP)
		return "a map";
	return node->scalar ? "a text" : "nothing";
}

static bool says_nothing(const struct config_node *node)
{
	return !node || tree_is_null(node) || (node->kind != NODE_SCALAR && node->count == 0);
}

bool tree_is_equal(const struct config_node *a, const struct config_node *b)
{
	if (says_nothing(a) || says_nothing(b))
		return says_nothing(a) == says_nothing(b);
	if (a->kind != b->kind || a->count != b->count)
		return false;
	if (a->kind == NODE_SCALAR)
		return a->quoted == b->quoted && strcmp(a->scalar, b->scalar) == 0;
	for (size_t i = 0; i < a->count; i++) {
		const struct config_node *x = &a->children[i], *y = &b->children[i];

		if (a->kind == NODE_MAP && strcmp(x->key, y->key) != 0)
			return false;
		if (!tree_is_equal(x, y))
			return false;
	}
	return true;
}
