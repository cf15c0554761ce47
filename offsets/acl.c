#include "config.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "conf/err.h"
#include "offsets/acl.h"

#define ACL_VERSION 2
#define ACL_HEADER_BYTES 4

enum acl_tag {
	TAG_OWNER = 0x01,
	TAG_USER = 0x02,
	TAG_GROUP_OWNER = 0x04,
	TAG_GROUP = 0x08,
	TAG_MASK = 0x10,
	TAG_OTHER = 0x20,
};

struct acl_entry {
	uint16_t tag;
	uint16_t perm;
	uint32_t id;
};

static size_t
acl_entries(size_t len)
{
	return (len - ACL_HEADER_BYTES) / sizeof(struct acl_entry);
}

static struct acl_entry
acl_entry(const void *acl, size_t i)
{
	struct acl_entry e;

	memcpy(&e, (const char *)acl + ACL_HEADER_BYTES + i * sizeof(e), sizeof(e));
	return (struct acl_entry){ .tag = le16toh(e.tag), .perm = le16toh(e.perm), .id = le32toh(e.id) };
}

static bool
acl_valid(const void *acl, size_t len)
{
	uint32_t version;

	if (len < ACL_HEADER_BYTES || (len - ACL_HEADER_BYTES) % sizeof(struct acl_entry))
		return false;
	memcpy(&version, acl, sizeof(version));
	return le32toh(version) == ACL_VERSION;
}

static bool
acl_has_mask(const void *acl, size_t len)
{
	for (size_t i = 0; i < acl_entries(len); i++)
		if (acl_entry(acl, i).tag == TAG_MASK)
			return true;
	return false;
}

/* Where an entry's bits are in a mode; -1: nowhere. */
static int
acl_shift(uint16_t tag, bool has_mask)
{
	switch (tag) {
	case TAG_OWNER:
		return 6;
	case TAG_MASK:
		return 3;
	case TAG_GROUP_OWNER:
		return has_mask ? -1 : 3;
	case TAG_OTHER:
		return 0;
	default:
		return -1;
	}
}

int
acl_mode(const void *acl, size_t len, mode_t *ret_mode)
{
	mode_t mode = 0;
	bool has_mask;

	if (!acl_valid(acl, len))
		return -EINVAL;
	has_mask = acl_has_mask(acl, len);
	for (size_t i = 0; i < acl_entries(len); i++) {
		struct acl_entry e = acl_entry(acl, i);
		int shift = acl_shift(e.tag, has_mask);

		if (shift >= 0)
			mode |= (mode_t)(e.perm & 7) << shift;
	}
	*ret_mode = mode;
	return MQ_OK;
}

void
acl_set_mode(void *acl, size_t len, mode_t mode)
{
	bool has_mask;

	if (!acl_valid(acl, len))
		return;
	has_mask = acl_has_mask(acl, len);
	for (size_t i = 0; i < acl_entries(len); i++) {
		char *at = (char *)acl + ACL_HEADER_BYTES + i * sizeof(struct acl_entry);
		int shift = acl_shift(acl_entry(acl, i).tag, has_mask);
		uint16_t perm;

		if (shift < 0)
			continue;
		perm = htole16((uint16_t)(mode >> shift & 7));
		memcpy(at + offsetof(struct acl_entry, perm), &perm, sizeof(perm));
	}
}

void
acl_to_list(void *acl, size_t len)
{
	for (size_t i = 0; acl_valid(acl, len) && i < acl_entries(len); i++) {
		char *at = (char *)acl + ACL_HEADER_BYTES + i * sizeof(struct acl_entry);
		uint16_t perm = htole16(acl_entry(acl, i).perm & 4 ? 5 : 0);

		memcpy(at + offsetof(struct acl_entry, perm), &perm, sizeof(perm));
	}
}

static bool
is_member(const struct acl_caller *who, gid_t gid)
{
	for (size_t i = 0; i < who->n_groups; i++)
		if (who->groups[i] == gid)
			return true;
	return who->gid == gid;
}

static bool
mode_allows(const struct owner *owner, const struct acl_caller *who, unsigned want)
{
	int shift = is_member(who, owner->gid) ? 3 : 0;

	return (owner->mode >> shift & want) == want;
}

/* A list's bits for everybody but the owner. */
static bool
list_allows(const void *acl, size_t len, const struct owner *owner, const struct acl_caller *who, unsigned want)
{
	unsigned mask = acl_has_mask(acl, len) ? owner->mode >> 3 & 7 : 7;
	bool matched = false;

	for (size_t i = 0; i < acl_entries(len); i++) {
		struct acl_entry e = acl_entry(acl, i);

		if (e.tag == TAG_USER && e.id == who->uid)
			return (e.perm & mask & want) == want;
	}
	for (size_t i = 0; i < acl_entries(len); i++) {
		struct acl_entry e = acl_entry(acl, i);

		if (!(e.tag == TAG_GROUP_OWNER && is_member(who, owner->gid)) &&
		    !(e.tag == TAG_GROUP && is_member(who, e.id)))
			continue;
		matched = true;
		if ((e.perm & mask & want) == want)
			return true;
	}
	return !matched && (owner->mode & want) == want;
}

bool
acl_allows(const void *acl, size_t len, const struct owner *owner, const struct acl_caller *who, unsigned want)
{
	if (who->uid == owner->uid)
		return (owner->mode >> 6 & want) == want;
	return len > 0 && acl_valid(acl, len) ? list_allows(acl, len, owner, who, want) : mode_allows(owner, who, want);
}
