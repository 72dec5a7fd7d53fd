/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Parts that the programs here share: the frame of the benchmarks, and giving up. */
#ifndef BENCH_FRAME_H
#define BENCH_FRAME_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BODY = 64, HEAD = 4, FRAME = HEAD + BODY, MAX_FRAME = 64 << 20 };

static inline uint32_t frame_length(const uint8_t *head)
{
    return (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
}

static inline void fill_body(uint8_t *body)
{
    for (int i = 0; i < BODY; i++)
        body[i] = (uint8_t)('A' + i % 26);
}

static inline void fill_frame(uint8_t *frame)
{
    frame[0] = frame[1] = frame[2] = 0;
    frame[3] = BODY;
    fill_body(frame + HEAD);
}

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Ends the program with a word of why, unless `good`. */
static inline void need(int good, const char *what)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

#endif
