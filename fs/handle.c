#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "conf/array.h"
#include "conf/log.h"
#include "fs/dir.h"
#include "fs/handle.h"
#include "fs/session.h"
#include "fs/text.h"

#define PLACE_BITS 20
#define PLACES (1u << PLACE_BITS)

struct handles {
	struct lock lock;
	TAILQ_HEAD(, handle) list;
	int64_t count;
	_Atomic int64_t late;	/* RELEASEs that another request keeps from being done */
	_Atomic uint64_t own_serial;
	_Atomic uint64_t *serial;	/* own, or the estate's */
	struct estate *estate;		/* NULL: no open file outlives this broker */
	struct handle *_Atomic *places;	/* PLACES of them; pages cost nothing until used */
	uint32_t n_places;	/* used up to here, but for the spare ones */
	uint32_t *spare;
	size_t n_spare, max_spare;
};

static uint32_t
place_of(uint64_t number)
{
	return (uint32_t)number & (PLACES - 1);
}

int
handles_open(struct mount *m, struct handles **ret)
{
	struct handles *hs = calloc(1, sizeof(*hs));

	if (!hs)
		return -ENOMEM;
	hs->places = mmap(NULL, PLACES * sizeof(hs->places[0]), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (hs->places == MAP_FAILED) {
		free(hs);
		return -ENOMEM;
	}
	lock_init(&hs->lock, RANK_TABLE);
	TAILQ_INIT(&hs->list);
	hs->estate = m->estate;
	hs->serial = hs->estate ? &hs->estate->serial : &hs->own_serial;
	*ret = hs;
	return MQ_OK;
}

static int
place_take(struct handles *hs, uint32_t *ret_place)
{
	MUST_HOLD(&hs->lock);
	if (hs->n_spare > 0)
		*ret_place = hs->spare[--hs->n_spare];
	else if (hs->n_places < PLACES)
		*ret_place = hs->n_places++;
	else
		return -ENFILE;
	return MQ_OK;
}

/* Without memory the place is not used again. */
static void
place_give_back(struct handles *hs, uint32_t place)
{
	MUST_HOLD(&hs->lock);
	if (ARRAY_ROOM(hs->spare, hs->max_spare, hs->n_spare + 1) == MQ_OK)
		hs->spare[hs->n_spare++] = place;
}

static void
handle_link(struct handles *hs, struct handle *h)
{
	MUST_HOLD(&hs->lock);
	TAILQ_INSERT_TAIL(&hs->list, h, entry);
	hs->count++;
	atomic_store(&hs->places[place_of(h->number)], h);
}

static int
handle_enlist(struct handles *hs, struct handle *h)
{
	uint32_t place;
	int rc;

	LOCKED(&hs->lock);
	rc = place_take(hs, &place);
	if (rc != MQ_OK)
		return rc;
	h->number = (atomic_fetch_add(hs->serial, 1) + 1) << PLACE_BITS | place;
	if (hs->estate && place < ESTATE_FILES) {
		h->kept = &hs->estate->files[place];
		if (place >= atomic_load(&hs->estate->n_files))
			atomic_store(&hs->estate->n_files, place + 1);
	}
	handle_link(hs, h);
	return MQ_OK;
}

static void
handle_delist(struct handles *hs, struct handle *h)
{
	LOCKED(&hs->lock);

	if (h->kept)
		atomic_store(&h->kept->used, false);
	atomic_store(&hs->places[place_of(h->number)], NULL);
	place_give_back(hs, place_of(h->number));
	TAILQ_REMOVE(&hs->list, h, entry);
	hs->count--;
}

struct handle *
handle_find(struct mount *m, uint64_t number)
{
	struct handle *h = atomic_load(&m->handles->places[place_of(number)]);

	return h && h->number == number ? h : NULL;
}

/* Reset what an open file that had this slot before has left. */
static void
kept_begin(struct estate_file *f)
{
	atomic_store(&f->released, false);
	atomic_store(&f->closing, false);
	atomic_store(&f->broken, MQ_OK);
	atomic_store(&f->poll, 0);
	atomic_store(&f->waited, 0);
	atomic_store(&f->read_end, 0);
	f->consumes = false;
	f->view.n = 0;
	estate_set_note(f, &(struct estate_note){ 0 });
	estate_set_tail(f, &(struct estate_tail){ 0 }, NULL, NULL);
}

int
handle_make(struct mount *m, const struct node *n, int flags, const struct fuse_ctx *who,
	    struct handle **ret)
{
	struct handle *h = calloc(1, sizeof(*h));
	int rc;

	if (!h)
		return -ENOMEM;
	rc = handle_enlist(m->handles, h);
	if (rc != MQ_OK) {
		free(h);
		return rc;
	}
	lock_init(&h->lock, RANK_HANDLE);
	h->node = *n;
	h->flags = flags;
	h->uid = who->uid;
	h->gid = who->gid;
	h->pid = who->pid;
	h->fopen = FOPEN_DIRECT_IO;
	h->refs = 1;
	node_hold(m, n->ino);
	if (h->kept)
		kept_begin(h->kept);
	*ret = h;
	return MQ_OK;
}

void
handle_ref(struct handle *h)
{
	atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
}

void
handle_set_node(struct mount *m, struct handle *h, const struct node *n)
{
	node_hold(m, n->ino);
	node_drop(m, h->node.ino, 1);
	h->node = *n;
}

int
handle_flush(struct mount *m, struct handle *h)
{
	const struct node_class *class = h->node.class;

	if (!h->opened)
		return MQ_OK;
	if (class->flush)
		return class->flush(m, h);
	return class->accept ? text_flush(m, h) : MQ_OK;
}

static void
handle_end(struct mount *m, struct handle *h)
{
	if (node_is_dir(&h->node))
		dir_release(h);
	else if (h->opened && h->node.class->release)
		h->node.class->release(m, h);
	handle_delist(m->handles, h);
	text_free(&h->text);
	text_free(&h->written);
	free(h->retry);
	node_drop(m, h->node.ino, 1);
	lock_destroy(&h->lock);
	free(h);
}

static bool
was_last(struct handle *h)
{
	return atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) == 1;
}

