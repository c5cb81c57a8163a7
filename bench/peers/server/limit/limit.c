// SPDX-License-Identifier: MIT
//
// What the machine allows: threads that wait with epoll, read, count the ends of request heads, and write as many canned
// answers. It parses nothing, knows no error, and closes who does not take an answer at once. A request that begins with
// "GET /s" is the only one that it knows: it is answered 10 ms later. It ends with its standard input.
//
//     limit ADDRESS PORT THREADS

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 256
#define MAX_ANSWERS 1024
#define ANSWER "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: 13\r\n" \
	"Content-Type: text/plain; charset=utf-8\r\n\r\nHello, World!"

static char answers[MAX_ANSWERS * (sizeof ANSWER - 1)];
static unsigned char *matched; // how much of the end of a head each descriptor's input has ended with

#define LATE 10000000  // nanoseconds
#define MAX_LATE 65536 // descriptors that wait for their answer, a power of two

// Who waits for an answer, and until when: a ring, in the order of both.
struct late {
	unsigned first, n;
	struct { int fd; long long due; } ring[MAX_LATE];
};

static long long now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what) {
	perror(what);
	exit(1);
}

static void answer(int fd, size_t heads) {
	for (; heads > 0; heads -= heads < MAX_ANSWERS ? heads : MAX_ANSWERS) {
		ssize_t size = (heads < MAX_ANSWERS ? heads : MAX_ANSWERS) * (sizeof ANSWER - 1);
		if (write(fd, answers, size) != size) {
			close(fd);
			return;
		}
	}
}

// wait_for waits for events, and answers who has waited for long enough.
static int wait_for(int ep, struct late *late, struct epoll_event *events, int size) {
	if (late->n == 0)
		return epoll_wait(ep, events, size, -1);
	long long left = late->ring[late->first % MAX_LATE].due - now();
	if (left < 0)
		left = 0;
	struct timespec t = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
	int n = syscall(SYS_epoll_pwait2, ep, events, size, &t, NULL, 0);
	for (long long at = now(); late->n > 0 && late->ring[late->first % MAX_LATE].due <= at; late->n--)
		answer(late->ring[late->first++ % MAX_LATE].fd, 1);
	return n;
}

static void *serve(void *epoll) {
	static const char end[] = "\r\n\r\n";
	int ep = (int)(long)epoll;
	struct epoll_event events[128];
	char in[65536];
	struct late *late = calloc(1, sizeof *late);
	if (!late)
		die("calloc");
	for (;;) {
		int n = wait_for(ep, late, events, 128);
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			ssize_t got = read(fd, in, sizeof in);
			if (got <= 0) {
				close(fd);
				continue;
			}
			size_t heads = 0;
			unsigned char m = matched[fd];
			int sleeps = m == 0 && got > 6 && memcmp(in, "GET /s", 6) == 0;
			for (ssize_t j = 0; j < got; j++) {
				if (in[j] != end[m])
					m = in[j] == '\r';
				else if (++m == 4)
					m = 0, heads++;
			}
			matched[fd] = m;
			if (sleeps && heads == 1 && late->n < MAX_LATE) {
				unsigned at = (late->first + late->n++) % MAX_LATE;
				late->ring[at].fd = fd, late->ring[at].due = now() + LATE;
			} else
				answer(fd, heads);
		}
	}
	return NULL;
}

int main(int argc, char **argv) {
	int threads = argc == 4 ? atoi(argv[3]) : 0;
	if (threads < 1 || threads > MAX_THREADS) {
		fprintf(stderr, "limit ADDRESS PORT THREADS\n");
		return 2;
	}
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	signal(SIGPIPE, SIG_IGN);
	if (!(matched = calloc(limit.rlim_max, 1)))
		die("calloc");
	for (int i = 0; i < MAX_ANSWERS; i++)
		memcpy(answers + i * (sizeof ANSWER - 1), ANSWER, sizeof ANSWER - 1);

	int ep[MAX_THREADS];
	for (int i = 0; i < threads; i++) {
		pthread_t thread;
		if ((ep[i] = epoll_create1(0)) < 0 || pthread_create(&thread, NULL, serve, (void *)(long)ep[i]))
			die("thread");
	}
	int one = 1, l = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
	inet_pton(AF_INET, argv[1], &addr.sin_addr);
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(l, (struct sockaddr *)&addr, sizeof addr) || listen(l, 4096))
		die("listen");
	struct pollfd waits[] = {{.fd = l, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
	for (int next = 0;; next++) {
		if (poll(waits, 2, -1) < 0 || waits[1].revents)
			return 0;
		int fd = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		matched[fd] = 0;
		struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
		if (epoll_ctl(ep[next % threads], EPOLL_CTL_ADD, fd, &event))
			close(fd);
	}
}
