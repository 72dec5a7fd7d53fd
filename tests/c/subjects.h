/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* One live handle of each type, and a valid value for each kind of parameter: what tests/c/calls.py calls with. */
#ifndef CARRICK_TEST_SUBJECTS_H
#define CARRICK_TEST_SUBJECTS_H

#include "harness.h"

struct subjects {
    carrick_stream *stream;
    carrick_connection *connection;
    carrick_listener *listener;
    carrick_datagram *datagram;
    carrick_poller *poller;
    carrick_mac *mac;
    carrick_gate *gate;
    carrick_queue *queue;
    carrick_lock *lock;
    carrick_semaphore *semaphore;
    carrick_condition *condition;
    carrick_event *event;
    carrick_barrier *barrier;
    carrick_process *process;
    int32_t process_pid;
    carrick_fork_server *fork_server;
    carrick_server *server;
    /* Only inside a handler. */
    const carrick_request *request;
    const carrick_session *session;

    carrick_stream *other_end;
    carrick_auth_options auth;
    carrick_format format;
    carrick_listen_options listen;
    carrick_queue_options queue_options;
    carrick_lock_options lock_options;
    carrick_process_options process_options;
    const char *arguments[2];
    carrick_stream_server_options stream_server;
    carrick_message_server_options message_server;
    carrick_slice parts[1];
    char where[100];
    size_t where_len;
    /* Where outputs go that nobody looks at. */
    uint64_t room[8][64];
};

void make_subjects(struct subjects *s);
void free_subjects(struct subjects *s);

/* Runs body inside a handler of a message server (request) or a stream server (session), with s->request or s->session
 * set; the connection, the handler and the server are new each time. */
void inside_request(struct subjects *s, void (*body)(struct subjects *s));
void inside_session(struct subjects *s, void (*body)(struct subjects *s));

void item_reader(void *user_data, const uint8_t *data, size_t data_len);
int32_t process_function(const uint8_t *argument, size_t argument_len, const carrick_connection *channel);
carrick_status stream_handler(void *user_data, const carrick_session *session);
carrick_status message_handler(void *user_data, const carrick_request *request, const uint8_t *data, size_t data_len);
carrick_status datagram_handler(void *user_data, const uint8_t *data, size_t data_len, const char *peer,
                                size_t peer_len, uint8_t *reply, size_t reply_cap, size_t *reply_len);

#endif
