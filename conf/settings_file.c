/* Where settings come from: mqfs.conf, RocketMQ's .properties, -o. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "conf/settings.h"

#define LINE_BYTES_MAX 4096
#define FILE_BYTES_MAX (1 << 20)

/* A text that is read line by line, and the first error. */
struct source {
	struct settings *settings;
	const char *name;
	const char *at;
	size_t left;
	int line;		/* number of the line taken last, from 1 */
	int rc;
	bool network;		/* it has a key that only a broker in a network has */
	bool bound;		/* it says bindAddress */
};

static int
source_bad(struct source *src, const char *what)
{
	src->rc = err_note(MQ_EBADCONF, "%s:%d: %s", src->name, src->line, what);
	return src->rc;
}

static int
source_set(struct source *src, const char *key, const char *value)
{
	char where[512];

	snprintf(where, sizeof(where), "%s:%d", src->name, src->line);
	src->rc = settings_set(src->settings, key, value, where);
	return src->rc;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The next line without its end and the blanks before it.  False at the end
 * of the text, and when the line is bad: src->rc. */
static bool
source_line(struct source *src, char line[LINE_BYTES_MAX + 1])
{
	const char *end, *start = src->at;
	size_t len;

	if (src->left == 0 || src->rc != MQ_OK)
		return false;
	end = memchr(start, '\n', src->left);
	len = end ? (size_t)(end - start) : src->left;
	src->at += len + (end ? 1 : 0);
	src->left -= len + (end ? 1 : 0);
	src->line++;

	if (src->line == 1 && len >= 3 && memcmp(start, "\xef\xbb\xbf", 3) == 0) {
		start += 3;
		len -= 3;
	}
	for (; len > 0 && is_blank(*start); start++)
		len--;
	if (len > 0 && start[len - 1] == '\r')
		len--;
	if (len > LINE_BYTES_MAX) {
		source_bad(src, "line of more than 4096 bytes");
		return false;
	}
	for (size_t i = 0; i < len; i++)
		if (iscntrl((unsigned char)start[i]) && start[i] != '\t') {
			source_bad(src, "control character: not a text");
			return false;
		}
	memcpy(line, start, len);
	line[len] = '\0';
	return true;
}

/* --- mqfs.conf --- */

/* inih's fgets: the line it works on is always the one we took last, so we
 * know its number without its help. */
static char *
ini_line(char *str, int size, void *stream)
{
	struct source *src = stream;
	char line[LINE_BYTES_MAX + 1];

	if (!source_line(src, line))
		return NULL;
	if (strlen(line) + 2 > (size_t)size) {
		source_bad(src, "line too long");
		return NULL;
	}
	snprintf(str, (size_t)size, "%s\n", line);
	return str;
}

static int
ini_setting(void *user, const char *section, const char *key, const char *value)
{
	(void)section;
	return source_set(user, key, value) == MQ_OK;
}

static int
ini_read(struct source *src)
{
	int bad_line;

#if HAVE_DECL_INI_MAX_LINE
	ini_max_line = LINE_BYTES_MAX + 3;
#endif
	bad_line = ini_parse_stream(ini_line, src, ini_setting, src);
	if (src->rc == MQ_OK && bad_line < 0)
		return -ENOMEM;
	if (src->rc == MQ_OK && bad_line > 0) {
		src->line = bad_line;
		source_bad(src, "neither key=value nor [section] nor a comment");
	}
	return src->rc;
}

/* --- RocketMQ's, as java.util.Properties reads them --- */

static size_t
utf8_put(char *to, unsigned c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	to[0] = (char)(0xe0 | c >> 12);
	to[1] = (char)(0x80 | (c >> 6 & 0x3f));
	to[2] = (char)(0x80 | (c & 0x3f));
	return 3;
}

/* Write the character that an escape means to *to; `from` is behind the backslash.  NULL: a bad escape. */
static char *
properties_escape(char *from, char **to)
{
	static const char names[] = "tnrf", means[] = "\t\n\r\f";
	const char *name;
	char digits[5], *end;
	unsigned long c;

	if (!*from)
		return NULL;
	if (*from != 'u') {
		name = strchr(names, *from);
		*(*to)++ = name ? means[name - names] : *from;
		return from + 1;
	}
	snprintf(digits, sizeof(digits), "%.4s", from + 1);
	c = isxdigit((unsigned char)digits[0]) ? strtoul(digits, &end, 16) : 0;
	if (c == 0 || end != digits + 4)
		return NULL;
	*to += utf8_put(*to, (unsigned)c);
	return from + 5;
}

/* Resolve escapes in place, up to the first character of `stops` that is not
 * escaped; that, or the end, is returned.  NULL for a bad escape.
 * In place works: no escape is shorter than what it means. */
static char *
properties_word(char *text, const char *stops)
{
	char *from = text, *to = text;

	while (*from && !strchr(stops, *from)) {
		if (*from != '\\')
			*to++ = *from++;
		else if (!(from = properties_escape(from + 1, &to)))
			return NULL;
	}
	if (to != from)
		*to = '\0';
	return from;
}

/* One line and those it is continued on. */
static bool
properties_line(struct source *src, char line[LINE_BYTES_MAX + 1])
{
	size_t len = 0;
	char more[LINE_BYTES_MAX + 1];

	while (source_line(src, more)) {
		size_t slashes = 0, more_len = strlen(more);
		bool comment = len == 0 && (more[0] == '#' || more[0] == '!');

		while (slashes < more_len && more[more_len - 1 - slashes] == '\\')
			slashes++;
		if (slashes % 2 && !comment)
			more[--more_len] = '\0';
		if (len + more_len > LINE_BYTES_MAX) {
			source_bad(src, "line of more than 4096 bytes");
			return false;
		}
		memcpy(line + len, more, more_len + 1);
		len += more_len;
		if (comment)
			line[0] = '\0';
		if (comment || slashes % 2 == 0)
			return true;
	}
	return len > 0 && src->rc == MQ_OK;
}

/* Keys that only a broker of a network has. */
static bool
is_of_network(const char *key)
{
	static const char *const keys[] = { "namesrvAddr", "brokerIP1", "listenPort" };
	const struct setting *row = setting_find(key);

	for (size_t i = 0; row && i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(row->key, keys[i]) == 0)
			return true;
	return false;
}

static int
properties_set(struct source *src, const char *key, const char *value)
{
	src->bound = src->bound || strcasecmp(key, "bindAddress") == 0;
	src->network = src->network || src->bound || is_of_network(key);
	if (setting_find(key))
		return source_set(src, key, value);
	log_warn("%s:%d: unknown setting '%.64s' is left out", src->name, src->line, key);
	return MQ_OK;
}

/* Split at the first = or : or blank, with blanks around it. */
static int
properties_pair(struct source *src, char *line)
{
	char *value, *end = properties_word(line, "=: \t");
	size_t len;

	if (!end)
		return source_bad(src, "bad escape");
	value = end + strspn(end, " \t");
	if (*value == '=' || *value == ':')
		value++;
	value += strspn(value, " \t");
	*end = '\0';		/* value is behind it, or is the same empty text */
	if (!properties_word(value, ""))
		return source_bad(src, "bad escape");
	for (len = strlen(value); len > 0 && is_blank(value[len - 1]); len--)
		value[len - 1] = '\0';
	return properties_set(src, line, value);
}

/* RocketMQ's brokers always listen, on all addresses or on bindAddress. */
static int
listen_as_rocketmq(struct source *src)
{
	struct settings *s = src->settings;
	AUTO_FREE char *at = strdup(src->bound ? s->listen : "0.0.0.0");
	int rc;

	if (!at)
		return -ENOMEM;
	if (strcmp(s->listen, "none") != 0 && !src->bound)
		return MQ_OK;
	log_notice("%s is of a broker in a network: listen=%s and haListen=%s, unless options say otherwise", src->name,
		   at, strcmp(s->haListen, "none") == 0 ? at : s->haListen);
	rc = source_set(src, "listen", at);
	if (rc == MQ_OK && strcmp(s->haListen, "none") == 0)
		rc = source_set(src, "haListen", at);
	return rc;
}

/* Where a RocketMQ broker has its store if the file does not say it: the home directory of the user
 * as Java knows it, which is not $HOME. */
static int
store_as_rocketmq(struct source *src)
{
	const struct passwd *user = getpwuid(getuid());
	AUTO_FREE char *store = NULL;

	if (*src->settings->storePathRootDir || !user || !user->pw_dir || *user->pw_dir != '/')
		return MQ_OK;
	if (asprintf(&store, "%s/store", user->pw_dir) < 0)
		return -ENOMEM;
	return source_set(src, "storePathRootDir", store);
}

static int
properties_read(struct source *src)
{
	char line[LINE_BYTES_MAX + 1];

	while (properties_line(src, line))
		if (line[0] && properties_pair(src, line) != MQ_OK)
			break;
	if (src->rc == MQ_OK)
		src->rc = store_as_rocketmq(src);
	return src->rc == MQ_OK && src->network ? listen_as_rocketmq(src) : src->rc;
}

/* --- which of the two --- */

static bool
name_is_rocketmq(const char *name)
{
	const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
	const char *dot = strrchr(base, '.');

	if (!dot)
		return false;
	return strcmp(dot, ".properties") == 0 ||
	       (strcmp(dot, ".conf") == 0 && text_begins(base, "broker"));
}

static bool
text_is_rocketmq(const char *text, size_t len)
{
	struct source src = { .name = "", .at = text, .left = len };
	char line[LINE_BYTES_MAX + 1];

	while (source_line(&src, line) && line[0] != '[') {
		const struct setting *row;

		line[strcspn(line, "=: \t")] = '\0';
		row = setting_find(line);
		if (row && (row->flags & SETTING_ROCKETMQ) == SETTING_ROCKETMQ)
			return true;
	}
	return false;
}

int
settings_load_text(struct settings *s, const char *name, const char *text, size_t len)
{
	struct source src = { .settings = s, .name = name, .at = text, .left = len };

	if (name_is_rocketmq(name) || text_is_rocketmq(text, len))
		return properties_read(&src);
	return ini_read(&src);
}

/* All of fd: a malloc'ed text of *ret_len. */
static int
text_read(int fd, char **ret_text, size_t *ret_len)
{
	AUTO_FREE char *text = malloc(FILE_BYTES_MAX + 1);
	size_t len = 0;
	ssize_t n;

	if (!text)
		return -ENOMEM;
	while ((n = read(fd, text + len, FILE_BYTES_MAX + 1 - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		len += (size_t)n;
		if (len > FILE_BYTES_MAX)
			return -EFBIG;
	}
	*ret_text = take_ptr(text);
	*ret_len = len;
	return MQ_OK;
}

int
settings_load(struct settings *s, const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	int rc;

	if (fd < 0)
		return err_note(-errno, "%s: %m", path);
	rc = text_read(fd, &text, &len);
	if (rc != MQ_OK)
		return err_note(rc, "%s: %m", path);
	return settings_load_text(s, path, text, len);
}

/* --- mount options --- */

/* Cut the first word off *rest and take the backslashes out of it; NULL at the end. */
static char *
options_word(char **rest)
{
	char *word = *rest, *from = word, *to = word;

	if (!*word)
		return NULL;
	while (*from && *from != ',') {
		if (*from == '\\' && (from[1] == ',' || from[1] == '\\'))
			from++;
		*to++ = *from++;
	}
	*rest = *from ? from + 1 : from;
	*to = '\0';
	return word;
}

int
settings_set_options(struct settings *s, const char *opts, const char *where,
		     bool (*other)(void *arg, const char *key, const char *value), void *arg)
{
	AUTO_FREE char *copy = strdup(opts);
	char *rest = copy, *key;

	if (!copy)
		return -ENOMEM;
	while ((key = options_word(&rest))) {
		char *value = strchr(key, '=');
		int rc;

		if (!*key)
			continue;
		if (value)
			*value++ = '\0';
		if (setting_find(key) ? !s : other && other(arg, key, value))
			continue;
		rc = settings_set(s, key, value ? value : "true", where);
		if (rc != MQ_OK)
			return rc;
	}
	return MQ_OK;
}
