/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The shared vectors of frames, challenges and the course's scheme through the C face (macs.txt: sockets.c). */
#define _GNU_SOURCE
#include "harness.h"

#include <pthread.h>
#include <sys/mman.h>

enum { COLUMNS = 8, BYTES = 1024 };

struct record {
    char line[2100];
    char *column[COLUMNS];
    int columns;
};

static FILE *open_vectors(const char *name)
{
    char path[600];
    const char *folder = getenv("CARRICK_VECTORS");
    CHECK(folder != NULL);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    return file;
}

static int next_record(FILE *file, struct record *record)
{
    while (fgets(record->line, sizeof record->line, file)) {
        char *newline = strchr(record->line, '\n');
        CHECK(newline != NULL);
        *newline = '\0';
        if (record->line[0] == '\0' || record->line[0] == '#')
            continue;
        record->columns = 0;
        for (char *word = strtok(record->line, " "); word != NULL; word = strtok(NULL, " ")) {
            CHECK(record->columns < COLUMNS);
            record->column[record->columns++] = word;
        }
        return 1;
    }
    return 0;
}

static size_t unhex(const char *text, uint8_t *out)
{
    size_t len = strcmp(text, "-") == 0 ? 0 : strlen(text) / 2;
    CHECK(len <= BYTES);
    for (size_t i = 0; i < len; i++) {
        unsigned byte = 0;
        CHECK(sscanf(text + 2 * i, "%2x", &byte) == 1);
        out[i] = (uint8_t)byte;
    }
    return len;
}

static carrick_format format_of(const char *name, uint64_t cap)
{
    static const uint16_t probe = 1;
    int little = *(const uint8_t *)&probe;
    carrick_format format;
    OK(carrick_format_init(&format));
    format.cap = cap;
    if (strcmp(name, "multiprocessing") == 0)
        return format;
    if (strcmp(name, little ? "course-le" : "course-be") == 0) {
        format.kind = CARRICK_FORMAT_COURSE;
        return format;
    }
    if (strncmp(name, "course-", 7) == 0)
        name = little ? "i32be" : "i32le";
    unsigned bits = 0;
    char sign = 0, order[3] = "be";
    CHECK(sscanf(name, "%c%u%2s", &sign, &bits, order) >= 2);
    format.kind = CARRICK_FORMAT_CUSTOM;
    format.width = (int32_t)(bits / 8);
    format.is_signed = sign == 'i';
    format.big_endian = strcmp(order, "be") == 0;
    return format;
}

struct ends {
    carrick_stream *raw, *stream;
    carrick_connection *connection;
};

static struct ends open_ends(const carrick_format *format)
{
    struct ends e = {NULL, NULL, NULL};
    OK(carrick_stream_pair(&e.raw, &e.stream));
    OK(carrick_connection_new(e.stream, format, &e.connection));
    return e;
}

static void close_ends(struct ends *e)
{
    carrick_connection_free(e->connection);
    carrick_stream_free(e->stream);
    carrick_stream_free(e->raw);
}

static void expect_body(struct ends *e, const uint8_t *body, size_t body_len)
{
    uint8_t *data = NULL;
    size_t len = 0;
    OK(carrick_connection_recv(e->connection, FOREVER, &data, &len));
    CHECK(len == body_len && (len == 0 || memcmp(data, body, len) == 0));
    carrick_bytes_free(data, len);
}

static void check_write(const carrick_format *format, const uint8_t *body, size_t body_len, const uint8_t *encoded,
                        size_t encoded_len)
{
    struct ends e = open_ends(format);
    uint8_t got[2 * BYTES];
    size_t total = 0, n = 0;
    OK(carrick_connection_send(e.connection, body, body_len, FOREVER));
    OK(carrick_stream_shutdown(e.stream, CARRICK_SHUTDOWN_WRITE));
    do {
        OK(carrick_stream_recv(e.raw, got + total, sizeof got - total, FOREVER, &n));
        total += n;
    } while (n > 0);
    CHECK(total == encoded_len && memcmp(got, encoded, total) == 0);
    close_ends(&e);
}

static void check_read(const struct record *r, int first_body, const uint8_t *encoded, size_t encoded_len, int whole)
{
    static uint8_t body[BYTES];
    carrick_format format = format_of(r->column[2], UINT64_MAX);
    struct ends e = open_ends(&format);
    for (size_t i = 0; i < encoded_len; i += whole ? encoded_len : 1)
        OK(carrick_stream_send_all(e.raw, encoded + i, whole ? encoded_len : 1, FOREVER));
    OK(carrick_stream_shutdown(e.raw, CARRICK_SHUTDOWN_WRITE));
    for (int i = first_body; i < r->columns; i++) {
        if (first_body == 3 && i > 3)
            break; /* the column behind the one body is what was encoded */
        expect_body(&e, body, unhex(r->column[i], body));
    }
    uint8_t *data = NULL;
    size_t len = 0;
    STATUS(CARRICK_E_EOF, carrick_connection_recv(e.connection, FOREVER, &data, &len));
    close_ends(&e);
}

