/* names.h - names that no number can hold, kept as long as the kernel knows them.
 *
 * A name with options (q0@100..200) has the hash of its text as its number, so
 * it is the same at every lookup and after a remount.  The table remembers the
 * text from the kernel's lookup to its forget, and for open files.
 *
 * What a dead broker has left stays until the end: how often the kernel still
 * knows it cannot be told for sure.
 *
 * Any thread.
 */
#ifndef MQFS_FS_NAMES_H
#define MQFS_FS_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct estate;
struct names;

/* With the names of `estate`, and to leave them there; NULL: for ourselves. */
int names_open(struct estate *estate, struct names **ret);
void names_close(struct names *ns);	/* accepts NULL */

/* The number of `text` below `kind` and `id`, held once for the caller: whoever else held
 * it may drop it meanwhile.  The row lives while it is held. */
int names_intern(struct names *ns, int kind, uint32_t id, const char *text, uint64_t *ret_number);

/* What the number stands for: MQ_OK or -ESTALE.  *ret_text is good as long as somebody
 * (the kernel, for a request on it) holds the number. */
int names_find(struct names *ns, uint64_t number, const char **ret_text, uint32_t *ret_id);

/* All numbers of `kind` that are held now: malloc'ed, *ret_n of them.  NULL: none, or no
 * memory. */
uint64_t *names_numbers(struct names *ns, int kind, size_t *ret_n);

void names_hold(struct names *ns, uint64_t number);
void names_drop(struct names *ns, uint64_t number, uint64_t times);

#endif
