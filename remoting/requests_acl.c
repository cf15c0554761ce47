/* Requests about accounts: mqadmin's updateAclConfig, deleteAclConfig, updateGlobalWhiteAddr,
 * clusterAclConfigVersion and getAclConfig. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "remoting/requests.h"
#include "remoting/service_priv.h"

static bool
has_accounts(struct service *s, int code, struct answer *ret)
{
	if (s->remoting.judge)
		return true;
	answer_refuse(ret, code, "aclEnable is not set");
	return false;
}

/* A change that was made, or why it was not. */
static int
changed(int rc, int code, struct answer *ret)
{
	return rc == MQ_OK ? MQ_OK : answer_refuse(ret, code, "%s", err_text(rc));
}

int
serve_acl_put(struct service *s, const struct request *req, struct answer *ret)
{
	const struct account_change c = {
		.access_key = ext_get(req->ext, "accessKey"), .secret_key = ext_get(req->ext, "secretKey"),
		.white_address = ext_get(req->ext, "whiteRemoteAddress"), .admin = ext_get(req->ext, "admin"),
		.topic_perm = ext_get(req->ext, "defaultTopicPerm"), .group_perm = ext_get(req->ext, "defaultGroupPerm"),
		.topic_perms = ext_get(req->ext, "topicPerms"), .group_perms = ext_get(req->ext, "groupPerms"),
	};
	const int failed = ANSWER_UPDATE_AND_CREATE_ACL_CONFIG_FAILED;

	if (!has_accounts(s, failed, ret))
		return MQ_OK;
	if (!c.access_key || !c.secret_key)
		return answer_refuse(ret, failed, "The accessKey=%.60s and secretKey=%.60s cannot be null and length should "
				     "longer than 6", c.access_key ? c.access_key : "null",
				     c.secret_key ? c.secret_key : "null");
	return changed(judge_put(s->remoting.judge, &c), failed, ret);
}

int
serve_acl_delete(struct service *s, const struct request *req, struct answer *ret)
{
	const char *key = ext_text(req->ext, "accessKey");
	const int failed = ANSWER_DELETE_ACL_CONFIG_FAILED;
	int rc;

	if (!has_accounts(s, failed, ret))
		return MQ_OK;
	rc = judge_remove(s->remoting.judge, key);
	if (rc == -ENOENT)
		return answer_refuse(ret, failed, "The accesskey[%.60s] corresponding to accessConfig has been deleted failed.",
				     key);
	return changed(rc, failed, ret);
}

int
serve_acl_white(struct service *s, const struct request *req, struct answer *ret)
{
	const char *addresses = ext_get(req->ext, "globalWhiteAddrs"), *path = ext_text(req->ext, "aclFileFullPath");
	const int failed = ANSWER_UPDATE_GLOBAL_WHITE_ADDRS_CONFIG_FAILED;

	if (!has_accounts(s, failed, ret))
		return MQ_OK;
	if (!addresses)
		return answer_refuse(ret, failed, "The globalWhiteAddresses[null] has been updated failed.");
	return changed(judge_set_white(s->remoting.judge, addresses, path), failed, ret);
}

int
serve_acl_version(struct service *s, const struct request *req, struct answer *ret)
{
	json_auto_t *first = NULL;
	json_auto_t *versions = NULL;
	AUTO_FREE char *all = NULL;
	AUTO_FREE char *one = NULL;
	char address[300];

	(void)req;
	if (!has_accounts(s, ANSWER_SYSTEM_ERROR, ret))
		return MQ_OK;
	versions = judge_versions(s->remoting.judge, &first);
	all = versions ? json_dumps(versions, JSON_COMPACT) : NULL;
	one = first ? json_dumps(first, JSON_COMPACT) : NULL;
	snprintf(address, sizeof(address), "%s:%d", s->settings->brokerIP1, (int)s->settings->listenPort);
	if (all && one)
		ret->ext = json_pack("{s:s, s:s, s:s, s:s, s:s}", "version", one, "allAclFileVersion", all, "brokerName",
				     s->settings->brokerName, "brokerAddr", address, "clusterName",
				     s->settings->brokerClusterName);
	return ret->ext ? MQ_OK : -ENOMEM;
}

int
serve_acl_config(struct service *s, const struct request *req, struct answer *ret)
{
	(void)req;
	if (!has_accounts(s, ANSWER_SYSTEM_ERROR, ret))
		return MQ_OK;
	return answer_json(ret, judge_describe(s->remoting.judge));
}