static void check_bad(const struct record *r, const uint8_t *encoded, size_t encoded_len)
{
    carrick_format format = format_of(r->column[2], strtoull(r->column[3], NULL, 10));
    struct ends e = open_ends(&format);
    uint8_t *data = NULL;
    size_t len = 0;
    const char *outcome = r->column[5];
    carrick_status wanted = CARRICK_E_BAD_FRAME;
    if (strcmp(outcome, "over-cap") == 0)
        wanted = CARRICK_E_FRAME_TOO_LARGE;
    else if (strcmp(outcome, "eof") == 0)
        wanted = CARRICK_E_EOF;
    else
        CHECK(strcmp(outcome, "negative") == 0 || strncmp(outcome, "eof-inside-", 11) == 0);
    if (encoded_len > 0)
        OK(carrick_stream_send_all(e.raw, encoded, encoded_len, FOREVER));
    OK(carrick_stream_shutdown(e.raw, CARRICK_SHUTDOWN_WRITE));
    STATUS(wanted, carrick_connection_recv(e.connection, FOREVER, &data, &len));
    close_ends(&e);
}

static void check_header(const struct record *r, const uint8_t *header, size_t header_len)
{
    carrick_format format = format_of(r->column[2], UINT64_MAX);
    struct ends e = open_ends(&format);
    uint64_t length = 0;
    OK(carrick_stream_send_all(e.raw, header, header_len, FOREVER));
    OK(carrick_connection_next_length(e.connection, FOREVER, &length));
    CHECK(length == strtoull(r->column[3], NULL, 10));
    close_ends(&e);
}

