/* The thread that brings a slave's commits to its master (repl/commits.h). */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/err.h"
#include "repl/replication_priv.h"
#include "tests/broker_kit.h"

/* --- its master, as the links would have it ------------------------------------------------- */

static struct replication_peer master = { .state = LINK_PEER_TRANSFER, .turn = 1 };
static _Atomic bool comes_and_goes;	/* it is another answer at each question */
static _Atomic int64_t questions, updates;

const struct replication_peer *__wrap_peers_master(const struct peers *p);
const struct replication_peer *
__wrap_peers_master(const struct peers *p)
{
	(void)p;
	return comes_and_goes && questions++ % 2 ? NULL : &master;
}

int __wrap_replication_call(struct replication *r, int code, const json_t *ext, const void *body, size_t body_len,
			    int timeout_ms, struct answer *ret);
int
__wrap_replication_call(struct replication *r, int code, const json_t *ext, const void *body, size_t body_len,
			int timeout_ms, struct answer *ret)
{
	(void)r, (void)ext, (void)body, (void)body_len, (void)timeout_ms;
	if (code == REQUEST_UPDATE_CONSUMER_OFFSET)
		updates++;
	*ret = (struct answer){ .code = ANSWER_SUCCESS };
	return MQ_OK;
}

/* --- a slave --------------------------------------------------------------------------------- */

static struct subscription *
begin(struct broker *b, struct replication *r)
{
	struct group_conf conf;
	struct group *g;

	broker_open(b);
	broker_topic(b, "t", 1);
	broker_produce(b, "t", 0, 10);
	group_conf_default(&conf, "g");
	conf.from_first = true;
	assert_int_equal(group_create(b->offsets, &conf, &g), MQ_OK);
	broker_subscribe(b, g, topic_find(b->offsets, "t"));
	broker_close(b);
	broker_set(b, "brokerRole", "SLAVE");
	broker_open(b);
	*r = (struct replication){ .settings = &b->settings, .store = b->store, .ready = true };
	r->broker.offsets = b->offsets;
	lock_init(&r->lock, RANK_REPLICATION);
	cond_init(&r->changed);
	assert_int_equal(commits_open(r, &r->commits), MQ_OK);
	return broker_subscription(b, "g", "t");
}

static void
end(struct broker *b, struct replication *r)
{
	lock_take(&r->lock);
	r->closing = true;
	pthread_cond_broadcast(&r->changed);
	lock_drop(&r->lock);
	commits_close(r->commits);
	pthread_cond_destroy(&r->changed);
	lock_destroy(&r->lock);
	broker_close(b);
}

static bool
comes_to(_Atomic int64_t *count, int64_t n)
{
	for (int i = 0; i < 10000 && *count < n; i++)
		usleep(2000);
	return *count >= n;
}

static void
commits_are_forwarded_after_a_role_change_at_any_moment(void **state)
{
	struct broker *b = *state;
	struct subscription *sub;
	struct replication r;

	questions = updates = 0;
	comes_and_goes = true;
	sub = begin(b, &r);
	assert_true(comes_to(&questions, 3));
	assert_int_equal(commit_forward(b->offsets, sub, 0, MQ_QOFF(4)), MQ_OK);
	assert_true(comes_to(&updates, 1));
	comes_and_goes = false;
	assert_int_equal(commit_forward(b->offsets, sub, 0, MQ_QOFF(5)), MQ_OK);
	assert_true(comes_to(&updates, 2));
	end(b, &r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(commits_are_forwarded_after_a_role_change_at_any_moment, broker_setup,
						broker_teardown),
	};

	return cmocka_run_group_tests_name("commits", tests, NULL, NULL);
}
