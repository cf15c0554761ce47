#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "offsets/pages.h"

#define META_MAGIC 0xbeefc0deu
#define META_VERSION 1
#define PAGE_MIN 512
#define PAGE_MAX 65536
#define NO_PAGE UINT64_MAX	/* the root of an empty table */
#define DEPTH_MAX 32
#define KEY_MAX 511
#define FIRST_PAGE 2		/* behind the two meta pages */

/* --- the format ------------------------------------------------------------------------ */

struct page_head {
	uint64_t number;
	uint16_t pad;
	uint16_t flags;		/* PAGE_* */
	uint16_t lower, upper;	/* of the gap between the nodes' places and the nodes; of an
				 * overflow page both are one number: how many pages it has */
};

enum { PAGE_BRANCH = 0x01, PAGE_LEAF = 0x02, PAGE_OVERFLOW = 0x04, PAGE_META = 0x08 };

struct node_head {
	uint16_t low, high;	/* leaf: bytes of the value; branch: with flags the page below */
	uint16_t flags;		/* NODE_* */
	uint16_t key_len;
};

enum { NODE_BIG = 0x01, NODE_TABLE = 0x02, NODE_DUPLICATES = 0x04 };

struct table_head {
	uint32_t page_bytes;	/* of the free list's: of all pages */
	uint16_t flags;
	uint16_t depth;
	uint64_t branch_pages, leaf_pages, overflow_pages, entries;
	uint64_t root;
};

enum { FLAGS_FREE_LIST = 0x08, FLAGS_TABLE = 0 };	/* integers as keys; bytes as keys */

struct meta_page {
	struct page_head head;
	uint32_t magic, version;
	uint64_t address, map_bytes;
	struct table_head free_list, main;
	uint64_t last_page, txn;
};

_Static_assert(sizeof(struct page_head) == 16 && sizeof(struct node_head) == 8 && sizeof(struct table_head) == 48 &&
	       sizeof(struct meta_page) == 152, "as LMDB lays them out");

/* --- reading --------------------------------------------------------------------------- */

struct pages {
	int fd;
	size_t bytes;		/* of a page */
	uint64_t last;		/* its number */
	unsigned char *used;	/* a bit for each: reached, or free */
};

/* A walk over the pages of one table. */
struct walk {
	struct pages *ps;
	bool is_free_list, is_main;
	uint16_t depth;		/* of all its leaf pages */
};

static int
damaged(uint64_t page, const char *what)
{
	return err_note(MQ_ECORRUPT, "lmdb: page %" PRIu64 " of data.mdb is damaged: %s", page, what);
}

/* A page that the disk cannot read is damaged, too: in LMDB's map it would be SIGBUS. */
static int
read_at(int fd, void *buf, size_t len, uint64_t page, size_t page_bytes)
{
	ssize_t n = pread(fd, buf, len, (off_t)(page * page_bytes));

	if (n < 0)
		return err_note(errno == EIO ? MQ_ECORRUPT : -errno, "lmdb: page %" PRIu64 " of data.mdb: %m", page);
	return (size_t)n == len ? MQ_OK : damaged(page, "the file ends before it");
}

/* Mark n pages from `page` on as used.  MQ_ECORRUPT: there are no such pages, or one is used already. */
static int
page_take(struct pages *ps, uint64_t page, uint64_t n)
{
	if (page < FIRST_PAGE || page > ps->last || n > ps->last + 1 - page)
		return damaged(page, "there is no such page");
	for (uint64_t i = page; i < page + n; i++) {
		if (ps->used[i / 8] & 1 << i % 8)
			return damaged(i, "it is used twice");
		ps->used[i / 8] = (unsigned char)(ps->used[i / 8] | 1 << i % 8);
	}
	return MQ_OK;
}

/* --- values ------------------------------------------------------------------------------ */

/* Read all of a value that has pages of its own. */
static int
big_read(struct pages *ps, uint64_t page, size_t len, unsigned char **ret_value)
{
	uint64_t n = (sizeof(struct page_head) + len + ps->bytes - 1) / ps->bytes;
	AUTO_FREE unsigned char *buf = NULL;
	struct page_head head;
	int rc = page_take(ps, page, n);

	if (rc != MQ_OK)
		return rc;
	buf = malloc(n * ps->bytes);
	if (!buf)
		return -ENOMEM;
	rc = read_at(ps->fd, buf, n * ps->bytes, page, ps->bytes);
	if (rc != MQ_OK)
		return rc;
	memcpy(&head, buf, sizeof(head));
	if (head.number != page || head.flags != PAGE_OVERFLOW ||
	    (head.lower | (uint64_t)head.upper << 16) != n)
		return damaged(page, "it does not begin the value that lies there");
	memmove(buf, buf + sizeof(head), len);
	*ret_value = take_ptr(buf);
	return MQ_OK;
}

