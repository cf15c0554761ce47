#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "remoting/yaml_tree.h"

int
yaml_tree_parse(const char *text, size_t len, yaml_document_t *ret)
{
	yaml_parser_t parser;
	int rc = MQ_OK;

	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	if (!yaml_parser_load(&parser, ret))
		rc = parser.error == YAML_MEMORY_ERROR ? -ENOMEM :
		     err_note(MQ_EBADCONF, "line %zu: %s", parser.problem_mark.line + 1,
			      parser.problem ? parser.problem : "no YAML");
	yaml_parser_delete(&parser);
	return rc;
}

static int
write_to(void *out, unsigned char *bytes, size_t len)
{
	return fwrite(bytes, 1, len, out) == len;
}

int
yaml_tree_print(yaml_document_t *doc, char **ret, size_t *ret_len)
{
	yaml_emitter_t emitter;
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);
	bool well;

	if (!out || !yaml_emitter_initialize(&emitter)) {
		if (out)
			fclose(out);
		free(text);
		yaml_document_delete(doc);
		return -ENOMEM;
	}
	yaml_emitter_set_output(&emitter, write_to, out);
	yaml_emitter_set_unicode(&emitter, 1);
	yaml_emitter_set_width(&emitter, -1);
	doc->start_implicit = doc->end_implicit = 1;
	well = yaml_emitter_open(&emitter) && yaml_emitter_dump(&emitter, doc) && yaml_emitter_close(&emitter);
	yaml_emitter_delete(&emitter);
	if (fclose(out) != 0 || !well) {
		free(text);
		return -ENOMEM;
	}
	*ret = text;
	return MQ_OK;
}

int
yaml_tree_root(yaml_document_t *doc)
{
	return yaml_tree_is_map(doc, 1) ? 1 : 0;
}

bool
yaml_tree_is_map(yaml_document_t *doc, int node)
{
	const yaml_node_t *n = yaml_document_get_node(doc, node);

	return n && n->type == YAML_MAPPING_NODE;
}

int
yaml_tree_member(yaml_document_t *doc, int map, const char *name)
{
	const yaml_node_t *n = yaml_document_get_node(doc, map);

	if (!n || n->type != YAML_MAPPING_NODE)
		return 0;
	for (const yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
		const char *key = yaml_tree_text(doc, p->key);

		if (key && strcmp(key, name) == 0)
			return p->value;
	}
	return 0;
}

static bool
is_null(const yaml_node_t *n)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
		    strcmp((const char *)n->data.scalar.value, words[i]) == 0)
			return true;
	return false;
}

const char *
yaml_tree_text(yaml_document_t *doc, int node)
{
	const yaml_node_t *n = yaml_document_get_node(doc, node);

	if (!n || n->type != YAML_SCALAR_NODE || is_null(n))
		return NULL;
	return (const char *)n->data.scalar.value;
}

size_t
yaml_tree_items(yaml_document_t *doc, int node)
{
	const yaml_node_t *n = yaml_document_get_node(doc, node);

	if (!n || n->type != YAML_SEQUENCE_NODE)
		return 0;
	return (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
}

int
yaml_tree_item(yaml_document_t *doc, int node, size_t i)
{
	return yaml_document_get_node(doc, node)->data.sequence.items.start[i];
}