void
handle_unref(struct mount *m, struct handle *h)
{
	bool late;

	if (!was_last(h))
		return;
	late = h->released;
	handle_end(m, h);
	if (late)
		atomic_fetch_sub(&m->handles->late, 1);
}

void
handle_release(struct mount *m, struct handle *h)
{
	h->released = true;
	if (was_last(h))
		handle_end(m, h);
	else
		atomic_fetch_add(&m->handles->late, 1);
}

bool
handles_releases_late(const struct handles *hs)
{
	return hs && atomic_load(&hs->late) > 0;
}

/* No request is served any more, so each handle has one reference, the kernel's. */
void
handles_close(struct mount *m)
{
	struct handles *hs = m->handles;
	struct handle *h;

	if (!hs)
		return;
	while ((h = TAILQ_FIRST(&hs->list))) {
		handle_flush(m, h);
		handle_unref(m, h);
	}
	munmap(hs->places, PLACES * sizeof(hs->places[0]));
	free(hs->spare);
	lock_destroy(&hs->lock);
	free(hs);
	m->handles = NULL;
}

int64_t
handles_count(struct handles *hs)
{
	LOCKED(&hs->lock);

	return hs->count;
}

/* --- what outlives this broker ----------------------------------------------------------- */

void
handle_keep(struct handle *h)
{
	struct estate_file *f = h->kept;

	if (!f)
		return;
	f->number = h->number;
	f->ino = h->node.ino;
	f->flags = h->flags;
	f->uid = h->uid;
	f->gid = h->gid;
	f->pid = h->pid;
	f->fopen = h->fopen;
	f->backing_id = h->backing_id;
	atomic_store(&f->opening, session_request());
	atomic_store(&f->used, true);
}

