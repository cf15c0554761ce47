#include "config.h"

#include "floor.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ATTR_SECONDS 1.0
#define MAX_WRITE (1u << 20)

static void
file_stat(const struct floor *f, fuse_ino_t ino, struct stat *st)
{
	*st = (struct stat){.st_ino = ino, .st_uid = getuid(), .st_gid = getgid()};
	if (ino == FUSE_ROOT_ID) {
		st->st_mode = S_IFDIR | 0755;
		st->st_nlink = 2;
	} else {
		st->st_mode = S_IFREG | 0644;
		st->st_nlink = 1;
		st->st_size = f->size;
	}
}

static void
floor_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->max_write = MAX_WRITE;
}

static void
floor_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = {
		.ino = FLOOR_INO,
		.attr_timeout = ATTR_SECONDS,
		.entry_timeout = ATTR_SECONDS,
	};

	if (parent != FUSE_ROOT_ID || strcmp(name, FLOOR_FILE) != 0) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	file_stat(fuse_req_userdata(req), FLOOR_INO, &e.attr);
	fuse_reply_entry(req, &e);
}

static void
floor_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	file_stat(fuse_req_userdata(req), ino, &st);
	fuse_reply_attr(req, &st, ATTR_SECONDS);
}

static void
floor_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (ino != FLOOR_INO) {
		fuse_reply_err(req, EISDIR);
		return;
	}
	fi->direct_io = 1;
	fi->noflush = 1;
	fuse_reply_open(req, fi);
}

static void
pin_to_cpu(size_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

struct worker {
	pthread_t thread;
	struct fuse_session *session;
	size_t cpu;
};

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	struct fuse_buf buf = {.mem = NULL};
	int rc;

	pin_to_cpu(w->cpu);
	while (!fuse_session_exited(w->session)) {
		rc = fuse_session_receive_buf(w->session, &buf);
		if (rc == -EINTR)
			continue;
		if (rc <= 0)
			break;
		fuse_session_process_buf(w->session, &buf);
	}
	fuse_session_exit(w->session);
	free(buf.mem);
	return NULL;
}

static int
serve(struct fuse_session *session)
{
	size_t cpus = (size_t)sysconf(_SC_NPROCESSORS_ONLN), i, n;
	struct worker *workers = calloc(cpus, sizeof(*workers));

	if (!workers)
		return 1;
	for (n = 0; n < cpus; n++) {
		workers[n].session = session;
		workers[n].cpu = n;
		if (pthread_create(&workers[n].thread, NULL, worker_main, &workers[n]) != 0)
			break;
	}
	for (i = 0; i < n; i++)
		pthread_join(workers[i].thread, NULL);
	free(workers);
	return n == cpus ? 0 : 1;
}

int
floor_main(char *program, char *mountpoint, struct floor *f)
{
	const struct fuse_lowlevel_ops ops = {
		.init = floor_init,
		.lookup = floor_lookup,
		.getattr = floor_getattr,
		.open = floor_open,
		.read = f->read,
		.write = f->write,
	};
	char *args[] = {program, NULL};
	struct fuse_args fuse_args = FUSE_ARGS_INIT(1, args);
	struct fuse_session *session;
	int rc = 1;

	session = fuse_session_new(&fuse_args, &ops, sizeof(ops), f);
	if (!session)
		return 1;
	if (fuse_session_mount(session, mountpoint) == 0) {
		rc = serve(session);
		fuse_session_unmount(session);
	}
	fuse_session_destroy(session);
	return rc;
}
