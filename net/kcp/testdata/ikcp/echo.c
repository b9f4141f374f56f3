/* A client of an echo server on the reference implementation of KCP: it sends bytes in messages of many sizes, and compares what comes back.
 * usage: echo PORT CONV BYTES NODELAY INTERVAL RESEND NC STREAM */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ikcp.h"

static int udp;

static IUINT32 now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (IUINT32)(t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

static int output(const char *d, int n, ikcpcb *kcp, void *user)
{
	(void)kcp, (void)user;
	return (int)send(udp, d, (size_t)n, 0);
}

static char byte_at(long i) { return (char)(i * 7 + i / 251); }

int main(int argc, char **argv)
{
	static char message[60000], datagram[2000];
	struct sockaddr_in to = {.sin_family = AF_INET};
	long sent = 0, got = 0, all, size = 1;
	IUINT32 start = now();
	ikcpcb *kcp;

	if (argc != 9)
		return 2;
	all = atol(argv[3]);
	to.sin_port = htons((unsigned short)atoi(argv[1]));
	inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	if (connect(udp, (struct sockaddr *)&to, sizeof to) != 0)
		return 2;
	kcp = ikcp_create((IUINT32)strtoul(argv[2], NULL, 10), NULL);
	kcp->output = output;
	ikcp_wndsize(kcp, 128, 128);
	ikcp_nodelay(kcp, atoi(argv[4]), atoi(argv[5]), atoi(argv[6]), atoi(argv[7]));
	kcp->stream = atoi(argv[8]);
	while (got < all) {
		struct pollfd p = {.fd = udp, .events = POLLIN};
		long n;

		while (sent < all && ikcp_waitsnd(kcp) < 128) {
			size = (size * 5 + 3) % 59999 + 1;
			if (size > all - sent)
				size = all - sent;
			for (n = 0; n < size; n++)
				message[n] = byte_at(sent + n);
			if (ikcp_send(kcp, message, (int)size) < 0) {
				fprintf(stderr, "ikcp_send fails at %ld\n", sent);
				return 1;
			}
			sent += size;
		}
		ikcp_update(kcp, now());
		if (poll(&p, 1, 1) > 0) {
			while ((n = recv(udp, datagram, sizeof datagram, MSG_DONTWAIT)) > 0)
				ikcp_input(kcp, datagram, n);
		}
		while ((n = ikcp_recv(kcp, message, sizeof message)) > 0) {
			long i;
			for (i = 0; i < n; i++) {
				if (message[i] != byte_at(got + i)) {
					fprintf(stderr, "byte %ld differs\n", got + i);
					return 1;
				}
			}
			got += n;
		}
		if (now() - start > 60000) {
			fprintf(stderr, "%ld of %ld bytes after a minute\n", got, all);
			return 1;
		}
	}
	printf("ok %ld\n", got);
	return 0;
}