/* Check a list of free pages: their count, then their numbers in falling order. */
static int
free_pages(struct pages *ps, uint64_t page, const unsigned char *value, size_t len)
{
	uint64_t n, number, before = NO_PAGE;
	int rc = MQ_OK;

	if (len < sizeof(n) || len % sizeof(n) != 0)
		return damaged(page, "no list of free pages");
	memcpy(&n, value, sizeof(n));
	if (n > len / sizeof(n) - 1)
		return damaged(page, "its list of free pages is longer than itself");
	for (uint64_t i = 1; i <= n && rc == MQ_OK; i++) {
		memcpy(&number, value + i * sizeof(number), sizeof(number));
		if (number >= before)
			return damaged(page, "its list of free pages is in no order");
		before = number;
		rc = page_take(ps, number, 1);
	}
	return rc;
}

static int tree_check(struct pages *ps, const struct table_head *t, bool is_free_list, bool is_main);

/* Check a table, whose root is a value of the main table. */
static int
sub_table(struct pages *ps, uint64_t page, const unsigned char *value, size_t len)
{
	struct table_head t;

	if (len != sizeof(t))
		return damaged(page, "no root of a table");
	memcpy(&t, value, sizeof(t));
	return tree_check(ps, &t, false, false);
}

/* --- pages of a tree ----------------------------------------------------------------------- */

static int
leaf_value(const struct walk *w, uint64_t page, const struct node_head *node, const unsigned char *value, size_t room)
{
	size_t len = node->low | (size_t)node->high << 16;
	bool big = node->flags & NODE_BIG;
	AUTO_FREE unsigned char *copy = NULL;
	uint64_t at;
	int rc = MQ_OK;

	if ((node->flags & ~(NODE_BIG | NODE_TABLE)) || w->is_main != !!(node->flags & NODE_TABLE) ||
	    (big ? sizeof(at) : len) > room)
		return damaged(page, "a value that cannot be there");
	if (big) {
		memcpy(&at, value, sizeof(at));
		rc = big_read(w->ps, at, len, &copy);
		value = copy;
	}
	if (rc == MQ_OK && w->is_free_list)
		rc = free_pages(w->ps, page, value, len);
	if (rc == MQ_OK && w->is_main)
		rc = sub_table(w->ps, page, value, len);
	return rc;
}

static int page_check(const struct walk *w, uint64_t page, unsigned depth);

static int
node_check(const struct walk *w, uint64_t page, const unsigned char *buf, size_t at, bool leaf, unsigned depth)
{
	struct node_head node;
	size_t room;

	if (at % 2 || at > w->ps->bytes - sizeof(node))
		return damaged(page, "a node that lies outside of it");
	memcpy(&node, buf + at, sizeof(node));
	room = w->ps->bytes - at - sizeof(node);
	if (node.key_len > KEY_MAX || node.key_len > room || (w->is_free_list && leaf && node.key_len != sizeof(uint64_t)))
		return damaged(page, "a key that cannot be there");
	if (leaf)
		return leaf_value(w, page, &node, buf + at + sizeof(node) + node.key_len, room - node.key_len);
	return page_check(w, node.low | (uint64_t)node.high << 16 | (uint64_t)node.flags << 32, depth + 1);
}

static int
nodes_check(const struct walk *w, uint64_t page, const unsigned char *buf, unsigned depth)
{
	struct page_head head;
	bool leaf = depth == w->depth;
	size_t n;
	int rc = MQ_OK;

	memcpy(&head, buf, sizeof(head));
	if (head.number != page || head.flags != (leaf ? PAGE_LEAF : PAGE_BRANCH))
		return damaged(page, "it is another one than its place asks for");
	if (head.lower < sizeof(head) || head.lower % 2 || head.lower > head.upper || head.upper > w->ps->bytes)
		return damaged(page, "its bounds cannot be true");
	n = (head.lower - sizeof(head)) / sizeof(uint16_t);
	if (n < (leaf || w->is_free_list ? 1 : 2))
		return damaged(page, "it has too few nodes");
	for (size_t i = 0; i < n && rc == MQ_OK; i++) {
		uint16_t at;

		memcpy(&at, buf + sizeof(head) + i * sizeof(at), sizeof(at));
		rc = at < head.upper ? damaged(page, "a node that lies outside of it")
				     : node_check(w, page, buf, at, leaf, depth);
	}
	return rc;
}

