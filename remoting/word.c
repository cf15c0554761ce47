#include "config.h"

#include <errno.h>

#include "conf/err.h"
#include "net/request.h"
#include "offsets/transactions.h"
#include "remoting/refusal.h"
#include "remoting/word.h"

void
word_answer(const struct remoting_broker *b, const struct ring_submission *s, const char *group,
	    struct ring_completion *c)
{
	const struct transaction_word w = {
		.group = group, .number = s->offset, .pos = MQ_POS(s->commit_offset),
		.end = (enum transaction_end)s->sysflag,
	};
	struct refusal why;
	int rc;

	if (b->settings->brokerRole == SLAVE) {
		(void)refuse(&why, ANSWER_SLAVE_NOT_AVAILABLE, "a slave ends no transactions");
		refusal_put(&why, c);
		return;
	}
	rc = transaction_end(b->offsets, &w);
	if (rc == MQ_OK)
		return;
	if (rc == -ENOENT || rc == -EINVAL || rc == -EALREADY)
		(void)refuse(&why, ANSWER_SYSTEM_ERROR, "%s", err_text(rc));
	else
		(void)refuse_rc(&why, rc);
	refusal_put(&why, c);
}
