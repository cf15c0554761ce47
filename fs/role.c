#include "config.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "conf/err.h"
#include "conf/lock.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "fs/names.h"
#include "fs/node.h"
#include "fs/pending.h"
#include "fs/role.h"
#include "fs/supervise.h"
#include "fs/workers.h"
#include "remoting/service.h"
#include "repl/replication.h"
#include "store/wheel.h"

/* Held during a change of the role, and during a cut of the log. */
static struct lock role_lock = LOCK_STATIC(RANK_ROLE);

static bool
is_slave(const struct mount *m)
{
	return m->settings->brokerRole == SLAVE;
}

/* --- cuts of a slave's log ------------------------------------------------------ */

/* The kernel caches the length of finished ranges (q0@5..9), which a cut may change: let it ask again. */
static void
forget_lengths(struct mount *m)
{
	AUTO_FREE uint64_t *numbers = NULL;
	size_t n = 0;

	if (!m->session || !m->names)
		return;
	numbers = names_numbers(m->names, NODE_NAMED, &n);
	for (size_t i = 0; i < n; i++)
		fuse_lowlevel_notify_inval_inode(m->session, node_ino_wide(NODE_NAMED, numbers[i]), -1, 0);
}

static int
broker_cut(void *arg, mq_pos at, const char *why)
{
	struct mount *m = arg;
	int rc;

	LOCKED(&role_lock);
	rc = is_slave(m) ? offsets_cut(m->offsets, at, why) : -EROFS;
	if (rc == MQ_OK)
		forget_lengths(m);
	return rc;
}

static int
broker_reset(void *arg, mq_pos begin, const struct epochs *theirs, const char *why)
{
	struct mount *m = arg;
	int rc;

	LOCKED(&role_lock);
	rc = is_slave(m) ? offsets_reset(m->offsets, begin, theirs, why) : -EROFS;
	if (rc == MQ_OK)
		forget_lengths(m);
	return rc;
}

/* Count messages of RocketMQ's timer wheel, which mqfs does not deliver.  Not on a slave: its master may. */
static void
count_wheel(struct mount *m)
{
	int64_t waiting = 0;

	if (!is_slave(m))
		wheel_log(m->store, m->dir.fd, &waiting);
	atomic_store(&m->wheel_waiting, waiting);
}

int
role_begin(struct mount *m)
{
	const struct replication_broker broker = {
		.store = m->store, .offsets = m->offsets, .cut = broker_cut, .reset = broker_reset, .arg = m,
	};
	struct replication *r = NULL;
	int rc;

	count_wheel(m);
	if (m->settings->brokerRole == SYNC_MASTER && !replication_is_needed(m->settings))
		log_warn("a SYNC_MASTER with haListen=none: no slave can reach it");
	if (m->read_only)
		return MQ_OK;
	rc = replication_check(m->settings);
	if (rc != MQ_OK || !replication_is_needed(m->settings))
		return rc;
	rc = replication_open(m->settings, &broker, NULL, &r);
	m->replication = r;
	return rc;
}

/* --- the network ------------------------------------------------------------------------ */

static void
broker_serve_slave(void *arg, const struct request *req, struct answer *ret)
{
	struct mount *m = arg;

	if (m->replication)
		replication_serve(m->replication, req, ret);
	else
		answer_refuse(ret, ANSWER_REQUEST_CODE_NOT_SUPPORTED, " request type %d not supported", req->code);
}

/* A name server says who the master is; the operator's own `master` setting wins. */
static void
broker_master_found(void *arg, const char *ha, const char *remoting)
{
	struct mount *m = arg;
	int rc;

	LOCKED(&role_lock);
	if (m->master_given || !is_slave(m) || !m->replication ||
	    (strcmp(m->settings->master, ha) == 0 && strcmp(m->settings->masterRemoting, remoting) == 0))
		return;
	rc = settings_change(m->settings, "master", ha, "a name server");
	if (rc == MQ_OK)
		rc = settings_change(m->settings, "masterRemoting", remoting, "a name server");
	if (rc != MQ_OK) {
		log_warn("%s", err_text(rc));
		return;
	}
	log_notice("a name server says that the master is %s", ha);
	replication_role_changed(m->replication);
}

static struct mark *
broker_replicated(void *arg)
{
	const struct mount *m = arg;

	return m->replication ? replication_replicated(m->replication) : NULL;
}

static bool
broker_in_sync(void *arg)
{
	const struct mount *m = arg;

	return m->replication && replication_in_sync(m->replication);
}

static int
broker_set(void *arg, const char *key, const char *value)
{
	return config_set(arg, key, value);
}