static int
page_check(const struct walk *w, uint64_t page, unsigned depth)
{
	AUTO_FREE unsigned char *buf = NULL;
	int rc = page_take(w->ps, page, 1);

	if (rc != MQ_OK)
		return rc;
	buf = malloc(w->ps->bytes);
	if (!buf)
		return -ENOMEM;
	rc = read_at(w->ps->fd, buf, w->ps->bytes, page, w->ps->bytes);
	return rc == MQ_OK ? nodes_check(w, page, buf, depth) : rc;
}

static int
tree_check(struct pages *ps, const struct table_head *t, bool is_free_list, bool is_main)
{
	struct walk w = { .ps = ps, .is_free_list = is_free_list, .is_main = is_main, .depth = t->depth };

	if (t->flags != (is_free_list ? FLAGS_FREE_LIST : FLAGS_TABLE))
		return err_note(MQ_ECORRUPT, "lmdb: data.mdb has a table of an unknown kind");
	if (t->root == NO_PAGE)
		return MQ_OK;
	if (t->depth < 1 || t->depth > DEPTH_MAX)
		return damaged(t->root, "it is the root of a table of no depth");
	return page_check(&w, t->root, 1);
}

/* --- the file --------------------------------------------------------------------------------- */

static int
meta_read(int fd, uint64_t page, size_t page_bytes, struct meta_page *ret)
{
	int rc = read_at(fd, ret, sizeof(*ret), page, page_bytes);

	if (rc != MQ_OK)
		return rc;
	if (!(ret->head.flags & PAGE_META) || ret->magic != META_MAGIC || ret->version != META_VERSION)
		return damaged(page, "it is no meta page");
	return MQ_OK;
}

/* Even transactions write the first meta page, odd ones the second. */
static bool
follow_each_other(uint64_t first, uint64_t second)
{
	if (first == 0 && second == 0)
		return true;
	return first % 2 == 0 && (second == first + 1 || second + 1 == first);
}

/* The newer of the two. */
static int
metas_read(int fd, struct meta_page *ret)
{
	struct meta_page second;
	size_t bytes;
	int rc = meta_read(fd, 0, 0, ret);

	if (rc != MQ_OK)
		return rc;
	bytes = ret->free_list.page_bytes;
	if (bytes < PAGE_MIN || bytes > PAGE_MAX || (bytes & (bytes - 1)))
		return damaged(0, "no such size of a page");
	rc = meta_read(fd, 1, bytes, &second);
	if (rc != MQ_OK)
		return rc;
	if (second.free_list.page_bytes != bytes)
		return damaged(1, "another size of a page");
	if (!follow_each_other(ret->txn, second.txn))
		return damaged(1, "transactions that do not follow each other in the two meta pages");
	if (second.txn > ret->txn)
		*ret = second;
	return MQ_OK;
}

static int
file_check(int fd, uint64_t file_bytes)
{
	AUTO_FREE unsigned char *used = NULL;
	struct pages ps = { .fd = fd };
	struct meta_page meta;
	int rc = metas_read(fd, &meta);

	if (rc != MQ_OK)
		return rc;
	ps.bytes = meta.free_list.page_bytes;
	ps.last = meta.last_page;
	if (ps.last < 1 || ps.last >= file_bytes / ps.bytes)
		return err_note(MQ_ECORRUPT, "lmdb: data.mdb is cut short: %" PRIu64 " bytes, its last page is %" PRIu64,
				file_bytes, ps.last);
	ps.used = used = calloc(ps.last / 8 + 1, 1);
	if (!used)
		return -ENOMEM;
	rc = tree_check(&ps, &meta.main, false, true);
	return rc == MQ_OK ? tree_check(&ps, &meta.free_list, true, false) : rc;
}

int
pages_check(const char *data_mdb)
{
	AUTO_CLOSE int fd = open(data_mdb, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (sizeof(size_t) != sizeof(uint64_t))
		return MQ_OK;		/* LMDB's numbers are shorter there */
	if (fd < 0)
		return errno == ENOENT ? MQ_OK : err_note(-errno, "%s: %m", data_mdb);
	if (fstat(fd, &st) != 0)
		return err_note(-errno, "%s: %m", data_mdb);
	return st.st_size > 0 ? file_check(fd, (uint64_t)st.st_size) : MQ_OK;
}
