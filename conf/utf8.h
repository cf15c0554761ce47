/* utf8.h - is it UTF-8? */
#ifndef MQFS_CONF_UTF8_H
#define MQFS_CONF_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length of the character that begins at s, where `left` bytes are (at least one), and its
 * code point; 0: none begins there. */
size_t utf8_next(const void *s, size_t left, uint32_t *ret_c);

bool utf8_valid(const void *text, size_t len);

#endif
