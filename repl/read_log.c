#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "offsets/epochs.h"
#include "repl/read_log.h"
#include "repl/replication_priv.h"
#include "store/heal.h"
#include "store/record.h"

#define TIMEOUT_MS 10000

/* The epoch that `pos` of our log is in, "" before the first. */
static int
epoch_at(struct replication *r, mq_pos pos, char ret_text[EPOCH_ID_TEXT])
{
	AUTO_FREE struct epoch *list = calloc(EPOCHS_MAX, sizeof(*list));
	size_t n;

	if (!list)
		return -ENOMEM;
	*ret_text = '\0';
	n = offsets_epochs(r->broker.offsets, list, EPOCHS_MAX);
	for (size_t i = 0; i < n && list[i].start.byte <= pos.byte; i++)
		epoch_id_print(list[i].id, ret_text);
	return MQ_OK;
}

/* --- the master's side ------------------------------------------------------------- */

int
read_log_serve(struct replication *r, const struct request *req, struct answer *ret)
{
	int64_t from, at;
	char ours[EPOCH_ID_TEXT];
	int rc;

	if (!ext_number(req->ext, "from", 0, INT64_MAX, &from))
		return err_note(-EINVAL, "from: not a position of the log");
	at = from;
	if (ext_get(req->ext, "at") && !ext_number(req->ext, "at", 0, INT64_MAX, &at))
		return err_note(-EINVAL, "at: not a position of the log");
	rc = epoch_at(r, MQ_POS(from), ours);
	if (rc == MQ_OK && strcmp(ours, ext_text(req->ext, "epoch")) != 0)
		rc = err_note(-EPERM, "position %" PRId64 " of this log is of another epoch", from);
	if (rc == MQ_OK)
		ret->body = malloc(HEAL_BYTES);
	if (rc == MQ_OK && !ret->body)
		rc = -ENOMEM;
	return rc == MQ_OK ? heal_serve(r->store, MQ_POS(from), MQ_POS(at), ret->body, HEAL_BYTES, &ret->body_len) : rc;
}

/* --- the slave's ---------------------------------------------------------------------- */

static int
take_answer(const struct answer *a, mq_pos from, void *buf, size_t size, size_t *ret_n)
{
	if (a->code == ANSWER_REQUEST_CODE_NOT_SUPPORTED)
		return err_note(-EOPNOTSUPP, "the master is no mqfs that could be asked for bytes of the log");
	if (a->code != ANSWER_SUCCESS)
		return err_note(-EIO, "the master does not give the log from %" PRId64 " on: %s", from.byte,
				a->remark);
	if (a->body_len == 0 || a->body_len > size)
		return err_note(MQ_ECORRUPT, "the master answers with %zu bytes of the log", a->body_len);
	memcpy(buf, a->body, a->body_len);
	*ret_n = a->body_len;
	return MQ_OK;
}

static int
ask(struct replication *r, mq_pos from, mq_pos at, const char *epoch, void *buf, size_t size, size_t *ret_n)
{
	json_auto_t *ext = json_object();
	struct answer a;
	int rc = ext_print(ext, "from", "%" PRId64, from.byte);

	if (rc == MQ_OK && *epoch)
		rc = ext_print(ext, "epoch", "%s", epoch);
	if (rc == MQ_OK && at.byte > from.byte)
		rc = ext_print(ext, "at", "%" PRId64, at.byte);
	if (rc == MQ_OK)
		rc = replication_call(r, REQUEST_READ_LOG, ext, NULL, 0, TIMEOUT_MS, &a);
	if (rc != MQ_OK)
		return rc;
	rc = take_answer(&a, from, buf, size, ret_n);
	answer_clear(&a);
	return rc;
}

int
read_log(struct replication *r, mq_pos from, mq_pos at, void *buf, size_t size, size_t *ret_n)
{
	char epoch[EPOCH_ID_TEXT];
	int rc = epoch_at(r, from, epoch);

	return rc == MQ_OK ? ask(r, from, at, epoch, buf, size, ret_n) : rc;
}

int
read_log_check(struct replication *r, mq_pos at, const struct epochs *theirs)
{
	AUTO_FREE unsigned char *buf = malloc(HEAL_BYTES);
	char epoch[EPOCH_ID_TEXT] = "";
	struct record rec;
	size_t n = 0;
	int rc = buf ? MQ_OK : -ENOMEM;

	for (size_t i = 0; i < theirs->n && theirs->list[i].start.byte <= at.byte; i++)
		epoch_id_print(theirs->list[i].id, epoch);
	if (rc == MQ_OK)
		rc = ask(r, at, at, epoch, buf, HEAL_BYTES, &n);
	if (rc == MQ_OK)
		rc = record_verify(buf, n, at, &rec);
	if (rc == MQ_EEND && n == HEAL_BYTES)		/* a longer one */
		rc = MQ_OK;
	if (rc == MQ_EEND || rc == MQ_EBLANK || rc == MQ_ECORRUPT)
		rc = err_note(-EPROTO, "it says that its log begins at %" PRId64 ", but the record there is not good",
			      at.byte);
	return rc;
}