struct handle *
handle_of_open(struct mount *m, uint64_t unique)
{
	struct handles *hs = m->handles;
	struct handle *h;

	LOCKED(&hs->lock);
	TAILQ_FOREACH(h, &hs->list, entry)
		if (h->inherited && atomic_load(&h->kept->opening) == unique)
			break;
	return h;
}

void
handles_note_stale(struct mount *m)
{
	struct handles *hs = m->handles;
	struct handle *h;

	if (!hs->estate)
		return;
	LOCKED(&hs->lock);
	TAILQ_FOREACH(h, &hs->list, entry)
		if (h->kept && node_is_stale(&h->node))
			atomic_store(&h->kept->broken, -ESTALE);
}

/* Open it again, as it was. */
static int
handle_resume(struct mount *m, struct handle *h)
{
	const struct node_class *c = h->node.class;
	int rc;

	if (c->list)
		return MQ_OK;
	if (c->render || c->accept)
		return -ESTALE;
	rc = c->resume ? c->resume(m, &h->node, h) : c->open ? c->open(m, &h->node, h) : MQ_OK;
	h->opened = rc == MQ_OK;
	return rc;
}

/* Of a file that could not be inherited: it has no operations. */
static const struct node_class node_broken = { 0 };

/* The kernel still has h: every request on it but RELEASE gets rc. */
static void
handle_break(struct handle *h, int rc)
{
	if (rc == -EIO && !atomic_load(&h->kept->broken))
		log_warn("an open file of pid %d has lost bytes: %s", (int)h->pid, err_text(rc));
	atomic_store(&h->kept->broken, rc);
	h->node = (struct node){ .ino = h->kept->ino, .class = &node_broken };
	h->broken = rc;
}

static struct handle *
handle_of_kept(struct estate_file *f)
{
	struct handle *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	lock_init(&h->lock, RANK_HANDLE);
	h->number = f->number;
	h->kept = f;
	h->inherited = true;
	h->flags = f->flags;
	h->uid = f->uid;
	h->gid = f->gid;
	h->pid = f->pid;
	h->fopen = f->fopen;
	h->refs = 1;
	return h;
}

static int
handle_inherit(struct mount *m, struct estate_file *f, int64_t *broken)
{
	struct handle *h = handle_of_kept(f);
	int rc = atomic_load(&f->broken);

	if (!h)
		return -ENOMEM;
	if (rc == MQ_OK)
		rc = node_get(m, f->ino, &h->node);
	if (rc == MQ_OK)
		rc = handle_resume(m, h);
	if (rc != MQ_OK) {
		handle_break(h, rc);
		++*broken;
	}
	h->backing_id = f->backing_id;
	lock_take(&m->handles->lock);
	handle_link(m->handles, h);
	lock_drop(&m->handles->lock);
	return MQ_OK;
}

/* Release the files that the kernel had closed, after all others are resumed: a release may append the rest of a
 * line, and an appender that is resumed finds out by the end of its queue how much it had stored. */
static void
handles_finish(struct mount *m)
{
	struct handles *hs = m->handles;

	for (uint32_t place = 0; place < hs->n_places; place++) {
		struct handle *h = atomic_load(&hs->places[place]);

		if (h && atomic_load(&h->kept->released))
			handle_unref(m, h);
	}
}

int
handles_inherit(struct mount *m)
{
	struct handles *hs = m->handles;
	int64_t broken = 0;
	int rc = MQ_OK;

	hs->n_places = atomic_load(&hs->estate->n_files);
	for (uint32_t place = hs->n_places; place-- > 0 && rc == MQ_OK;) {
		struct estate_file *f = &hs->estate->files[place];

		if (atomic_load(&f->used) && place_of(f->number) == place) {
			rc = handle_inherit(m, f, &broken);
		} else {
			LOCKED(&hs->lock);
			place_give_back(hs, place);
		}
	}
	if (rc != MQ_OK)
		return rc;
	handles_finish(m);
	log_notice("%" PRId64 " open files were taken over, %" PRId64 " could not be", hs->count - broken, broken);
	return MQ_OK;
}
