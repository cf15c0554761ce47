/* load - writes or reads files as fast as they take it, and says how fast that was.
 *
 *	load -w BYTES -t SECONDS [-l LINE] [-s] FILE...
 *		one thread per FILE appends BYTES a write(2), made of lines of LINE
 *		bytes (one line); -s: fdatasync(2) after each.  Prints writes/s.
 *	load -r BYTES FILE
 *		reads FILE to its end, BYTES a read(2).  Prints bytes/s.
 *	load -e BYTES -t SECONDS
 *		sends BYTES over loopback TCP to another process, which sends them back,
 *		one after the other.  Prints how often it got them, /s.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct load {
	size_t write_bytes, read_bytes, echo_bytes, line_bytes;
	double seconds;
	bool sync;
};

struct writer {
	pthread_t thread;
	const struct load *load;
	const char *path;
	const char *data;
	long done;
};

static _Atomic bool time_is_up;
static pthread_barrier_t start;

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static char *
make_lines(size_t bytes, size_t line_bytes)
{
	char *data = malloc(bytes);
	size_t at;

	if (!data)
		die("memory");
	memset(data, 'x', bytes);
	for (at = line_bytes - 1; at < bytes; at += line_bytes)
		data[at] = '\n';
	data[bytes - 1] = '\n';
	return data;
}

static void *
writer_main(void *arg)
{
	struct writer *w = arg;
	int fd = open(w->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		die(w->path);
	pthread_barrier_wait(&start);
	while (!atomic_load_explicit(&time_is_up, memory_order_relaxed)) {
		if (write(fd, w->data, w->load->write_bytes) != (ssize_t)w->load->write_bytes)
			die(w->path);
		if (w->load->sync && fdatasync(fd) != 0)
			die(w->path);
		w->done++;
	}
	close(fd);
	return NULL;
}

static void
write_all(const struct load *load, char **paths, size_t n)
{
	struct writer *writers = calloc(n, sizeof(*writers));
	char *data = make_lines(load->write_bytes, load->line_bytes);
	struct timespec ts = {.tv_sec = (time_t)load->seconds};
	double began;
	long done = 0;
	size_t i;

	if (!writers)
		die("memory");
	ts.tv_nsec = (long)((load->seconds - (double)ts.tv_sec) * 1e9);
	pthread_barrier_init(&start, NULL, (unsigned)n + 1);
	for (i = 0; i < n; i++) {
		writers[i] = (struct writer){.load = load, .path = paths[i], .data = data};
		errno = pthread_create(&writers[i].thread, NULL, writer_main, &writers[i]);
		if (errno != 0)
			die("thread");
	}
	pthread_barrier_wait(&start);
	began = now();
	nanosleep(&ts, NULL);
	atomic_store(&time_is_up, true);
	for (i = 0; i < n; i++) {
		pthread_join(writers[i].thread, NULL);
		done += writers[i].done;
	}
	printf("%.1f\n", (double)done / (now() - began));
	free(writers);
	free(data);
}

static void
read_all(const struct load *load, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	double began, total = 0;
	void *buf = NULL;
	ssize_t n;

	if (fd < 0)
		die(path);
	errno = posix_memalign(&buf, 4096, load->read_bytes);
	if (errno != 0)
		die("memory");
	memset(buf, 0, load->read_bytes);
	began = now();
	while ((n = read(fd, buf, load->read_bytes)) > 0)
		total += (double)n;
	if (n < 0)
		die(path);
	printf("%.1f\n", total / (now() - began));
	free(buf);
	close(fd);
}

/* --- an echo ---------------------------------------------------------------------- */

static void
transfer(int fd, char *buf, size_t len, bool in)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = in ? read(fd, buf + done, len - done) : write(fd, buf + done, len - done);

		if (n == 0 && in)
			_exit(0);
		if (n <= 0)
			die("echo");
		done += (size_t)n;
	}
}

/* Until the other side closes. */
static void
send_back(int listener, size_t len)
{
	char *buf = malloc(len);
	int one = 1, fd = accept(listener, NULL, NULL);

	if (!buf || fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0)
		die("echo");
	for (;;) {
		transfer(fd, buf, len, true);
		transfer(fd, buf, len, false);
	}
}

static int
connect_to_child(size_t len)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t at_len = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t child;

	if (listener < 0 || fd < 0 || bind(listener, (struct sockaddr *)&at, at_len) != 0 ||
	    listen(listener, 1) != 0 || getsockname(listener, (struct sockaddr *)&at, &at_len) != 0)
		die("echo");
	child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		close(fd);
		send_back(listener, len);
	}
	close(listener);
	if (connect(fd, (struct sockaddr *)&at, at_len) != 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0)
		die("echo");
	return fd;
}

static void
echo(const struct load *load)
{
	int fd = connect_to_child(load->echo_bytes);
	char *buf = make_lines(load->echo_bytes, load->echo_bytes);
	double began = now(), took;
	long done = 0;

	do {
		transfer(fd, buf, load->echo_bytes, false);
		transfer(fd, buf, load->echo_bytes, true);
		done++;
		took = now() - began;
	} while (took < load->seconds);
	printf("%.1f\n", (double)done / took);
	close(fd);
	free(buf);
	wait(NULL);
}

int
main(int argc, char **argv)
{
	struct load load = {.seconds = 1};
	int opt;

	while ((opt = getopt(argc, argv, "w:r:e:l:t:s")) != -1) {
		switch (opt) {
		case 'w': load.write_bytes = strtoul(optarg, NULL, 10); break;
		case 'r': load.read_bytes = strtoul(optarg, NULL, 10); break;
		case 'e': load.echo_bytes = strtoul(optarg, NULL, 10); break;
		case 'l': load.line_bytes = strtoul(optarg, NULL, 10); break;
		case 't': load.seconds = strtod(optarg, NULL); break;
		case 's': load.sync = true; break;
		default: return 1;
		}
	}
	if (load.echo_bytes > 0 && optind == argc) {
		echo(&load);
		return 0;
	}
	if (optind == argc || (load.write_bytes == 0) == (load.read_bytes == 0)) {
		fprintf(stderr, "usage: load -w BYTES [-t SECONDS] [-l LINE] [-s] FILE... | load -r BYTES FILE | "
			"load -e BYTES [-t SECONDS]\n");
		return 1;
	}
	if (load.line_bytes == 0)
		load.line_bytes = load.write_bytes;
	if (load.write_bytes > 0)
		write_all(&load, argv + optind, (size_t)(argc - optind));
	else
		read_all(&load, argv[optind]);
	return 0;
}
