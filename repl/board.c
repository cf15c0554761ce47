#include "config.h"

#include <sys/mman.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/futex.h"
#include "net/shared.h"
#include "repl/board.h"

/* --- the mount's side ----------------------------------------------------------------- */

int
board_open(struct board *b)
{
	void *marks, *acks;
	int rc;

	*b = (struct board){ .fds = { -1, -1, -1 }, .wake_fd = -1 };
	rc = shared_make("mqfs-marks", sizeof(*b->marks), SHARED_OURS, &b->fds[0], &marks);
	if (rc != MQ_OK)
		return rc;
	b->marks = marks;
	rc = shared_make("mqfs-acks", sizeof(*b->acks), SHARED_BOTH, &b->fds[1], &acks);
	if (rc == MQ_OK)
		b->acks = acks;
	if (rc == MQ_OK)
		rc = shared_make_wake(&b->wake_fd, &b->fds[2]);
	if (rc != MQ_OK) {
		board_close(b);
		return rc;
	}
	b->begin = (struct mark_mirror){ .at = &b->marks->begin };
	b->written = (struct mark_mirror){
		.at = &b->marks->written, .sleeps = &b->acks->sleeps, .wake_fd = b->wake_fd,
	};
	return MQ_OK;
}

void
board_close(struct board *b)
{
	if (!b->marks)
		return;
	munmap(b->marks, sizeof(*b->marks));
	if (b->acks)
		munmap(b->acks, sizeof(*b->acks));
	for (size_t i = 0; i < sizeof(b->fds) / sizeof(*b->fds); i++)
		if (b->fds[i] >= 0)
			close(b->fds[i]);
	if (b->wake_fd >= 0)
		close(b->wake_fd);
	b->marks = NULL;
}

int
board_give(struct board *b, int link_fd)
{
	atomic_store(&b->acks->sleeps, (atomic_load(&b->acks->sleeps) + 1) & ~1u);	/* awake, and no number again */
	for (size_t i = 0; i < LINK_PEERS_MAX; i++) {
		atomic_store(&b->acks->of[i].ack, 0);
		atomic_store(&b->acks->of[i].connection, 0);
	}
	return shared_pass(link_fd, b->fds, 3);
}

/* A new connection takes the old ack away before it says its own number: what is read
 * between two equal numbers is of that connection, or 0. */
int64_t
board_ack_of(const struct board_acks *acks, int32_t number, uint64_t connection)
{
	const struct board_ack *a = &acks->of[number - 1];
	int64_t ack;

	if (atomic_load(&a->connection) != connection)
		return 0;
	ack = atomic_load(&a->ack);
	return atomic_load(&a->connection) == connection ? ack : 0;
}

/* --- mqrepld's side ------------------------------------------------------------------- */

int
board_take(int link_fd, struct board_seat *ret)
{
	void *marks = NULL, *acks = NULL;
	int fds[3], rc = shared_receive(link_fd, fds, 3);

	if (rc == MQ_OK)
		rc = shared_map("board", fds[0], sizeof(struct board_marks), false, &marks);
	if (rc == MQ_OK)
		rc = shared_map("board", fds[1], sizeof(struct board_acks), true, &acks);
	if (rc == MQ_OK)
		*ret = (struct board_seat){ .marks = marks, .acks = acks, .wake_fd = fds[2] };
	return rc;
}

void
board_connected(const struct board_seat *seat, int32_t number, uint64_t connection)
{
	struct board_ack *a = &seat->acks->of[number - 1];

	atomic_store(&a->ack, 0);
	atomic_store(&a->connection, connection);
}

void
board_acked(const struct board_seat *seat, int32_t number, int64_t ack)
{
	atomic_store(&seat->acks->of[number - 1].ack, ack);
	if (ack > atomic_load(&seat->marks->wanted))
		board_tell(seat);
}

void
board_tell(const struct board_seat *seat)
{
	atomic_fetch_add(&seat->acks->news, 1);
	futex_wake(&seat->acks->news, true);
}

bool
board_sleep(const struct board_seat *seat, int64_t written)
{
	atomic_fetch_add(&seat->acks->sleeps, 1);
	return atomic_load(&seat->marks->written) == written;
}

void
board_awake(const struct board_seat *seat)
{
	atomic_fetch_add(&seat->acks->sleeps, 1);
}