/* Whether the length could be tried: memory for the longest bodies cannot even be reserved. */
static int check_unencodable(const struct record *r)
{
    unsigned long long length = strtoull(r->column[3], NULL, 10);
    carrick_format format = format_of(r->column[2], UINT64_MAX);
    if (length > 1ULL << 33)
        return 0;
    void *body = mmap(NULL, (size_t)length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (body == MAP_FAILED)
        return 0;
    struct ends e = open_ends(&format);
    uint8_t byte;
    size_t n = 0;
    STATUS(CARRICK_E_FRAME_TOO_LARGE, carrick_connection_send(e.connection, body, (size_t)length, 0));
    STATUS(CARRICK_E_WOULD_BLOCK, carrick_stream_recv(e.raw, &byte, 1, 0, &n));
    close_ends(&e);
    munmap(body, (size_t)length);
    return 1;
}

static void frames_agree_with_the_shared_vectors(void)
{
    static struct record r;
    static uint8_t body[BYTES], encoded[BYTES];
    int frames = 0, headers = 0, bad = 0, sticky = 0, refused = 0;
    FILE *file = open_vectors("frames.txt");
    while (next_record(file, &r)) {
        const char *kind = r.column[0];
        if (strcmp(kind, "frame") == 0 || strcmp(kind, "decode") == 0) {
            size_t encoded_len = unhex(r.column[4], encoded);
            check_read(&r, 3, encoded, encoded_len, 1);
            check_read(&r, 3, encoded, encoded_len, 0);
            carrick_format format = format_of(r.column[2], UINT64_MAX);
            if (kind[0] == 'f')
                check_write(&format, body, unhex(r.column[3], body), encoded, encoded_len);
            frames++;
        } else if (strcmp(kind, "sticky") == 0) {
            size_t encoded_len = unhex(r.column[3], encoded);
            check_read(&r, 4, encoded, encoded_len, 1);
            check_read(&r, 4, encoded, encoded_len, 0);
            sticky++;
        } else if (strcmp(kind, "header") == 0) {
            check_header(&r, encoded, unhex(r.column[4], encoded));
            headers++;
        } else if (strcmp(kind, "unencodable") == 0) {
            refused += check_unencodable(&r);
        } else if (strcmp(kind, "bad") == 0) {
            check_bad(&r, encoded, unhex(r.column[4], encoded));
            bad++;
        } else {
            fprintf(stderr, "a record of kind %s\n", kind);
            exit(1);
        }
    }
    fclose(file);
    CHECK(frames > 20 && headers > 10 && bad > 10 && sticky > 2 && refused > 3);
}

struct client {
    carrick_connection *connection;
    carrick_auth_options auth;
    carrick_status status;
};

static void *authenticate_as_client(void *argument)
{
    struct client *client = argument;
    client->status = carrick_connection_authenticate(client->connection, CARRICK_ROLE_CLIENT, &client->auth);
    return NULL;
}

/* Sends what the server would, and returns how many bytes the client sent back. */
static size_t play_server(struct ends *e, struct client *client, const uint8_t *sent, size_t sent_len, uint8_t *got,
                          size_t cap)
{
    pthread_t thread;
    size_t total = 0, n = 0;
    client->connection = e->connection;
    CHECK(pthread_create(&thread, NULL, authenticate_as_client, client) == 0);
    OK(carrick_stream_send_all(e->raw, sent, sent_len, FOREVER));
    OK(carrick_stream_shutdown(e->raw, CARRICK_SHUTDOWN_WRITE));
    /* The end of the stream ends the exchange; what was sent back fits into the socket. */
    pthread_join(thread, NULL);
    while (carrick_stream_recv(e->raw, got + total, cap - total, 0, &n) == CARRICK_OK && n > 0)
        total += n;
    return total;
}

/* verify records have a fixed challenge; a challenge of the C face is random, so they are for Rust alone. */
static void answers_to_challenges_agree_with_the_shared_vectors(void)
{
    static struct record r;
    static uint8_t key[BYTES], message[BYTES + 4], response[BYTES], got[BYTES];
    int answered = 0, refused = 0;
    FILE *file = open_vectors("challenges.txt");
    while (next_record(file, &r)) {
        CHECK(strcmp(r.column[0], "answer") == 0 || strcmp(r.column[0], "verify") == 0);
        if (strcmp(r.column[0], "answer") != 0 || strcmp(r.column[2], "modern") != 0)
            continue;
        struct ends e = open_ends(NULL);
        struct client client;
        OK(carrick_auth_options_init(&client.auth));
        client.auth.key = key;
        client.auth.key_len = unhex(r.column[3], key);
        size_t len = unhex(r.column[4], message + 4);
        memcpy(message, (uint8_t[]){0, 0, (uint8_t)(len >> 8), (uint8_t)len}, 4);
        size_t response_len = unhex(r.column[6], response);
        int ok = strcmp(r.column[5], "ok") == 0;
        size_t got_len = play_server(&e, &client, message, len + 4, got, sizeof got);
        /* The exchange ended there, whatever it answered. */
        CHECK(client.status == CARRICK_E_AUTH_FAILED);
        if (ok) {
            CHECK(got_len == response_len + 4 && memcmp(got + 4, response, response_len) == 0);
            CHECK(got[3] == response_len);
            answered++;
        } else {
            CHECK(got_len == 0);
            refused++;
        }
        close_ends(&e);
    }
    fclose(file);
    CHECK(answered > 5 && refused > 5);
}

static void the_courses_digests_agree_with_the_shared_vectors(void)
{
    static struct record r;
    static uint8_t key[BYTES], nonce[BYTES], digest[BYTES], got[BYTES];
    int same = 0, different = 0;
    FILE *file = open_vectors("course_auth.txt");
    while (next_record(file, &r)) {
        struct ends e = open_ends(NULL);
        struct client client;
        OK(carrick_auth_options_init(&client.auth));
        client.auth.scheme = CARRICK_SCHEME_COURSE;
        OK(carrick_digest_from_name(CARRICK_TEXT(r.column[2]), &client.auth.digest));
        client.auth.key = key;
        client.auth.key_len = unhex(r.column[3], key);
        size_t nonce_len = unhex(r.column[4], nonce), digest_len = unhex(r.column[5], digest);
        size_t got_len = play_server(&e, &client, nonce, nonce_len, got, sizeof got);
        CHECK(client.status == CARRICK_OK && got_len == digest_len);
        int equal = memcmp(got, digest, digest_len) == 0;
        CHECK(equal == (strcmp(r.column[0], "course") == 0));
        same += equal;
        different += !equal;
        close_ends(&e);
    }
    fclose(file);
    CHECK(same > 5 && different > 2);
}

int main(int argc, char **argv)
{
    static const struct test tests[] = {
#define TEST(name) {#name, name}
        TEST(frames_agree_with_the_shared_vectors),
        TEST(answers_to_challenges_agree_with_the_shared_vectors),
        TEST(the_courses_digests_agree_with_the_shared_vectors),
    };
    return run_tests(tests, sizeof tests / sizeof tests[0], argc, argv);
}
