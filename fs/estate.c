#include "config.h"

#include <string.h>
#include <sys/mman.h>

#include "fs/estate.h"

struct estate *
estate_open(void)
{
	/* pages cost nothing until they are used */
	void *e = mmap(NULL, sizeof(struct estate), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return e == MAP_FAILED ? NULL : e;
}

void
estate_close(struct estate *e)
{
	if (e)
		munmap(e, sizeof(*e));
}

const struct estate_note *
estate_note(const struct estate_file *f)
{
	return &f->notes[atomic_load(&f->note_at)];
}

void
estate_set_note(struct estate_file *f, const struct estate_note *note)
{
	unsigned other = !atomic_load(&f->note_at);

	f->notes[other] = *note;
	atomic_store(&f->note_at, other);
}

const struct estate_tail *
estate_tail(const struct estate_file *f)
{
	return &f->tails[atomic_load(&f->tail_at)];
}

void
estate_set_tail(struct estate_file *f, const struct estate_tail *tail, const void *held,
		const struct retry *retry)
{
	unsigned other = !atomic_load(&f->tail_at);

	f->tails[other] = *tail;
	if (tail->held_len > 0 && tail->held_len <= ESTATE_TAIL_BYTES)
		memcpy(f->held[other], held, tail->held_len);
	if (retry)
		memcpy(&f->retries[other], retry, retry_bytes(retry));
	else
		retry_forget(&f->retries[other]);
	atomic_store(&f->tail_at, other);
}

const void *
estate_held(const struct estate_file *f)
{
	return f->held[atomic_load(&f->tail_at)];
}

const struct retry *
estate_retry(const struct estate_file *f)
{
	return &f->retries[atomic_load(&f->tail_at)];
}
