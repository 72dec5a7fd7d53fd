/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * ZeroMQ, ROUTER and DEALER.
 *
 *   zmq_peer server                              prints its port, echoes until it is killed
 *   zmq_peer client PORT SOCKETS DEPTH SECONDS   DEALER sockets with DEPTH requests under way each, one thread
 */
#include "frame.h"
#include <errno.h>
#include <zmq.h>

static void serve(void)
{
    void *context = zmq_ctx_new(), *router = zmq_socket(context, ZMQ_ROUTER);
    char endpoint[64];
    size_t length = sizeof endpoint;
    need(zmq_bind(router, "tcp://127.0.0.1:*") == 0, "zmq_bind");
    need(zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &length) == 0, "zmq_getsockopt");
    puts(strrchr(endpoint, ':') + 1);
    fflush(stdout);
    for (;;) {
        /* The parts of a message go back as they come: who sent it, and what. */
        zmq_msg_t part;
        zmq_msg_init(&part);
        need(zmq_msg_recv(&part, router, 0) >= 0, "zmq_msg_recv");
        int more = zmq_msg_more(&part);
        need(zmq_msg_send(&part, router, more ? ZMQ_SNDMORE : 0) >= 0, "zmq_msg_send");
    }
}

static void load(int port, int count, int depth, double seconds)
{
    void *context = zmq_ctx_new(), *dealers[count];
    zmq_pollitem_t items[count];
    uint8_t body[BODY], answer[BODY];
    char endpoint[64];
    fill_body(body);
    snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", port);
    for (int i = 0; i < count; i++) {
        int linger = 0;
        dealers[i] = zmq_socket(context, ZMQ_DEALER);
        need(zmq_setsockopt(dealers[i], ZMQ_LINGER, &linger, sizeof linger) == 0, "zmq_setsockopt");
        need(zmq_connect(dealers[i], endpoint) == 0, "zmq_connect");
        items[i] = (zmq_pollitem_t){.socket = dealers[i], .events = ZMQ_POLLIN};
        for (int k = 0; k < depth; k++)
            need(zmq_send(dealers[i], body, BODY, 0) == BODY, "zmq_send");
    }
    double counts_from = now() + seconds / 5, end = counts_from + seconds, t;
    uint64_t done = 0;
    do {
        unsigned complete = 0;
        need(zmq_poll(items, count, 10000) > 0, "zmq_poll");
        for (int i = 0; i < count; i++) {
            while (items[i].revents & ZMQ_POLLIN && zmq_recv(dealers[i], answer, BODY, ZMQ_DONTWAIT) == BODY) {
                errno = EBADMSG;
                need(memcmp(answer, body, BODY) == 0, "answer");
                need(zmq_send(dealers[i], body, BODY, 0) == BODY, "zmq_send");
                complete++;
            }
        }
        t = now();
        if (t >= counts_from)
            done += complete;
    } while (t < end);
    printf("%.1f\n", (double)done / seconds);
    for (int i = 0; i < count; i++)
        zmq_close(dealers[i]);
    zmq_ctx_term(context);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "server") == 0)
        serve();
    else if (argc == 6 && strcmp(argv[1], "client") == 0)
        load(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), atof(argv[5]));
    else
        return fprintf(stderr, "usage: see the head of zmq_peer.c\n"), 2;
    return 0;
}
