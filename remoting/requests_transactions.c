/* END_TRANSACTION: a producer's word on its half message. */
#include "config.h"

#include <errno.h>

#include "conf/err.h"
#include "offsets/transactions.h"
#include "remoting/refusal.h"
#include "remoting/requests.h"
#include "remoting/service_priv.h"

int
serve_end_transaction(struct service *s, const struct request *req, struct answer *ret)
{
	struct transaction_word w = { .group = ext_get(req->ext, "producerGroup") };
	struct refusal why;
	int64_t end;
	int rc;

	if (s->settings->brokerRole == SLAVE)
		return answer_refuse(ret, ANSWER_SLAVE_NOT_AVAILABLE, "a slave ends no transactions");
	if (!request_number(req, "commitLogOffset", &w.pos.byte, ret) ||
	    !request_number(req, "tranStateTableOffset", &w.number, ret) ||
	    !request_number(req, "commitOrRollback", &end, ret))
		return MQ_OK;
	if (end != TRANSACTION_COMMIT && end != TRANSACTION_ROLLBACK)
		return MQ_OK;		/* it does not know yet, and will be asked */
	w.end = (enum transaction_end)end;
	rc = transaction_end(s->broker.offsets, &w);
	if (rc == MQ_OK)
		return MQ_OK;
	if (rc == -ENOENT || rc == -EINVAL || rc == -EALREADY)
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "%s", err_text(rc));
	(void)refuse_rc(&why, rc);
	return answer_refuse(ret, why.code, "%s", why.why);
}
