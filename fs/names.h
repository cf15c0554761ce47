/* names.h - names that do not fit in an inode number, kept as long as the kernel knows them.
 *
 * A name with options (q0@100..200) has the hash of its text as its number, so
 * it is the same at every lookup and after a remount.  The table remembers the
 * text from the kernel's lookup to its forget, and for open files.
 *
 * Names of a dead broker stay until the unmount, because the number of the kernel's
 * references to them is not known.
 *
 * Any thread.
 */
#ifndef MQFS_FS_NAMES_H
#define MQFS_FS_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct estate;
struct names;

/* The table begins with the names in `estate`, and keeps its own there; NULL: no estate. */
int names_open(struct estate *estate, struct names **ret);
void names_close(struct names *ns);	/* accepts NULL */

/* The number of `text` below `kind` and `id`.  The caller gets a hold of its own, because other
 * holders may drop theirs meanwhile.  The row lives while it is held. */
int names_intern(struct names *ns, int kind, uint32_t id, const char *text, uint64_t *ret_number);

/* The text and id of a number: MQ_OK or -ESTALE.  *ret_text is valid as long as the number is
 * held (by the kernel, during a request on it). */
int names_find(struct names *ns, uint64_t number, const char **ret_text, uint32_t *ret_id);

/* All numbers of `kind` that are held now: malloc'ed, *ret_n of them.  NULL: none, or no
 * memory. */
uint64_t *names_numbers(struct names *ns, int kind, size_t *ret_n);

void names_hold(struct names *ns, uint64_t number);
void names_drop(struct names *ns, uint64_t number, uint64_t times);

#endif
