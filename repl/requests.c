#include "config.h"

#include "conf/err.h"
#include "repl/commits.h"
#include "repl/metadata.h"
#include "repl/peering.h"
#include "repl/read_log.h"
#include "repl/requests.h"

struct request_row {
	int code;
	/* Fill *ret.  Not MQ_OK (noted): it could not be done. */
	int (*serve)(struct replication *r, const struct request *req, struct answer *ret);
};

static int
serve_unknown(struct replication *r, const struct request *req, struct answer *ret)
{
	(void)r;
	return answer_refuse(ret, ANSWER_REQUEST_CODE_NOT_SUPPORTED, " request type %d not supported",
			     req->code);
}

/* The last row serves what no other does. */
static const struct request_row rows[] = {
	{ REQUEST_QUERY_CONSUMER_OFFSET, commits_serve_query },
	{ REQUEST_UPDATE_CONSUMER_OFFSET, commits_serve_update },
	{ REQUEST_GET_ALL_TOPIC_CONFIG, metadata_serve },
	{ REQUEST_GET_ALL_CONSUMER_OFFSET, metadata_serve },
	{ REQUEST_GET_ALL_DELAY_OFFSET, metadata_serve },
	{ REQUEST_GET_ALL_SUBSCRIPTIONGROUP_CONFIG, metadata_serve },
	{ REQUEST_GET_TIMER_CHECK_POINT, metadata_serve_timers },
	{ REQUEST_GET_TIMER_METRICS, metadata_serve_none },
	{ REQUEST_GET_ALL_MESSAGE_REQUEST_MODE, metadata_serve_none },
	{ REQUEST_HELLO, peering_serve },
	{ REQUEST_READ_LOG, read_log_serve },
	{ -1, serve_unknown },
};

static const struct request_row *
find_row(int code)
{
	const struct request_row *row = rows;

	while (row->code >= 0 && row->code != code)
		row++;
	return row;
}

void
requests_serve(struct replication *r, const struct request *req, struct answer *ret)
{
	struct answer answer = { .code = ANSWER_SUCCESS };
	int rc = find_row(req->code)->serve(r, req, &answer);

	if (rc != MQ_OK) {
		answer_clear(&answer);
		answer_refuse(&answer, ANSWER_SYSTEM_ERROR, "%s", err_text(rc));
	}
	*ret = answer;
}