int
role_serve_network(struct mount *m)
{
	const struct service_broker broker = {
		.store = m->store, .offsets = m->offsets, .serve_slave = broker_serve_slave,
		.master_is = broker_master_found, .replicated = broker_replicated, .in_sync = broker_in_sync,
		.host = m->host, .set = broker_set, .arg = m,
	};

	if (m->read_only || !service_is_needed(m->settings))
		return MQ_OK;
	return service_open(m->settings, &broker, NULL, &m->service);
}

/* Let the daemons and waiting requests follow the settings as they are now. */
static int
settings_follow(struct mount *m)
{
	int rc = MQ_OK;

	if (m->replication)
		replication_role_changed(m->replication);
	else
		rc = role_begin(m);
	if (m->service)
		service_role_changed(m->service);
	pending_role_changed(m->pending);
	return rc;
}

/* --- slave -> master ------------------------------------------------------------------ */

/* Begin a new epoch: when this returns, its record is the log's last, on this disk and in the views. */
static int
begin_epoch(struct mount *m)
{
	int rc;

	store_refuse(m->store, -EROFS);
	rc = store_cut_torn(m->store, "it came in part when the slave became the master.");
	if (rc == MQ_OK)
		rc = offsets_promote(m->offsets);
	return rc == MQ_OK ? store_flush(m->store, mark_at(store_written(m->store))) : rc;
}

static int
promote(struct mount *m, const char *value)
{
	int rc, again;

	if (m->replication)
		replication_pause(m->replication);
	rc = begin_epoch(m);
	if (rc == MQ_OK)
		rc = settings_change(m->settings, "brokerRole", value, "config");
	if (rc == MQ_OK) {
		m->settings->brokerId = 0;
		offsets_promoted(m->offsets);
	} else {
		store_refuse(m->store, MQ_EROLE);
	}
	again = settings_follow(m);
	if (rc == MQ_OK)
		count_wheel(m);
	return rc == MQ_OK ? again : rc;
}

/* --- master -> slave ------------------------------------------------------------------ */

static int
demote(struct mount *m, const char *value)
{
	int rc = m->replication ? MQ_OK : replication_check(m->settings);

	if (rc != MQ_OK)		/* it stays a master */
		return rc;
	offsets_demote(m->offsets);
	rc = settings_change(m->settings, "brokerRole", value, "config");
	if (rc != MQ_OK)
		return rc;
	if (m->settings->brokerId == 0)
		m->settings->brokerId = 1;
	store_refuse(m->store, MQ_EROLE);
	rc = store_flush(m->store, mark_at(store_written(m->store)));
	if (rc != MQ_OK)
		log_err("not all of the log is on disk: %s", err_text(rc));
	if (!m->settings->master[0])
		log_warn("a slave without a master: it follows nobody until config/master says whom");
	return settings_follow(m);
}

/* --- both --------------------------------------------------------------------------------- */

/* A master or slave stays one, in another role: mqrepld sends in another way for a SYNC_MASTER. */
static int
change_within_side(struct mount *m, const char *value)
{
	int rc = settings_change(m->settings, "brokerRole", value, "config");

	if (rc == MQ_OK && m->replication)
		replication_refresh(m->replication);
	return rc;
}

static int
change(struct mount *m, bool to_slave, const char *value)
{
	int rc;

	LOCKED(&role_lock);
	if (to_slave == is_slave(m))
		return change_within_side(m, value);
	rc = to_slave ? demote(m, value) : promote(m, value);
	if (rc == MQ_OK)
		log_notice("this broker is a %s from now on; at the next mount, options and mqfs.conf decide",
			   to_slave ? "slave" : "master");
	return rc;
}

static int
role_change(struct mount *m, const char *value)
{
	int rc;

	if (m->read_only)
		return -EROFS;
	rc = setting_check(setting_find("brokerRole"), value, "config");
	if (rc != MQ_OK)
		return rc;
	workers_wait_begin(m);		/* the log is flushed, mqrepld ends, others wait for the lock */
	rc = change(m, strcasecmp(value, "SLAVE") == 0, value);
	workers_wait_end(m);
	return rc;
}

/* The setting `master` has changed. */
static void
follow_other(struct mount *m)
{
	workers_wait_begin(m);
	lock_take(&role_lock);
	m->master_given = *m->settings->master;
	if (m->replication && is_slave(m))
		replication_role_changed(m->replication);
	lock_drop(&role_lock);
	workers_wait_end(m);
}

int
config_set(struct mount *m, const char *key, const char *value)
{
	bool is_role = strcmp(key, "brokerRole") == 0;
	int rc = is_role ? role_change(m, value) : settings_change(m->settings, key, value, "config");

	if (rc != MQ_OK)
		return rc;
	if (strcmp(key, "master") == 0)
		follow_other(m);
	lifeline_setting(m->line, key, value);
	log_notice("config/%s is now %s", key, value);
	return MQ_OK;
}
