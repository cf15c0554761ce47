/* yaml_tree.h - a YAML text as libyaml's document, where a node is a number from 1 on and 0 is none.
 *
 * As in RocketMQ's parser every scalar is a text, however it is written, except null, ~ and an
 * empty one, which are none. */
#ifndef MQFS_REMOTING_YAML_TREE_H
#define MQFS_REMOTING_YAML_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include <yaml.h>

/* Parse the first document of the text.  MQ_EBADCONF, noted: it is invalid (line, and why).  The
 * caller ends it with yaml_document_delete(), but only after MQ_OK. */
int yaml_tree_parse(const char *text, size_t len, yaml_document_t *ret);

/* Print the document, which is used up: malloc'ed. */
int yaml_tree_print(yaml_document_t *doc, char **ret, size_t *ret_len);

/* The root, if it is a mapping. */
int yaml_tree_root(yaml_document_t *doc);

/* The value that a mapping has under that name. */
int yaml_tree_member(yaml_document_t *doc, int map, const char *name);

/* NULL: it is no scalar, or null. */
const char *yaml_tree_text(yaml_document_t *doc, int node);

bool yaml_tree_is_map(yaml_document_t *doc, int node);

/* Items of a sequence: how many, and one of them. */
size_t yaml_tree_items(yaml_document_t *doc, int node);
int yaml_tree_item(yaml_document_t *doc, int node, size_t i);

#endif
