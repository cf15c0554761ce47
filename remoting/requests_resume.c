/* RESUME_CHECK_HALF_MESSAGE: a message that nobody has decided on is asked for again. */
#include "config.h"

#include <errno.h>

#include "conf/err.h"
#include "offsets/transactions.h"
#include "remoting/requests.h"
#include "remoting/service_priv.h"

#define TOPIC "TRANS_CHECK_MAX_TIME_TOPIC"

int
serve_resume_half(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	const char *id = ext_get(req->ext, "msgId");
	const struct topic *t = topic_find(o, TOPIC);
	mq_pos pos;
	int rc;

	if (!id || record_parse_msg_id(id, &pos) != MQ_OK || !t)
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "there is no such message in %s", TOPIC);
	if (!rights_topic(&s->rights, o, t, RIGHTS_WRITE))
		return answer_refuse(ret, ANSWER_NO_PERMISSION, "%s", err_text(-EACCES));
	rc = transaction_resume(o, pos);
	return rc == MQ_OK ? MQ_OK : answer_refuse(ret, ANSWER_SYSTEM_ERROR, "%s", err_text(rc));
}
